"""What Overview asks of the record: is it safe, is it working, is it earning, what needs me."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from django.db.models import Count, Q, Sum
from django.utils import timezone

from arbsite.base.models import Alert
from contracts.models import Chain, Deployment, Pool, RpcHealth
from execution.models import Execution, LatencySample, PnlEntry
from prices.models import Opportunity
from wallets.models import Assignment, Wallet

LANDED: Final = ("included", "confirmed")
SENT: Final = ("submitted", "unknown", "included", "confirmed", "reverted", "cancelled", "expired")
CHART_POINTS: Final = 500


def pnl(*, chain: str) -> dict[str, int]:
    """Realised net profit in wei: today (UTC), seven days, all; reversals included. One query."""
    now = timezone.now()
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    sums = PnlEntry.objects.filter(chain_id=chain).aggregate(
        today=Sum("net_wei", filter=Q(at__gte=today)),
        week=Sum("net_wei", filter=Q(at__gte=now - timedelta(days=7))),
        total=Sum("net_wei"),
        gas_today=Sum("net_wei", filter=Q(at__gte=today, kind__in=["gas", "l1_fee"])),
    )
    return {name: int(value or 0) for name, value in sums.items()}


def executions_by_status(*, chain: str, hours: int) -> dict[str, int]:
    """How many arbitrage executions of the last hours stand in each status. One query."""
    rows = (
        Execution.objects.filter(
            chain_id=chain,
            kind="arbitrage",
            created_at__gte=timezone.now() - timedelta(hours=hours),
            transaction__isnull=False,
        )
        .order_by()
        .values_list("transaction__status", "transaction__simulated_only")
        .annotate(n=Count("pk"))
    )
    found: dict[str, int] = {}
    for status, simulated_only, n in rows:
        name = "simulated only" if simulated_only else status
        found[name] = found.get(name, 0) + n
    return found


def funnel(*, chain: str, hours: int = 24) -> list[dict[str, Any]]:
    """Seen -> passed every gate -> simulated -> sent -> landed, with shares of the first.

    All of them count lives of cycles: one that is acted on again and again is one.
    """
    since = timezone.now() - timedelta(hours=hours)
    # What was acted on had passed, whatever its life was judged afterwards.
    taken = Execution.objects.filter(chain_id=chain, created_at__gte=since).values("opportunity_id")
    passed = Q(verdict="executable") | Q(pk__in=taken)
    seen = Opportunity.objects.filter(chain_id=chain, detected_at__gte=since).aggregate(
        all=Count("pk"), passed=Count("pk", filter=passed)
    )
    acted = Execution.objects.filter(
        chain_id=chain, kind="arbitrage", created_at__gte=since
    ).aggregate(
        simulated=Count(
            "opportunity_id",
            distinct=True,
            filter=Q(transaction__isnull=False)
            & ~Q(transaction__status__in=["planned", "rejected"]),
        ),
        sent=Count("opportunity_id", distinct=True, filter=Q(transaction__status__in=SENT)),
        landed=Count("opportunity_id", distinct=True, filter=Q(transaction__status__in=LANDED)),
    )
    counts = [
        ("Seen", seen["all"], "every life of a cycle over the minimum spread"),
        ("Executable", seen["passed"], "profit left after fees, impact, premium and gas"),
        ("Simulated", acted["simulated"], "the exact transaction, on the state it would meet"),
        ("Sent", acted["sent"], "signed and handed to the chain"),
        ("Landed", acted["landed"], "mined, with its profit"),
    ]
    most = max(1, *(n for _, n, _ in counts))
    return [
        {"name": name, "n": n, "words": words, "width": 1000 * n // most}
        for name, n, words in counts
    ]


def rejections(*, chain: str, hours: int = 1) -> list[dict[str, Any]]:
    """How many opportunities each reason stopped, most first. One query."""
    rows = list(
        Opportunity.objects.filter(
            chain_id=chain, detected_at__gte=timezone.now() - timedelta(hours=hours)
        )
        .exclude(reason="")
        .order_by()
        .values_list("reason")
        .annotate(n=Count("pk"))
        .order_by("-n")[:8]
    )
    most = rows[0][1] if rows else 1
    return [{"reason": reason, "n": n, "width": 1000 * n // most} for reason, n in rows]


def profit_line(*, chain: str) -> list[dict[str, Any]]:
    """Cumulative realised net after each booking: the last points, as seconds and wei text."""
    rows = list(
        PnlEntry.objects.filter(chain_id=chain).order_by("-id").values_list("at", "net_wei")
    )
    total = 0
    points: list[dict[str, Any]] = []
    for at, net in reversed(rows[:20_000]):
        total += int(net)
        second = int(at.timestamp())
        if points and points[-1]["time"] == second:
            points[-1]["wei"] = str(total)
        else:
            points.append({"time": second, "wei": str(total)})
    return points[-CHART_POINTS:]


def latency_p95_ms(*, chain: str, stage: str = "total") -> int | None:
    """The 95th percentile of one stage over the last 200 samples, in ms rounded up."""
    samples = sorted(
        LatencySample.objects.filter(chain_id=chain, stage=stage)
        .order_by("-id")
        .values_list("microseconds", flat=True)[:200]
    )
    if not samples:
        return None
    return -(-samples[max(0, -(-95 * len(samples) // 100) - 1)] // 1000)


def attention(status: Mapping[str, Any], *, chain: str) -> list[dict[str, str]]:
    """What needs a human now, worst first: (tone, title, detail, fix)."""
    found = [
        {"tone": alert.severity, "title": alert.title, "detail": alert.detail, "fix": alert.fix}
        for alert in Alert.objects.filter(resolved_at__isnull=True)[:20]
    ]
    for name in ("redis", "workers", "signer"):
        if not status[name]["ok"]:
            detail = status[name]["detail"]
            found.append(_need(f"{name.capitalize()}: {detail}", fix="manage.py ps, then doctor"))
    here = status.get("here")
    if here:
        if here["killed"]:
            words = here["reason"] or "no reason stored"
            found.insert(0, _need("The kill switch is on", detail=words, tone="critical"))
        if here["monitoring"] and here["stale"]:
            found.append(_need("No fresh block from the chain", detail=here["problem"]))
        for endpoint in here["rpc"]:
            if not endpoint["ok"]:
                name, error = endpoint["endpoint"], endpoint["error"]
                found.append(_need(f"RPC endpoint down: {name}", detail=error))
    if status["lowGas"]:
        found.append(_need(f"{status['lowGas']} wallet(s) low on gas", fix="fund them"))
    failed = executions_by_status(chain=chain, hours=1).get("reverted", 0)
    if failed:
        found.append(_need(f"{failed} execution(s) reverted in the last hour"))
    order = {"critical": 0, "warning": 1, "info": 2}
    return sorted(found, key=lambda need: order.get(need["tone"], 1))


def _need(title: str, *, detail: str = "", fix: str = "", tone: str = "warning") -> dict[str, str]:
    return {"tone": tone, "title": title, "detail": detail, "fix": fix}


def first_steps(*, chain: str) -> list[dict[str, Any]]:
    """The way from nothing to the first opportunity: (done, words, how). Empty once all is done."""
    steps = [
        (
            "An RPC endpoint answers",
            RpcHealth.objects.filter(chain_id=chain, ok=True).exists(),
            "set RPC_<CHAIN>_HTTP and RPC_<CHAIN>_WS",
        ),
        ("Pools are loaded", Pool.objects.filter(chain_id=chain).exists(), "import_market FILE"),
        (
            "There is an executor wallet",
            Wallet.objects.filter(chain_id=chain, role="executor").exists(),
            "create_wallet --chain KEY --role executor",
        ),
        (
            "Our contract is deployed and the executor authorised",
            Deployment.objects.filter(chain_id=chain, active=True, kind="receiver").exists()
            and Assignment.objects.filter(
                wallet__chain_id=chain, authorized_at__isnull=False
            ).exists(),
            "deploy_contracts --chain KEY, then authorize_executor",
        ),
        (
            "An opportunity was seen",
            Opportunity.objects.filter(chain_id=chain).exists(),
            "start monitoring on Live prices",
        ),
    ]
    if all(done for _, done, _ in steps):
        return []
    return [{"words": words, "done": done, "how": how} for words, done, how in steps]


def chains() -> list[Chain]:
    """Chains that are watched, or were."""
    return list(Chain.objects.filter(monitor__isnull=False))
