"""The kill switch: the row first, then a barrier behind every sender, then the list of what is out.

What it can promise stands in MONEY 7. Senders share an advisory lock while they hand over; the
kill commits its row and then takes that lock alone, so whoever comes later reads the row.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db import OperationalError, connection, transaction
from django.db.models import F
from django.http import HttpRequest
from django.utils import timezone

from arbsite.base import alerts, audit
from arbsite.base.errors import Rejected
from arbsite.base.models import User
from wallets import push, selectors
from wallets.handover import HANDOVER_S
from wallets.kernel import lifecycle
from wallets.ledger import KILL_LOCK
from wallets.models import KillState, Transaction
from wallets.outcomes import IN_FLIGHT

EVERYWHERE: Final = "*"
RESTORED: Final = "restored"  # the alert of a restore; the release that follows ends it
BARRIER_S: Final = 4.0
_POLL_S: Final = 0.02


class ReasonMissing(Rejected):
    """The switch keeps why it was moved."""


class SwitchMoved(Rejected):
    """Somebody used the switch meanwhile: it stays as they left it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the proof: when it ended, and how long it took."""

    name: str
    at: datetime
    took_ms: float


@dataclass(slots=True, kw_only=True)
class KillProof:
    """What was done, step by step. ``complete`` False: something unknown may be in flight."""

    scope: str
    complete: bool = True
    detail: str = ""
    steps: list[Step] = field(default_factory=list)
    sent: Sequence[selectors.SentItem] = ()

    def as_json(self) -> dict[str, Any]:
        """The answer of API and shell."""
        return {
            "scope": self.scope,
            "complete": self.complete,
            "detail": self.detail,
            "steps": [
                {"step": step.name, "at": step.at.isoformat(), "tookMs": round(step.took_ms, 3)}
                for step in self.steps
            ],
            "sent": [item.as_json() for item in self.sent],
        }


def kill_engage(
    *,
    reason: str,
    scope: str = EVERYWHERE,
    by: User | None = None,
    via: str = "shell",
    request: HttpRequest | None = None,
) -> KillProof:
    """Stop executions, funding, deployments, sweeps and bumps; cancels and pauses go on.

    When it returns with ``complete``, no process hands over another byte of what it stops. Takes
    at most 2 s more than the barrier. Must not run inside a database transaction.

    Raises: ReasonMissing; OperationalError when the record is away (then nothing is proven).
    """
    if not reason.strip():
        raise ReasonMissing("give the reason: it is kept and shown")
    proof = KillProof(scope=scope)
    started = time.monotonic()
    _commit_row(scope=scope, reason=reason, by=by, via=via, request=request)
    _prove(proof, started=started)
    audit.record(
        verb="kill.proof", target=scope, actor=by, via=via, request=request, after=proof.as_json()
    )
    return proof


def planned_invalidate(*, scope: str = EVERYWHERE) -> KillProof:
    """End what was planned before now, without engaging the switch: disarming stands on it.

    The epoch rises, so that nothing planned earlier is handed over, and the barrier ends what was
    being handed over. Raises: OperationalError when the record is away.
    """
    proof = KillProof(scope=scope)
    started = time.monotonic()
    with transaction.atomic(durable=True):
        KillState.objects.filter(scope=scope).update(epoch=F("epoch") + 1)
    _prove(proof, started=started)
    return proof


def _prove(proof: KillProof, *, started: float) -> None:
    """Barrier, orphans, list: what makes a committed row a stop."""
    committed_at = _step(proof, "committed", started)
    try:
        _barrier()
    except OperationalError:
        proof.complete = False
        proof.detail = f"a sender did not end within {BARRIER_S:g} s: unknown in flight"
    barrier_at = _step(proof, "barrier", committed_at)
    _await_orphans(scope=proof.scope, committed_at=committed_at)
    listed_from = _step(proof, "handovers_ended", barrier_at)
    proof.sent = selectors.sent_items(scope=proof.scope)
    _step(proof, "listed", listed_from)


def kill_release(
    *,
    reason: str,
    scope: str = EVERYWHERE,
    by: User | None = None,
    via: str = "shell",
    request: HttpRequest | None = None,
    engaged_for: str = "",
) -> KillState:
    """Clear one scope and raise its epoch: what was planned before is never sent.

    The other scope, if engaged, still stops. ``engaged_for``: only if that is still why it is
    engaged. Raises: ReasonMissing, SwitchMoved.
    """
    if not reason.strip():
        raise ReasonMissing("give the reason: it is kept and shown")
    with transaction.atomic(durable=True):
        state = KillState.objects.select_for_update().filter(scope=scope).first()
        before = _facts(state)
        if engaged_for and (state is None or state.reason != engaged_for):
            raise SwitchMoved(f"the switch of {scope} was used meanwhile: it is left as it is")
        if state is None:
            state = KillState(scope=scope, epoch=0)
        state.engaged, state.epoch = False, state.epoch + 1
        state.reason, state.changed_by = reason[:200], _name(by, via)
        state.save()
        if scope == EVERYWHERE:
            alerts.alert_resolve(key=RESTORED)
        audit.record(
            verb="kill.release",
            target=scope,
            actor=by,
            via=via,
            request=request,
            before=before,
            after=_facts(state),
        )
        transaction.on_commit(lambda: push.kill_changed(scope), robust=True)
    return state


def kill_rows_ensure(*, chain_keys: Sequence[str]) -> list[str]:
    """Make the rows that are missing; called when a chain is registered and at each start.

    Clear only where nothing was ever planned: a row that vanished later comes back engaged.
    Returns the scopes that were made.
    """
    made = []
    with transaction.atomic():
        known = set(KillState.objects.values_list("scope", flat=True))
        for scope in [EVERYWHERE, *chain_keys]:
            if scope in known:
                continue
            planned = Transaction.objects.all()
            if scope != EVERYWHERE:
                planned = planned.filter(chain_id=scope)
            lost = planned.exists()
            reason = "the row was missing: look why, then release" if lost else "first start"
            KillState.objects.bulk_create(
                [KillState(scope=scope, engaged=lost, reason=reason, changed_by="system")],
                ignore_conflicts=True,
            )
            made.append(scope)
    return made


def _commit_row(
    *, scope: str, reason: str, by: User | None, via: str, request: HttpRequest | None
) -> None:
    with transaction.atomic(durable=True):
        state = KillState.objects.select_for_update().filter(scope=scope).first()
        before = _facts(state)
        if state is None:
            state = KillState(scope=scope)
        state.engaged, state.reason = True, reason[:200]
        state.changed_by = _name(by, via)
        state.save()
        audit.record(
            verb="kill.engage",
            target=scope,
            actor=by,
            via=via,
            request=request,
            before=before,
            after=_facts(state),
        )
        transaction.on_commit(lambda: push.kill_changed(scope), robust=True)


def _barrier() -> None:
    """Own the lock once: every hand-over that began before the row's commit has ended."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{int(BARRIER_S * 1e3)}ms"])
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [KILL_LOCK])


