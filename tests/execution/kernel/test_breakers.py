"""Breakers trip at their figure, on their own trades, and whenever they cannot see."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbsite.base.units import Wei
from execution.kernel.breakers import (
    Breaker,
    BreakerInputs,
    BreakerLimits,
    Outcome,
    first_trip,
)

NOW = 36_000_000
LIMITS = BreakerLimits(
    consecutive_reverts=3,
    loss_per_hour_wei=Wei(100),
    loss_per_day_wei=Wei(500),
    drawdown_wei=Wei(1_000),
    gas_without_success_wei=Wei(50),
    inputs_max_age_ms=5_000,
)
OFF = BreakerLimits(
    consecutive_reverts=0,
    loss_per_hour_wei=Wei(0),
    loss_per_day_wei=Wei(0),
    drawdown_wei=Wei(0),
    gas_without_success_wei=Wei(0),
    inputs_max_age_ms=5_000,
)


def won(wei):
    return Outcome(at_ms=NOW, failed=False, net_profit_wei=Wei(wei), gas_cost_wei=Wei(1))


def reverted(gas):
    return Outcome(at_ms=NOW, failed=True, net_profit_wei=Wei(-gas), gas_cost_wei=Wei(gas))


def inputs_of(outcomes=(), *, read_at_ms=NOW, hour=0, day=0):
    return BreakerInputs(
        outcomes=outcomes, hour_net_wei=hour, day_net_wei=day, read_at_ms=read_at_ms
    )


def tripped(outcomes, *, limits=LIMITS, read_at_ms=NOW, hour=0, day=0):
    inputs = inputs_of(outcomes, read_at_ms=read_at_ms, hour=hour, day=day)
    trip = first_trip(inputs, limits=limits, now_ms=NOW)
    return trip and (trip.breaker, trip.figure)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([], None),
        ([reverted(1), reverted(1)], None),
        ([reverted(1), reverted(1), reverted(1)], (Breaker.CONSECUTIVE_REVERTS, 3)),
        ([reverted(1), reverted(1), won(0), reverted(1), reverted(1)], None),
        ([won(50), won(-149)], None),
        ([won(5_000), won(-999)], None),
        ([won(5_000), won(-1_000), won(1)], (Breaker.DRAWDOWN, 1_000)),
        ([reverted(25), reverted(24)], None),
        ([reverted(25), reverted(25)], (Breaker.GAS_WITHOUT_SUCCESS, 50)),
        ([reverted(49), won(1), reverted(49)], None),
    ],
)
def test_a_breaker_trips_at_its_figure_and_not_before(outcomes, expected):
    assert tripped(outcomes) == expected


@pytest.mark.parametrize(
    ("hour", "day", "expected"),
    [
        (-99, -499, None),
        (-100, 0, (Breaker.LOSS_PER_HOUR, 100)),
        (0, -500, (Breaker.LOSS_PER_DAY, 500)),
        (-100, -500, (Breaker.LOSS_PER_HOUR, 100)),
        (10**20, -499, None),
    ],
)
def test_losses_of_hour_and_day_trip_whenever_it_was_armed(hour, day, expected):
    assert tripped([], hour=hour, day=day) == expected


@pytest.mark.parametrize("read_at_ms", [None, NOW - 5_001, NOW + 1])
def test_missing_or_stale_inputs_trip(read_at_ms):
    trip = first_trip(inputs_of(read_at_ms=read_at_ms), limits=OFF, now_ms=NOW)
    assert trip is not None
    assert trip.breaker is Breaker.INPUTS
    assert "then arm" in trip.reason


@pytest.mark.parametrize("missing", [{"outcomes": None}, {"hour": None}, {"day": None}])
def test_what_could_not_be_read_trips(missing):
    assert tripped(**{"outcomes": [], **missing}) == (Breaker.INPUTS, 0)


@given(st.lists(st.builds(won, st.integers(-(10**20), 10**20)) | st.builds(reverted, st.just(7))))
def test_breakers_switched_off_never_trip(outcomes):
    assert tripped(outcomes, limits=OFF) is None


@given(
    st.lists(st.builds(won, st.integers(-200, 200)) | st.builds(reverted, st.integers(0, 40))),
    st.integers(1, 5),
)
def test_one_more_revert_never_makes_a_tripped_breaker_whole(outcomes, gas):
    if tripped(outcomes) is not None:
        assert tripped([*outcomes, reverted(gas)]) is not None


@pytest.mark.parametrize("field", ["consecutive_reverts", "loss_per_day_wei", "drawdown_wei"])
def test_negative_limits_are_refused(field):
    figures = {name: getattr(LIMITS, name) for name in BreakerLimits.__slots__}
    with pytest.raises(ValueError, match="negative"):
        BreakerLimits(**(figures | {field: -1}))
