"""Profit and cost from receipts to the unit; what disagrees is never booked; reorgs sum to zero."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbsite.base.units import TokenAmount, Wei
from execution.kernel.pnl import (
    SETTLED_TOPIC,
    EntryKind,
    ProfitDisagrees,
    entries_due,
    entries_of,
    net_of,
    settle,
    settle_gas_only,
)
from execution.kernel.receipt import (
    TRANSFER_TOPIC,
    BadReceipt,
    L1FeeModel,
    read_receipt,
    transferred,
)
from prices.kernel.costs import NativeRate
from tests.execution.kernel.builders import (
    LENDER,
    PAIRS,
    RECEIVER,
    TOKEN,
    make_plan,
    make_receipt,
    settled,
    trade_logs,
    transfer,
    words,
)

eth_utils = pytest.importorskip("eth_utils")
RATE = NativeRate(600, 1)  # 600 units of the token per wei


def read(raw, l1_fee=L1FeeModel.NONE):
    return read_receipt(raw, l1_fee=l1_fee)


def settled_trade(*, profit=6_000_001, tip_wei=0, rate=RATE, logs=None, plan=None, **receipt):
    raw = make_receipt(logs=trade_logs(profit=profit) if logs is None else logs, **receipt)
    return settle(
        read(raw), plan=plan or make_plan(), receiver=RECEIVER, rate=rate, tip_wei=Wei(tip_wei)
    )


def test_topics_are_the_hashes_of_their_signatures():
    assert "0x" + eth_utils.keccak(text="Transfer(address,address,uint256)").hex() == TRANSFER_TOPIC
    signature = "Settled(address,address,uint256,uint256,uint256)"
    assert "0x" + eth_utils.keccak(text=signature).hex() == SETTLED_TOPIC


def test_a_success_counts_profit_less_gas_and_tip():
    found = settled_trade(profit=6_000_001, tip_wei=77, gas_used=100, price_wei=3)
    assert found.realized_profit == 6_000_001
    assert found.profit_wei == 10_000
    assert found.gas_cost_wei == 300
    assert found.net_profit_wei == 10_000 - 300 - 77


def test_a_revert_counts_gas_and_l1_fee_and_no_tip():
    raw = make_receipt(status=0, gas_used=100, price_wei=3, l1Fee="0x10")
    found = settle(
        read(raw, L1FeeModel.OP_STACK),
        plan=make_plan(),
        receiver=RECEIVER,
        rate=RATE,
        tip_wei=Wei(77),
    )
    assert found.realized_profit == 0
    assert (found.gas_cost_wei, found.l1_fee_wei, found.tip_wei) == (300, 16, 0)
    assert found.net_profit_wei == -316


def test_the_premium_is_what_the_contract_paid():
    logs = trade_logs(profit=9_000, premium=5)
    assert settled_trade(logs=logs).premium == 5


@given(
    profit=st.integers(5_000, 10**30),
    num=st.integers(1, 10**24),
    den=st.integers(1, 10**24),
    gas_used=st.integers(21_000, 10**7),
    price=st.integers(0, 10**12),
    tip=st.integers(0, 10**18),
)
def test_the_net_is_the_definition_and_the_entries_add_up_to_it(
    profit, num, den, gas_used, price, tip
):
    found = settled_trade(
        profit=profit, tip_wei=tip, rate=NativeRate(num, den), gas_used=gas_used, price_wei=price
    )
    assert found.realized_profit == profit
    assert found.net_profit_wei == profit * den // num - gas_used * price - tip
    assert net_of(entries_of(found)) == found.net_profit_wei
    assert all(entry.amount for entry in entries_of(found))


@pytest.mark.parametrize(
    ("logs", "what"),
    [
        ([*trade_logs(profit=9_000)[:-1], settled(profit=9_001)], "Transfer logs"),
        ([*trade_logs(profit=9_000)[:-1], settled(profit=8_999)], "Transfer logs"),
        (
            [*trade_logs(profit=9_000), transfer(source=RECEIVER, target=PAIRS[2], amount=1)],
            "Transfer logs",
        ),
        (trade_logs(profit=9_000)[:-1], "number of Settled"),
        ([*trade_logs(profit=9_000), settled(profit=9_000)], "number of Settled"),
        (
            [*trade_logs(profit=9_000)[:-1], settled(profit=9_000, by=PAIRS[0])],
            "number of Settled",
        ),
        ([*trade_logs(profit=9_000)[:-1], settled(profit=9_000, token=PAIRS[2])], "token"),
        ([*trade_logs(profit=9_000)[:-1], settled(profit=9_000, lender=PAIRS[2])], "lender"),
        ([*trade_logs(profit=9_000)[:-1], settled(profit=9_000, amount=1)], "amount"),
        (trade_logs(profit=4_999), "profit is 4999, expected at least 5000"),
    ],
)
def test_stories_that_differ_halt_and_book_nothing(logs, what):
    with pytest.raises(ProfitDisagrees, match=what):
        settled_trade(logs=logs)


def test_transfers_of_other_tokens_and_among_others_do_not_count():
    logs = [
        *trade_logs(profit=9_000),
        transfer(source=PAIRS[0], target=RECEIVER, amount=10**20, token=PAIRS[2]),
        transfer(source=PAIRS[0], target=PAIRS[1], amount=10**20),
        transfer(source=RECEIVER, target=RECEIVER, amount=10**20),
    ]
    assert settled_trade(logs=logs).realized_profit == 9_000


@given(st.lists(st.tuples(st.sampled_from("rlp"), st.sampled_from("rlp"), st.integers(0, 10**20))))
def test_transferred_is_what_came_less_what_went(moves):
    names = {"r": RECEIVER, "l": LENDER, "p": PAIRS[0]}
    logs = [transfer(source=names[a], target=names[b], amount=n) for a, b, n in moves]
    found = transferred(read(make_receipt(logs=logs)), token=TOKEN.upper(), account=RECEIVER)
    came = sum(n for a, b, n in moves if b == "r")
    assert found == came - sum(n for a, b, n in moves if a == "r")


def test_an_op_stack_chain_adds_l1_and_operator_fees():
    raw = make_receipt(
        gas_used=1_500_000,
        price_wei=2,
        l1Fee="0x64",
        operatorFeeScalar="0x3",
        operatorFeeConstant="0x7",
    )
    isthmus = read(raw, L1FeeModel.OP_STACK)
    assert isthmus.gas_cost_wei == 3_000_000
    assert isthmus.l1_fee_wei == 100 + 1_500_000 * 3 // 10**6 + 7
    jovian = read(raw | {"daFootprintGasScalar": "0x190"}, L1FeeModel.OP_STACK)
    assert jovian.l1_fee_wei == 100 + 1_500_000 * 3 * 100 + 7


def test_arbitrum_splits_its_gas_so_that_nothing_counts_twice():
    raw = make_receipt(gas_used=1_000, price_wei=5, gasUsedForL1=hex(400))
    found = settle_gas_only(read(raw, L1FeeModel.ARBITRUM))
    assert (found.gas_cost_wei, found.l1_fee_wei) == (3_000, 2_000)
    assert found.net_profit_wei == -5_000


@pytest.mark.parametrize(
    ("raw", "l1_fee"),
    [
        (None, L1FeeModel.NONE),
        ([], L1FeeModel.NONE),
        (make_receipt(status=2), L1FeeModel.NONE),
        (make_receipt() | {"status": None}, L1FeeModel.NONE),
        (make_receipt() | {"status": 1}, L1FeeModel.NONE),
        (make_receipt() | {"gasUsed": "0x_1"}, L1FeeModel.NONE),
        (make_receipt() | {"gasUsed": "-0x1"}, L1FeeModel.NONE),
        (make_receipt() | {"blockHash": "0x12"}, L1FeeModel.NONE),
        (make_receipt() | {"logs": None}, L1FeeModel.NONE),
        (make_receipt(logs=[{}]), L1FeeModel.NONE),
        (make_receipt(logs=[{"address": TOKEN, "topics": [], "data": "0x1"}]), L1FeeModel.NONE),
        (make_receipt(), L1FeeModel.OP_STACK),
        (make_receipt(), L1FeeModel.ARBITRUM),
        (make_receipt(gas_used=1, gasUsedForL1="0x2"), L1FeeModel.ARBITRUM),
    ],
)
def test_a_receipt_that_is_not_whole_is_read_again_elsewhere(raw, l1_fee):
    with pytest.raises(BadReceipt, match="another endpoint"):
        read(raw, l1_fee)


@pytest.mark.parametrize(
    "log",
    [
        transfer(source=LENDER, target=RECEIVER, amount=1) | {"data": words(1, 2)},
        {"address": TOKEN, "topics": [TRANSFER_TOPIC], "data": words(1, 2, 3)},
        {"address": TOKEN, "topics": [TRANSFER_TOPIC, "0x" + "ff" * 32] * 2, "data": "0x"},
        {"address": TOKEN, "topics": [TRANSFER_TOPIC, *["0x" + "ff" * 32] * 2], "data": words(1)},
    ],
)
def test_a_transfer_of_another_form_is_not_guessed_at(log):
    with pytest.raises(BadReceipt):
        settled_trade(logs=[*trade_logs(profit=9_000), log])


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=70),
    lambda each: st.lists(each, max_size=4) | st.dictionaries(st.text(max_size=20), each),
    max_leaves=8,
)


@given(st.sampled_from(sorted(make_receipt())), json_like, st.sampled_from(L1FeeModel))
def test_whatever_a_node_puts_into_a_field_only_bad_receipt_leaves(name, value, l1_fee):
    raw = make_receipt(logs=trade_logs(profit=9_000), l1Fee="0x1", gasUsedForL1="0x1")
    try:
        receipt = read(raw | {name: value}, l1_fee)
        settle(receipt, plan=make_plan(), receiver=RECEIVER, rate=RATE, tip_wei=Wei(0))
    except (BadReceipt, ProfitDisagrees):
        pass


def test_booking_what_is_due_leaves_nothing_due():
    found = settled_trade(tip_wei=5)
    booked = entries_due([], settlement=found)
    assert [entry.kind for entry in booked] == [EntryKind.PROFIT, EntryKind.GAS, EntryKind.TIP]
    assert entries_due(booked, settlement=found) == ()


def test_a_reorg_is_booked_as_the_opposite_and_sums_to_zero():
    booked = entries_due([], settlement=settled_trade())
    undone = entries_due(booked, settlement=None)
    assert all(entry.reversal for entry in undone)
    assert net_of([*booked, *undone]) == 0
    assert [-entry.amount for entry in undone] == [entry.amount for entry in booked]
    assert entries_due([*booked, *undone], settlement=None) == ()


def on_branch(found, letter):
    return replace(
        found, receipt=replace(found.receipt, block_hash="0x" + letter * 64, block_number=7)
    )


BRANCHES = [
    None,
    on_branch(settled_trade(), "a"),
    on_branch(settled_trade(profit=7_000_000, tip_wei=3), "b"),
    on_branch(settle_gas_only(read(make_receipt(status=0)), token=TOKEN), "c"),
]


@given(st.lists(st.sampled_from(range(len(BRANCHES)))))
def test_whatever_the_reorgs_the_ledger_says_what_the_chain_says(history):
    ledger = []
    for at in history:
        ledger += entries_due(ledger, settlement=BRANCHES[at])
        last = BRANCHES[at]
        assert net_of(ledger) == (0 if last is None else last.net_profit_wei)
        tokens = sum(entry.amount for entry in ledger if entry.token)
        assert tokens == (0 if last is None else last.realized_profit)


def test_a_plan_of_another_amount_is_a_disagreement():
    with pytest.raises(ProfitDisagrees, match="amount"):
        settled_trade(plan=make_plan(amount=TokenAmount(2)))
