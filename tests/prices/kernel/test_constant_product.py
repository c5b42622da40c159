"""Swap arithmetic: laws here, the pair's own bytecode in test_pair_bytecode."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from prices.kernel.constant_product import InsufficientLiquidity, amount_in, amount_out

reserves = st.integers(1, 2**112 - 1)
sizes = st.integers(1, 2**112 - 1)
fees = st.integers(0, 9_999)


def test_an_exact_input_gives_what_the_router_says():
    # UniswapV2Library: 1e18 * 997 * 5e21 / (1e22 * 1000 + 1e18 * 997)
    assert amount_out(10**18, 10**22, 5 * 10**21, 30) == 498450304504640887


@given(sizes, reserves, reserves, fees)
def test_the_invariant_never_shrinks(size, reserve_in, reserve_out, fee):
    out = amount_out(size, reserve_in, reserve_out, fee)
    assert 0 <= out < reserve_out
    assert (reserve_in + size) * (reserve_out - out) >= reserve_in * reserve_out


@given(sizes, reserves, reserves, fees)
def test_one_unit_more_breaks_the_pairs_check(size, reserve_in, reserve_out, fee):
    def passes(out):
        after_fee = (reserve_in + size) * 10_000 - size * fee
        return after_fee * (reserve_out - out) * 10_000 >= reserve_in * reserve_out * 10_000**2

    out = amount_out(size, reserve_in, reserve_out, fee)
    assert passes(out)
    assert not passes(out + 1)


@given(sizes, reserves, reserves, fees)
def test_the_least_input_for_an_output_is_least(wanted, reserve_in, reserve_out, fee):
    assume(wanted < reserve_out)
    need = amount_in(wanted, reserve_in, reserve_out, fee)
    assert amount_out(need, reserve_in, reserve_out, fee) >= wanted
    assert need == 1 or amount_out(need - 1, reserve_in, reserve_out, fee) < wanted


@pytest.mark.parametrize("pair", [(0, 5), (5, 0)])
def test_an_empty_pool_gives_nothing(pair):
    with pytest.raises(InsufficientLiquidity, match="the pool holds"):
        amount_out(1, *pair, 30)


def test_a_pool_never_gives_all_it_has():
    with pytest.raises(InsufficientLiquidity) as caught:
        amount_in(100, 1_000, 100, 30)
    assert (caught.value.reserve_in, caught.value.reserve_out) == (1_000, 100)
    assert caught.value.amount_out == 100


@pytest.mark.parametrize(("size", "fee"), [(0, 30), (-1, 30), (1, 10_000), (1, -1)])
def test_impossible_sizes_and_fees_are_bugs(size, fee):
    with pytest.raises(ValueError, match="must be"):
        amount_out(size, 10, 10, fee)
    with pytest.raises(ValueError, match="must be"):
        amount_in(size, 10, 10, fee)
