"""Profit and loss of executions, booked from receipts; a reorg books the opposite, never edits."""

import logging
from collections import Counter
from typing import Final

from django.db import transaction
from django.db.models import Case, IntegerField, Max, OuterRef, Q, QuerySet, Subquery, Sum, When
from django.db.models.functions import Coalesce

from arbsite.base import alerts
from arbsite.base.errors import ArbError, Halt
from arbsite.base.units import BlockNumber, Gas, Wei
from contracts.kernel.jsonrpc import call_object
from contracts.models import Chain, Token
from contracts.rpc import HttpRpc
from execution import push, services
from execution.kernel import pnl
from execution.kernel.plan import decode_execute
from execution.kernel.pnl import Entry, EntryKind, Settlement
from execution.kernel.receipt import L1FeeModel, read_receipt
from execution.mined_reverts import revert_of_mined
from execution.models import Execution, PnlEntry
from prices import services as price_services
from prices.kernel.costs import NativeRate
from wallets.models import Transaction

logger = logging.getLogger(__name__)
MINED: Final = ("included", "confirmed", "reverted", "cancelled")
LOOK_BACK_BLOCKS: Final = 64  # as deep as the book follows a reorg


class RateMissing(Halt):
    """An execution earned something, and nothing says what that is worth in the native coin."""

    def __init__(self, execution_pk: int) -> None:
        self.execution_pk = execution_pk
        super().__init__(
            f"execution {execution_pk} has no native rate: nothing was booked; "
            "restore its row from a backup, or book it by hand"
        )


def executions_settle(*, chain: Chain, everything: bool = False) -> int:
    """Book every execution whose receipt, or loss of one, is not booked yet. Returns how many.

    Idempotent. A receipt that tells another story than the plan books nothing and raises an alert.
    ``everything``: look for receipts that moved to another block however old they are, as after
    an absence; else only within the last `LOOK_BACK_BLOCKS`. Queries where nothing is due: 2.
    """
    rows = Execution.objects.select_related("transaction", "chain", "deployment").filter(
        chain=chain, transaction__isnull=False, transaction__simulated_only=False
    )
    mined = Q(transaction__status__in=MINED, transaction__receipt__isnull=False)
    unbooked = Q(net_profit_wei__isnull=True) & mined
    reorged = Q(net_profit_wei__isnull=False, transaction__receipt__isnull=True)
    due = list(rows.filter(unbooked | reorged))
    due += list(_moved(rows.filter(mined), chain=chain, everything=everything))
    return sum(_settle_one(row) for row in due)


def _moved(mined: QuerySet[Execution], *, chain: Chain, everything: bool) -> QuerySet[Execution]:
    """Booked rows whose receipt stands on another block than their entries."""
    signed = Case(When(reversal=True, then=-1), default=1, output_field=IntegerField())
    entries = PnlEntry.objects.filter(
        execution=OuterRef("pk"), block_hash=OuterRef("transaction__block_hash")
    )
    standing = entries.order_by().values("execution").annotate(n=Sum(signed)).values("n")
    rows = mined.filter(net_profit_wei__isnull=False)
    if not everything:
        newest = Transaction.objects.filter(chain=chain).aggregate(n=Max("block_number"))["n"] or 0
        depth = max(LOOK_BACK_BLOCKS, chain.confirmations)
        rows = rows.filter(transaction__block_number__gt=newest - depth)
    return rows.annotate(standing=Coalesce(Subquery(standing), 0)).filter(standing__lte=0)


def reverts_explain(*, chain: Chain, rpc: HttpRpc) -> int:
    """Decode why executions reverted, once each. Returns how many. Raises: RpcUnavailable."""
    rows = Execution.objects.select_related("transaction__wallet").filter(
        chain=chain, transaction__receipt__status="0x0", transaction__revert__isnull=True
    )
    explained = 0
    for row in rows[:20]:
        sent = row.transaction
        if sent is None:
            continue
        request = call_object(
            to=sent.to, data=bytes(sent.data), sender=sent.wallet.address, gas=sent.gas_limit
        )
        found = revert_of_mined(
            rpc, tx_hash=sent.tx_hash, request=request, block_hash=sent.block_hash
        )
        Transaction.objects.filter(pk=sent.pk).update(revert=found.as_json())
        push.execution_changed(row.pk)
        explained += 1
    return explained


