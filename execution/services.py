"""Requests of people, and what the engine writes of executions."""

import json
import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from arbsite.base import audit
from arbsite.base.errors import ArbError
from arbsite.base.models import User
from arbsite.base.problems import Conflict
from arbsite.base.rows import rows_insert
from contracts.models import Chain
from execution import push, render, selectors
from execution.models import Execution, LatencySample
from prices.models import Opportunity
from wallets import push as wallet_push
from wallets import selectors as wallet_selectors
from wallets import services as wallet_services
from wallets.models import Transaction

logger = logging.getLogger(__name__)
WAIT_S: Final = 5.0
LOOK_S: Final = 0.05
OPEN: Final = selectors.HOLDS_WALLET
ENDED_UNDONE: Final = ("expired", "cancelled", "rejected")
MAX_REQUESTS: Final = 20
REQUEST_LIVES: Final = timedelta(seconds=30)  # so long it waits for what passes by itself
_STAGES_ADD: Final = (
    "UPDATE execution_execution SET latency_us = latency_us || %s::jsonb WHERE id = %s"
)
ABANDONED: Final = timedelta(seconds=30)  # longer than any send takes


@dataclass(frozen=True, slots=True)
class Outcome:
    """An execution as it stands, and the status that says so: 201, or 202 while it is open."""

    execution: Execution
    http_status: int


def execution_request(
    *, opportunity_id: int, by: User, request: HttpRequest, wait_s: float | None = None
) -> Outcome:
    """Ask the engine to execute one opportunity now, and wait a little for what comes of it.

    Raises: Conflict when it is killed, gone, or already being executed, and with the reason when
        the engine refuses.
    """
    row = Opportunity.objects.filter(pk=opportunity_id).first()
    if row is None:
        raise Conflict("There is no such opportunity any more.", reason="superseded")
    if row.ended_at is not None:
        raise Conflict("The opportunity has ended: its spread is gone.", reason="superseded")
    refuse_if_killed(row.chain)
    made = _insert_request(
        chain=row.chain, kind="arbitrage", key=f"request:{row.pk}", opportunity=row, by=by
    )
    audit.record(
        verb="execute",
        target=f"opportunity {row.pk}",
        actor=by,
        via="api",
        request=request,
        after={"execution": made.pk},
    )
    return _await(made, wait_s=wait_s)


def probe_request(
    *, chain: Chain, by: User, request: HttpRequest, wait_s: float | None = None
) -> Outcome:
    """Ask the engine to send 0 from the executor to itself.

    Raises: Conflict when it is killed, or with the reason when the engine refuses.
    """
    refuse_if_killed(chain)
    made = _insert_request(
        chain=chain, kind="test", key=f"test:{uuid.uuid4()}", opportunity=None, by=by
    )
    audit.record(
        verb="execute_test",
        target=chain.key,
        actor=by,
        via="api",
        request=request,
        after={"execution": made.pk},
    )
    return _await(made, wait_s=wait_s)


def refuse_if_killed(chain: Chain) -> None:
    """Raises: Conflict while the kill switch is engaged for the chain, or cannot be read."""
    if wallet_selectors.kill_engaged(chain_key=chain.key):
        raise Conflict(
            "The kill switch is engaged: release it with a reason first.", reason="killed"
        )


def _insert_request(
    *, chain: Chain, kind: str, key: str, opportunity: Opportunity | None, by: User
) -> Execution:
    """A row with a key of its own; an opportunity whose earlier requests were refused may be asked
    for again, one that is being executed or was executed may not."""
    with transaction.atomic():
        earlier = list(
            Execution.objects.select_for_update(of=("self",))
            .select_related("transaction")
            .filter(chain=chain, key__startswith=f"{key}:")
        )
        for row in earlier:
            if not row.refused and render.status_of(row) not in ENDED_UNDONE:
                raise Conflict(
                    f"Execution {row.pk} already acts on this opportunity.",
                    reason="in_flight",
                    executionId=row.pk,
                )
        if len(earlier) >= MAX_REQUESTS:
            raise Conflict("This opportunity was asked for too often.", reason="limit")
        try:
            with transaction.atomic():
                made = Execution.objects.create(
                    chain=chain,
                    kind=kind,
                    key=f"{key}:{len(earlier)}",
                    opportunity_id=opportunity.pk if opportunity else None,
                    requested_by=by,
                )
        except IntegrityError:
            raise Conflict(
                "Another request for this opportunity came at the same moment.", reason="in_flight"
            ) from None
        transaction.on_commit(lambda: push.execution_changed(made.pk), robust=True)
    return made


