"""The gates in MONEY's order: the first reason wins, and each can be the first."""

from dataclasses import replace
from itertools import combinations

import pytest

from arbsite.base.units import Bps, TokenAmount, Wei
from execution.kernel.gate import (
    GATES,
    LEAVES_EXECUTABLE,
    Candidate,
    GateConfig,
    GateReason,
    GateState,
    Mode,
    candidate_from,
    first_reason,
    reason_not_to_send,
    stops_all,
)
from prices.kernel.waterfall import Reason, Verdict
from tests.execution.kernel.builders import BLOCK_HASH, PAIRS
from tests.execution.kernel.test_plan import evaluations
from tests.prices.kernel.builders import make_market

OPEN = GateState(
    killed=False,
    mode=Mode.ARMED,
    config=GateConfig(
        auto_execute=True,
        min_profit_threshold_bps=Bps(50),
        max_gas_price_wei=Wei(100),
        cooldown_ms=1_000,
        max_position_wei=Wei(70),
        max_executions_per_hour=10,
        max_consecutive_failures=3,
    ),
    now_ms=1_000_000,
    head_hash=BLOCK_HASH,
    armed_until_ms=2_000_000,
    executions_last_hour=9,
    consecutive_failures=2,
    last_execution_ms=999_000,
)
GOOD = Candidate(
    key="local:1:cycle",
    economic=None,
    net_profit=50,
    borrow_amount=TokenAmount(10_000),
    gas_price_wei=Wei(100),
    pools=frozenset(PAIRS[:2]),
    block_hash=BLOCK_HASH,
    position_wei=Wei(70),
    simulated=True,
)

# reason, changes of the state, changes of the candidate: one row per cause, in the order.
CAUSES = [
    (Reason.FEES, {}, {"economic": Reason.FEES}),
    (Reason.TOKEN_RISK, {"denied": True}, {}),
    (Reason.MIN_PROFIT, {}, {"net_profit": 49}),
    (Reason.MAX_GAS, {}, {"gas_price_wei": Wei(101)}),
    (GateReason.KILLED, {"killed": True}, {}),
    (GateReason.NOT_ARMED, {"mode": Mode.OFF}, {}),
    (GateReason.LIMIT, {"executions_last_hour": 10}, {}),
    (GateReason.COOLDOWN, {"last_execution_ms": 999_001}, {}),
    (GateReason.IN_FLIGHT, {"wallet_busy": True}, {}),
    (GateReason.SIMULATION_FAILED, {}, {"simulated": False}),
    (GateReason.SUPERSEDED, {"head_hash": "0x" + "99" * 32}, {}),
]
BY_HAND = {  # skips these
    GateReason.NOT_ARMED,
    GateReason.PAUSED,
    GateReason.LIMIT,
    GateReason.COOLDOWN,
}


def with_causes(causes, **candidate):
    state, wanted = OPEN, replace(GOOD, **candidate)
    for _, in_state, in_candidate in causes:
        state, wanted = replace(state, **in_state), replace(wanted, **in_candidate)
    return state, wanted


def test_nothing_stands_against_a_good_candidate():
    assert first_reason(OPEN, GOOD) is None
    assert reason_not_to_send(OPEN, GOOD) is None


@pytest.mark.parametrize("cause", CAUSES, ids=[str(reason) for reason, _, _ in CAUSES])
def test_each_cause_alone_is_the_reason(cause):
    assert first_reason(*with_causes([cause])) is cause[0]


@pytest.mark.parametrize("manual", [False, True])
def test_of_many_causes_the_first_in_order_is_the_reason(manual):
    for size in range(1, len(CAUSES) + 1):
        for causes in combinations(CAUSES, size):
            left = [reason for reason, _, _ in causes if not (manual and reason in BY_HAND)]
            expected = left[0] if left else None
            assert first_reason(*with_causes(causes, manual=manual)) == expected


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"killed": None}, GateReason.KILLED),
        ({"mode": None}, GateReason.NOT_ARMED),
        ({"mode": Mode.PAUSED}, GateReason.PAUSED),
        ({"armed_until_ms": 1_000_000}, GateReason.NOT_ARMED),
        ({"config": replace(OPEN.config, auto_execute=False)}, GateReason.NOT_ARMED),
        ({"consecutive_failures": 3}, GateReason.LIMIT),
        ({"pools_in_flight": {PAIRS[1]}}, GateReason.IN_FLIGHT),
        ({"acted_on": {GOOD.key}}, GateReason.IN_FLIGHT),
        ({"pools_taken": {PAIRS[0]}}, GateReason.SUPERSEDED),
    ],
)
def test_each_other_cause_gives_its_reason(changes, reason):
    assert first_reason(replace(OPEN, **changes), GOOD) is reason


