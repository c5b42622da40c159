"""What an execution earned and cost, from receipt to the last unit, and what is booked of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from arbsite.base.errors import Halt
from arbsite.base.units import BlockNumber, TokenAmount, Wei
from execution.kernel.plan import Plan
from execution.kernel.receipt import BadReceipt, Receipt, address_in, transferred
from prices.kernel.costs import NativeRate

# Settled(address indexed token, address indexed lender, uint256 amount, uint256 premium,
# uint256 profit)
SETTLED_TOPIC: Final = "0xbd20f9a8dc12d20d7c11f3bc9980117f90a4dc3deae49c87938a56aa2ca2b041"


class ProfitDisagrees(Halt):
    """Receipt, plan and contract tell different stories of one execution."""

    def __init__(self, what: str, *, tx_hash: str, found: object, expected: object) -> None:
        self.what = what
        self.tx_hash = tx_hash
        self.found = found
        self.expected = expected
        super().__init__(
            f"transaction {tx_hash}: {what} is {found}, expected {expected}; "
            "nothing was booked: compare the receipt with another node before going on"
        )


class EntryKind(StrEnum):
    PROFIT = "profit"
    GAS = "gas"
    L1_FEE = "l1_fee"
    TIP = "tip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """One execution, settled.

    ``realized_profit`` and ``premium``: raw units of the borrow token, before gas; 0 for a revert.
    ``profit_wei``: the realized profit at the opportunity's native rate, rounded down.
    ``tip_wei``: what was really paid, so 0 for a revert.
    ``net_profit_wei`` = profit_wei - gas_cost_wei - l1_fee_wei - tip_wei.
    """

    receipt: Receipt
    token: str
    realized_profit: TokenAmount
    premium: TokenAmount
    profit_wei: Wei
    gas_cost_wei: Wei
    l1_fee_wei: Wei
    tip_wei: Wei
    net_profit_wei: Wei


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One amount to book. ``amount``: raw units of ``token``, of the native coin where None.

    ``net_wei``: its share of the net profit; those of one execution add up to it.
    """

    kind: EntryKind
    token: str | None
    amount: int
    net_wei: Wei
    block_number: BlockNumber
    block_hash: str
    reversal: bool = False

    def reversed(self) -> "Entry":
        """The entry that undoes this one, for the block that left the chain."""
        return replace(
            self, amount=-self.amount, net_wei=Wei(-self.net_wei), reversal=not self.reversal
        )


def settle(
    receipt: Receipt, *, plan: Plan, receiver: str, rate: NativeRate, tip_wei: Wei
) -> Settlement:
    """What an execution of ``plan`` earned and cost.

    ``rate``: the opportunity's, units of the borrow token per wei. ``tip_wei``: the call's value.
    Rounding: the profit's value in wei down.
    Raises: ProfitDisagrees where the Transfer logs, the contract's Settled and the plan differ;
        BadReceipt.
    """
    if not receipt.succeeded:
        return settle_gas_only(receipt, token=plan.token)
    settled = _settled(receipt, receiver=receiver)
    realized = transferred(receipt, token=plan.token, account=receiver)
    for what, found, expected in (
        ("Settled's token", settled.token, plan.token),
        ("Settled's lender", settled.lender, plan.lender),
        ("Settled's amount", settled.amount, plan.amount),
        ("profit by Transfer logs", realized, settled.profit),
    ):
        if found != expected:
            raise ProfitDisagrees(what, tx_hash=receipt.tx_hash, found=found, expected=expected)
    if realized < plan.min_profit:
        raise ProfitDisagrees(
            "profit",
            tx_hash=receipt.tx_hash,
            found=realized,
            expected=f"at least {plan.min_profit}",
        )
    return _settlement(
        receipt,
        token=plan.token,
        realized=realized,
        premium=settled.premium,
        profit_wei=rate.wei_floor(realized),
        tip_wei=tip_wei,
    )


def settle_gas_only(receipt: Receipt, *, token: str = "") -> Settlement:
    """A revert, a test, a cancel: gas and L1 fee, nothing else."""
    return _settlement(
        receipt, token=token, realized=0, premium=0, profit_wei=Wei(0), tip_wei=Wei(0)
    )


def entries_of(settlement: Settlement) -> tuple[Entry, ...]:
    """What is booked of a settlement; zero amounts are not."""
    receipt = settlement.receipt
    rows = (
        (EntryKind.PROFIT, settlement.token, settlement.realized_profit, settlement.profit_wei),
        (EntryKind.GAS, None, -settlement.gas_cost_wei, -settlement.gas_cost_wei),
        (EntryKind.L1_FEE, None, -settlement.l1_fee_wei, -settlement.l1_fee_wei),
        (EntryKind.TIP, None, -settlement.tip_wei, -settlement.tip_wei),
    )
    return tuple(
        Entry(
            kind=kind,
            token=token,
            amount=amount,
            net_wei=Wei(net_wei),
            block_number=receipt.block_number,
            block_hash=receipt.block_hash,
        )
        for kind, token, amount, net_wei in rows
        if amount
    )


def entries_due(booked: Sequence[Entry], *, settlement: Settlement | None) -> tuple[Entry, ...]:
    """What must be added to a ledger so that it says exactly what ``settlement`` says.

    ``booked``: all entries of one execution so far. ``settlement``: None where it is in no block
    of the chain any more. Reversals of what stands on another block come first. Nothing is due
    twice: with the result booked, nothing is due.
    """
    wanted = Counter(() if settlement is None else entries_of(settlement))
    standing: Counter[Entry] = Counter()
    for entry in booked:
        if entry.reversal:
            standing[entry.reversed()] -= 1
        else:
            standing[entry] += 1
    undone = [
        entry.reversed()
        for entry, count in standing.items()
        for _ in range(count - wanted.get(entry, 0))
    ]
    added = [
        entry for entry, count in wanted.items() for _ in range(count - standing.get(entry, 0))
    ]
    return (*undone, *added)


def net_of(entries: Sequence[Entry]) -> Wei:
    """The net profit that entries add up to, reversals included."""
    return Wei(sum(entry.net_wei for entry in entries))


@dataclass(frozen=True, slots=True)
class _Settled:
    token: str
    lender: str
    amount: int
    premium: int
    profit: int


def _settled(receipt: Receipt, *, receiver: str) -> _Settled:
    """The one Settled event of the receiver."""
    found = [
        log
        for log in receipt.logs
        if log.address == receiver.lower() and log.topics and log.topics[0] == SETTLED_TOPIC
    ]
    if len(found) != 1:
        raise ProfitDisagrees(
            "number of Settled events", tx_hash=receipt.tx_hash, found=len(found), expected=1
        )
    log = found[0]
    if len(log.topics) != 3 or len(log.data) != 96:
        raise BadReceipt("Settled event", log.topics)
    amount, premium, profit = (
        int.from_bytes(log.data[at : at + 32], "big") for at in range(0, 96, 32)
    )
    return _Settled(address_in(log.topics[1]), address_in(log.topics[2]), amount, premium, profit)


def _settlement(
    receipt: Receipt, *, token: str, realized: int, premium: int, profit_wei: Wei, tip_wei: Wei
) -> Settlement:
    return Settlement(
        receipt=receipt,
        token=token,
        realized_profit=TokenAmount(realized),
        premium=TokenAmount(premium),
        profit_wei=profit_wei,
        gas_cost_wei=receipt.gas_cost_wei,
        l1_fee_wei=receipt.l1_fee_wei,
        tip_wei=tip_wei,
        net_profit_wei=Wei(profit_wei - receipt.gas_cost_wei - receipt.l1_fee_wei - tip_wei),
    )
