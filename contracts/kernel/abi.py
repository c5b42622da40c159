"""Selectors, calldata and decoders of the calls we make, over `eth_abi`. No I/O."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from eth_abi.exceptions import DecodingError
from eth_utils import to_checksum_address
from eth_utils.crypto import keccak

from arbsite.base.errors import Rejected

ABI_FOLDER: Final = Path(__file__).resolve().parent.parent / "abi"
ERROR_STRING: Final = bytes.fromhex("08c379a0")
PANIC: Final = bytes.fromhex("4e487b71")


class BadAnswer(Rejected):
    """A contract answered with bytes that are not what its interface promises."""


class Call(NamedTuple):
    """One view call: where, and its calldata."""

    to: str
    data: bytes


@cache
def selector(signature: str) -> bytes:
    """The four bytes of ``name(type,...)``."""
    return bytes(keccak(text=signature)[:4])


@cache
def _types(signature: str) -> tuple[str, ...]:
    inside = signature[signature.index("(") + 1 : signature.rindex(")")]
    types, depth, start = [], 0, 0
    for i, char in enumerate(inside):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            types.append(inside[start:i])
            start = i + 1
    return (*types, inside[start:]) if inside else ()


def encode_call(signature: str, *args: object) -> bytes:
    """Calldata of ``name(type,...)`` with ``args``."""
    return selector(signature) + bytes(abi_encode(_types(signature), args))


def decode_result(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """A call's return values. Raises: BadAnswer when the bytes do not fit ``types``."""
    try:
        return tuple(abi_decode(types, data))
    except (DecodingError, OverflowError, UnicodeDecodeError):
        raise BadAnswer(f"{len(data)} bytes do not decode as ({','.join(types)})") from None


def decode_address(data: bytes) -> str:
    """A returned address, checksummed. Raises: BadAnswer."""
    return str(to_checksum_address(decode_result(["address"], data)[0]))


def decode_uint(data: bytes) -> int:
    """A returned unsigned integer. Raises: BadAnswer."""
    return int(decode_result(["uint256"], data)[0])


AGGREGATE3: Final = "aggregate3((address,bool,bytes)[])"


def encode_multicall(calls: Sequence[Call]) -> bytes:
    """Multicall3 ``aggregate3`` in which a failing call fails alone."""
    return encode_call(AGGREGATE3, [(call.to, True, call.data) for call in calls])


def decode_multicall(data: bytes, *, count: int) -> list[bytes | None]:
    """What each call returned, None where it reverted. Raises: BadAnswer."""
    (rows,) = decode_result(["(bool,bytes)[]"], data)
    if len(rows) != count:
        raise BadAnswer(f"a multicall of {count} gave {len(rows)} answers")
    return [bytes(answer) if ok else None for ok, answer in rows]


@cache
def artifact(name: str) -> Mapping[str, Any]:
    """The exported build of one of our contracts: abi, bytecode, deployedBytecode."""
    loaded: Mapping[str, Any] = json.loads((ABI_FOLDER / f"{name}.json").read_text())
    return loaded


def create2_pair(*, factory: str, token_a: str, token_b: str, init_code_hash: str) -> str:
    """The address a V2 factory gives a pair.

    Source: UniswapV2Library.pairFor.
    """
    first, second = sorted((token_a.lower(), token_b.lower()))
    salt = keccak(bytes.fromhex(first[2:]) + bytes.fromhex(second[2:]))
    packed = b"\xff" + bytes.fromhex(factory[2:]) + salt + bytes.fromhex(init_code_hash[2:])
    return str(to_checksum_address(keccak(packed)[12:]))


class Revert(NamedTuple):
    """A revert in words: ``name`` and ``values`` from the contract, ours for the rest."""

    name: str
    values: tuple[str, ...]


def decode_revert(data: bytes, *, errors: Mapping[bytes, tuple[str, tuple[str, ...]]]) -> Revert:
    """Name a revert's data. Unknown data is shown, bounded; never raises."""
    head, body = data[:4], data[4:]
    try:
        if not data:
            return Revert("no reason given", ())
        if head == ERROR_STRING:
            text = str(abi_decode(["string"], body)[0])
            return Revert("Error", ("".join(c for c in text[:200] if c.isprintable()),))
        if head == PANIC:
            return Revert("Panic", (hex(abi_decode(["uint256"], body)[0]),))
        if head in errors:
            name, types = errors[head]
            return Revert(name, tuple(_shown(value) for value in abi_decode(types, body)))
    except (DecodingError, OverflowError, UnicodeDecodeError):
        pass
    return Revert("unknown error", ("0x" + data[:68].hex(),))


def _shown(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)[:100]


def error_table(abi: Sequence[Mapping[str, Any]]) -> dict[bytes, tuple[str, tuple[str, ...]]]:
    """Selector -> (name, types) of each custom error in an ABI."""
    table = {}
    for item in abi:
        if item.get("type") == "error":
            types = tuple(arg["type"] for arg in item["inputs"])
            table[selector(f"{item['name']}({','.join(types)})")] = (str(item["name"]), types)
    return table