@pytest.mark.parametrize(
    "changes",
    [
        {"pools_in_flight": {PAIRS[2]}, "pools_taken": {PAIRS[2]}},
        {"last_execution_ms": None},
        {"armed_until_ms": None},
        {"head_hash": BLOCK_HASH.upper().replace("0X", "0x")},
        {
            "executions_last_hour": 10**6,
            "consecutive_failures": 10**6,
            "config": replace(OPEN.config, max_executions_per_hour=0, max_consecutive_failures=0),
        },
        {"config": replace(OPEN.config, max_gas_price_wei=None)},
    ],
)
def test_what_only_looks_like_a_cause_is_none(changes):
    assert first_reason(replace(OPEN, **changes), GOOD) is None


@pytest.mark.parametrize("worth", [Wei(71), None])
@pytest.mark.parametrize("manual", [False, True])
def test_a_loan_above_the_largest_position_is_for_nobody(worth, manual):
    candidate = replace(GOOD, position_wei=worth, manual=manual)
    assert first_reason(OPEN, candidate) is GateReason.LIMIT
    free = replace(OPEN, config=replace(OPEN.config, max_position_wei=Wei(0)))
    assert first_reason(free, candidate) is None


def test_a_missing_simulation_allows_simulating_and_forbids_sending():
    unproven = replace(GOOD, simulated=None)
    assert first_reason(OPEN, unproven) is None
    assert reason_not_to_send(OPEN, unproven) is GateReason.SIMULATION_FAILED
    late = replace(OPEN, head_hash="0x" + "99" * 32)
    assert reason_not_to_send(late, unproven) is GateReason.SIMULATION_FAILED
    killed = replace(OPEN, killed=True)
    assert reason_not_to_send(killed, unproven) is GateReason.KILLED


def test_the_minimum_is_rounded_up():
    candidate = replace(GOOD, borrow_amount=TokenAmount(10_001), net_profit=50)
    assert first_reason(OPEN, candidate) is Reason.MIN_PROFIT
    assert first_reason(OPEN, replace(candidate, net_profit=51)) is None


@pytest.mark.parametrize(
    "changes", [{"min_profit_threshold_bps": 0}, {"cooldown_ms": -1}, {"max_position_wei": -1}]
)
def test_a_config_without_a_minimum_or_with_a_negative_figure_is_refused(changes):
    with pytest.raises(ValueError, match=r"minimum of zero|negative"):
        replace(OPEN.config, **changes)


def test_only_a_failed_simulation_takes_the_verdict_away():
    assert set(GateReason) - LEAVES_EXECUTABLE == {GateReason.SIMULATION_FAILED}


def test_every_gate_answers_for_a_good_candidate():
    assert [gate(OPEN, GOOD) for gate in GATES] == [None] * len(GATES)


def test_a_candidate_carries_the_facts_of_its_evaluation():
    market = make_market(3, noise=0.02)
    evaluation, _ = next(
        each for each in evaluations(market) if each[0].verdict is Verdict.EXECUTABLE
    )
    candidate = candidate_from(evaluation, book=market.book, chain_key="local")
    assert candidate.key == f"local:{evaluation.block.hash}:{evaluation.identity}"
    assert len(candidate.key) <= 160
    assert candidate.net_profit == evaluation.waterfall.net
    assert candidate.pools == {market.book.pools[hop.pool].address for hop in evaluation.hops}
    assert candidate.simulated is None
    rate = evaluation.native_rate
    assert (candidate.position_wei - 1) * rate.num < evaluation.borrow_amount * rate.den
    assert candidate.position_wei * rate.num >= evaluation.borrow_amount * rate.den


@pytest.mark.parametrize(
    ("reason", "changes", "expected"),
    [
        (GateReason.KILLED, {}, True),
        (GateReason.SUPERSEDED, {"head_hash": "0x" + "99" * 32}, True),
        (GateReason.SUPERSEDED, {"pools_taken": frozenset(PAIRS)}, False),
        (GateReason.IN_FLIGHT, {"wallet_busy": True}, True),
        (GateReason.IN_FLIGHT, {"pools_in_flight": frozenset(PAIRS)}, False),
        (GateReason.SIMULATION_FAILED, {}, False),
        (Reason.MIN_PROFIT, {}, False),
    ],
)
def test_what_stands_against_all_is_told_from_what_stands_against_one(reason, changes, expected):
    assert stops_all(replace(OPEN, **changes), GOOD, reason) is expected
