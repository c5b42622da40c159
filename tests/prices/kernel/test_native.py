"""Routes kept by token say what reading every pool says, whatever moves meanwhile."""

import random

from hypothesis import given
from hypothesis import strategies as st

from prices.kernel.book import PoolState
from prices.kernel.costs import native_rates
from prices.kernel.native import NativeRoutes
from tests.prices.kernel.builders import NATIVE, block_ref, make_market

TOKENS, POOLS = 14, 30


@given(
    seed=st.integers(0, 10_000),
    native=st.integers(0, TOKENS - 1),
    asked=st.sets(st.integers(0, TOKENS - 1)),
)
def test_every_token_has_the_rate_and_the_route_that_all_pools_give(seed, native, asked):
    rng = random.Random(seed)  # noqa: S311 - reproducible markets
    book = make_market(seed, tokens=TOKENS, pools=POOLS).book
    routes = NativeRoutes(book, native=native, tokens=asked)
    for number in range(101, 109):
        assert routes.rates() == native_rates(book, native=native, tokens=asked)
        for pool in rng.sample(range(POOLS), 2):
            if rng.random() < 0.5:
                book.quarantine(pool, "differs")
            else:
                book.release(pool)
        moved = [
            PoolState(pool, rng.choice((0, book.reserve0[pool] * 2, 10**20)), 10**19)
            for pool in rng.sample(range(POOLS), 6)
        ]
        if rng.random() < 0.8:
            book.apply_block(block_ref(number), moved)
        else:
            book.load(block_ref(number), dict.fromkeys(range(0, POOLS, 2), (10**20, 10**18)))


def test_what_no_block_moved_is_the_same_object():
    market = make_market(1, tokens=TOKENS, pools=POOLS)
    book = market.book
    routes = NativeRoutes(book, native=NATIVE, tokens=market.lendable)
    first = routes.rates()
    direct = {pool for rate in first.values() for pool in rate.pools}
    away = next(i for i in range(POOLS) if i not in direct)

    book.apply_block(block_ref(101), [PoolState(away, 5, 5)])
    assert routes.rates() is first
    pool = min(direct)
    book.apply_block(block_ref(102), [PoolState(pool, book.reserve0[pool] * 2, 10**18)])
    assert routes.rates() is not first


def test_without_tokens_there_is_nothing_to_value():
    book = make_market(1, tokens=TOKENS, pools=POOLS).book
    assert NativeRoutes(book, native=NATIVE, tokens=[]).rates() == {}
