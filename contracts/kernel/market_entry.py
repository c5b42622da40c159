"""One JSON object of a market file, its keys checked once and its values read by type. No I/O."""

import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from eth_utils import is_checksum_address, to_checksum_address

from arbsite.base.errors import Rejected

NOTES: Final = frozenset({"source", "comment"})
MAX_URL: Final = 2_000


class BadMarketFile(Rejected):
    """The file cannot be used; ``where`` is the entry, the message says what to correct."""

    def __init__(self, where: str, why: str) -> None:
        self.where = where
        super().__init__(f"market file: {where}: {why}")


class Entry:
    """One JSON object: its keys checked once, its values read by type."""

    def __init__(
        self, where: str, value: object, required: set[str], optional: frozenset[str] = frozenset()
    ) -> None:
        if not isinstance(value, dict):
            raise BadMarketFile(where, "must be a JSON object")
        for key in value:
            if key not in required | optional | NOTES:
                raise BadMarketFile(f"{where}.{_printable(key)}", "is not a known key")
        for key in sorted(required):
            if key not in value:
                raise BadMarketFile(f"{where}.{key}", "is missing")
        self.where = where
        self.values: dict[str, Any] = value

    def fail(self, key: str, why: str) -> BadMarketFile:
        return BadMarketFile(f"{self.where}.{key}", why)

    def text(self, key: str, *, most: int = 80) -> str:
        value = self.values[key]
        if not isinstance(value, str) or not value.strip() or len(value) > most:
            raise self.fail(key, f"must be text of 1 to {most} characters")
        if not value.isprintable():
            raise self.fail(key, "holds characters that cannot be shown")
        return value

    def named(self, key: str, shape: re.Pattern[str], why: str) -> str:
        value = self.values[key]
        if not isinstance(value, str) or not shape.fullmatch(value):
            raise self.fail(key, why)
        return value

    def number(self, key: str, low: int, high: int) -> int:
        value = self.values[key]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.fail(key, f"must be a whole number from {low} to {high}")
        return value

    def flag(self, key: str, *, default: bool = False) -> bool:
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self.fail(key, "must be true or false")
        return value

    def wei(self, key: str, *, default: str | None = None) -> int:
        value = self.values[key] if default is None else self.values.get(key, default)
        if not isinstance(value, str) or not re.fullmatch(r"0|[1-9][0-9]{0,29}", value):
            raise self.fail(key, "must be wei as a decimal string")
        return int(value)

    def choice(self, key: str, choices: Sequence[str]) -> str:
        value = self.values[key]
        if value not in choices:
            raise self.fail(key, f"must be one of {', '.join(choices)}")
        return str(value)

    def address(self, key: str) -> str:
        return address_at(f"{self.where}.{key}", self.values[key])

    def urls(self, key: str, schemes: tuple[str, ...], *, least: int) -> tuple[str, ...]:
        value = self.values[key]
        if not isinstance(value, list) or len(value) < least:
            raise self.fail(key, f"must be a list of at least {least} URLs")
        for url in value:
            if not is_url(url, schemes):
                raise self.fail(key, f"must hold {' or '.join(s + '://' for s in schemes)} URLs")
        return tuple(value)


def is_url(url: object, schemes: tuple[str, ...]) -> bool:
    """Whether it can be asked; the parser itself refuses odd brackets and ports."""
    if not isinstance(url, str) or len(url) > MAX_URL or not url.isprintable():
        return False
    try:
        parts = urlsplit(url)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname) and port_fits


def address_at(where: str, value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"0x[0-9a-fA-F]{40}", value):
        raise BadMarketFile(where, "must be an address (0x and 40 hex digits)")
    body = value[2:]
    if body not in (body.lower(), body.upper()) and not is_checksum_address(value):
        raise BadMarketFile(where, f"{value} has a wrong EIP-55 checksum: check it digit by digit")
    if int(value, 16) == 0:
        raise BadMarketFile(where, "is the zero address")
    return str(to_checksum_address(value.lower()))


def _printable(key: str) -> str:
    """A key as one line can show it: line ends, controls and lone surrogates as escapes."""
    plain = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in key)
    return plain[:40]
