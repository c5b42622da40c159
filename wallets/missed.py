"""Bundles that missed: their nonces given back, and what lands after all (INVARIANTS I51).

The chain's answers are in hand; the one write that needs the sender's locks is asked of it.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress

from django.db import transaction

from arbsite.base.errors import ArbError
from contracts.models import Chain
from wallets import services
from wallets.chain_view import View
from wallets.kernel import lifecycle
from wallets.kernel.lifecycle import FINAL, Status
from wallets.models import Attempt, NonceSequence, Transaction
from wallets.sender import Sender
from wallets.settled import Move, SettleReport, receipt_facts

logger = logging.getLogger(__name__)


def is_bundles_only(one: Transaction) -> bool:
    """Whether each payload of a transaction went, or was to go, into bundles alone."""
    held = [attempt for attempt in one.attempts.all() if not attempt.released]
    return bool(held) and all(
        attempt.raw and lifecycle.is_bundle(attempt.sent_via) for attempt in held
    )


def give_back(
    waiting: Sequence[Transaction], *, view: View, sender: Sender | None, report: SettleReport
) -> set[int]:
    """Give back the nonces of bundles past their last block, the highest first. Their keys."""
    done: set[int] = set()
    late = [
        one
        for one in waiting
        if one.last_block is not None
        and view.head > one.last_block
        and Status.EXPIRED in lifecycle.TRANSITIONS[Status(one.status)]
        and is_bundles_only(one)
    ]
    for one in sorted(late, key=_nonce_of, reverse=True) if sender else ():
        hashes = {attempt.hash for attempt in one.attempts.all()}
        if hashes & view.receipts.keys() or view.mined_nonce[one.wallet.address] > _nonce_of(one):
            continue
        try:
            assert sender is not None  # noqa: S101  the loop is empty without
            if sender.release_missed(one.pk, head=view.head):
                done.add(one.pk)
                report.moves.append(Move(one.pk, Status(one.status), Status.EXPIRED))
        except ArbError as error:
            logger.warning("not given back", extra={"transaction": one.pk, "error": str(error)})
    return done


def land_late(
    *, chain: Chain, view: View, watched: Sequence[Attempt], report: SettleReport
) -> None:
    """Book what landed though its nonce was given back; stop watching what is proven dead."""
    for attempt in watched:  # by nonce
        receipt = view.mined_in(attempt.hash or "")
        if receipt is None:
            _stop_watching(attempt)
            continue
        one = attempt.transaction
        with suppress(services.StaleStatus), transaction.atomic():
            sequence = NonceSequence.objects.select_for_update().get(pk=attempt.sequence_id)
            if sequence.next_nonce <= attempt.nonce:
                sequence.next_nonce = attempt.nonce + 1
                sequence.save(update_fields=["next_nonce"])
            facts = receipt_facts(receipt, l1_fee=chain.l1_fee)
            services.transaction_settled(
                transaction_=one,
                new=Status.INCLUDED,
                reason="landed though its nonce had been given back",
                facts={"tx_hash": attempt.hash, **facts},
            )
            Attempt.objects.filter(pk=attempt.pk).update(released=False, status="mined")
            report.moves.append(Move(one.pk, Status.EXPIRED, Status.INCLUDED))


def _stop_watching(attempt: Attempt) -> None:
    spent = Attempt.objects.filter(
        sequence=attempt.sequence_id,
        nonce=attempt.nonce,
        status="mined",
        transaction__status__in=[status.value for status in FINAL],
    )
    if spent.exists():
        Attempt.objects.filter(pk=attempt.pk).update(status="dead")


def _nonce_of(one: Transaction) -> int:
    return max((attempt.nonce for attempt in one.attempts.all() if not attempt.released), default=0)
