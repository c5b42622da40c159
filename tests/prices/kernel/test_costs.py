"""What the native coin is worth in each token, and how costs round."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prices.kernel.book import PoolBook, PoolSpec
from prices.kernel.costs import Costs, NativeRate, native_rate, native_rates
from tests.prices.kernel.builders import address, block_ref

NATIVE, A, B, C, D = range(5)


def make_book(*pools):
    specs = [
        PoolSpec(address=address(i + 1), token0=a, token1=b, fee_bps=30)
        for i, (a, b, _, _) in enumerate(pools)
    ]
    book = PoolBook(tokens=[address(90 + t) for t in range(5)], pools=specs)
    book.load(block_ref(1), {i: (r0, r1) for i, (_, _, r0, r1) in enumerate(pools)})
    return book


def test_the_native_coin_is_worth_itself():
    assert native_rate(make_book(), token=NATIVE, native=NATIVE) == NativeRate(1, 1)


def test_the_pool_with_the_most_native_prices_a_token():
    book = make_book((NATIVE, A, 100, 900), (A, NATIVE, 7_000, 1_000), (NATIVE, A, 999, 1))
    assert native_rate(book, token=A, native=NATIVE) == NativeRate(7_000, 1_000, (1,))


def test_a_token_without_a_direct_pool_is_priced_through_two():
    book = make_book((NATIVE, A, 100, 200), (A, B, 50, 500))
    assert native_rate(book, token=B, native=NATIVE) == NativeRate(500 * 200, 50 * 100, (1, 0))


def test_of_two_routes_the_one_whose_shallower_pool_is_deeper_counts():
    book = make_book(
        (NATIVE, A, 10_000, 10_000),
        (A, C, 5, 5),  # deep first pool, but only 5 worth of native here
        (NATIVE, B, 400, 400),
        (B, C, 300, 600),
    )
    assert native_rate(book, token=C, native=NATIVE) == NativeRate(600 * 400, 300 * 400, (3, 2))


def test_three_pools_away_is_no_route():
    book = make_book((NATIVE, A, 10, 10), (A, B, 10, 10), (B, C, 10, 10))
    assert native_rate(book, token=C, native=NATIVE) is None
    assert set(native_rates(book, native=NATIVE)) == {NATIVE, A, B}


def test_empty_and_quarantined_pools_price_nothing():
    book = make_book((NATIVE, A, 0, 0), (NATIVE, B, 10, 20))
    assert native_rate(book, token=A, native=NATIVE) is None
    book.quarantine(1, "differs from the chain")
    assert native_rate(book, token=B, native=NATIVE) is None


@given(st.integers(0, 10**30), st.integers(1, 10**40), st.integers(1, 10**40))
def test_costs_round_up_and_worth_rounds_down(wei, num, den):
    rate = NativeRate(num, den)
    tokens = rate.tokens_ceil(wei)
    assert tokens * den >= wei * num > (tokens - 1) * den
    worth = rate.wei_floor(tokens)
    assert worth * num <= tokens * den < (worth + 1) * num


def test_negative_costs_are_a_bug():
    with pytest.raises(ValueError, match="negative"):
        Costs(gas_price_wei=-1, l1_fee_wei=0, gas={}, native_rates={})
