"""Static files under hashed names, the imports inside our ES modules included."""

from whitenoise.storage import (  # type: ignore[import-untyped]
    CompressedManifestStaticFilesStorage,
)


class ConsoleStorage(CompressedManifestStaticFilesStorage):
    """A browser may keep every file for ever: a changed module has another name."""

    support_js_module_import_aggregation = True
