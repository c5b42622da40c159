"""One row a pair from one row a pool: where it is cheapest, where dearest, and what is left of it.

The quoted price decides (what each exchange's router pays for one whole base token); the marginal
one stands in where a router was not asked yet. `static/js/prices.js` does the same in the browser.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from arbsite.base.units import BPS_ONE, mul_div_floor

Row = Mapping[str, Any]
_SCALE: Final = 10**18


def pair_rows(pools: Iterable[Row], opportunities: Iterable[Row]) -> list[dict[str, Any]]:
    """Rows of `prices.selectors.live` and living opportunities -> pairs, best net first.

    Each pool's row also carries ``quoteToken``, the address of its pair's second token.
    """
    by_pair: dict[str, list[Row]] = {}
    for pool in pools:
        by_pair.setdefault(pool["pair"], []).append(pool)
    best: dict[str, Row] = {}
    for each in opportunities:
        known = best.get(each["pair"] or "")
        if each["pair"] and (known is None or _net(each) > _net(known)):
            best[each["pair"]] = each
    rows = [pair_row(name, rows, best.get(name)) for name, rows in by_pair.items()]
    return sorted(rows, key=_order)


def pair_row(name: str, pools: Sequence[Row], best: Row | None) -> dict[str, Any]:
    """One pair. ``grossBps`` is floor(10^4 (sell / buy - 1)) of the prices shown."""
    offers = sorted(
        ((shown, pool) for pool in pools if (shown := price_shown(pool)) and not pool["stale"]),
        key=lambda offer: offer[0],
    )
    several = len(offers) > 1
    (buy, buy_pool), (sell, sell_pool) = (
        (offers[0], offers[-1]) if several else ((None, {}), (None, {}))
    )
    return {
        "pair": name,
        "venues": len(pools),
        "buyDex": buy_pool.get("dex"),
        "buyPrice": _text(buy),
        "sellDex": sell_pool.get("dex"),
        "sellPrice": _text(sell),
        "grossBps": mul_div_floor(sell - buy, BPS_ONE, buy) if buy and sell else None,
        "netBps": best["netProfitBps"] if best else None,
        "netProfit": best["netProfit"] if best else None,
        "borrowToken": best["borrowToken"] if best else None,
        "borrowAmount": best["borrowAmount"] if best else None,
        "opportunityId": best["id"] if best else None,
        "verdict": best["verdict"] if best else None,
        "reason": best["reason"] if best else None,
        "liquidity": str(sum(2 * _quote_reserve(pool) for pool in pools)),
        "quoteToken": pools[0]["quoteToken"],
        "staleDexes": [pool["dex"] for pool in pools if pool["stale"]],
    }


def price_shown(pool: Row) -> int | None:
    """The pool's price as shown, quote per base, scaled by 1e18; None where it has none."""
    if pool["quoteOut"] and pool["quoteIn"]:
        out = int(pool["quoteOut"]) * 10 ** int(pool["baseDecimals"]) * _SCALE
        return out // (int(pool["quoteIn"]) * 10 ** int(pool["quoteDecimals"])) or None
    return int(Decimal(pool["price"]) * _SCALE) or None if pool["price"] else None


def _text(scaled: int | None) -> str | None:
    if scaled is None:
        return None
    whole, part = divmod(scaled, _SCALE)
    return f"{whole}.{part:018d}".rstrip("0").rstrip(".")


def _quote_reserve(pool: Row) -> int:
    return int(pool["reserve1" if pool["quoteToken"] == pool["token1"] else "reserve0"] or 0)


def _net(row: Row) -> int:
    return int(row["netProfitBps"] if row["netProfitBps"] is not None else -(10**9))


def _order(row: Row) -> tuple[int, int, str]:
    net, gross = row["netBps"], row["grossBps"]
    return (
        -(net if net is not None else -(10**9)),
        -(gross if gross is not None else -(10**9)),
        row["pair"],
    )
