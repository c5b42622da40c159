"""Questions about prices and opportunities, answered from the record."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final

from django.db.models import QuerySet
from django.utils import timezone

from contracts.models import Chain, Pool
from prices import render
from prices.models import Monitor, Opportunity, PoolState, PriceCandle

SILENCE: Final = timedelta(seconds=20)


def monitors() -> Mapping[str, Monitor]:
    """Every chain's monitor by key. One query."""
    return {row.chain_id: row for row in Monitor.objects.all()}


def pools_with_names(pks: Iterable[int] | None = None) -> dict[int, Pool]:
    """Pools with exchange, pair and tokens, by row id. One query."""
    rows = _pools() if pks is None else _pools().filter(pk__in=set(pks))
    return {pool.pk: pool for pool in rows}


def _pools() -> QuerySet[Pool]:
    return Pool.objects.select_related(
        "chain", "dex", "pair", "pair__base", "pair__quote", "token0", "token1"
    )


def live(
    *,
    chain: str | None = None,
    pair: str | None = None,
    dex: str | None = None,
    pools: Iterable[int] | None = None,
) -> list[dict[str, Any]]:
    """``GET /api/prices/live``. Three queries whatever the number of pools."""
    now = timezone.now()
    by_chain = monitors()
    rows = _pools().filter(chain__in=by_chain if not chain else {chain} & by_chain.keys())
    if pair:
        rows = rows.filter(pair__name__in=pair_names(pair))
    if dex:
        rows = rows.filter(dex__key=dex)
    if pools is not None:
        rows = rows.filter(pk__in=set(pools))
    wanted = list(rows)
    states = PoolState.objects.in_bulk([pool.pk for pool in wanted])
    shown = [
        render.live_row(pool, states.get(pool.pk), monitor=by_chain[pool.chain_id], now=now)
        for pool in wanted
    ]
    return sorted(shown, key=lambda row: (row["chain"], row["pair"], row["dex"]))


def pair_names(text: str) -> tuple[str, str]:
    """What a pair may be called: as it stands, and with its dash for the slash."""
    return text, text.replace("-", "/")


def opportunities(pks: Iterable[int]) -> list[dict[str, Any]]:
    """Rendered opportunities of these ids, in id order, newest first."""
    return opportunities_render(Opportunity.objects.filter(pk__in=list(pks)))


def opportunities_render(rows: Iterable[Opportunity]) -> list[dict[str, Any]]:
    """Rows in the contract's words; one more query for their pools."""
    listed = list(rows.select_related("borrow_token") if isinstance(rows, QuerySet) else rows)
    needed = {pk for row in listed for pk in (*row.pools, *row.native_rate_pools)}
    pools = pools_with_names(needed)
    return [
        render.opportunity(row, pools=pools)
        for row in listed
        if all(pk in pools for pk in row.pools)
    ]


def opportunities_current(
    *,
    chain: str | None = None,
    min_spread_bps: int = 0,
    executable: bool | None = None,
    limit: int = 200,
) -> list[dict[str, Any]]:
    """Living cycles, best net profit first (by value in the native coin where it is known)."""
    rows = Opportunity.objects.filter(ended_at__isnull=True, spread_bps__gte=min_spread_bps)
    if chain:
        rows = rows.filter(chain_id=chain)
    if executable is not None:
        rows = rows.filter(verdict="executable" if executable else "rejected")
    found = sorted(rows.select_related("borrow_token")[:2000], key=_worth)
    return opportunities_render(found[:limit])


def _worth(row: Opportunity) -> tuple[bool, int]:
    """Sort key: net in wei, falling; rows without a route to the native coin last."""
    if not row.native_rate_num or row.net_profit is None or row.native_rate_den is None:
        return True, 0
    return False, -(row.net_profit * row.native_rate_den // row.native_rate_num)


def monitor_of(chain: Chain) -> Monitor:
    """The chain's monitor, or one that was never started; looking writes nothing."""
    found = Monitor.objects.select_related("chain").filter(chain=chain).first()
    return found or Monitor(chain=chain, wanted=False)


def silence_allowed(monitor: Monitor) -> timedelta:
    """How long a feeder may report nothing before it counts as gone."""
    beat_ms = monitor.poll_interval_ms if monitor.mode == "poll" else monitor.chain.block_time_ms
    # A silent node is noticed after ten blocks, and reported then.
    return max(SILENCE, timedelta(milliseconds=12 * beat_ms))


def status(monitor: Monitor) -> dict[str, Any]:
    """``GET /api/prices/status`` of one chain."""
    now = timezone.now()
    chain = monitor.chain
    best = opportunities_current(chain=chain.key, limit=1)
    reported = monitor.heartbeat_at
    gone = reported is not None and now - reported > silence_allowed(monitor)
    running = bool(monitor.running and monitor.wanted and not gone)
    problem = monitor.problem
    if gone and monitor.running and monitor.wanted:
        problem = f"no feeder has reported since {render.iso(reported)}: is its process running?"
    started = monitor.started_at if running else None
    return {
        "running": running,
        "mode": monitor.running if running else "stopped",
        "chain": chain.key,
        "pollIntervalMs": monitor.poll_interval_ms,
        "minSpreadBps": monitor.min_spread_bps,
        "pairs": chain.pairs.count(),
        "dexes": chain.dexes.filter(enabled=True).count(),
        "pools": chain.pools.count(),
        "updates": monitor.updates,
        "opportunitiesDetected": monitor.opportunities_detected,
        "best": best[0] if best else None,
        "startedAt": render.iso(started),
        "durationMs": int((now - started).total_seconds() * 1000) if started else None,
        "lastUpdateAt": render.iso(monitor.head_at),
        "blockNumber": monitor.head_number,
        "wanted": monitor.wanted,
        "wantedMode": monitor.mode,
        "problem": problem or None,
    }


def pair_detail(*, chain: Chain, name: str) -> dict[str, Any] | None:
    """``GET /api/prices/pair/{pair}``: all exchanges, the spread, an hour of history; or None."""
    rows = live(chain=chain.key, pair=name)
    if not rows:
        return None
    name = rows[0]["pair"]
    quoted = sorted(
        (row for row in rows if row["quoteOut"] and not row["stale"]),
        key=lambda row: int(row["quoteOut"]),
    )
    low, high = (quoted[0], quoted[-1]) if len(quoted) > 1 else (None, None)
    spread = None
    if low and high:
        spread = 10_000 * int(high["quoteOut"]) // int(low["quoteOut"]) - 10_000
    since = timezone.now() - timedelta(hours=1)
    history: dict[str, list[dict[str, Any]]] = {}
    candles = PriceCandle.objects.filter(
        pool__chain=chain, pool__pair__name=name, minute__gte=since
    ).select_related("pool__dex")
    for candle in candles.order_by("minute"):
        history.setdefault(candle.pool.dex.key, []).append(
            {"at": render.iso(candle.minute), "close": render.ratio(candle.close_e18, 10**18)}
        )
    return {
        "chain": chain.key,
        "pair": name,
        "spreadBps": spread,
        "buyDex": low["dex"] if low else None,
        "sellDex": high["dex"] if high else None,
        "dexes": rows,
        "history": history,
    }
