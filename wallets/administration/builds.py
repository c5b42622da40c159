"""Our contracts as built: creation code, code to be found on chain, and where CREATE puts it."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from eth_abi.abi import encode as abi_encode
from eth_utils import to_checksum_address
from eth_utils.crypto import keccak

from contracts.kernel.abi import artifact
from wallets.kernel.payload import rlp_bytes, rlp_int, rlp_list

NAMES: Final[Mapping[str, str]] = {"receiver": "FlashLoanReceiver", "router": "MultiDexRouter"}


def creation_code(kind: str, *args: object) -> bytes:
    """What a creation carries: the build's bytecode and its constructor's arguments."""
    built = artifact(NAMES[kind])
    types = [
        arg["type"]
        for item in built["abi"]
        if item["type"] == "constructor"
        for arg in item["inputs"]
    ]
    return bytes.fromhex(built["bytecode"][2:]) + bytes(abi_encode(types, args))


@cache
def expected_code_hash(kind: str) -> str:
    """The hash that code on chain must have, immutables taken as zero."""
    return code_hash(kind, bytes.fromhex(artifact(NAMES[kind])["deployedBytecode"][2:]))


def code_hash(kind: str, code: bytes) -> str:
    """Keccak of runtime code with the build's immutables set to zero; of no code, that of none."""
    masked = bytearray(code)
    for place in _immutables(artifact(NAMES[kind])):
        start, length = place
        masked[start : start + length] = bytes(len(masked[start : start + length]))
    return "0x" + keccak(bytes(masked)).hex()


def _immutables(built: Mapping[str, Any]) -> list[tuple[int, int]]:
    return [
        (int(place["start"]), int(place["length"]))
        for places in built["immutableReferences"].values()
        for place in places
    ]


def created_address(creator: str, *, nonce: int) -> str:
    """Where a creation by this account with this nonce puts the contract.

    Source: yellow paper, section 7.
    """
    packed = rlp_list(rlp_bytes(bytes.fromhex(creator[2:])) + rlp_int(nonce))
    return str(to_checksum_address(keccak(packed)[12:]))