def _settle_one(row: Execution) -> int:
    try:
        settlement = _settlement(row)
    except ArbError as error:
        logger.error("not booked", extra={"execution": row.pk, "why": str(error)})
        alerts.alert_raise(
            key=f"unbooked:{row.pk}",
            title=f"Execution {row.pk} is not booked",
            detail=str(error),
            fix="Compare its receipt with another node.",
            severity="critical",
        )
        return 0
    with transaction.atomic():
        locked = Execution.objects.select_for_update().get(pk=row.pk)
        booked = _booked(locked)
        _write(locked, pnl.entries_due(booked, settlement=settlement), booked=booked)
        fresh = locked.net_profit_wei is None and settlement is not None
        Execution.objects.filter(pk=row.pk).update(
            realized_profit=settlement.realized_profit if settlement else None,
            net_profit_wei=settlement.net_profit_wei if settlement else None,
            tip_wei=settlement.tip_wei if settlement else 0,
            l1_fee_wei=settlement.l1_fee_wei if settlement else locked.l1_fee_wei,
        )
        transaction.on_commit(lambda: push.execution_changed(row.pk), robust=True)
    alerts.alert_resolve(key=f"unbooked:{row.pk}")
    if fresh and settlement is not None:
        _measure(row, settlement)
    return 1


def _settlement(row: Execution) -> Settlement | None:
    """What the transaction's receipt says; None where it is in no block any more."""
    sent = row.transaction
    if sent is None or sent.receipt is None or sent.status not in MINED:
        return None
    receipt = read_receipt(sent.receipt, l1_fee=L1FeeModel(row.chain.l1_fee))
    mined = sent.attempts.filter(hash=receipt.tx_hash).first()
    if row.kind != "arbitrage" or row.deployment is None or mined is None:
        return pnl.settle_gas_only(receipt)
    if mined.purpose == "cancel":
        return pnl.settle_gas_only(receipt)
    if not receipt.succeeded:
        return pnl.settle_gas_only(receipt)
    if not row.native_rate_num or not row.native_rate_den:
        raise RateMissing(row.pk)
    rate = NativeRate(int(row.native_rate_num), int(row.native_rate_den))
    return pnl.settle(
        receipt,
        plan=decode_execute(bytes(sent.data)),
        receiver=row.deployment.address,
        rate=rate,
        tip_wei=Wei(int(mined.value_wei)),
    )


def _booked(row: Execution) -> list[Entry]:
    return [
        Entry(
            kind=EntryKind(entry.kind),
            token=entry.token.address.lower() if entry.token else None,
            amount=int(entry.amount),
            net_wei=Wei(int(entry.net_wei)),
            block_number=BlockNumber(entry.block_number),
            block_hash=entry.block_hash,
            reversal=entry.reversal,
        )
        for entry in row.pnl_entries.select_related("token")
    ]


def _write(row: Execution, due: tuple[Entry, ...], *, booked: list[Entry]) -> None:
    tokens = {t.address.lower(): t for t in Token.objects.filter(chain=row.chain_id)}
    rounds = Counter((e.block_hash, e.kind, e.reversal) for e in booked)
    made = []
    for entry in due:
        place = (entry.block_hash, entry.kind, entry.reversal)
        made.append(
            PnlEntry(
                execution=row,
                chain_id=row.chain_id,
                block_number=entry.block_number,
                block_hash=entry.block_hash,
                kind=entry.kind.value,
                reversal=entry.reversal,
                round=rounds[place],
                token=tokens[entry.token] if entry.token else None,
                amount=entry.amount,
                net_wei=entry.net_wei,
            )
        )
        rounds[place] += 1
    PnlEntry.objects.bulk_create(made)


def _measure(row: Execution, settlement: Settlement) -> None:
    """Keep the gas this kind of trade used, and how long it took to be included."""
    if row.kind == "arbitrage" and settlement.receipt.succeeded and row.transaction is not None:
        price_services.gas_measured(
            chain=row.chain,
            lender_kind=row.lender_kind,
            hops=len(row.path),
            gas_used=Gas(settlement.receipt.gas_used),
            source="receipt",
        )
    sent = row.transaction
    included = sent.status_changes.filter(new="included").first() if sent else None
    handed = (
        sent.attempts.filter(sent_at__isnull=False).order_by("sent_at").first() if sent else None
    )
    if included and handed and handed.sent_at:
        took = included.at - handed.sent_at
        services.latency_record(
            chain=row.chain,
            execution_pk=row.pk,
            stages_us={"inclusion": max(0, int(took.total_seconds() * 1_000_000))},
        )
