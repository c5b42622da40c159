"""Calldata is the ABI encoding to the byte, both ways, and nothing else decodes."""

import pytest
from eth_abi.abi import encode as abi_encode
from hypothesis import given
from hypothesis import strategies as st

from arbsite.base.units import UINT256_MAX, BlockNumber, Bps, TokenAmount
from contracts.kernel.abi import selector
from execution.kernel.plan import (
    MAX_HOPS,
    BadPlan,
    LenderCode,
    NotExecutable,
    Plan,
    PlanHop,
    PlanTemplate,
    Validity,
    decode_execute,
    encode_execute,
    last_block_of,
    plan_from,
    plan_to_simulate,
    unpack_hop,
    validity_for,
)
from prices.kernel.costs import Policy
from prices.kernel.lenders import LenderKind, pair_lender
from prices.kernel.opportunity import evaluate
from prices.kernel.waterfall import Verdict
from tests.execution.kernel.builders import LENDER, PAIRS, TOKEN, make_plan
from tests.prices.kernel.builders import make_market
from tests.prices.kernel.every_cycle import find_cycles

STRUCT = "(uint8,address,address,uint256,uint256,uint64,uint64,bytes32[])"
addresses = st.integers(0, 2**160 - 1).map(lambda n: f"0x{n:040x}")
hops = st.builds(
    PlanHop,
    pair=addresses,
    fee_bps=st.integers(0, 9_999).map(Bps),
    zero_for_one=st.booleans(),
)
plans = st.builds(
    Plan,
    lender_kind=st.sampled_from(LenderCode),
    lender=addresses,
    token=addresses,
    amount=st.integers(1, UINT256_MAX).map(TokenAmount),
    min_profit=st.integers(1, UINT256_MAX).map(TokenAmount),
    deadline_s=st.integers(1, 2**64 - 1),
    last_block=st.integers(1, 2**64 - 1).map(BlockNumber),
    hops=st.lists(hops, min_size=1, max_size=MAX_HOPS).map(tuple),
)


def by_eth_abi(plan):
    words = [
        (int(hop.pair, 16) | hop.fee_bps << 160 | hop.zero_for_one << 176).to_bytes(32, "big")
        for hop in plan.hops
    ]
    struct = (
        int(plan.lender_kind),
        plan.lender,
        plan.token,
        plan.amount,
        plan.min_profit,
        plan.deadline_s,
        plan.last_block,
        words,
    )
    return selector(f"execute({STRUCT})") + abi_encode([STRUCT], [struct])


@given(plans)
def test_calldata_is_the_abi_encoding_to_the_byte(plan):
    assert encode_execute(plan) == by_eth_abi(plan)


@given(plans)
def test_what_was_encoded_decodes_to_itself(plan):
    assert decode_execute(encode_execute(plan)) == plan
    assert last_block_of(encode_execute(plan)) == plan.last_block


@given(plans, plans)
def test_a_template_filled_anew_equals_a_fresh_encoding(plan, other):
    template = PlanTemplate(
        lender_kind=plan.lender_kind, lender=plan.lender, token=plan.token, hops=plan.hops
    )
    for each in (plan, other):
        filled = template.fill(
            amount=each.amount,
            min_profit=each.min_profit,
            deadline_s=each.deadline_s,
            last_block=each.last_block,
        )
        fresh = Plan(
            lender_kind=plan.lender_kind,
            lender=plan.lender,
            token=plan.token,
            hops=plan.hops,
            amount=each.amount,
            min_profit=each.min_profit,
            deadline_s=each.deadline_s,
            last_block=each.last_block,
        )
        assert filled == encode_execute(fresh)


@given(st.binary(max_size=800))
def test_bytes_that_are_no_plan_are_refused_in_words(data):
    with pytest.raises(BadPlan):
        decode_execute(data)
    assert last_block_of(data) is None


@given(plans, st.data())
def test_a_changed_byte_gives_another_plan_or_none(plan, data):
    encoded = bytearray(encode_execute(plan))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    try:
        changed = decode_execute(bytes(encoded))
    except BadPlan:
        return
    assert changed != plan
    assert encode_execute(changed) == bytes(encoded)


@given(hops)
def test_a_hop_unpacks_to_itself(hop):
    assert unpack_hop(hop.packed()) == hop


@pytest.mark.parametrize("word", [1 << 177, 1 << 255, 10_000 << 160, 65_535 << 160])
def test_a_word_that_no_hop_has_is_refused(word):
    with pytest.raises(BadPlan):
        unpack_hop(word)


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 0},
        {"amount": UINT256_MAX + 1},
        {"min_profit": 0},
        {"min_profit": -1},
        {"deadline_s": 0},
        {"last_block": 0},
        {"last_block": 2**64},
        {"hops": ()},
        {"lender": "0x12"},
        {"token": TOKEN + "\n"},
    ],
)
def test_a_value_the_contract_cannot_take_is_refused(changes):
    with pytest.raises(BadPlan):
        make_plan(**changes)


def test_addresses_of_any_case_make_the_same_plan():
    assert make_plan(lender=LENDER.upper().replace("X", "x")) == make_plan()


