"""Starting, stopping and configuring monitoring: wishes that engine and worker follow."""

from typing import Any

from django.db import transaction
from django.db.models import F
from django.http import HttpRequest
from django.utils import timezone

from arbsite.base import audit
from arbsite.base.models import User
from contracts.models import Chain
from prices import push
from prices.models import GasUse, Monitor

DEFAULT_POLL_MS = 2000
DEFAULT_SPREAD_BPS = 5


def monitor_ensure(*, chain: Chain) -> Monitor:
    """The chain's monitor, made with the defaults where there is none."""
    return Monitor.objects.get_or_create(chain=chain)[0]


def monitoring_start(
    *,
    chain: Chain,
    poll_interval_ms: int = DEFAULT_POLL_MS,
    min_spread_bps: int = DEFAULT_SPREAD_BPS,
    mode: str = "stream",
    by: User | None = None,
    request: HttpRequest | None = None,
) -> Monitor:
    """Ask for monitoring; whoever feeds this chain follows within a second."""
    wanted = {
        "wanted": True,
        "mode": mode,
        "poll_interval_ms": poll_interval_ms,
        "min_spread_bps": min_spread_bps,
    }
    return _change(chain=chain, verb="prices_start", wanted=wanted, by=by, request=request)


def monitoring_stop(
    *, chain: Chain, by: User | None = None, request: HttpRequest | None = None
) -> Monitor:
    """Ask for monitoring to stop; nothing is searched or executed by itself meanwhile.

    Where it never began, that is noted and nothing else is written.
    """
    wanted = {"wanted": False}
    if not Monitor.objects.filter(chain=chain).exists():
        _audit(chain=chain, verb="prices_stop", before={}, after=wanted, by=by, request=request)
        return Monitor(chain=chain, wanted=False)
    return _change(chain=chain, verb="prices_stop", wanted=wanted, by=by, request=request)


def _change(
    *,
    chain: Chain,
    verb: str,
    wanted: dict[str, Any],
    by: User | None,
    request: HttpRequest | None,
) -> Monitor:
    monitor_ensure(chain=chain)
    with transaction.atomic():
        monitor = Monitor.objects.select_for_update().get(chain=chain)
        before = {name: getattr(monitor, name) for name in wanted}
        Monitor.objects.filter(pk=monitor.pk).update(
            wish_revision=F("wish_revision") + 1,
            changed_by=by.get_username() if by else "system",
            **wanted,
        )
        _audit(chain=chain, verb=verb, before=before, after=wanted, by=by, request=request)
        transaction.on_commit(lambda: push.status_changed(chain.key), robust=True)
    monitor.refresh_from_db()
    return monitor


def _audit(
    *,
    chain: Chain,
    verb: str,
    before: dict[str, Any],
    after: dict[str, Any],
    by: User | None,
    request: HttpRequest | None,
) -> None:
    audit.record(
        verb=verb,
        target=chain.key,
        actor=by,
        via="api" if request else "system",
        request=request,
        before=before,
        after=after,
    )


def monitor_report(*, chain_key: str, **facts: Any) -> None:
    """What the feeder says of itself: running mode, start, head, problem."""
    Monitor.objects.filter(chain_id=chain_key).update(heartbeat_at=timezone.now(), **facts)
    push.status_changed(chain_key)


def monitor_ended(*, chain_key: str, mode: str, problem: str) -> None:
    """The feeder of ``mode`` stopped; one of another mode that runs by now stays as it is."""
    Monitor.objects.filter(chain_id=chain_key, running=mode).update(
        heartbeat_at=timezone.now(), running="", started_at=None, problem=problem
    )
    push.status_changed(chain_key)


def gas_measured(*, chain: Chain, lender_kind: str, hops: int, gas_used: int, source: str) -> None:
    """Keep what a receipt (or, before the first, an estimate) says of this kind of trade.

    The first receipt replaces what was estimated.
    """
    with transaction.atomic():
        row, made = GasUse.objects.select_for_update().get_or_create(
            chain=chain,
            lender_kind=lender_kind,
            hops=hops,
            pool_kind="uniswap_v2",
            defaults={
                "samples": 1,
                "total_gas": gas_used,
                "largest_gas": gas_used,
                "source": source,
            },
        )
        if made:
            return
        if row.source == "estimate" and source == "receipt":
            facts = {"samples": 1, "total_gas": gas_used, "largest_gas": gas_used}
        elif row.source == source:
            facts = {
                "samples": row.samples + 1,
                "total_gas": row.total_gas + gas_used,
                "largest_gas": max(row.largest_gas, gas_used),
            }
        else:
            return
        GasUse.objects.filter(pk=row.pk).update(source=source, **facts)
