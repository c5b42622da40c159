"""What a round of settling reports, and a receipt as columns of a transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from contracts.kernel.jsonrpc import hex_int
from wallets.kernel.lifecycle import Status


@dataclass(frozen=True, slots=True)
class Move:
    """One transaction's step, for whoever books profit or shows it."""

    transaction_id: int
    old: Status
    new: Status


@dataclass(slots=True)
class SettleReport:
    """What one round did."""

    open: int = 0
    recovered: int = 0
    moves: list[Move] = field(default_factory=list)
    frozen: list[str] = field(default_factory=list)


def receipt_facts(receipt: Mapping[str, Any], *, l1_fee: str) -> dict[str, object]:
    """What a receipt says, as columns of a transaction. ``gas_used`` is the receipt's own.

    ``l1_fee_wei``: on the OP stack the receipt's l1Fee and operatorFee; on Arbitrum gasUsedForL1
    times the price, which is a part of gas_used times gas_price_wei. Source: MONEY 9.
    """
    price = hex_int(receipt.get("effectiveGasPrice"))
    l1_fee_wei = 0
    if l1_fee == "op_stack":
        l1_fee_wei = sum(hex_int(receipt.get(name) or "0x0") for name in ("l1Fee", "operatorFee"))
    elif l1_fee == "arbitrum":
        l1_fee_wei = hex_int(receipt.get("gasUsedForL1") or "0x0") * price
    return {
        "block_number": hex_int(receipt["blockNumber"]),
        "block_hash": str(receipt["blockHash"]),
        "gas_used": hex_int(receipt["gasUsed"]),
        "gas_price_wei": price,
        "l1_fee_wei": l1_fee_wei,
        "receipt": {name: value for name, value in receipt.items() if name != "logsBloom"},
    }