def _await_orphans(*, scope: str, committed_at: float) -> None:
    """Wait for senders whose lock died with their session or with PostgreSQL.

    Each hand-over is announced by a committed row before it begins, and ends within 2 s of its
    lock; rows without an outcome are waited for, but never longer than that.
    """
    while time.monotonic() < committed_at + HANDOVER_S:
        if not _unsettled(scope=scope):
            return
        time.sleep(_POLL_S)


def _unsettled(*, scope: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT now() - pg_postmaster_start_time() < make_interval(secs => %s) OR EXISTS ("
            " SELECT 1 FROM wallets_attempt a"
            " JOIN wallets_transaction t ON t.id = a.transaction_id"
            " WHERE (a.status = 'signed' OR a.error = %s) AND NOT a.released"
            " AND t.status = ANY(%s) AND NOT t.kind = ANY(%s) AND NOT a.purpose = ANY(%s)"
            " AND (%s = '*' OR t.chain_id = %s))",
            [
                HANDOVER_S,
                IN_FLIGHT,
                [status.value for status in lifecycle.OPEN],
                list(lifecycle.NEVER_KILLED_KINDS),
                list(lifecycle.NEVER_KILLED_PURPOSES),
                scope,
                scope,
            ],
        )
        row = cursor.fetchone()
    return bool(row and row[0])


def _step(proof: KillProof, name: str, since: float) -> float:
    now = time.monotonic()
    proof.steps.append(Step(name=name, at=timezone.now(), took_ms=(now - since) * 1e3))
    return now


def _name(by: User | None, via: str) -> str:
    return by.get_username() if by else via


def _facts(state: KillState | None) -> Mapping[str, Any] | None:
    if state is None:
        return None
    return {"engaged": state.engaged, "epoch": state.epoch, "reason": state.reason}
