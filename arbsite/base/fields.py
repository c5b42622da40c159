"""Column types of chain facts: addresses, hashes and 256-bit integers, as Python str and int."""

from decimal import Decimal
from functools import lru_cache
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from eth_utils import is_checksum_address, to_checksum_address

from arbsite.base.errors import shown
from arbsite.base.units import UINT256_MAX

ZERO_ADDRESS = "0x" + "0" * 40
BIGINT_MAX = 2**63 - 1  # the largest id that a row can have: more is no question to the record


@lru_cache(maxsize=4096)  # the same few hundred addresses, in every row that is written
def checksummed(value: str) -> str:
    """``value`` with its EIP-55 checksum.

    Raises: ValueError for anything that is not 20 bytes of hex, for a wrong checksum in a
        mixed-case address, and for the zero address.
    """
    body = value[2:] if isinstance(value, str) else ""
    if len(body) != 40 or value[:2] != "0x" or not all(c in "0123456789abcdefABCDEF" for c in body):
        raise ValueError(f"{shown(value)} is not an address (0x and 40 hex digits)")
    if body not in (body.lower(), body.upper()) and not is_checksum_address(value):
        raise ValueError(f"{value!r} has a wrong EIP-55 checksum: check it digit by digit")
    if value == ZERO_ADDRESS:
        raise ValueError("the zero address is not allowed here")
    return str(to_checksum_address(value.lower()))


class AddressField(models.CharField[Any, Any]):
    """An EIP-55 checksummed address; written in any case, kept in one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_length"] = 42
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, path, args, kwargs = super().deconstruct()
        kwargs.pop("max_length", None)
        return name, path, args, kwargs

    def get_prep_value(self, value: Any) -> Any:
        prepared = super().get_prep_value(value)
        return checksummed(prepared) if prepared else prepared

    def to_python(self, value: Any) -> Any:
        try:
            return checksummed(value) if value else value
        except ValueError as error:
            raise ValidationError(str(error)) from None


class HashField(models.CharField[Any, Any]):
    """A 32-byte hash as ``0x`` and 64 lower-case hex digits."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_length"] = 66
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, path, args, kwargs = super().deconstruct()
        kwargs.pop("max_length", None)
        return name, path, args, kwargs


class IntegerColumn(models.DecimalField[Any, Any]):
    """NUMERIC(n, 0) read and written as an exact Python int; a fraction is refused."""

    digits = 78

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_digits"] = self.digits
        kwargs["decimal_places"] = 0
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, path, args, kwargs = super().deconstruct()
        kwargs.pop("max_digits", None)
        kwargs.pop("decimal_places", None)
        return name, path, args, kwargs

    def from_db_value(self, value: Any, *_: object) -> int | None:
        return None if value is None else int(value)

    def to_python(self, value: Any) -> Any:
        if value is None or isinstance(value, int):
            return value
        whole = super().to_python(value)
        if whole is None:
            return None
        if whole != int(whole):
            raise ValidationError("Must be a whole number.")
        return int(whole)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if value is None or hasattr(value, "resolve_expression"):
            return value
        if isinstance(value, bool) or not isinstance(value, int | Decimal) or value != int(value):
            raise TypeError(f"{type(value).__name__} is not an exact integer amount")
        return Decimal(int(value))

    def get_prep_value(self, value: Any) -> Any:
        return value


class Uint256Field(IntegerColumn):
    """An unsigned 256-bit chain integer: wei or raw token units. Others are refused on writing."""

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        prepared = super().get_db_prep_save(value, connection)
        if isinstance(prepared, Decimal) and not 0 <= prepared <= UINT256_MAX:
            raise ValueError(f"{self.name}: {prepared} is not an unsigned 256-bit integer")
        return prepared


class SignedAmountField(IntegerColumn):
    """A signed amount of wei or raw token units: profit, loss, a waterfall's step."""
