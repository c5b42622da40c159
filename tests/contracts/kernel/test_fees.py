"""Fees by chain model, their bumps and the base fee's own rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.kernel.fees import (
    FeeAboveCap,
    FeeModel,
    GasFees,
    arbitrum_gas_split,
    base_fee_to_cost,
    check_cap,
    fees_bumped,
    fees_offered,
    next_base_fee,
)

wei = st.integers(0, 10**15)
fees = st.builds(
    GasFees,
    model=st.sampled_from(FeeModel),
    max_fee_wei=st.integers(1, 10**15),
    max_priority_fee_wei=st.integers(1, 10**15),
)


@pytest.mark.parametrize(
    ("model", "base_fee", "bid", "expected"),
    [
        (FeeModel.LEGACY, None, 0, (50_000_000, 50_000_000)),
        (FeeModel.LEGACY, None, 10**9, (10**9, 10**9)),
        (FeeModel.EIP1559, 7 * 10**9, 10**9, (15 * 10**9, 10**9)),
        (FeeModel.EIP1559, 0, 0, (50_000_000, 50_000_000)),
    ],
)
def test_fees_follow_the_chains_model(model, base_fee, bid, expected):
    offered = fees_offered(
        model=model, base_fee_wei=base_fee, min_gas_price_wei=50_000_000, bid_wei=bid
    )
    assert (offered.max_fee_wei, offered.max_priority_fee_wei) == expected


@given(st.sampled_from(FeeModel), wei, wei, wei)
def test_nothing_is_ever_offered_for_no_fee(model, base_fee, floor, bid):
    offered = fees_offered(model=model, base_fee_wei=base_fee, min_gas_price_wei=floor, bid_wei=bid)
    assert offered.max_fee_wei >= offered.max_priority_fee_wei >= max(floor, bid, 1)
    assert offered.price_at(base_fee_wei=base_fee) <= offered.max_fee_wei


def test_an_eip1559_chain_without_a_base_fee_is_a_bug():
    with pytest.raises(ValueError, match="base fee"):
        fees_offered(model=FeeModel.EIP1559, base_fee_wei=None, min_gas_price_wei=1, bid_wei=1)
    with pytest.raises(ValueError, match="negative"):
        fees_offered(model=FeeModel.LEGACY, base_fee_wei=None, min_gas_price_wei=-1, bid_wei=1)


@given(fees, wei, wei)
def test_a_bump_pays_a_tenth_and_one_wei_more_on_both_fields(old, max_fee, priority):
    fresh = GasFees(model=old.model, max_fee_wei=max_fee, max_priority_fee_wei=priority)
    for bumped in (fees_bumped(old), fees_bumped(old, fresh=fresh)):
        for before, after in (
            (old.max_fee_wei, bumped.max_fee_wei),
            (old.max_priority_fee_wei, bumped.max_priority_fee_wei),
        ):
            assert after * 10 >= before * 11
            assert after > before
    assert bumped.max_fee_wei >= max_fee
    assert bumped.max_priority_fee_wei >= priority


def test_a_bump_does_not_change_the_model():
    old = GasFees(model=FeeModel.LEGACY, max_fee_wei=5, max_priority_fee_wei=5)
    other = GasFees(model=FeeModel.EIP1559, max_fee_wei=5, max_priority_fee_wei=5)
    with pytest.raises(ValueError, match="cannot bump"):
        fees_bumped(old, fresh=other)


def test_a_fee_over_the_cap_says_both():
    offered = GasFees(model=FeeModel.LEGACY, max_fee_wei=11, max_priority_fee_wei=11)
    assert check_cap(offered, cap_wei=11) is offered
    with pytest.raises(FeeAboveCap, match="11 wei per gas passes the cap of 10"):
        check_cap(offered, cap_wei=10)


@pytest.mark.parametrize(
    ("base_fee", "gas_used", "expected"),
    [
        (10**9, 15_000_000, 10**9),
        (10**9, 30_000_000, 1_125_000_000),
        (10**9, 0, 875_000_000),
        (1, 30_000_000, 2),
        (0, 30_000_000, 0),
    ],
)
def test_the_next_base_fee_moves_by_an_eighth_at_most(base_fee, gas_used, expected):
    assert next_base_fee(base_fee_wei=base_fee, gas_used=gas_used, gas_limit=30_000_000) == expected


@given(wei, st.integers(0, 60_000_000), st.integers(0, 60_000_000))
def test_gas_is_never_costed_below_the_base_fee_of_the_head(base_fee, gas_used, gas_limit):
    costed = base_fee_to_cost(base_fee_wei=base_fee, gas_used=gas_used, gas_limit=gas_limit)
    expected = next_base_fee(base_fee_wei=base_fee, gas_used=gas_used, gas_limit=gas_limit)
    assert costed == max(base_fee, expected)


def test_arbitrums_gas_is_split_without_loss():
    assert arbitrum_gas_split(gas_used=1_000, gas_used_for_l1=300, price_wei=7) == (4_900, 2_100)
    with pytest.raises(ValueError, match="not a part"):
        arbitrum_gas_split(gas_used=1, gas_used_for_l1=2, price_wei=7)
