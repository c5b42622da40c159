"""A simulation says to the unit what the mined transaction then does, on a real node."""

from contextlib import suppress

import pytest

from arbsite.base.units import Gas, Wei
from contracts.kernel.abi import encode_call
from contracts.kernel.jsonrpc import RpcError, call_object
from contracts.localchain.chain import Sending
from execution.kernel.plan import encode_execute
from execution.kernel.pnl import settle
from execution.kernel.receipt import L1FeeModel, read_receipt
from execution.mined_reverts import revert_of_mined
from execution.simulator import (
    UNSEEN_SLOTS_GAS,
    SimulationFailed,
    Simulator,
    StateGone,
    simulate_plan,
)
from prices.kernel.lenders import LenderKind
from tests.execution.kernel.builders import make_plan
from tests.execution.traded_market import EXECUTOR, OWNER, PRICE_WEI, TREASURY, traded_market

pytestmark = pytest.mark.e2e
WAYS = [(kind, hops) for kind in LenderKind for hops in (2, 3)]
STRANGER = "0x" + "77" * 20


@pytest.fixture(scope="module")
def traded():
    with traded_market() as market:
        yield market


@pytest.fixture(autouse=True)
def _unchanged(traded):
    kept = traded.rpc.call("evm_snapshot")
    yield
    assert traded.rpc.call("evm_revert", [kept])
    traded.local.chain.forget_nonces()


@pytest.fixture
def opportunity(traded):
    book, evaluation = traded.best(kind=LenderKind.AAVE_V3, hops=2)
    return evaluation, traded.plan(book, evaluation)


def simulated(traded, plan, *, simulator=None, sender=EXECUTOR, price=PRICE_WEI, **more):
    return (simulator or Simulator(traded.rpc)).simulate(
        sender=sender,
        to=traded.receiver,
        data=encode_execute(plan),
        value_wei=Wei(0),
        gas_price_wei=price,
        block_hash=traded.head()["hash"],
        **more,
    )


def changed(plan, **changes):
    values = {name: getattr(plan, name) for name in type(plan).__slots__}
    return type(plan)(**(values | changes))


