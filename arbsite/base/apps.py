"""The ground's name and place: users, tokens, audit, alerts."""

import sys
from contextlib import suppress
from importlib import import_module
from typing import Final

from django.apps import AppConfig

RECURSION_LIMIT: Final = 1_000  # Python's own


class BaseConfig(AppConfig):
    """What stands under all other apps."""

    name = "arbsite.base"
    label = "base"
    verbose_name = "People and audit"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Keep Python's own recursion limit in every process.

        py_ecc, which eth_account imports, raises it to 100,000: then a deep JSON text, from a
        client or a node, overruns the C stack and ends the process instead of raising.
        """
        with suppress(ImportError):
            import_module("py_ecc")  # whoever imports it later finds it done
        sys.setrecursionlimit(RECURSION_LIMIT)
