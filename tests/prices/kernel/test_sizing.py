"""The integer size against brute force: exhaustive where it can be, neighbours where it cannot."""

import random
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from prices.kernel.lenders import FIRST_POOL, Lender, LenderKind, PremiumRounding, pair_lender
from prices.kernel.sizing import (
    Hop,
    best_size,
    closed_form,
    least_input,
    marginal_products,
    spread_bps,
    walk,
)
from tests.prices.kernel.builders import DECIMALS, USD, aave

CEIL_AAVE = Lender(
    kind=LenderKind.AAVE_V3, address="0xaa", premium_bps=9, rounding=PremiumRounding.CEIL
)
LENDERS = (FIRST_POOL, aave(), CEIL_AAVE, pair_lender(address="0xbb", fee_bps=10, reserve=10**30))

small_hops = st.lists(
    st.builds(Hop, st.integers(1, 900), st.integers(1, 900), st.sampled_from((0, 10, 25, 30))),
    min_size=2,
    max_size=4,
)
fees = st.sampled_from((0, 10, 17, 20, 25, 30, 100))
reserves = st.integers(1, 2**112 - 1)
hops_strategy = st.lists(st.builds(Hop, reserves, reserves, fees), min_size=2, max_size=4)


def profit_of(hops, lender, amount):
    return walk(hops, amount)[-1] - amount - lender.premium(amount)


def one_unit_of_each(hops, size):
    """What one unit of every intermediate token is worth in the borrow token at that size."""
    final = size[-1]
    return sum((Fraction(final, middle) for middle in size[1:-1] if middle), Fraction(0))


def make_hops(rng, *, count):
    """A plausible paying cycle over tokens of mixed decimals and prices."""
    picks = [rng.randrange(12) for _ in range(count)]
    hops = []
    for at, token in enumerate(picks):
        other = picks[(at + 1) % count]
        worth = 10 ** rng.uniform(3, 7)
        gain = 1 + rng.uniform(0.0005, 0.03)
        hops.append(
            Hop(
                int(worth / USD[token] * 10 ** DECIMALS[token]),
                int(worth * gain / USD[other] * 10 ** DECIMALS[other]),
                rng.choice((10, 17, 20, 25, 30)),
            )
        )
    return hops


def searched_best(hops, lender, *, limit=None):
    """An oracle that knows no closed form: ternary search over exact integers, then every step
    edge of every hop around what it found."""
    low, high = 1, limit or max(hops[0].reserve_in * 4, 4)
    while high - low > 8:
        third = (high - low) // 3
        left, right = low + third, high - third
        # Compare unrounded values: floors make plateaus that lead a ternary search astray.
        if smooth(hops, lender, left) < smooth(hops, lender, right):
            low = left
        else:
            high = right
    centre = (low + high) // 2
    tries = set(range(max(1, centre - 60), centre + 60))
    amounts = walk(hops, centre)
    for hop in range(1, len(amounts)):
        for output in range(amounts[hop] - 40, amounts[hop] + 41):
            least = least_input(hops, hop=hop, output=output)
            if least is not None:
                tries.add(least)
    return max(
        profit_of(hops, lender, each) for each in tries if each > 0 and (not limit or each <= limit)
    )


def smooth(hops, lender, amount):
    num, den = amount, 1
    for hop in hops:
        keep = 10_000 - hop.fee_bps
        num, den = num * keep * hop.reserve_out, den * hop.reserve_in * 10_000 + num * keep
    owed_num, owed_den = lender.owed_rate
    return Fraction(num, den) - Fraction(amount * owed_num, owed_den)


@pytest.mark.parametrize("lender", LENDERS, ids=lambda lender: f"{lender.kind}-{lender.rounding}")
@given(hops=small_hops, cap=st.none() | st.integers(1, 400))
def test_small_pools_lose_at_most_one_unit_of_each_token_to_the_true_optimum(lender, hops, cap):
    sizes = range(1, (cap or 2_000) + 1)
    true_best, at = max((profit_of(hops, lender, amount), -amount) for amount in sizes)
    found = best_size(hops, lender=lender, cap=cap)
    if found is None:
        assert true_best <= one_unit_of_each(hops, walk(hops, -at))
        return
    assert cap is None or found.amount <= cap
    assert found.profit <= true_best or found.amount > 2_000
    assert found.profit >= true_best - one_unit_of_each(hops, found.amounts)


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("lender", LENDERS, ids=lambda lender: f"{lender.kind}-{lender.rounding}")
def test_real_decimals_reach_the_share_of_the_optimum_that_is_promised(lender, count):
    rng = random.Random(f"{lender.kind} {count}")  # noqa: S311 - reproducible cases
    checked = 0
    while checked < 60:
        hops = make_hops(rng, count=count)
        found = best_size(hops, lender=lender)
        if found is None:
            continue
        checked += 1
        best = searched_best(hops, lender)
        short = best - found.profit
        rounded_premium = 0 if lender is FIRST_POOL else 1
        allowed = one_unit_of_each(hops, found.amounts) + rounded_premium
        assert short * 10_000 <= best or short <= allowed


@given(hops=hops_strategy, lender=st.sampled_from(LENDERS))
def test_a_size_is_walked_exactly_and_its_profit_adds_up(hops, lender):
    found = best_size(hops, lender=lender)
    if found is None:
        return
    assert found.amounts == walk(hops, found.amount)
    assert found.premium == lender.premium(found.amount)
    assert found.profit == found.amounts[-1] - found.amount - found.premium > 0


@given(hops=hops_strategy)
def test_nothing_is_borrowed_where_the_margin_already_loses(hops):
    rate, parity = marginal_products(hops)
    for hop in hops:
        rate *= 10_000 - hop.fee_bps
        parity *= 10_000
    assume(rate <= parity)
    assert closed_form(hops) == 0
    assert best_size(hops, lender=FIRST_POOL) is None


@given(hops=hops_strategy, output=st.integers(1, 2**112))
def test_the_least_input_yields_the_output_and_one_less_does_not(hops, output):
    least = least_input(hops, hop=len(hops), output=output)
    assume(least is not None)
    assert walk(hops, least)[-1] >= output
    assert walk(hops, least - 1)[-1] < output


@given(cap=st.integers(1, 10**24))
def test_neither_the_lender_nor_the_position_cap_is_passed(cap):
    hops = [Hop(10**24, 2 * 10**24, 30), Hop(10**24, 10**24, 30)]
    by_lender = best_size(hops, lender=aave(cap=cap))
    by_position = best_size(hops, lender=aave(), cap=cap)
    for found in (by_lender, by_position):
        assert found is None or found.amount <= cap
    assert by_lender == by_position


def test_a_coarse_intermediate_token_needs_more_than_neighbours_of_the_input():
    """8 decimals worth $60,000 a whole: a step of the middle token spans many input units."""
    hops = [Hop(12 * 10**23, 2 * 10**9, 25), Hop(2 * 10**9, 1_215 * 10**21, 25)]
    found = best_size(hops, lender=FIRST_POOL)
    near = closed_form(hops)
    beside = max(profit_of(hops, FIRST_POOL, near + step) for step in range(-12, 13))
    assert found.profit > beside


def test_the_spread_is_of_marginal_prices_and_rounds_down():
    assert spread_bps([Hop(10_000, 10_003, 30), Hop(10_000, 10_003, 30)]) == 6
    with pytest.raises(ValueError, match="empty pool"):
        spread_bps([Hop(0, 5, 30), Hop(5, 5, 30)])