def test_a_validity_covers_its_blocks_in_seconds_rounded_up():
    assert validity_for(block_time_ms=450) == Validity(blocks=3, seconds=2 + 30)
    with pytest.raises(ValueError, match="at least 1"):
        Validity(blocks=0, seconds=1)


def evaluations(market, *, lenders=None, threshold=1):
    cycles = find_cycles(market.book.pools, lendable=market.lendable)
    policy = Policy(min_profit_threshold_bps=Bps(threshold))
    for cycle in range(len(cycles)):
        found = evaluate(
            market.book,
            cycles=cycles,
            cycle=cycle,
            lenders=lenders or market.lenders(),
            costs=market.costs(),
            policy=policy,
        )
        if found is not None:
            yield found, policy


def test_the_plan_of_an_opportunity_says_what_was_evaluated():
    market = make_market(3, noise=0.02)
    found = [each for each in evaluations(market) if each[0].verdict is Verdict.EXECUTABLE]
    assert found
    for evaluation, policy in found:
        plan = plan_from(
            evaluation,
            book=market.book,
            policy=policy,
            max_slippage_bps=Bps(50),
            validity=Validity(blocks=2, seconds=40),
            block_timestamp_s=1_000,
        )
        waterfall = evaluation.waterfall
        costs = waterfall.expected_profit - waterfall.net
        assert plan.amount == evaluation.borrow_amount
        assert plan.last_block == evaluation.block.number + 2
        assert plan.deadline_s == 1_040
        assert plan.token == market.book.tokens[evaluation.borrow_token]
        assert costs < plan.min_profit <= waterfall.expected_profit
        assert plan.min_profit >= waterfall.expected_profit - evaluation.amount_out * 50 // 10_000
        token = evaluation.borrow_token
        for hop, facts in zip(plan.hops, evaluation.hops, strict=True):
            spec = market.book.pools[facts.pool]
            assert (hop.pair, hop.fee_bps) == (spec.address, spec.fee_bps)
            into, out = (
                (spec.token0, spec.token1) if hop.zero_for_one else (spec.token1, spec.token0)
            )
            assert into == token
            token = out
        assert token == evaluation.borrow_token
        if evaluation.lender.kind is LenderKind.FIRST_POOL:
            assert plan.lender_kind is LenderCode.FIRST_POOL
            assert plan.lender == plan.hops[0].pair


def test_the_owners_minimum_is_never_undercut():
    market = make_market(3, noise=0.02)
    evaluation, _ = next(
        each for each in evaluations(market) if each[0].verdict is Verdict.EXECUTABLE
    )
    least = TokenAmount(10**30)
    plan = plan_from(
        evaluation,
        book=market.book,
        policy=Policy(contract_min_profit={evaluation.borrow_token: least}),
        max_slippage_bps=Bps(50),
        validity=Validity(blocks=2, seconds=40),
        block_timestamp_s=1_000,
    )
    assert plan.min_profit == least


def test_a_rejected_opportunity_is_simulated_and_never_planned():
    market = make_market(3)
    evaluation, policy = next(
        each for each in evaluations(market) if each[0].verdict is Verdict.REJECTED
    )
    wanted = {
        "book": market.book,
        "policy": policy,
        "max_slippage_bps": Bps(50),
        "validity": Validity(blocks=2, seconds=40),
        "block_timestamp_s": 1_000,
    }
    with pytest.raises(NotExecutable, match=str(evaluation.reason)):
        plan_from(evaluation, **wanted)
    assert plan_to_simulate(evaluation, **wanted).amount == evaluation.borrow_amount


def test_a_lending_pair_stands_before_the_path():
    market = make_market(5, noise=0.02)
    book = market.book
    lenders = {}
    for token in market.lendable:
        index = next(i for i, pool in enumerate(book.pools) if token in (pool.token0, pool.token1))
        lenders[token] = [
            pair_lender(
                address=book.pools[index].address,
                fee_bps=book.pools[index].fee_bps,
                reserve=TokenAmount(10**30),
            )
        ]
    seen = set()
    for evaluation, policy in evaluations(market, lenders=lenders):
        plan = plan_to_simulate(
            evaluation,
            book=book,
            policy=policy,
            max_slippage_bps=Bps(50),
            validity=Validity(blocks=2, seconds=40),
            block_timestamp_s=1_000,
        )
        lending = plan.hops[0]
        spec = book.pools[book.pool_index(lending.pair)]
        assert plan.lender_kind is LenderCode.PAIR
        assert plan.lender == lending.pair
        assert lending.fee_bps == spec.fee_bps
        assert lending.zero_for_one == (spec.token0 == evaluation.borrow_token)
        assert len(plan.hops) == 1 + len(evaluation.hops)
        assert lending.pair not in [hop.pair for hop in plan.hops[1:]]
        seen.add(lending.zero_for_one)
    assert seen == {True, False}


def test_the_bytes_of_a_known_plan_stay_as_they_are():
    assert PAIRS[0] == "0x" + "01" * 20
    encoded = encode_execute(make_plan()).hex()
    assert encoded[:8] == selector(f"execute({STRUCT})").hex()
    assert encoded[-128:-64] == "00" * 9 + "01" + "0019" + "01" * 20
    assert encoded[-64:] == "00" * 9 + "00" + "001e" + "02" * 20
