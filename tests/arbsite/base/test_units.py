"""Exact arithmetic: rounding is what the name says, and money is never a float."""

from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbsite.base.units import (
    BPS_ONE,
    Bps,
    Wei,
    bump_floor_ten_percent,
    gwei,
    mul_bps_ceil,
    mul_bps_floor,
    mul_div_ceil,
    mul_div_floor,
)

big = st.integers(-(2**256), 2**256)


@given(big, big, st.integers(1, 2**256))
def test_mul_div_rounds_as_its_name_says(value, numerator, denominator):
    exact = Fraction(value * numerator, denominator)

    assert mul_div_floor(value, numerator, denominator) == floor(exact)
    assert mul_div_ceil(value, numerator, denominator) == ceil(exact)


@given(big, st.integers(0, BPS_ONE).map(Bps))
def test_a_share_and_the_rest_never_lose_a_unit(value, bps):
    assert mul_bps_floor(value, bps) + mul_bps_ceil(value, Bps(BPS_ONE - bps)) == value


@pytest.mark.parametrize("denominator", [0, -1])
def test_a_denominator_that_is_not_positive_is_refused(denominator):
    with pytest.raises(ValueError, match="denominator"):
        mul_div_floor(1, 1, denominator)
    with pytest.raises(ValueError, match="denominator"):
        mul_div_ceil(1, 1, denominator)


@given(st.integers(0, 2**256))
def test_gwei_reads_every_wei_exactly(wei):
    whole, rest = divmod(wei, 10**9)

    assert gwei(f"{whole}.{rest:09}") == wei


@pytest.mark.parametrize(
    ("said", "wei"), [("1.5", 15 * 10**8), (3, 3 * 10**9), ("0", 0), ("1.0000000010000", 10**9 + 1)]
)
def test_gwei_reads_plain_decimals(said, wei):
    assert gwei(said) == wei


@pytest.mark.parametrize(
    "said", ["", "-1", "1e3", "1_0", "٣", " 1", "0x1", "NaN", "inf", "1.", ".5", "0.0000000001"]
)
def test_gwei_refuses_what_is_not_a_plain_whole_number_of_wei(said):
    with pytest.raises(ValueError, match="gwei"):
        gwei(said)


@given(st.integers(0, 2**200).map(Wei))
def test_a_replacement_pays_ten_percent_and_one_wei_more(fee):
    least = bump_floor_ten_percent(fee)

    assert least >= fee + 1
    assert 10 * least >= 11 * fee
    assert 10 * (least - 1) < 11 * fee or least == fee + 1
