"""Limits by name: what differs, and what lets more happen than before."""

import pytest

from execution.kernel.limits import (
    BY_NAME,
    LIMITS,
    LONGEST_MS,
    MINUTE_MS,
    changed,
    expiry_problem,
    loosened,
)

HELD = {
    "autoExecute": False,
    "minProfitThresholdBps": 50,
    "maxGasGwei": 10**9,
    "maxSlippageBps": 50,
    "usePrivateMempool": True,
    "tipShareBps": 1_000,
    "cooldownMs": 1_000,
    "maxPositionWei": 10**18,
    "maxExecutionsPerHour": 10,
    "maxLossPerHourWei": 10**16,
    "maxLossPerDayWei": 3 * 10**16,
    "maxConsecutiveFailures": 5,
    "expiryMs": LONGEST_MS,
}
LOOSER = {
    "autoExecute": [True],
    "minProfitThresholdBps": [49],
    "maxGasGwei": [10**9 + 1],
    "maxSlippageBps": [51],
    "usePrivateMempool": [False],
    "tipShareBps": [1_001],
    "cooldownMs": [999, 0],
    "maxPositionWei": [10**18 + 1, 0],
    "maxExecutionsPerHour": [11, 0],
    "maxLossPerHourWei": [10**16 + 1],
    "maxLossPerDayWei": [3 * 10**16 + 1],
    "maxConsecutiveFailures": [6],
    "expiryMs": [LONGEST_MS + 1, 0],
}
TIGHTER = {
    "minProfitThresholdBps": 51,
    "maxGasGwei": 10**9 - 1,
    "maxSlippageBps": 0,
    "tipShareBps": 0,
    "cooldownMs": 1_001,
    "maxPositionWei": 1,
    "maxExecutionsPerHour": 9,
    "maxLossPerHourWei": 1,
    "maxLossPerDayWei": 1,
    "maxConsecutiveFailures": 4,
    "expiryMs": MINUTE_MS,
}


def test_every_limit_is_spoken_of_here():
    assert list(HELD) == [limit.name for limit in LIMITS] == list(LOOSER)


@pytest.mark.parametrize("name", LOOSER)
def test_a_looser_limit_is_named(name):
    for value in LOOSER[name]:
        after = {**HELD, name: value}
        assert loosened(HELD, after) == changed(HELD, after) == [name]
        assert loosened(after, HELD) == []
        assert changed(after, HELD) == [name]


@pytest.mark.parametrize("name", TIGHTER)
def test_a_tighter_limit_loosens_nothing(name):
    after = {**HELD, name: TIGHTER[name]}
    assert (loosened(HELD, after), changed(HELD, after)) == ([], [name])


def test_the_same_limits_differ_in_nothing():
    assert changed(HELD, dict(HELD)) == loosened(HELD, dict(HELD)) == []


def test_a_figure_where_nothing_was_asked_is_tighter():
    unlimited = {**HELD, "maxPositionWei": 0, "maxExecutionsPerHour": 0}
    assert loosened(unlimited, HELD) == []
    assert changed(unlimited, HELD) == ["maxPositionWei", "maxExecutionsPerHour"]


@pytest.mark.parametrize(
    ("expiry_ms", "is_local", "good"),
    [
        (0, True, True),
        (0, False, False),
        (MINUTE_MS - 1, True, False),
        (MINUTE_MS, False, True),
        (LONGEST_MS, False, True),
    ],
)
def test_an_arming_lasts_a_minute_at_least_and_for_ever_only_where_coins_are_free(
    expiry_ms, is_local, good
):
    assert (expiry_problem(expiry_ms, is_local=is_local) == "") is good


def test_a_minimum_profit_or_a_loss_of_zero_is_below_the_least():
    for name in ("minProfitThresholdBps", "maxLossPerHourWei", "maxLossPerDayWei"):
        assert BY_NAME[name].least == 1
