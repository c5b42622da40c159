"""Wishes of people: web writes one down and waits a little; a worker claims it and ends it once.

A claim is a number that rises. Whoever holds an older one was overtaken: it may still finish what
it began, because transactions have keys of the wish, but it writes no outcome.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import F, Q
from django.http import HttpRequest
from django.utils import timezone

from arbsite.base import audit
from arbsite.base.errors import Retryable
from arbsite.base.models import User
from arbsite.base.problems import Conflict
from arbsite.base.wake import wake
from contracts.models import Chain, Deployment
from wallets import listing, push, selectors
from wallets.models import Request, Wallet

WAIT_S: Final = 5.0
LOOK_S: Final = 0.05
TASK: Final = "wallets.tasks.act_on_request"
# A run says that it lives with every look at the chain; silent for so long, it is dead.
STALE: Final = timedelta(seconds=120)
UNTAKEN: Final = timedelta(seconds=15)
FIRST_WAIT: Final = timedelta(seconds=5)
LONGEST_WAIT: Final = timedelta(minutes=5)
MAX_OPEN: Final = 200
# What hands the chain something that the kill switch stops (I20), and a drill, which would engage
# it anew. Pause and revoke pass.
STOPPED: Final = frozenset(
    {
        "authorize", "fund", "auto_fund", "unpause", "sweep", "limits", "mend", "deploy", "replace",
        "drill",
    }
)  # fmt: skip


class Overtaken(Retryable):
    """Another run has this request by now; this one writes nothing."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A request as it stands, and the status that says so: 201, or 202 while it runs."""

    request: Request
    http_status: int


def request_make(
    *,
    kind: str,
    chain: Chain,
    by: User,
    request: HttpRequest | None = None,
    wallet: Wallet | None = None,
    deployment: Deployment | None = None,
    args: Mapping[str, Any] | None = None,
) -> Request:
    """Write a wish down, audited, and wake whoever acts on it. ``args``: checked by the caller.

    Raises: Conflict for what the kill switch stops while it is engaged, for a second wish of the
        same kind for the same thing while the first is open, and when too many are open.
    """
    refuse_if_killed(kind=kind, chain=chain)
    with transaction.atomic():
        # Two clicks come one after another; rows that refer to the chain need not wait for them.
        Chain.objects.select_for_update(no_key=True).get(pk=chain.pk)
        _refuse_twins(kind=kind, chain=chain, wallet=wallet, deployment=deployment)
        made = Request.objects.create(
            kind=kind,
            chain=chain,
            wallet=wallet,
            deployment=deployment,
            args=dict(args or {}),
            requested_by=by,
        )
        target = wallet or deployment
        audit.record(
            verb=f"request.{kind}",
            target=target.address if target else chain.key,
            actor=by,
            via="api",
            request=request,
            after={"request": made.pk, "chain": chain.key, **made.args},
        )
        wake(TASK, made.pk)
    return made


def refuse_if_killed(*, kind: str, chain: Chain) -> None:
    """Raises: Conflict where the kill switch stops what this kind would send."""
    if kind in STOPPED and selectors.kill_engaged(chain_key=chain.key):
        raise Conflict(
            "The kill switch is engaged: release it with a reason first.", reason="killed"
        )


def _refuse_twins(
    *, kind: str, chain: Chain, wallet: Wallet | None, deployment: Deployment | None
) -> None:
    still_open = Request.objects.filter(chain=chain, done_at__isnull=True)
    if still_open.count() >= MAX_OPEN:
        raise Conflict(
            f"{MAX_OPEN} requests of {chain.key} wait already: is a worker running?", reason="limit"
        )
    if kind == "generate":
        return  # each makes one of its own
    twin = still_open.filter(kind=kind, wallet=wallet, deployment=deployment).first()
    if twin is not None:
        raise Conflict(
            f"Request {twin.pk} does that already.", reason="in_flight", requestId=twin.pk
        )


def request_await(made: Request, *, wait_s: float | None = None) -> Outcome:
    """Look until it is done or the time is up. Raises: Conflict with the problem it ended in."""
    until = time.monotonic() + (WAIT_S if wait_s is None else wait_s)
    while True:
        row = listing.requests().get(pk=made.pk)
        if row.problem:
            raise Conflict(row.problem, reason=row.reason or "refused", requestId=row.pk)
        if row.done_at is not None:
            return Outcome(row, 201)
        if time.monotonic() >= until:
            return Outcome(row, 202)
        time.sleep(LOOK_S)


def request_claim(*, pk: int) -> Request | None:
    """Take a request that nobody living has; None where there is nothing to do. Two queries."""
    now = timezone.now()
    free = Q(taken_at__isnull=True) | Q(taken_at__lt=now - STALE)
    rows = Request.objects.filter(free, pk=pk, done_at__isnull=True)
    if not rows.update(taken_at=now, runs=F("runs") + 1):
        return None
    return Request.objects.select_related("chain", "wallet", "deployment", "requested_by").get(
        pk=pk
    )


def request_alive(row: Request) -> None:
    """Say that this run lives. Raises: Overtaken."""
    if not _own(row).update(taken_at=timezone.now()):
        raise Overtaken(f"request {row.pk} is another run's by now")


def request_release(row: Request) -> None:
    """Give it back unfinished: whoever takes it next goes on with its transactions.

    It is free again after a while that doubles with each run, so that what hangs takes no
    worker's whole day.
    """
    wait = min(FIRST_WAIT * 2 ** min(row.runs - 1, 10), LONGEST_WAIT)
    _own(row).update(taken_at=timezone.now() - STALE + wait)


def request_done(row: Request, *, result: Mapping[str, Any]) -> None:
    """End it well; joins the caller's transaction. Raises: Overtaken."""
    _end(row, result=dict(result))


def request_failed(row: Request, *, problem: str, reason: str = "refused") -> None:
    """End it with the sentence that people read. Raises: Overtaken."""
    _end(row, problem=problem[:400] or "It failed without a word.", reason=reason)


def _own(row: Request) -> Any:
    return Request.objects.filter(pk=row.pk, runs=row.runs, done_at__isnull=True)


def _end(row: Request, **facts: Any) -> None:
    with transaction.atomic():
        if not _own(row).update(done_at=timezone.now(), **facts):
            raise Overtaken(f"request {row.pk} is another run's by now")
        transaction.on_commit(lambda: _tell(row), robust=True)


def _tell(row: Request) -> None:
    if row.wallet_id is not None:
        push.wallet_changed(row.wallet_id)
    if row.deployment_id is not None:
        push.contract_changed(row.deployment_id)


def requests_waiting() -> list[int]:
    """Open requests that nobody living has: their wake-up was lost, or their worker. One query."""
    now = timezone.now()
    lost = Q(taken_at__isnull=True, created_at__lt=now - UNTAKEN) | Q(taken_at__lt=now - STALE)
    rows = Request.objects.filter(lost, done_at__isnull=True).order_by("pk")
    return list(rows.values_list("pk", flat=True)[:50])
