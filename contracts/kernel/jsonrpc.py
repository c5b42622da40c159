"""The JSON-RPC wire format: requests' objects, answers, quantities and data. No I/O."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from arbsite.base.errors import Rejected

Json = Any  # what a decoder gives: dict, list, str, int, float, bool or None
MAX_TEXT: Final = 300
_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]{1,64}")


class RpcError(Rejected):
    """The node answered with an error; ``code``, ``message`` and ``data`` in its words, bounded."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        self.code = code
        self.message = clean_text(message)
        self.data = data
        super().__init__(f"the node answered with error {code}: {self.message}")


def clean_text(text: object) -> str:
    """Chain text made harmless: printable, one line, bounded."""
    shown = "".join(c if c.isprintable() else " " for c in str(text)[: MAX_TEXT * 2])
    return shown[:MAX_TEXT]


def call_object(
    *,
    to: str | None,
    data: bytes = b"",
    sender: str | None = None,
    value: int = 0,
    gas: int | None = None,
    gas_price: int | None = None,
) -> dict[str, str]:
    """The transaction object of ``eth_call`` and ``eth_estimateGas``."""
    request = {"data": "0x" + data.hex()}
    if to:
        request["to"] = to
    if sender:
        request["from"] = sender
    if value:
        request["value"] = hex(value)
    if gas is not None:
        request["gas"] = hex(gas)
    if gas_price is not None:
        request["gasPrice"] = hex(gas_price)
    return request


def decode_answers(body: bytes, ids: Sequence[int]) -> list[Json]:
    """Place each answer of a JSON-RPC body by its id.

    Raises: ValueError when the body is not JSON-RPC, or an answer is missing.
    """
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("the answer is not JSON") from None
    items = decoded if isinstance(decoded, list) else [decoded]
    placed: dict[int, Json] = {}
    for item in items:
        if not isinstance(item, dict):
            raise ValueError("the answer is not a JSON-RPC object")
        key = item.get("id")
        if key is None and len(ids) == 1:
            key = ids[0]
        if isinstance(key, int) and not isinstance(key, bool):
            placed[key] = result_of(item)
    if any(key not in placed for key in ids):
        if len(items) == 1 and isinstance(items[0], dict) and items[0].get("error"):
            return [result_of(items[0])] * len(ids)  # one refusal for the whole batch
        raise ValueError("the answer lacks a result")
    return [placed[key] for key in ids]


def result_of(item: Mapping[str, object]) -> Json:
    error = item.get("error")
    if error is None:
        if "result" not in item:
            raise ValueError("the answer lacks a result")
        return item["result"]
    if not isinstance(error, dict):
        return RpcError(0, clean_text(error))
    code = error.get("code")
    return RpcError(
        code if isinstance(code, int) else 0, str(error.get("message", "")), error.get("data")
    )


def hex_int(value: object) -> int:
    """A JSON-RPC quantity. Raises: RpcError for anything else."""
    # Not `int` alone: it takes underscores, spaces and digits of other scripts.
    if isinstance(value, str) and _QUANTITY.fullmatch(value):
        return int(value, 16)
    raise RpcError(0, f"expected a quantity, the node gave {clean_text(value)[:80]}")


def hex_bytes(value: object) -> bytes:
    """JSON-RPC data. Raises: RpcError for anything else."""
    if isinstance(value, str) and value[:2] == "0x":
        with suppress(ValueError):
            data = bytes.fromhex(value[2:])
            if 2 * len(data) == len(value) - 2:  # it skips spaces
                return data
    raise RpcError(0, f"expected data, the node gave {clean_text(value)[:80]}")
