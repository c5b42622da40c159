"""Fees of a replacement: above everything earlier, never above the cap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbsite.base.units import Wei
from contracts.kernel.fees import FeeAboveCap, FeeModel, GasFees
from wallets.kernel.bumps import distinct_fees, replacement_fees, replaces

CAP = Wei(10**15)
wei = st.integers(0, 10**12)


def _fees(fee, tip):
    return GasFees(
        model=FeeModel.EIP1559, max_fee_wei=Wei(fee), max_priority_fee_wei=Wei(min(fee, tip))
    )


@given(st.lists(st.tuples(wei, wei), min_size=1, max_size=4), st.tuples(wei, wei))
def test_a_replacement_replaces_each_earlier_payload(pairs, now):
    earlier = [_fees(*pair) for pair in pairs]
    later = replacement_fees(earlier, fresh=_fees(*now), cap_wei=CAP)
    assert all(replaces(earlier=one, later=later) for one in earlier)
    assert later.max_priority_fee_wei <= later.max_fee_wei <= CAP


def test_one_wei_more_counts_where_ten_percent_round_to_nothing():
    later = replacement_fees([_fees(1, 0)], fresh=None, cap_wei=CAP)
    assert (later.max_fee_wei, later.max_priority_fee_wei) == (2, 1)


def test_the_cap_holds_for_replacements_too():
    with pytest.raises(FeeAboveCap):
        replacement_fees([_fees(100, 100)], fresh=None, cap_wei=Wei(109))


def test_a_dear_market_raises_the_offer_only_to_the_cap():
    later = replacement_fees([_fees(100, 1)], fresh=_fees(500, 400), cap_wei=Wei(200))
    assert (later.max_fee_wei, later.max_priority_fee_wei) == (200, 200)


def test_a_replacement_keeps_the_fee_model():
    legacy = GasFees(model=FeeModel.LEGACY, max_fee_wei=Wei(9), max_priority_fee_wei=Wei(9))
    with pytest.raises(ValueError, match="fee model"):
        replacement_fees([_fees(1, 1)], fresh=legacy, cap_wei=CAP)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(1, 5))
def test_distinct_fees_are_the_least_that_no_earlier_payload_has(tips, wanted):
    def fees(tip):
        return GasFees(
            model=FeeModel.EIP1559, max_fee_wei=Wei(10 + tip), max_priority_fee_wei=Wei(tip)
        )

    earlier = [fees(tip) for tip in tips]
    found = distinct_fees(earlier, wanted=fees(wanted), cap_wei=Wei(100))
    assert found not in earlier
    assert all(fees(tip) in earlier for tip in range(wanted, found.max_priority_fee_wei))
    with pytest.raises(FeeAboveCap):
        distinct_fees([fees(1)], wanted=fees(1), cap_wei=Wei(11))
