"""Reading bodies and fields strictly: what is odd is refused with a word, never a 500."""

import json
import re
from collections.abc import Iterator
from typing import IO, Any, Final

from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from arbsite.base.errors import shown
from arbsite.base.fields import checksummed

_WEI: Final = re.compile(r"(0|[1-9][0-9]{0,77})")
# NUL and controls, lone surrogates, and marks that change the direction of text.
_FORBIDDEN: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
MAX_DEPTH: Final = 16  # no body of ours is deeper than 3
MAX_BRACKETS: Final = 500  # the decoder recurses in C: what may be deep is not given to it
UINT256_MAX: Final = 2**256 - 1


class StrictJSONParser(BaseParser):
    """JSON objects only; refuses NaN, huge numbers, hostile characters and other encodings."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None
    ) -> Any:
        """The body as a dict."""
        try:
            text = stream.read().decode("utf-8")
            if text.count("[") + text.count("{") > MAX_BRACKETS:
                raise RecursionError
            body = json.loads(text, parse_constant=_refuse_constant) if text.strip() else {}
        except (ValueError, RecursionError) as error:
            kind = "nested too deeply" if isinstance(error, RecursionError) else "not JSON"
            raise ParseError(f"The body is {kind}.") from None
        if not isinstance(body, dict):
            raise ParseError("The body must be a JSON object.")
        if not all(clean_input(said) for said in _all_text(body)):
            raise ParseError("The body holds a control, direction or surrogate character.")
        return body


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _all_text(body: dict[str, Any]) -> Iterator[str]:
    """Every key and text of a body; what comes later may recurse, so depth ends here."""
    level: list[Any] = [body]
    for _ in range(MAX_DEPTH):
        yield from (value for value in level if isinstance(value, str))
        below = [value for value in level if isinstance(value, dict | list)]
        level = [
            value
            for inner in below
            for value in ((*inner, *inner.values()) if isinstance(inner, dict) else inner)
        ]
        if not level:
            return
    raise ParseError("The body is nested too deeply.")


def clean_input(text: str) -> bool:
    """Whether a text from a query or a form is free of hostile characters."""
    return not _FORBIDDEN.search(text)


class WeiField(serializers.Field[int, Any, str, Any]):
    """A chain integer as a decimal string, in and out."""

    default_error_messages = {
        "invalid": "Must be a whole number as a decimal string, without sign or leading zeros.",
    }

    def to_internal_value(self, data: Any) -> int:
        """The exact integer."""
        if not isinstance(data, str) or not _WEI.fullmatch(data) or int(data) > UINT256_MAX:
            self.fail("invalid")
        return int(data)

    def to_representation(self, value: Any) -> str:
        """The decimal string."""
        return str(int(value))


class AddressInField(serializers.Field[str, Any, str, Any]):
    """An address, checksummed or in one case; never the zero address."""

    def to_internal_value(self, data: Any) -> str:
        """The checksummed address."""
        if not isinstance(data, str):
            raise serializers.ValidationError("Must be an address.")
        try:
            return checksummed(data)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from None

    def to_representation(self, value: Any) -> str:
        """As it is kept."""
        return str(value)


class StrictSerializer(serializers.Serializer[Any]):
    """Input of one endpoint: unknown fields are named and refused."""

    def checked(self) -> dict[str, Any]:
        """The validated values. Raises: ValidationError per field."""
        unknown = set(self.initial_data) - set(self.fields)
        if unknown:
            raise serializers.ValidationError(
                {
                    shown(name).strip("'"): ["There is no such field here."]
                    for name in sorted(unknown, key=str)
                }
            )
        self.is_valid(raise_exception=True)
        return dict(self.validated_data)


class WholeNumber(serializers.IntegerField):
    """A JSON integer: no booleans, floats, strings or digits of other scripts."""

    def to_internal_value(self, data: Any) -> int:
        """The integer."""
        if isinstance(data, bool) or not isinstance(data, int):
            raise serializers.ValidationError("Must be a whole number.")
        return super().to_internal_value(data)
