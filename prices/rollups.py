"""Candles from pool states, and the daily partitions of opportunities."""

from datetime import date, datetime, timedelta
from typing import Final

from django.db import connection
from django.utils import timezone

from prices.models import PriceCandle

KEEP_DAYS: Final = 14
CANDLE_DAYS: Final = 7
AHEAD_DAYS: Final = 2


def candles_write(*, now: datetime | None = None) -> int:
    """Fold every pool's present price into this minute's candle. Returns how many pools.

    One statement whatever the number of pools. Prices are quote per base, scaled by 1e18, rounded
    down; one beyond 78 digits is left out.
    """
    minute = (now or timezone.now()).replace(second=0, microsecond=0)
    with connection.cursor() as cursor:
        cursor.execute(_FOLD, {"minute": minute})
        written: int = cursor.rowcount
    PriceCandle.objects.filter(minute__lt=minute - timedelta(days=CANDLE_DAYS)).delete()
    return written


_FOLD: Final = """
    WITH sides AS (
        SELECT state.pool_id, base.decimals AS base_decimals, quote.decimals AS quote_decimals,
            CASE WHEN pair.base_id = pool.token0_id
                THEN state.reserve0 ELSE state.reserve1 END AS base_reserve,
            CASE WHEN pair.base_id = pool.token0_id
                THEN state.reserve1 ELSE state.reserve0 END AS quote_reserve
        FROM prices_poolstate state
        JOIN contracts_pool pool ON pool.id = state.pool_id
        JOIN contracts_pair pair ON pair.id = pool.pair_id
        JOIN contracts_token base ON base.id = pair.base_id
        JOIN contracts_token quote ON quote.id = pair.quote_id
        WHERE state.reserve0 > 0 AND state.reserve1 > 0
    ), prices AS (
        SELECT pool_id, div(
            quote_reserve * ('1e' || (18 + base_decimals))::numeric,
            base_reserve * ('1e' || quote_decimals)::numeric
        ) AS price
        FROM sides
    )
    INSERT INTO prices_pricecandle AS candle
        (pool_id, minute, open_e18, high_e18, low_e18, close_e18, samples)
    SELECT pool_id, %(minute)s, price, price, price, price, 1 FROM prices WHERE price < 1e78
    ON CONFLICT (pool_id, minute) DO UPDATE SET
        high_e18 = GREATEST(candle.high_e18, EXCLUDED.high_e18),
        low_e18 = LEAST(candle.low_e18, EXCLUDED.low_e18),
        close_e18 = EXCLUDED.close_e18,
        samples = candle.samples + 1
"""


def partitions_keep(*, today: date | None = None) -> None:
    """One partition a day, made ahead; whole days past their keep are dropped at once."""
    today = today or timezone.now().date()
    for ahead in range(1, AHEAD_DAYS + 1):
        _make(today + timedelta(days=ahead))
    oldest = f"prices_opportunity_{today - timedelta(days=KEEP_DAYS):%Y%m%d}"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits "
            "WHERE inhparent = 'prices_opportunity'::regclass"
        )
        for (name,) in cursor.fetchall():
            if name != "prices_opportunity_default" and name < oldest:
                cursor.execute(f'DROP TABLE "{name}"')
        cursor.execute(
            "DELETE FROM prices_opportunity_default WHERE detected_at < %s",
            [timezone.now() - timedelta(days=KEEP_DAYS)],
        )


def _make(day: date) -> None:
    name = f"prices_opportunity_{day:%Y%m%d}"
    with connection.cursor() as cursor:
        cursor.execute(
            f'CREATE TABLE IF NOT EXISTS "{name}" PARTITION OF prices_opportunity '
            "FOR VALUES FROM (%s) TO (%s)",
            [day.isoformat(), (day + timedelta(days=1)).isoformat()],
        )
