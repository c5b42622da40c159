"""Reserves held against the chain: what came from outside is booked, what is missing is told.

A reserve's balance moves by four things: top-ups, its own gas, what retired executors give back,
and deposits. The first three are in the record, so a final balance shows the fourth. A balance that
is below what they explain is never mended: the book stops and a person looks.
"""

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db import transaction
from django.db.models import Q, Sum
from django.utils import timezone

from arbsite.base import alerts, audit
from arbsite.base.formats import decimal_text
from arbsite.base.models import User
from contracts.kernel.jsonrpc import RpcError, hex_int
from contracts.models import Chain
from contracts.rpc import HttpRpc
from wallets import push
from wallets.kernel import lifecycle
from wallets.models import Balance, Funding, ReserveBook, Transaction, Wallet

logger = logging.getLogger(__name__)
_UNDECIDED: Final = tuple(status.value for status in lifecycle.HOLDS_NONCE)
_DECIMALS: Final = 18
_TOLD_FOR: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """What the record says moved a reserve's balance between two blocks, wei."""

    topups_wei: int = 0
    other_values_wei: int = 0
    gas_wei: int = 0
    returned_wei: int = 0

    @property
    def change_wei(self) -> int:
        """The change of balance that they explain."""
        return self.returned_wei - self.topups_wei - self.other_values_wei - self.gas_wei


def books_check(*, chain: Chain, rpc: HttpRpc) -> int:
    """Bring the book of each of the chain's reserves to its newest final balance.

    A surplus is booked as a deposit at that block; a shortfall raises an alert and stops the book.
    Idempotent. Returns how many deposits were booked. Raises: RpcUnavailable, RpcError.
    """
    reserves = list(
        Wallet.objects.filter(chain=chain, role="gas_reserve")
        .exclude(state="retired")
        .select_related("book")
        .order_by("id")
    )
    if not reserves:
        return 0
    head = hex_int(rpc.call("eth_blockNumber", []))
    final = head - max(1, chain.confirmations) + 1
    return sum(_check(reserve, chain=chain, rpc=rpc, final=final) for reserve in reserves)


def book_accept(
    *, reserve: Wallet, reason: str, by: User | None = None, via: str = "shell"
) -> bool:
    """Take a reserve's balance as it is, after a person looked: the book begins anew there.

    The next check opens it. False where there was nothing to accept.
    """
    with transaction.atomic():
        book = ReserveBook.objects.select_for_update().filter(reserve=reserve).first()
        if book is None or not book.problem:
            return False
        audit.record(
            verb="reserve.accept",
            target=reserve.address,
            actor=by,
            via=via,
            before={
                "block": book.checked_block,
                "balanceWei": str(book.checked_wei),
                "differenceWei": str(book.difference_wei),
                "problem": book.problem,
            },
            after={"reason": reason},
        )
        book.delete()
        alerts.alert_resolve(key=_key(reserve))
        transaction.on_commit(lambda: push.wallet_changed(reserve.pk), robust=True)
    return True


def entries_between(*, reserve: Wallet, after_block: int, until_block: int) -> Entries:
    """The record's entries of the blocks in (after, until]. Queries: 3.

    Right once everything mined in them is settled: see `_is_settled`.
    """
    span = Q(block_number__gt=after_block, block_number__lte=until_block)
    own = Transaction.objects.filter(span, wallet=reserve)
    op_stack = reserve.chain.l1_fee == "op_stack"  # elsewhere a part of gas_used
    gas_wei = sum(
        int(used or 0) * int(price or 0) + (int(l1_fee or 0) if op_stack else 0)
        for used, price, l1_fee in own.values_list("gas_used", "gas_price_wei", "l1_fee_wei")
    )
    confirmed = own.filter(status="confirmed")
    topups = Funding.objects.filter(
        kind="topup",
        reserve=reserve,
        transaction__status="confirmed",
        transaction__block_number__gt=after_block,
        transaction__block_number__lte=until_block,
    )
    back = Transaction.objects.filter(
        span, chain=reserve.chain, to=reserve.address, status="confirmed"
    ).exclude(wallet=reserve)
    return Entries(
        topups_wei=_sum(topups.aggregate(total=Sum("amount_wei"))),
        other_values_wei=_sum(confirmed.exclude(kind="funding").aggregate(total=Sum("value_wei"))),
        gas_wei=gas_wei,
        returned_wei=_sum(back.aggregate(total=Sum("value_wei"))),
    )


def _sum(row: dict[str, object]) -> int:
    return int(str(row["total"] or 0))


def _check(reserve: Wallet, *, chain: Chain, rpc: HttpRpc, final: int) -> bool:
    """Whether a deposit was booked."""
    found = _newest_final(reserve, final=final)
    book = ReserveBook.objects.filter(reserve=reserve).first()
    if found is None or (book is not None and found.block_number <= book.checked_block):
        return False
    if not _is_settled(reserve) or not _is_canonical(rpc, found.block_number, found.block_hash):
        return False
    if book is None:
        _open(reserve, found)
        return False
    if not _is_canonical(rpc, book.checked_block, book.checked_block_hash):
        return _lost(reserve, book, found, chain=chain)
    entries = entries_between(
        reserve=reserve, after_block=book.checked_block, until_block=found.block_number
    )
    difference = found.balance_wei - (book.checked_wei + entries.change_wei)
    if difference < 0 or (difference > 0 and book.problem):
        _stop(reserve, book, found, difference=difference)
        return False
    return _book(reserve, book, found, deposit_wei=difference)