def _await(made: Execution, *, wait_s: float | None) -> Outcome:
    """Look until the execution is done, refused, or the time is up."""
    until = time.monotonic() + (WAIT_S if wait_s is None else wait_s)
    while True:
        row = selectors.executions().get(pk=made.pk)
        if row.refused:
            raise Conflict(
                row.error or f"Refused: {row.refused}.", reason=row.refused, executionId=row.pk
            )
        status = render.status_of(row)
        if status == "rejected" and time.monotonic() >= until:
            why = row.transaction.reason if row.transaction else ""
            raise Conflict(why or "Refused.", reason="limit", executionId=row.pk)
        done = status not in (*OPEN, "rejected")  # why it was rejected is written a moment later
        if done or (row.transaction and row.transaction.simulated_only):
            return Outcome(row, 201)
        if time.monotonic() >= until:
            return Outcome(row, 202)
        time.sleep(LOOK_S)


def requests_open(*, chain_key: str) -> list[Execution]:
    """What people asked for and nobody has acted on yet, oldest first. One query."""
    return list(
        Execution.objects.select_related("chain", "requested_by")
        .filter(chain_id=chain_key, transaction__isnull=True, refused="")
        .order_by("pk")[:20]
    )


def execution_refused(*, pk: int, reason: str, detail: str = "") -> None:
    """Drop a request, with the gate's reason and what it means; never one that took a nonce."""
    dropped = Q(transaction__isnull=True) | Q(transaction__status="rejected")
    changed = Execution.objects.filter(dropped, pk=pk, refused="").update(
        refused=reason, error=detail[:300]
    )
    if changed:
        push.execution_changed(pk)


def execution_place(*, pk: int, opportunity_pk: int) -> None:
    """Name the opportunity of an execution that was made before its row."""
    placed = Execution.objects.filter(pk=pk, opportunity_id__isnull=True)
    if placed.update(opportunity_id=opportunity_pk):
        push.execution_changed(pk)


def executions_abandon(*, chain: Chain, leader_epoch: int) -> int:
    """End what was planned and never given a nonce: by a dead engine, or long ago by this one.

    Provably never sent: no attempt stands. Returns how many.
    """
    late = Q(updated_at__lt=timezone.now() - ABANDONED)
    left = Transaction.objects.filter(
        late | ~Q(leader_epoch=leader_epoch),
        chain=chain,
        kind__in=["execution", "test"],
        status__in=["planned", "simulated"],
        simulated_only=False,
        leader_epoch__isnull=False,
    ).exclude(attempts__released=False)
    ended = 0
    for row in left:
        try:
            wallet_services.transaction_rejected(
                transaction_=row, reason="its engine ended before it was signed"
            )
            ended += 1
        except ArbError as error:
            logger.warning("not abandoned", extra={"transaction": row.pk, "why": str(error)})
    return ended


def execution_written(row: Execution) -> None:
    """Tell pages of an execution that was committed with its transaction."""
    if row.transaction_id is not None:
        wallet_push.transaction_changed(row.transaction_id)
    push.execution_changed(row.pk)


def latency_record(*, chain: Chain, execution_pk: int | None, stages_us: Mapping[str, int]) -> None:
    """Keep stage times: on the execution, and as samples for percentiles."""
    if execution_pk is not None:
        with connection.cursor() as cursor:
            cursor.execute(_STAGES_ADD, (json.dumps(dict(stages_us)), execution_pk))
    samples = [
        LatencySample(chain=chain, stage=stage, microseconds=value, execution_id=execution_pk)
        for stage, value in stages_us.items()
    ]
    if samples:
        rows_insert(*samples)
    push.latency_changed(chain.key)
    if execution_pk is not None:
        push.execution_changed(execution_pk)
