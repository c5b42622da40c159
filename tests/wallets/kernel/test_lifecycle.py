"""The table of states: what may follow what, and what the kill switch lets through."""

import pytest

from wallets.kernel import lifecycle
from wallets.kernel.lifecycle import FINAL, HOLDS_NONCE, OPEN, TRANSITIONS, Status
from wallets.models import STATUSES


def test_every_status_of_the_column_is_in_the_table():
    assert {key for key, _ in STATUSES} == {status.value for status in TRANSITIONS}


def test_every_open_status_can_reach_an_end():
    for start in OPEN:
        seen, front = set(), {start}
        while front:
            seen |= front
            front = {follower for status in front for follower in TRANSITIONS[status]} - seen
        assert seen & FINAL, start


def test_what_holds_a_nonce_is_never_dropped_as_rejected():
    for status in HOLDS_NONCE:
        assert Status.REJECTED not in TRANSITIONS[status]


def test_nothing_is_signed_before_it_was_simulated():
    before = {old for old, following in TRANSITIONS.items() if Status.SIGNED in following}
    assert before == {Status.SIMULATED}


def test_an_illegal_move_names_both_ends():
    with pytest.raises(lifecycle.IllegalTransition, match="from confirmed to submitted"):
        lifecycle.check(Status.CONFIRMED, Status.SUBMITTED)


@pytest.mark.parametrize("kind", ["execution", "test", "funding", "deployment", "sweep"])
def test_the_kill_switch_stops_what_spends(kind):
    assert lifecycle.is_stopped_by_kill(kind=kind)
    assert lifecycle.is_stopped_by_kill(kind=kind, purpose="bump")
    assert not lifecycle.is_stopped_by_kill(kind=kind, purpose="cancel")


@pytest.mark.parametrize("kind", ["pause", "revoke", "rescue"])
def test_the_kill_switch_never_blocks_what_protects(kind):
    assert not lifecycle.is_stopped_by_kill(kind=kind)