def _newest_final(reserve: Wallet, *, final: int) -> Balance | None:
    rows = Balance.objects.filter(wallet=reserve, block_number__lte=final)
    return rows.order_by("-at", "-id").first()


def _is_settled(reserve: Wallet) -> bool:
    """Nothing to or from the reserve is out: all that a past block holds of it is booked."""
    concerns = Q(wallet=reserve) | Q(to=reserve.address)
    waiting = Transaction.objects.filter(concerns, chain_id=reserve.chain_id, status__in=_UNDECIDED)
    unstored = Transaction.objects.filter(
        concerns, chain_id=reserve.chain_id, status="simulated", attempts__released=False
    )
    return not waiting.exists() and not unstored.exists()


def _is_canonical(rpc: HttpRpc, number: int, block_hash: str) -> bool:
    try:
        header = rpc.call("eth_getBlockByNumber", [hex(number), False])
    except RpcError:
        return False
    return bool(header) and str(header["hash"]) == block_hash


def _open(reserve: Wallet, found: Balance) -> None:
    ReserveBook.objects.get_or_create(
        reserve=reserve,
        defaults={
            "opened_block": found.block_number,
            "opened_wei": found.balance_wei,
            "checked_block": found.block_number,
            "checked_block_hash": found.block_hash,
            "checked_wei": found.balance_wei,
        },
    )


def _book(reserve: Wallet, book: ReserveBook, found: Balance, *, deposit_wei: int) -> bool:
    """Move the book on, and enter what came from outside, in one commit; once."""
    with transaction.atomic():
        moved = ReserveBook.objects.filter(
            reserve=reserve, checked_block=book.checked_block, checked_wei=book.checked_wei
        ).update(
            checked_block=found.block_number,
            checked_block_hash=found.block_hash,
            checked_wei=found.balance_wei,
            difference_wei=0,
            problem="",
            checked_at=timezone.now(),
        )
        if not moved:
            return False  # another process was first
        alerts.alert_resolve(key=_key(reserve))
        if not deposit_wei:
            return False
        Funding.objects.create(
            kind="deposit",
            wallet=reserve,
            reserve=reserve,
            amount_wei=deposit_wei,
            decided_balance_wei=found.balance_wei,
            decided_block=found.block_number,
            decided_block_hash=found.block_hash,
            closed_at=timezone.now(),
        )
        transaction.on_commit(lambda: push.wallet_changed(reserve.pk), robust=True)
    logger.info(
        "deposit",
        extra={
            "chain": reserve.chain_id,
            "wallet": reserve.address,
            "amount_wei": deposit_wei,
            "block": found.block_number,
        },
    )
    return True


def _stop(reserve: Wallet, book: ReserveBook, found: Balance, *, difference: int) -> None:
    symbol = reserve.chain.native_symbol
    shown = decimal_text(abs(difference), _DECIMALS)
    what = "is missing" if difference < 0 else "came, while something was missing"
    why = (
        f"At block {found.block_number} it holds {found.balance_wei} wei; its ledger since block "
        f"{book.checked_block} explains {found.balance_wei - difference}."
    )
    _tell(reserve, book, difference=difference, what=f"{shown} {symbol} {what}", why=why)


def _lost(reserve: Wallet, book: ReserveBook, found: Balance, *, chain: Chain) -> bool:
    """The chain no longer has the block that the book stands on."""
    if chain.is_local:  # a local chain was begun anew, or from an older state: so is its book
        logger.warning("book begun anew", extra={"chain": chain.key, "block": book.checked_block})
        book.delete()
        _open(reserve, found)
        return False
    why = f"Block {book.checked_block} ({book.checked_block_hash}), once final, is gone."
    _tell(reserve, book, difference=0, what="stands on a block that vanished", why=why)
    return False


def _tell(reserve: Wallet, book: ReserveBook, *, difference: int, what: str, why: str) -> None:
    ReserveBook.objects.filter(reserve=reserve, checked_block=book.checked_block).update(
        difference_wei=difference, problem=f"{what}. {why}"[:200]
    )
    alerts.alert_raise(
        key=_key(reserve),
        severity="critical",
        title=f"Ledger of {reserve.address}: {what}",
        detail=why,
        fix=(
            "Nothing is funded from it meanwhile. See on an explorer what moved it; then "
            f"`unfreeze --chain {reserve.chain_id} --wallet {reserve.address} REASON` "
            "takes its balance as it is."
        ),
        cooldown=_TOLD_FOR,
    )


def _key(reserve: Wallet) -> str:
    return f"ledger:{reserve.chain_id}:{reserve.address}"
