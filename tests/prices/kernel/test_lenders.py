"""Premiums to the unit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prices.kernel.lenders import FIRST_POOL, Lender, LenderKind, PremiumRounding, pair_lender
from tests.prices.kernel.builders import aave

amounts = st.integers(1, 2**112)


@given(amounts)
def test_the_first_pool_lends_for_nothing(amount):
    assert FIRST_POOL.premium(amount) == 0


@pytest.mark.parametrize(("amount", "premium"), [(999, 0), (1_000, 1), (2_999, 1), (3_000, 2)])
def test_aave_302_rounds_half_up(amount, premium):
    assert aave(bps=5).premium(amount) == premium


@given(amounts)
def test_later_aave_rounds_up(amount):
    lender = Lender(
        kind=LenderKind.AAVE_V3, address="0xaa", premium_bps=5, rounding=PremiumRounding.CEIL
    )
    premium = lender.premium(amount)
    assert premium * 10_000 >= amount * 5 > (premium - 1) * 10_000


@given(amounts, st.integers(1, 9_999))
def test_a_pair_is_paid_the_least_that_passes_its_own_check(amount, fee_bps):
    repaid = amount + pair_lender(address="0xbb", fee_bps=fee_bps, reserve=1).premium(amount)
    assert repaid * (10_000 - fee_bps) >= amount * 10_000 > (repaid - 1) * (10_000 - fee_bps)


def test_a_pair_keeps_its_last_unit():
    assert pair_lender(address="0xbb", fee_bps=10, reserve=100).cap == 99


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": LenderKind.FIRST_POOL, "premium_bps": 5},
        {"kind": LenderKind.FIRST_POOL, "address": "0xaa"},
        {"kind": LenderKind.AAVE_V3, "premium_bps": 5},
        {"kind": LenderKind.AAVE_V3, "address": "0xaa", "premium_bps": 10_000},
    ],
)
def test_a_lender_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=r"premium|address"):
        Lender(**wrong)
