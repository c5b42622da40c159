"""What Django's system checks refuse before anything starts."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register()
def postgresql_only(*, app_configs: object, **_: Any) -> Sequence[CheckMessage]:
    """Refuse any database but PostgreSQL."""
    engine = settings.DATABASES["default"]["ENGINE"]
    if engine != "django.db.backends.postgresql":
        return [Error(f"{engine} cannot keep wei exactly: use PostgreSQL", id="arbsite.E001")]
    return []
