"""Questions about executions, answered from the record."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Count, Q, QuerySet, Sum
from django.utils import timezone

from arbsite.base.units import Wei
from contracts.models import Chain
from execution import render
from execution.kernel.breakers import Outcome
from execution.kernel.latency import Summary, as_ms, summarise_stages
from execution.models import Execution, FastMode, LatencySample, PnlEntry
from prices.models import Monitor
from prices.render import iso
from wallets.kernel.lifecycle import UNMINED
from wallets.models import Transaction

HOLDS_WALLET: Final = UNMINED
MINED: Final = ("included", "confirmed", "reverted", "cancelled")


def executions() -> QuerySet[Execution]:
    """Executions with everything a rendering joins. Three queries whatever the number of rows."""
    return Execution.objects.select_related(
        "chain", "transaction", "wallet", "deployment", "borrow_token", "requested_by", "config"
    ).prefetch_related("transaction__attempts", "transaction__status_changes")


def executions_recent(*, limit: int = 100) -> list[dict[str, Any]]:
    """The newest executions, rendered."""
    return [render.execution(row) for row in executions()[:limit]]


def executions_of(pks: Iterable[int]) -> list[dict[str, Any]]:
    """Executions of these ids, rendered."""
    return [render.execution(row) for row in executions().filter(pk__in=list(pks))]


def executions_of_transactions(pks: Iterable[int]) -> list[int]:
    """Ids of the executions that these transactions carry out."""
    rows = Execution.objects.filter(transaction_id__in=list(pks))
    return list(rows.values_list("pk", flat=True))


@dataclass(frozen=True, slots=True)
class InFlight:
    """Wallets with something on its way, and lower-case pools of unsettled executions."""

    wallets: frozenset[int]
    pools: frozenset[str]


def in_flight(*, chain: Chain) -> InFlight:
    """What of a chain is on its way; what ended in simulation is not. One query."""
    rows = Transaction.objects.filter(chain=chain, status__in=HOLDS_WALLET, simulated_only=False)
    return in_flight_of(rows.values_list("wallet_id", "execution__path"))


def in_flight_of(found: Iterable[tuple[int, list[dict[str, Any]] | None]]) -> InFlight:
    """Of (wallet, path) of everything on its way; what is no trade has no path."""
    found = list(found)
    return InFlight(
        wallets=frozenset(wallet for wallet, _ in found),
        pools=frozenset(hop["pool"].lower() for _, path in found for hop in path or ()),
    )


def wallet_busy(*, wallet_id: int) -> bool:
    """Whether something of this wallet is still on its way."""
    return Transaction.objects.filter(
        wallet_id=wallet_id, status__in=HOLDS_WALLET, simulated_only=False
    ).exists()


def _own(chain: Chain) -> QuerySet[Execution]:
    """Automation's own executions: what a person ordered neither stops it nor hides its losses."""
    return Execution.objects.filter(chain=chain, kind="arbitrage", automatic=True)


def last_automatic_at(*, chain: Chain) -> datetime | None:
    """When the last automatic execution was decided, of the last day: no cooldown is longer.
    One query."""
    since = timezone.now() - timedelta(days=1)
    return (
        _own(chain)
        .filter(transaction__isnull=False, created_at__gte=since)
        .order_by("-created_at")
        .values_list("created_at", flat=True)
        .first()
    )


def consecutive_failures(*, chain: Chain, since: datetime, most: int = 1_000) -> int:
    """How many of the newest own executions that ended since then failed in a row; none is counted
    beyond ``most``. One query."""
    newest = (
        _own(chain)
        .filter(
            created_at__gte=since,
            transaction__simulated_only=False,
            transaction__status__in=["included", "confirmed", "reverted", "expired", "cancelled"],
        )
        .values_list("transaction__status", "transaction__receipt__status")[:most]
    )
    count = 0
    for status, mined in newest:
        if status == "confirmed" or (status == "included" and mined == "0x1"):
            break
        count += 1
    return count


def outcomes(*, chain: Chain, since: datetime, most: int = 0) -> list[Outcome]:
    """What breakers look at: the newest own executions since then that ended, oldest first; 500 of
    them, or ``most`` where that is more. What was mined is among them once it is booked."""
    rows = (
        _own(chain)
        .filter(
            Q(net_profit_wei__isnull=False, transaction__status__in=MINED)
            | Q(transaction__status="expired"),
            created_at__gte=since,
            transaction__simulated_only=False,
        )
        .order_by("-pk")
        .values_list(
            "created_at", "transaction__status", "transaction__receipt__status", "net_profit_wei"
        )[: max(most, 500)]
    )
    found = []
    for at, status, mined, net in reversed(rows):
        failed = status in ("cancelled", "expired") or mined != "0x1"
        net_wei = Wei(int(net or 0))
        found.append(
            Outcome(
                at_ms=int(at.timestamp() * 1000),
                failed=failed,
                net_profit_wei=net_wei,
                # Of what failed nothing else is booked: gas, L1 and operator fee.
                gas_cost_wei=Wei(-net_wei if failed else 0),
            )
        )
    return found


