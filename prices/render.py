"""Rows in the words of the outside contract: the same dicts for API, WebSocket and pages."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from arbsite.base.units import BPS_ONE
from arbsite.base.wire import iso as iso
from arbsite.base.wire import text as text
from contracts.models import Pool
from prices.models import Monitor, Opportunity, PoolState

STEPS: Final = (
    "gross_spread",
    "swap_fees",
    "price_impact",
    "flash_loan_premium",
    "gas",
    "relay_tip",
    "l1_data_fee",
    "net",
)
SIGNIFICANT: Final = 18


def ratio(num: int, den: int) -> str | None:
    """``num / den`` as a decimal string of 18 significant digits, rounded down; None over zero."""
    if den == 0:
        return None
    if num == 0:
        return "0"
    digits = (
        SIGNIFICANT - len(str(num // den)) if num >= den else SIGNIFICANT + len(str(den // num))
    )
    digits = max(digits, 0)
    whole, fraction = divmod(num * 10**digits // den, 10**digits)
    text = str(fraction).rjust(digits, "0").rstrip("0") if digits else ""
    return f"{whole}.{text}" if text else str(whole)


def stale_after_ms(monitor: Monitor, *, block_time_ms: int) -> int:
    """How old a head may be before what rests on it is stale: three of whatever brings heads."""
    beat = monitor.poll_interval_ms if monitor.mode == "poll" else block_time_ms
    return max(3 * beat, 3 * block_time_ms, 3_000)


def price(pool: Pool, state: PoolState) -> str | None:
    """Marginal price: quote tokens per base token, whole units of both."""
    base_first = pool.pair.base_id == pool.token0_id
    base, quote = (
        (state.reserve0, state.reserve1) if base_first else (state.reserve1, state.reserve0)
    )
    return ratio(quote * 10**pool.pair.base.decimals, base * 10**pool.pair.quote.decimals)


def live_row(
    pool: Pool, state: PoolState | None, *, monitor: Monitor | None, now: datetime
) -> dict[str, Any]:
    """One pool of ``GET /api/prices/live``."""
    age_ms = None
    stale = True
    if monitor is not None and monitor.head_at is not None and state is not None:
        age_ms = max(0, int((now - monitor.head_at).total_seconds() * 1000))
        limit = stale_after_ms(monitor, block_time_ms=pool.chain.block_time_ms)
        stale = age_ms > limit or bool(pool.quarantined) or not monitor.wanted
    return {
        "chain": pool.chain_id,
        "pair": pool.pair.name,
        "dex": pool.dex.key,
        "pool": pool.address,
        "price": price(pool, state) if state else None,
        "quoteIn": text(state.quote_in) if state else None,
        "quoteOut": text(state.quote_out) if state else None,
        "token0": pool.token0.address,
        "token1": pool.token1.address,
        "reserve0": text(state.reserve0) if state else None,
        "reserve1": text(state.reserve1) if state else None,
        "feeBps": pool.fee_bps,
        "blockNumber": _known_block(state, monitor),
        "ageMs": age_ms,
        "stale": stale,
        "quarantined": pool.quarantined or None,
        "baseDecimals": pool.pair.base.decimals,
        "quoteDecimals": pool.pair.quote.decimals,
        "liquidity": bool(state and state.reserve0 and state.reserve1),
    }


def _known_block(state: PoolState | None, monitor: Monitor | None) -> int | None:
    """The newest block at which the state is known to hold: the head, once the pool was read."""
    if state is None:
        return None
    head = monitor.head_number if monitor and monitor.head_number else 0
    return max(state.block_number, head)


def opportunity(row: Opportunity, *, pools: Mapping[int, Pool]) -> dict[str, Any]:
    """SPEC's opportunity from its compact row. ``pools``: by row id, with dex, pair and tokens."""
    crossed = [pools[pk] for pk in row.pools]
    hops = _hops(row, crossed)
    buy, sell = _venues(row, crossed)
    pair = crossed[0].pair
    token = row.borrow_token
    return {
        "id": row.id,
        "chain": row.chain_id,
        "blockNumber": row.block_number,
        "blockHash": row.block_hash,
        "path": hops,
        "borrowToken": token.address,
        "borrowSymbol": token.symbol,
        "borrowDecimals": token.decimals,
        "borrowAmount": text(row.borrow_amount),
        "lender": {"kind": row.lender_kind, "address": row.lender_address or None},
        "spreadBps": row.spread_bps,
        "waterfall": waterfall(row.steps, amount=row.borrow_amount),
        "netProfit": text(row.net_profit),
        "netProfitBps": row.net_profit_bps,
        "nativeRate": {
            "num": text(row.native_rate_num),
            "den": text(row.native_rate_den),
            "pools": [pools[pk].address for pk in row.native_rate_pools if pk in pools],
        },
        "gasEstimate": row.gas_estimate,
        "gasPriceWei": text(row.gas_price_wei),
        "tipWei": text(row.tip_wei),
        "l1FeeWei": text(row.l1_fee_wei),
        "verdict": row.verdict,
        "reason": row.reason or None,
        "spreadClass": row.spread_class,
        "pair": pair.name if len({p.pair_id for p in crossed}) == 1 else None,
        "buyDex": buy[0],
        "buyPrice": buy[1],
        "sellDex": sell[0],
        "sellPrice": sell[1],
        "netProfitUsd": _usd(row.net_profit_usd_e6),
        "usdSource": row.usd_source or None,
        "mode": row.mode,
        "detectedAt": iso(row.detected_at),
        "changedAt": iso(row.changed_at),
        "endedAt": iso(row.ended_at),
        "lastBlockNumber": row.last_block_number,
        "simulated": True,
    }


