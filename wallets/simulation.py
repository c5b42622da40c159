"""Proving one payload on the newest block: the exact call, its gas, a refusal in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from arbsite.base.errors import Rejected
from arbsite.base.units import BlockNumber, Gas, Wei, mul_div_ceil
from contracts.kernel.abi import artifact, decode_revert, error_table
from contracts.kernel.jsonrpc import RpcError, call_object, hex_bytes, hex_int
from contracts.rpc import HttpRpc

_CONTRACTS: Final = ("FlashLoanReceiver", "MultiDexRouter")
_REVERT_WORDS: Final = ("revert", "opcode", "out of gas", "gas required exceeds", "evm error")
_POOR_WORDS: Final = ("insufficient funds", "insufficient balance", "outoffunds", "out of fund")


class Reverts(Rejected):
    """The payload would fail on the newest block."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"the simulation reverts with {why}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The block a payload was proven on, and its gas limit: the estimate and a quarter."""

    block_number: BlockNumber
    block_hash: str
    gas_limit: Gas


def prove(
    rpc: HttpRpc,
    *,
    sender: str,
    to: str,
    data: bytes,
    value_wei: Wei,
    overrides: Mapping[str, object] | None = None,
) -> Proof:
    """Simulate the exact payload at the newest block; ``to`` is "" for a creation.

    ``overrides``: state that is assumed. Raises: Reverts; RpcError when the node could not say,
    and nothing is proven either way; RpcUnavailable.
    """
    head = rpc.call("eth_getBlockByNumber", ["latest", False])
    request = call_object(to=to or None, data=data, sender=sender, value=value_wei)
    assumed = [overrides] if overrides else []
    answer, estimate = rpc.batch(
        [
            ("eth_call", [request, {"blockHash": head["hash"]}, *assumed]),
            ("eth_estimateGas", [request, "latest", *assumed]),
        ],
        timeout_s=20.0,
    )
    for each in (answer, estimate):
        if isinstance(each, RpcError):
            if not _is_refusal(each):
                raise each
            raise Reverts(revert_words(each))
    return Proof(
        block_number=BlockNumber(hex_int(head["number"])),
        block_hash=str(head["hash"]),
        gas_limit=Gas(mul_div_ceil(hex_int(estimate), 5, 4)),
    )


def _is_refusal(error: RpcError) -> bool:
    text = error.message.lower()
    return (
        error.code == 3
        or bool(error.data)
        or any(word in text for word in (*_REVERT_WORDS, *_POOR_WORDS))
    )


def revert_words(error: RpcError) -> str:
    """A refused call in words: the contract's error with its values, else the node's text."""
    data = error.data
    if isinstance(data, dict):  # some nodes wrap it
        data = data.get("data")
    if not isinstance(data, str) or len(data) < 10:
        return error.message
    revert = decode_revert(hex_bytes(data), errors=_errors())
    return f"{revert.name}({', '.join(revert.values)})"


@cache
def _errors() -> dict[bytes, tuple[str, tuple[str, ...]]]:
    table: dict[bytes, tuple[str, tuple[str, ...]]] = {}
    for name in _CONTRACTS:
        table |= error_table(artifact(name)["abi"])
    return table
