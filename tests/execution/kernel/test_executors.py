"""Whose turn it is: the first that is well, and back to him as soon as he is well again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbsite.base.units import BlockNumber, Wei
from execution.kernel.executors import STUCK_BLOCKS, Candidate, Unwell, choose, unwell

HEAD = BlockNumber(100)
GAS = Wei(1_000)


def turn(*candidates, gas=GAS, head=HEAD):
    return choose(candidates, gas_wei=gas, head=head)


def well(pk, **facts):
    return Candidate(wallet_id=pk, **{"balance_wei": Wei(5_000), **facts})


@pytest.mark.parametrize(
    ("facts", "ail"),
    [
        ({"frozen": True}, Unwell.FROZEN),
        ({"balance_wei": Wei(999)}, Unwell.LOW),
        ({"open_since": BlockNumber(100 - STUCK_BLOCKS - 1)}, Unwell.STUCK),
    ],
)
def test_the_next_takes_over_from_one_who_is_unwell_and_gives_back(facts, ail):
    taken = turn(well(7, **facts), well(3))
    assert (taken.wallet_id, taken.passed) == (3, ((7, ail),))

    assert turn(well(7), well(3)).wallet_id == 7


@pytest.mark.parametrize(
    "facts",
    [
        {"balance_wei": GAS},
        {"balance_wei": None},
        {"open_since": BlockNumber(100 - STUCK_BLOCKS)},
        {"open_since": BlockNumber(101)},
        {"open_since": None},
    ],
)
def test_what_just_suffices_or_is_not_known_is_held_against_nobody(facts):
    assert unwell(well(7, **facts), gas_wei=GAS, head=HEAD) is None


def test_without_a_block_nobody_is_stuck():
    assert unwell(well(7, open_since=BlockNumber(1)), gas_wei=GAS, head=None) is None


def test_where_none_is_well_the_first_who_is_not_frozen_shows_what_is_wrong():
    low = {"balance_wei": Wei(0)}
    assert turn(well(7, frozen=True), well(3, **low), well(4, **low)).wallet_id == 3
    assert turn(well(7, frozen=True), well(3, frozen=True)).wallet_id == 7
    assert turn() is None


candidates = st.lists(
    st.builds(
        Candidate,
        wallet_id=st.integers(1, 99),
        frozen=st.booleans(),
        balance_wei=st.none() | st.integers(0, 2_000).map(Wei),
        open_since=st.none() | st.integers(80, 100).map(BlockNumber),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda one: one.wallet_id,
)


@given(candidates)
def test_the_turn_is_the_first_wells_and_everyone_before_is_named(some):
    found = choose(some, gas_wei=GAS, head=HEAD)
    able = [c.wallet_id for c in some if unwell(c, gas_wei=GAS, head=HEAD) is None]

    assert found.wallet_id in {c.wallet_id for c in some}
    if able:
        assert found.wallet_id == able[0]
        place = [c.wallet_id for c in some].index(able[0])
        assert [pk for pk, _ in found.passed] == [c.wallet_id for c in some[:place]]


@given(candidates, st.integers(0, 5))
def test_what_ails_those_behind_changes_nothing(some, cut):
    found = choose(some, gas_wei=GAS, head=HEAD)
    place = [c.wallet_id for c in some].index(found.wallet_id)
    if unwell(some[place], gas_wei=GAS, head=HEAD) is None:
        assert choose(some[: place + 1 + cut], gas_wei=GAS, head=HEAD) == found