@pytest.mark.parametrize(("kind", "hops"), WAYS, ids=[f"{kind}-{hops}" for kind, hops in WAYS])
def test_what_is_simulated_is_what_is_mined_and_what_was_expected(traded, kind, hops):
    book, evaluation = traded.best(kind=kind, hops=hops)
    plan = traded.plan(book, evaluation)

    proven = simulate_plan(
        Simulator(traded.rpc),
        plan=plan,
        sender=EXECUTOR,
        receiver=traded.receiver,
        tip_wei=Wei(0),
        gas_price_wei=PRICE_WEI,
        block_hash=evaluation.block.hash,
    )
    raw = traded.send(traded.receiver, proven.data, sender=EXECUTOR, gas=proven.outcome.gas_limit)

    settlement = settle(
        read_receipt(raw, l1_fee=L1FeeModel.NONE),
        plan=plan,
        receiver=traded.receiver,
        rate=evaluation.native_rate,
        tip_wei=Wei(0),
    )
    assert settlement.receipt.succeeded
    assert settlement.realized_profit == proven.profit == evaluation.waterfall.expected_profit
    assert settlement.premium == -evaluation.waterfall.flash_loan_premium
    gas_used = settlement.receipt.gas_used
    assert gas_used <= proven.outcome.gas_estimate
    assert proven.outcome.gas_limit == -(-proven.outcome.gas_estimate * 5 // 4)
    assert settlement.gas_cost_wei == gas_used * PRICE_WEI
    rate = evaluation.native_rate
    assert settlement.net_profit_wei == (
        settlement.realized_profit * rate.den // rate.num - settlement.gas_cost_wei
    )


def test_a_known_gas_limit_is_the_one_that_is_simulated(traded, opportunity):
    _, plan = opportunity
    free = simulated(traded, plan)
    bound = simulated(traded, plan, gas=free.gas_limit)
    assert (bound.ok, bound.profit, bound.gas_limit) == (True, free.profit, free.gas_limit)
    short = simulated(traded, plan, gas=Gas(free.gas_estimate // 2))
    assert not short.ok
    assert short.revert is not None


@pytest.mark.parametrize(
    ("changes", "sender", "name"),
    [
        (lambda plan, _: {"min_profit": plan.min_profit * 1_000}, EXECUTOR, "ProfitTooLow"),
        (lambda _, head: {"last_block": head}, EXECUTOR, "Expired"),
        (lambda *_: {"deadline_s": 1}, EXECUTOR, "Expired"),
        (lambda *_: {"token": STRANGER}, EXECUTOR, "MinProfitNotSet"),
        (lambda plan, _: {"lender": plan.hops[1].pair}, EXECUTOR, "UnknownLender"),
        (lambda *_: {}, OWNER, "NotExecutor"),
    ],
)
def test_what_would_revert_is_explained_and_has_no_limit(
    traded, opportunity, changes, sender, name
):
    evaluation, plan = opportunity
    found = simulated(
        traded, changed(plan, **changes(plan, evaluation.block.number)), sender=sender
    )
    assert not found.ok
    assert found.profit is None
    assert found.gas_limit == 0
    assert found.revert is not None
    assert found.revert.name == name
    assert found.revert.next_action


def test_a_paused_contract_fails_in_simulation(traded, opportunity):
    _, plan = opportunity
    traded.must(traded.receiver, encode_call("pause()"))
    found = simulated(traded, plan)
    assert found.revert is not None
    assert found.revert.name == "EnforcedPause"


def test_a_last_block_of_the_next_block_still_holds(traded, opportunity):
    evaluation, plan = opportunity
    assert simulated(traded, changed(plan, last_block=evaluation.block.number + 1)).ok


def test_a_sender_that_cannot_pay_is_told_to_be_funded(traded, opportunity):
    found = simulated(traded, opportunity[1], price=Wei(10**30))
    assert found.revert is not None
    assert "cannot pay" in found.revert.meaning


def test_a_sender_need_not_hold_the_gas_of_a_whole_block(traded, opportunity):
    held = int(traded.rpc.call("eth_getBalance", [EXECUTOR, "latest"]), 16)
    assert simulated(traded, opportunity[1], price=Wei(held // 4_000_000)).ok


def test_an_address_without_our_code_is_no_success(traded, opportunity):
    _, plan = opportunity
    with pytest.raises(SimulationFailed, match="no receiver of ours"):
        simulate_plan(
            Simulator(traded.rpc),
            plan=plan,
            sender=EXECUTOR,
            receiver=STRANGER,
            tip_wei=Wei(0),
            gas_price_wei=PRICE_WEI,
            block_hash=traded.head()["hash"],
        )


def test_a_transfer_to_oneself_needs_no_profit(traded):
    found = Simulator(traded.rpc).simulate(
        sender=EXECUTOR,
        to=EXECUTOR,
        data=b"",
        value_wei=Wei(0),
        gas_price_wei=PRICE_WEI,
        block_hash=traded.head()["hash"],
    )
    assert found.ok
    assert found.gas_estimate == 21_000
    assert found.gas_limit == 26_250


def test_the_state_is_the_pinned_blocks_and_not_the_heads(traded, opportunity):
    evaluation, plan = opportunity
    raw = traded.send(traded.receiver, encode_execute(plan), sender=EXECUTOR)
    assert raw["status"] == "0x1"
    pinned = Simulator(traded.rpc).simulate(
        sender=EXECUTOR,
        to=traded.receiver,
        data=encode_execute(plan),
        value_wei=Wei(0),
        gas_price_wei=PRICE_WEI,
        block_hash=evaluation.block.hash,
    )
    assert pinned.profit == evaluation.waterfall.expected_profit
    assert pinned.block_number == evaluation.block.number
    assert not simulated(traded, plan).ok


@pytest.mark.parametrize("noted", [False, True])
def test_a_block_that_left_the_chain_cannot_be_simulated_on(traded, opportunity, noted):
    _, plan = opportunity
    traded.push(20, share=0.001)
    head = traded.head()
    simulator = Simulator(traded.rpc)
    if noted:
        simulator.note_block(
            number=int(head["number"], 16),
            block_hash=head["hash"],
            timestamp_s=int(head["timestamp"], 16),
        )
    traded.rpc.call("anvil_reorg", [1, []])
    traded.local.chain.forget_nonces()
    with pytest.raises(StateGone, match="decide on a newer block"):
        simulator.simulate(
            sender=EXECUTOR,
            to=traded.receiver,
            data=encode_execute(plan),
            value_wei=Wei(0),
            gas_price_wei=PRICE_WEI,
            block_hash=head["hash"],
        )


@pytest.mark.parametrize("kind", LenderKind)
def test_a_mined_revert_is_explained_by_its_trace(traded, kind):
    book, evaluation = traded.best(kind=kind, hops=2)
    plan = traded.plan(book, evaluation)
    data = encode_execute(changed(plan, min_profit=plan.min_profit * 1_000))
    assert mined_revert(traded, traded.rpc, data=data, gas=900_000).name == "ProfitTooLow"


def test_a_mined_revert_is_explained_by_replay_where_nothing_traces(traded, opportunity):
    _, plan = opportunity
    data = encode_execute(changed(plan, min_profit=plan.min_profit * 1_000))
    node = Answers(traded.rpc, refused="debug_traceTransaction")
    assert mined_revert(traded, node, data=data, gas=900_000).name == "ProfitTooLow"


def test_a_mined_transaction_out_of_gas_says_so(traded, opportunity):
    data = encode_execute(opportunity[1])
    found = mined_revert(traded, traded.rpc, data=data, gas=90_000)
    assert "gas limit" in found.meaning


def mined_revert(traded, rpc, *, data, gas):
    raw = traded.send(traded.receiver, data, sender=EXECUTOR, gas=gas)
    assert raw["status"] == "0x0"
    return revert_of_mined(
        rpc,
        tx_hash=raw["transactionHash"],
        request=call_object(to=traded.receiver, data=data, sender=EXECUTOR, gas=gas),
        block_hash=raw["blockHash"],
    )


class Answers:
    """A node of fewer abilities: counts batches, refuses a method or any parameter past two."""

    def __init__(self, rpc, *, refused="", overrides=True):
        self.rpc, self.refused, self.overrides = rpc, refused, overrides
        self.batches, self.params = [], []

    def batch(self, calls, *, timeout_s=None):
        self.batches.append([method for method, _ in calls])
        self.params += [params for _, params in calls]
        return [self._answer(method, params, timeout_s) for method, params in calls]

    def _answer(self, method, params, timeout_s):
        if method == self.refused:
            return RpcError(-32601, f"the method {method} does not exist/is not available")
        if len(params) > 2 and not self.overrides:
            return RpcError(-32602, "too many arguments, want at most 2")
        return self.rpc.batch([(method, params)], timeout_s=timeout_s)[0]


def test_a_node_without_overrides_is_asked_without_and_given_more_gas(traded, opportunity):
    _, plan = opportunity
    node = Answers(traded.rpc, overrides=False)
    simulator = Simulator(node)
    first = simulated(traded, plan, simulator=simulator)
    assert first.ok
    assert first.gas_limit == -(-first.gas_estimate * 5 // 4) + 2 * UNSEEN_SLOTS_GAS
    node.batches.clear()
    assert simulated(traded, plan, simulator=simulator).gas_limit == first.gas_limit
    assert node.batches == [["eth_call", "eth_estimateGas"], ["eth_call"]]


def test_a_known_header_and_limit_cost_one_round_trip(traded, opportunity):
    _, plan = opportunity
    node = Answers(traded.rpc)
    simulator = Simulator(node)
    head = traded.head()
    simulator.note_block(
        number=int(head["number"], 16),
        block_hash=head["hash"],
        timestamp_s=int(head["timestamp"], 16),
    )
    assert simulated(traded, plan, simulator=simulator, gas=Gas(900_000)).ok
    assert node.batches == [["eth_call"]]
    assert node.params[0][1] == {"blockHash": head["hash"], "requireCanonical": True}


def test_the_price_slots_of_pools_written_in_the_head_are_in_the_estimate(traded):
    book, evaluation = traded.best(kind=LenderKind.AAVE_V3, hops=2)
    plan = traded.plan(book, evaluation)
    traded.local.chain.send(
        [
            Sending(
                sender=OWNER,
                to=hop.pair,
                data=encode_call("sync()"),
                gas=200_000,
                gas_price=PRICE_WEI,
            )
            for hop in plan.hops
        ]
    )
    traded.local.chain.mine()

    on_head = simulated(traded, plan, simulator=Simulator(traded.rpc, next_block=False))
    as_next = simulated(traded, plan)
    raw = traded.send(traded.receiver, encode_execute(plan), sender=EXECUTOR, gas=as_next.gas_limit)

    assert raw["status"] == "0x1"
    assert on_head.gas_estimate < as_next.gas_estimate
    assert int(raw["gasUsed"], 16) <= as_next.gas_estimate


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (RpcError(3, "execution reverted", "0x203d82d8"), "Expired"),
        (RpcError(-32015, "VM execution error.", "Reverted 0x203d82d8"), "Expired"),
        (RpcError(-32000, "execution reverted", {"data": "0x203d82d8"}), "Expired"),
        (RpcError(-32000, "execution reverted"), "no reason given"),
        (RpcError(-32000, "gas required exceeds allowance (21000)"), "refused by the node"),
        (RpcError(-32603, "internal \u202e error"), "refused by the node"),
    ],
)
def test_every_clients_way_of_failing_is_a_failure(error, name):
    class Failing:
        def batch(self, calls, *, timeout_s=None):
            return [error for _ in calls]

    simulator = Simulator(Failing())
    simulator.note_block(number=1, block_hash="0x" + "12" * 32, timestamp_s=1)
    found = simulator.simulate(
        sender=EXECUTOR,
        to=TREASURY,
        data=encode_execute(make_plan()),
        value_wei=Wei(0),
        gas_price_wei=PRICE_WEI,
        block_hash="0x" + "12" * 32,
    )
    assert not found.ok
    assert found.revert is not None
    assert found.revert.name == name
    assert all(value.isprintable() for value in found.revert.values.values())


@pytest.mark.parametrize("answer", [None, [], 7, "0xzz", "0x"])
def test_an_answer_that_is_none_is_no_success(answer):
    class Odd:
        def batch(self, calls, *, timeout_s=None):
            return [answer for _ in calls]

    simulator = Simulator(Odd())
    simulator.note_block(number=1, block_hash="0x" + "12" * 32, timestamp_s=1)
    for gas in (None, Gas(100_000)):
        ask = {
            "sender": EXECUTOR,
            "to": TREASURY,
            "data": encode_execute(make_plan()),
            "value_wei": Wei(0),
            "gas_price_wei": PRICE_WEI,
            "block_hash": "0x" + "12" * 32,
            "gas": gas,
        }
        with suppress(RpcError):
            assert not simulator.simulate(**ask).ok