def waterfall(steps: Sequence[Any], *, amount: int) -> list[dict[str, Any]]:
    """The ordered list of ``{step, amount, bps}``; ``bps`` is for display."""
    return [
        {
            "step": step,
            "amount": text(value),
            "bps": None if value is None or amount == 0 else BPS_ONE * value // amount,
        }
        for step, value in zip(STEPS, steps, strict=True)
    ]


def _hops(row: Opportunity, crossed: Sequence[Pool]) -> list[dict[str, Any]]:
    hops = []
    for i, (pool, zero_for_one) in enumerate(zip(crossed, row.zero_for_one, strict=True)):
        sides = (pool.token0, pool.token1) if zero_for_one else (pool.token1, pool.token0)
        hops.append(
            {
                "dex": pool.dex.key,
                "pool": pool.address,
                "tokenIn": sides[0].address,
                "tokenOut": sides[1].address,
                "symbolIn": sides[0].symbol,
                "symbolOut": sides[1].symbol,
                "feeBps": pool.fee_bps,
                "amountIn": text(row.amounts[i]),
                "amountOut": text(row.amounts[i + 1]),
                "reserveIn": text(row.reserves[2 * i]),
                "reserveOut": text(row.reserves[2 * i + 1]),
            }
        )
    return hops


def _venues(
    row: Opportunity, crossed: Sequence[Pool]
) -> tuple[tuple[str, str | None], tuple[str, str | None]]:
    """(dex, price) where the pair's base token is bought and where it is sold.

    Marginal prices in quote per base; over three pools the first and the last hop stand for them.
    """
    prices = []
    for i, (pool, zero_for_one) in enumerate(zip(crossed, row.zero_for_one, strict=True)):
        base_first = pool.pair.base_id == pool.token0_id
        first, second = row.reserves[2 * i], row.reserves[2 * i + 1]
        reserve0, reserve1 = (first, second) if zero_for_one else (second, first)
        base, quote = (reserve0, reserve1) if base_first else (reserve1, reserve0)
        shown = ratio(quote * 10**pool.pair.base.decimals, base * 10**pool.pair.quote.decimals)
        prices.append((pool.dex.key, shown, base_first == zero_for_one))
    ends = (prices[0], prices[-1])
    # Base going in is a sale; in a two-hop cycle one of the two is.
    sells_first = ends[0][2]
    sell, buy = (ends[0], ends[1]) if sells_first else (ends[1], ends[0])
    return buy[:2], sell[:2]


def _usd(micro: int | None) -> str | None:
    if micro is None:
        return None
    sign, value = ("-", -micro) if micro < 0 else ("", micro)
    return f"{sign}{value // 10**6}.{value % 10**6 // 10**2:04}"