def unbooked(*, chain: Chain, since: datetime, until: datetime) -> bool:
    """Whether an own execution of that time was mined and is not booked. One query."""
    rows = _own(chain).filter(
        created_at__gte=since,
        created_at__lt=until,
        net_profit_wei__isnull=True,
        transaction__status__in=MINED,
        transaction__receipt__isnull=False,
        transaction__simulated_only=False,
    )
    return rows.exists()


def net_of_hour_and_day(*, chain: Chain) -> tuple[Wei, Wei]:
    """What the own executions of the last hour, and of the last day, brought. One query."""
    now = timezone.now()
    sums = (
        _own(chain)
        .filter(created_at__gte=now - timedelta(days=1))
        .aggregate(
            hour=Sum("net_profit_wei", filter=Q(created_at__gte=now - timedelta(hours=1))),
            day=Sum("net_profit_wei"),
        )
    )
    return Wei(int(sums["hour"] or 0)), Wei(int(sums["day"] or 0))


def stats(*, chain: Chain) -> dict[str, Any]:
    """Fast Mode's figures since the beginning; simulated ones are left out of all totals.

    Of what it did by itself, but for ``requestsRefused``: people's requests, by reason.
    ``seen``: lives of cycles since monitoring began; ``rejectedByReason``: how many of them a
    reason stopped, as they were born or when it came to act. Five queries.
    """
    monitor = Monitor.objects.filter(chain=chain).first()
    rows = _own(chain).exclude(transaction__simulated_only=True)
    counts = rows.aggregate(
        executed=Count("pk", filter=Q(transaction__status__in=["included", "confirmed"])),
        failed=Count("pk", filter=Q(transaction__status__in=["reverted", "expired", "cancelled"])),
    )
    last = rows.filter(transaction__isnull=False).order_by("-pk").first()
    asked = Execution.objects.filter(chain=chain, kind="arbitrage", automatic=False)
    refused = asked.exclude(refused="").values("refused").annotate(n=Count("pk")).order_by()
    return {
        "seen": monitor.opportunities_detected if monitor else 0,
        "executed": counts["executed"],
        "failed": counts["failed"],
        "rejectedByReason": monitor.rejections if monitor else {},
        "requestsRefused": {row["refused"]: row["n"] for row in refused},
        "netProfitWei": str(net_profit_wei(chain=chain)),
        "lastExecutionAt": iso(last.created_at) if last else None,
    }


def net_profit_wei(*, chain: Chain) -> Wei:
    """The ledger's sum of automation's own executions: profit less gas, L1 fees and tips;
    reversals undo what they name."""
    entries = PnlEntry.objects.filter(chain=chain, execution__automatic=True)
    return Wei(int(entries.aggregate(total=Sum("net_wei"))["total"] or 0))


def latency(*, chain: Chain, window_s: int) -> dict[str, dict[str, Any]]:
    """Percentiles per stage over the window, in milliseconds. One query."""
    since = timezone.now() - timedelta(seconds=window_s)
    samples: dict[str, list[int]] = {}
    rows = LatencySample.objects.filter(chain=chain, at__gte=since)
    for stage, microseconds in rows.values_list("stage", "microseconds"):
        samples.setdefault(stage, []).append(microseconds)
    return {stage: figures(found) for stage, found in summarise_stages(samples).items()}


def figures(found: Summary | None) -> dict[str, Any]:
    """A summary in the contract's words, milliseconds; without samples only a count."""
    if found is None:
        return {"count": 0, "p50Ms": None, "p95Ms": None, "p99Ms": None, "maxMs": None}
    return {
        "count": found.count,
        "p50Ms": as_ms(found.p50_us),
        "p95Ms": as_ms(found.p95_us),
        "p99Ms": as_ms(found.p99_us),
        "maxMs": as_ms(found.max_us),
    }


def fast_mode(*, chain: Chain) -> FastMode | None:
    """The chain's mode with its limits, or None before the first engine."""
    return FastMode.objects.select_related("config").filter(chain=chain).first()
