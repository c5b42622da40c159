"""Facts as they leave on every wire: times as ISO 8601 UTC, chain integers as decimal strings."""

from datetime import datetime
from typing import Any


def iso(at: datetime | None) -> str | None:
    """ISO 8601 UTC to the millisecond."""
    return (
        None if at is None else at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"
    )


def text(value: Any) -> str | None:
    """A chain integer as a decimal string."""
    return None if value is None else str(value)
