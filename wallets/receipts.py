"""What became of everything sent: receipts to the chain's depth, reorgs, lost bytes, dead nonces.

Idempotent, and safe to run in two processes at once: every move is a compare-and-set. Reads the
chain first, then writes; asks the sender for what must go out again.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.utils import timezone

from arbsite.base import alerts
from arbsite.base.errors import ArbError, Rejected
from contracts.kernel.jsonrpc import hex_int
from contracts.models import Chain
from contracts.rpc import HttpRpc
from wallets import missed, recovery, selectors, services, stopping, strangers
from wallets.chain_view import View, look, spent_in
from wallets.freezing import account_freeze
from wallets.kernel.lifecycle import FINAL, Status
from wallets.ledger import Killed, LeaderChanged
from wallets.models import Attempt, NonceSequence, Transaction
from wallets.sender import Sender
from wallets.settled import Move, SettleReport, receipt_facts

logger = logging.getLogger(__name__)
SETTLING: Final = timedelta(seconds=3)  # a hand-over younger than this may still be under way
STUCK: Final = timedelta(seconds=45)
RELANDED_AT_ONCE: Final = 20
_NO_FACTS: Final[Mapping[str, object]] = {
    "block_number": None,
    "block_hash": "",
    "gas_used": None,
    "gas_price_wei": None,
    "l1_fee_wei": None,
    "receipt": None,
}


def settle(*, chain: Chain, rpc: HttpRpc, sender: Sender | None = None) -> SettleReport:
    """One round over every open transaction of a chain.

    Without ``sender``, or while a restored account waits, it books what was mined and sends
    nothing. Raises: RpcUnavailable, RpcError
    when the chain cannot be read; a single transaction's trouble is logged and alerted.
    """
    report = SettleReport()
    if recovery.accounts_compare(chain=chain, rpc=rpc):
        sender = None
    if sender is not None:
        report.recovered = sender.recover()
    waiting = selectors.transactions_open(chain_key=chain.key)
    report.open = len(waiting)
    watched = selectors.payloads_given_back(chain_key=chain.key)
    view = look(chain=chain, rpc=rpc, waiting=waiting, watched=watched)
    missed.land_late(chain=chain, view=view, watched=watched, report=report)
    landing = strangers.sequences_landing(rpc=rpc, view=view, watched=watched)
    report.frozen += strangers.strangers_freeze(
        chain=chain, mined=view.mined_nonce, landing=landing
    )
    _reland(chain=chain, rpc=rpc, view=view, sender=sender, report=report)
    done = missed.give_back(waiting, view=view, sender=sender, report=report)
    if sender is not None and selectors.kill_engaged(chain_key=chain.key):
        left = [one for one in waiting if one.pk not in done]
        done |= stopping.end_stopped(left, view=view, sender=sender)
    for one in waiting:
        if one.pk in done:
            continue
        try:
            case = _Case(
                transaction_=one, chain=chain, rpc=rpc, view=view, sender=sender, report=report
            )
            case.settle()
        except services.StaleStatus:
            continue  # another process moved it
        except ArbError as error:
            _trouble(one, error)
    return report


def _reland(
    *, chain: Chain, rpc: HttpRpc, view: View, sender: Sender | None, report: SettleReport
) -> None:
    """Final transactions that the chain no longer has: a reorg deeper than the chain's depth.

    A local chain restarts from its last saved state: the same bytes close the gap under its later
    nonces, and what was booked stays. Anywhere else it is a halt (I33).
    """
    for sequence in NonceSequence.objects.filter(chain=chain, frozen=""):
        found = view.mined_nonce.get(sequence.address, sequence.next_nonce)
        rows = Attempt.objects.filter(
            sequence=sequence,
            nonce__gte=found,
            status="mined",
            transaction__status__in=[status.value for status in FINAL],
        )
        mined = list(rows.order_by("nonce")[:RELANDED_AT_ONCE])
        answers = rpc.batch([("eth_getTransactionReceipt", [attempt.hash]) for attempt in mined])
        lost = [one for one, receipt in zip(mined, answers, strict=True) if receipt is None]
        if lost and not chain.is_local:
            if not _is_replaced(lost[0].transaction, rpc=rpc):
                continue  # the node lags behind that block
            why = f"final nonce {lost[0].nonce} vanished: a reorg deeper than {chain.confirmations}"
            _freeze(chain, address=sequence.address, why=why, report=report)
            continue
        for attempt in lost:
            if sender is None:
                break
            try:
                sender.resend(attempt.pk, relanding=True)
            except ArbError as error:
                _trouble(attempt.transaction, error)
                break


def _is_replaced(one: Transaction, *, rpc: HttpRpc) -> bool:
    """Whether the node has another block where a transaction was mined."""
    there = rpc.call("eth_getBlockByNumber", [hex(one.block_number or 0), False])
    return isinstance(there, dict) and str(there["hash"]) != one.block_hash


def _freeze(chain: Chain, *, address: str, why: str, report: SettleReport) -> None:
    if account_freeze(chain_key=chain.key, address=address, why=why):
        report.frozen.append(address)


def _trouble(one: Transaction, error: ArbError) -> None:
    logger.warning("not settled", extra={"transaction": one.pk, "error": str(error)})
    if isinstance(error, Rejected):
        alerts.alert_raise(
            key=f"unsettled:{one.pk}",
            title=f"{one.kind} {one.pk} holds its nonce",
            detail=str(error),
            fix="Top up the wallet, or wait for cheaper blocks; it is tried again at each block.",
        )


@dataclass(slots=True, kw_only=True)
class _Case:
    """One open transaction in one look at the chain."""

    transaction_: Transaction
    chain: Chain
    rpc: HttpRpc
    view: View
    sender: Sender | None
    report: SettleReport

    def settle(self) -> None:
        attempts = [a for a in self.transaction_.attempts.all() if a.hash and not a.released]
        mined = next((a for a in attempts if self.view.mined_in(a.hash or "")), None)
        if self._left_the_chain(mined):
            self._move(Status.SUBMITTED, reason="reorganised out of the chain", facts=_NO_FACTS)
        if mined is not None:
            self._book(mined)
        elif self.transaction_.status != Status.INCLUDED and attempts:
            self._pursue(attempts)

    def _left_the_chain(self, mined: Attempt | None) -> bool:
        one = self.transaction_
        if one.status != Status.INCLUDED or one.block_number is None:
            return False
        if mined is not None:
            found = self.view.receipts[mined.hash or ""]["blockHash"]
            return bool(found != one.block_hash)
        there = self.view.blocks.get(one.block_number)
        # A node that lags, or lacks the receipt of a block it has, proves nothing.
        return bool(there is not None and there != one.block_hash)

    def _book(self, mined: Attempt) -> None:
        receipt = self.view.receipts[mined.hash or ""]
        final = hex_int(receipt["blockNumber"]) <= self.view.final
        if mined.purpose == "cancel":
            self._mark(mined, "mined")
            if final:
                with transaction.atomic():
                    facts = receipt_facts(receipt, l1_fee=self.chain.l1_fee)
                    self._move(
                        Status.CANCELLED,
                        reason=f"cancelled by {mined.hash}",
                        facts={"tx_hash": mined.hash, **facts},
                    )
                    self._bury(but=mined)
            return
        if self.transaction_.status != Status.INCLUDED:
            with transaction.atomic():
                facts = receipt_facts(receipt, l1_fee=self.chain.l1_fee)
                self._move(Status.INCLUDED, facts={"tx_hash": mined.hash, **facts})
                self._mark(mined, "mined")
        if final:
            succeeded = hex_int(receipt["status"]) == 1
            with transaction.atomic():
                self._move(Status.CONFIRMED if succeeded else Status.REVERTED)
                self._bury(but=mined)

    def _pursue(self, attempts: list[Attempt]) -> None:
        """Not mined: prove it dead, or see that the right bytes are out."""
        address = self.transaction_.wallet.address
        nonce = attempts[0].nonce
        if self.view.final_nonce.get(address, 0) > nonce:
            self._expire(attempts)
            return
        if self.view.mined_nonce.get(address, 0) > nonce:
            return  # spent, but not finally: by ours in a block not seen yet, or by a stranger
        for attempt in attempts:
            if attempt.status == "mined":
                self._mark(attempt, "accepted")  # a reorg took its block
        newest = attempts[-1]
        if newest.hash in self.view.known:
            self._found(newest)
        elif not self._is_young(newest):
            self._send_again(newest)
        if newest.hash in self.view.known:
            self._unstick(newest)

    def _expire(self, attempts: list[Attempt]) -> None:
        """The nonce is spent and final, and no receipt is ours: proven only by the block itself."""
        address, nonce = self.transaction_.wallet.address, attempts[0].nonce
        there = spent_in(rpc=self.rpc, address=address, nonce=nonce, at=self.view.final)
        if there & {attempt.hash for attempt in attempts}:
            return  # ours: its receipt is late
        given_back = Attempt.objects.filter(sequence=attempts[0].sequence_id, hash__in=there)
        if given_back.exists():  # a bundle that had missed landed after all
            with transaction.atomic():
                self._move(Status.EXPIRED, reason=f"nonce {nonce} went to an earlier payload")
                self._bury(but=None)
            return
        why = f"nonce {nonce} was spent by a transaction that is not ours"
        _freeze(self.chain, address=address, why=why, report=self.report)
        with transaction.atomic():
            self._move(Status.EXPIRED, reason=why)
            self._bury(but=None)

    def _found(self, newest: Attempt) -> None:
        if newest.status in ("signed", "unknown", "refused"):
            self._mark(newest, "accepted")
        if newest.purpose != "cancel" and self.transaction_.status != Status.SUBMITTED:
            self._move(Status.SUBMITTED, reason="the node has it")

    def _send_again(self, newest: Attempt) -> None:
        if self.sender is None:
            return
        if newest.purpose != "cancel" and self._is_past():
            self._end_past()
            return
        if newest.purpose != "cancel" and not self.sender.carries(
            private_only=self.transaction_.private_only
        ):
            return  # a process with a private way sends it again
        try:
            outcome = self.sender.resend(newest.pk)
        except (Killed, LeaderChanged) as error:
            self.sender.cancel(self.transaction_.pk, reason=str(error))
            return
        if outcome.detail.startswith(("underpriced", "replacement_underpriced")):
            self._raise_fee(newest)

    def _unstick(self, newest: Attempt) -> None:
        """Pending at a node: ended when its time is over, made dearer when it hangs."""
        if self.sender is None:
            return
        if newest.purpose != "cancel" and self._is_past():
            self._end_past()
        elif _age(newest.sent_at or newest.signed_at) > STUCK:
            self._raise_fee(newest)

    def _end_past(self) -> None:
        """A typed cancel; where bundles alone had it, only when its nonce cannot be given back."""
        assert self.sender is not None  # noqa: S101  both callers looked
        one = self.transaction_
        if missed.is_bundles_only(one):
            if one.last_block == self.view.head:
                return  # given back at the next block, if that does not carry it
            if missed.give_back([one], view=self.view, sender=self.sender, report=self.report):
                return  # a reorg had just taken it out of its block
        self.sender.cancel(one.pk, reason="past its last block")

    def _raise_fee(self, newest: Attempt) -> None:
        assert self.sender is not None  # noqa: S101  both callers looked
        pk, kind = self.transaction_.pk, self.transaction_.kind
        if newest.purpose == "cancel":
            self.sender.cancel(pk, reason="the cancel hangs", raise_fee=True)
        elif kind == "execution":
            self.sender.cancel(pk, reason="the execution hangs")
        else:
            try:
                self.sender.bump(pk, reason="it hangs")
            except (Killed, LeaderChanged) as error:
                self.sender.cancel(pk, reason=str(error))

    def _is_past(self) -> bool:
        last = self.transaction_.last_block
        return last is not None and self.view.head >= last

    def _is_young(self, attempt: Attempt) -> bool:
        return _age(attempt.sent_at or attempt.signed_at) < SETTLING

    def _mark(self, attempt: Attempt, status: str) -> None:
        if attempt.status != status:
            Attempt.objects.filter(pk=attempt.pk).update(status=status)
            attempt.status = status

    def _bury(self, *, but: Attempt | None) -> None:
        """Every other payload of the nonce is dead, one that was never stored as well."""
        rows = Attempt.objects.filter(transaction=self.transaction_)
        (rows.exclude(pk=but.pk) if but else rows).update(status="dead")

    def _move(
        self, new: Status, *, reason: str = "", facts: Mapping[str, object] | None = None
    ) -> None:
        old = Status(self.transaction_.status)
        services.transaction_settled(
            transaction_=self.transaction_, new=new, reason=reason, facts=facts or {}
        )
        self.report.moves.append(Move(self.transaction_.pk, old, new))
        alerts.alert_resolve(key=f"unsettled:{self.transaction_.pk}")


def _age(since: datetime | None) -> timedelta:
    return timezone.now() - since if since else timedelta.max
