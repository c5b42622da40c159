"""The EVM in process against the node and against what is mined, on the real bytecode."""

import json
import random
import threading
from pathlib import Path

import pytest

from arbsite.base.units import Gas, TokenAmount, Wei
from contracts.kernel.abi import encode_call
from contracts.kernel.jsonrpc import RpcError
from execution.kernel.plan import encode_execute
from execution.kernel.pnl import settle
from execution.kernel.receipt import L1FeeModel, read_receipt
from execution.path_simulator import REFRESH_S, RETRY_TRACE_S, STRIKES, Ask, PathSimulator
from execution.simulator import Expected, PinnedBlock, Simulator, StateGone
from execution.trial import expected_of
from prices.kernel.lenders import LenderKind
from tests.execution.traded_market import EXECUTOR, OWNER, PRICE_WEI, traded_market

pytestmark = pytest.mark.e2e
KINDS = (LenderKind.FIRST_POOL, LenderKind.AAVE_V3)
WAYS = [(kind, hops) for kind in KINDS for hops in (2, 3)]
NAMES = [f"{kind}-{hops}" for kind, hops in WAYS]
GAS = Gas(900_000)
STRANGER = "0x" + "77" * 20
TAXING = json.loads(
    (Path(__file__).resolve().parent.parent / "recorded" / "taxing_token.json").read_text()
)["deployedBytecode"]
TAX_SLOT = 5
PAUSED_SLOT = 1  # of the receiver: beside the pending owner
# EIP-1967's
IMPLEMENTATION_SLOT = 0x360894A13BA1A3210667C828492DB98DCA3E2076CC3735A920A3CA505D382BBC


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


class Wire:
    """The node, with what each thread asked; a method may be refused, or answered otherwise."""

    def __init__(self, rpc):
        self.rpc = rpc
        self.asked = []
        self.answers = {}

    def batch(self, calls, *, timeout_s=None):
        self.asked += [(threading.get_ident(), method) for method, _ in calls]
        given = [self.answers.get(method) for method, _ in calls]
        real = self.rpc.batch(calls, timeout_s=timeout_s)
        return [
            each if answer is None else answer(call[1], each)
            for call, answer, each in zip(calls, given, real, strict=True)
        ]

    def mine(self):
        """What this thread asked since the last call."""
        mine = [method for thread, method in self.asked if thread == threading.get_ident()]
        self.asked.clear()
        return mine


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


class Bench:
    """A simulator that hears of heads as the engine's does."""

    def __init__(self, traded):
        self.traded = traded
        self.wire = Wire(traded.rpc)
        self.clock = Clock()
        self.simulator = PathSimulator(
            Simulator(self.wire), self.wire, chain_id=31337, clock=self.clock
        )
        self.see()

    @property
    def counts(self):
        return self.simulator.counts

    def see(self):
        """Tell of the head, and wait until it is followed."""
        head = self.traded.head()
        self.simulator.note_block(
            number=int(head["number"], 16),
            block_hash=head["hash"],
            timestamp_s=int(head["timestamp"], 16),
            parent_hash=head["parentHash"],
        )
        self.simulator.catch_up()
        return head

    def ask(self, evaluation, plan, *, gas=GAS, sender=EXECUTOR, block_hash=None, tip=0):
        found = self.simulator.simulate(
            sender=sender,
            to=self.traded.receiver,
            data=encode_execute(plan),
            value_wei=Wei(tip),
            gas_price_wei=PRICE_WEI,
            block_hash=block_hash or evaluation.block.hash,
            gas=gas,
            expected=expected_of(evaluation, plan),
        )
        self.mine = self.wire.mine()
        self.simulator.catch_up()
        self.wire.asked.clear()
        return found

    def learn(self, evaluation, plan):
        assert self.ask(evaluation, plan).by == "node"
        assert self.counts["learned"] == 1

    def both(self, evaluation, plan, *, sender=EXECUTOR, tip=0):
        """What the EVM says, and what the node says, of one plan."""
        asked = {
            "sender": sender,
            "to": self.traded.receiver,
            "data": encode_execute(plan),
            "value_wei": Wei(tip),
            "gas_price_wei": PRICE_WEI,
            "gas": GAS,
        }
        head = self.traded.head()
        block = PinnedBlock(
            number=int(head["number"], 16),
            hash=head["hash"],
            timestamp_s=int(head["timestamp"], 16),
        )
        ask = Ask(**asked, block=block, expected=expected_of(evaluation, plan))
        in_process = self.simulator.in_process(ask)
        return in_process, Simulator(self.traded.rpc).simulate(**asked, block_hash=block.hash)

    def wait(self, seconds):
        self.clock.now += seconds

    def close(self):
        self.simulator.close()


@pytest.fixture
def bench(traded):
    made = Bench(traded)
    yield made
    made.close()


@pytest.fixture
def opportunity(traded):
    book, evaluation = traded.best(kind=LenderKind.AAVE_V3, hops=2)
    return evaluation, traded.plan(book, evaluation)


def changed(plan, **changes):
    values = {name: getattr(plan, name) for name in type(plan).__slots__}
    return type(plan)(**(values | changes))


def found(simulated):
    """All that decides."""
    name = simulated.revert.name if simulated.revert else None
    values = dict(simulated.revert.values) if simulated.revert else {}
    return simulated.ok, simulated.profit, name, values


@pytest.mark.parametrize(("kind", "hops"), WAYS, ids=NAMES)
def test_a_learned_path_gives_in_process_what_is_then_mined_and_asks_the_node_nothing(
    traded, bench, kind, hops
):
    book, evaluation = traded.best(kind=kind, hops=hops)
    plan = traded.plan(book, evaluation)
    bench.learn(evaluation, plan)

    proven = bench.ask(evaluation, plan)
    raw = traded.send(traded.receiver, encode_execute(plan), sender=EXECUTOR, gas=GAS)

    assert (proven.by, bench.mine) == ("evm", [])
    assert proven.gas_limit == GAS
    settled = settle(
        read_receipt(raw, l1_fee=L1FeeModel.NONE),
        plan=plan,
        receiver=traded.receiver,
        rate=evaluation.native_rate,
        tip_wei=Wei(0),
    )
    assert settled.realized_profit == proven.profit == evaluation.waterfall.expected_profit
    assert bench.counts["confirmed"] == 1


@pytest.mark.parametrize(("kind", "hops"), WAYS, ids=NAMES)
def test_as_pools_move_the_evm_says_to_the_unit_what_the_node_says(traded, bench, kind, hops):
    book, evaluation = traded.best(kind=kind, hops=hops)
    plan = traded.plan(book, evaluation)
    bench.learn(evaluation, plan)
    moved = random.Random(kind + str(hops))  # noqa: S311  reproducible
    pools = [i for i, pool in enumerate(book.pools) if pool.address in expected_pairs(plan)]
    for _ in range(6):
        traded.push(moved.choice(pools), share=moved.uniform(0.0005, 0.01))
        bench.see()
        book, evaluation = traded.best(kind=kind, hops=hops)
        plan = traded.plan(book, evaluation)
        said = bench.ask(evaluation, plan)
        assert said.profit == evaluation.waterfall.expected_profit
        in_process, node = bench.both(evaluation, plan)
        assert in_process is not None
        assert found(in_process) == found(node)
    assert bench.counts["disagreed"] == 0
    assert bench.counts["evm"] >= 6


def expected_pairs(plan):
    return {hop.pair for hop in plan.hops}


@pytest.mark.parametrize(
    ("changes", "sender", "name"),
    [
        (lambda plan, _: {"min_profit": plan.min_profit * 1_000}, EXECUTOR, "ProfitTooLow"),
        (lambda _, head: {"last_block": head}, EXECUTOR, "Expired"),
        (lambda *_: {"deadline_s": 1}, EXECUTOR, "Expired"),
        (lambda *_: {"token": STRANGER}, EXECUTOR, "MinProfitNotSet"),
        (lambda plan, _: {"lender": plan.hops[1].pair}, EXECUTOR, "UnknownLender"),
        (lambda plan, _: {"amount": plan.amount * 10**6}, EXECUTOR, None),
        (lambda *_: {}, OWNER, "NotExecutor"),
    ],
)
def test_a_revert_has_in_process_the_reason_that_the_node_gives(
    bench, opportunity, changes, sender, name
):
    evaluation, plan = opportunity
    bench.learn(evaluation, plan)
    bad = changed(plan, **changes(plan, evaluation.block.number))
    bench.ask(evaluation, bad, sender=sender)  # learns what only this one reads

    in_process, node = bench.both(evaluation, bad, sender=sender)

    assert in_process is not None
    assert not in_process.ok
    assert found(in_process) == found(node)
    assert name in (None, in_process.revert.name)
    assert in_process.gas_limit == 0


def test_what_fails_in_process_is_the_nodes_to_decide(bench, opportunity):
    evaluation, plan = opportunity
    bench.learn(evaluation, plan)
    said = bench.ask(evaluation, changed(plan, min_profit=plan.min_profit * 1_000))
    assert (said.by, said.ok, bench.mine) == ("node", False, ["eth_call"])
    assert (bench.counts["disagreed"], bench.counts["learned"]) == (1, 2)


def test_a_tip_is_simulated_in_process_once_it_was_learned_whom_it_pays(traded, bench):
    listing = encode_call("setTipRecipient(address,bool)", STRANGER, True)
    traded.must(traded.receiver, listing)
    bench.see()
    book, evaluation = traded.best(kind=LenderKind.FIRST_POOL, hops=2)
    plan = traded.plan(book, evaluation)
    bench.learn(evaluation, plan)

    assert bench.ask(evaluation, plan, tip=7).by == "node"  # whom it pays was never read
    proven = bench.ask(evaluation, plan, tip=7)
    assert (proven.by, proven.profit) == ("evm", evaluation.waterfall.expected_profit)
    for tip in (7, 10**18):
        in_process, said = bench.both(evaluation, plan, tip=tip)
        assert found(in_process) == found(said)
        assert said.ok
    _, said = bench.both(evaluation, plan, tip=10**24)  # more than the executor holds
    assert not said.ok


def test_a_pause_is_known_in_process_from_the_block_that_brought_it(traded, bench, opportunity):
    evaluation, plan = opportunity
    bench.learn(evaluation, plan)
    traded.must(traded.receiver, encode_call("pause()"))
    bench.see()
    in_process, node = bench.both(evaluation, plan)
    assert in_process.revert.name == node.revert.name == "EnforcedPause"
    traded.must(traded.receiver, encode_call("unpause()"))
    bench.see()
    assert bench.both(evaluation, plan)[0].ok


def test_what_nothing_tells_of_is_read_again_each_minute(traded, bench, opportunity):
    evaluation, plan = opportunity
    bench.learn(evaluation, plan)
    pause_unseen(traded)
    traded.local.chain.mine()
    bench.see()
    assert bench.both(evaluation, plan)[0].ok, "no event told"
    bench.wait(REFRESH_S)
    traded.local.chain.mine()
    bench.see()
    assert bench.both(evaluation, plan)[0].revert.name == "EnforcedPause"


def test_a_verdict_that_the_node_contradicts_ends_all_belief_in_what_was_learned(
    traded, bench, opportunity
):
    evaluation, plan = opportunity
    bench.learn(evaluation, plan)
    pause_unseen(traded)
    traded.local.chain.mine()
    head = bench.see()

    wrong = bench.ask(evaluation, plan, block_hash=head["hash"])
    after = bench.ask(evaluation, plan, block_hash=head["hash"])

    assert (wrong.by, wrong.ok) == ("evm", True)
    assert bench.counts["disagreed"] == 1
    assert (after.by, after.ok, after.revert.name) == ("node", False, "EnforcedPause")
    pause_unseen(traded, paused=False)
    traded.local.chain.mine()
    head = bench.see()
    said = [bench.ask(evaluation, plan, block_hash=head["hash"]) for _ in range(2)]
    assert [(each.by, each.ok) for each in said] == [("node", True), ("evm", True)]


def pause_unseen(traded, *, paused=True):
    """A storage that changes without an event, as that of another's token may."""
    at = [traded.receiver, hex(PAUSED_SLOT)]
    word = int(traded.rpc.call("eth_getStorageAt", [*at, "latest"]), 16) % 2**160
    value = f"0x{word | paused << 160:064x}"
    traded.rpc.call("anvil_setStorageAt", [traded.receiver, f"0x{PAUSED_SLOT:064x}", value])


@pytest.mark.parametrize("what", ["reserves", "balance"])
def test_a_wrong_slot_is_found_by_the_profit_and_the_path_is_learned_anew(
    traded, bench, opportunity, what
):
    evaluation, plan = opportunity
    bench.learn(evaluation, plan)
    pair = plan.hops[1].pair
    state = bench.simulator._state
    places = state._pairs[pair]
    place = places.reserves if what == "reserves" else places.balance0
    state._write(place, state._slots[place] * 9 // 10)

    said = bench.ask(evaluation, plan)

    assert (said.by, said.ok, bench.mine) == ("node", True, ["eth_call"])
    assert said.profit == evaluation.waterfall.expected_profit
    assert (bench.counts["disagreed"], bench.counts["learned"]) == (1, 2)
    assert bench.ask(evaluation, plan).by == "evm"


def test_a_path_that_is_wrong_again_and_again_is_left_to_the_node(bench, opportunity):
    evaluation, plan = opportunity
    bench.learn(evaluation, plan)
    bad = changed(plan, min_profit=plan.min_profit * 1_000)
    for _ in range(STRIKES):
        bench.ask(evaluation, bad)
    before = bench.counts["evm"]
    assert bench.ask(evaluation, bad).by == "node"
    assert bench.counts["evm"] == before


@pytest.mark.parametrize("tax_bps", [1, 200])
def test_a_token_with_a_tax_gives_in_process_what_the_node_gives(traded, bench, tax_bps):
    book, evaluation = traded.best(kind=LenderKind.FIRST_POOL, hops=2)
    plan = traded.plan(book, evaluation)
    taxed = book.tokens[evaluation.hops[0].token_out]
    traded.rpc.call("anvil_setCode", [taxed, TAXING])
    bench.learn(evaluation, plan)
    value = f"0x{tax_bps:064x}"
    traded.rpc.call("anvil_setStorageAt", [taxed, f"0x{TAX_SLOT:064x}", value])
    bench.wait(REFRESH_S)
    traded.local.chain.mine()
    head = bench.see()

    in_process, node = bench.both(evaluation, plan)
    said = [bench.ask(evaluation, plan, block_hash=head["hash"]) for _ in range(2)]

    assert in_process is not None
    assert found(in_process) == found(node)
    assert node.profit != evaluation.waterfall.expected_profit
    assert [(each.by, found(each)) for each in said] == [("node", found(node))] * 2


def test_new_code_behind_a_proxy_is_met_as_unknown_and_learned(traded, bench, opportunity):
    evaluation, plan = opportunity
    bench.learn(evaluation, plan)
    proxy, slot = traded.local.market.aave_pool, f"0x{IMPLEMENTATION_SLOT:064x}"
    old = "0x" + traded.rpc.call("eth_getStorageAt", [proxy, slot, "latest"])[-40:]
    code = traded.rpc.call("eth_getCode", [old, "latest"])
    traded.rpc.call("anvil_setCode", [STRANGER, code])
    word = "0x" + "00" * 12 + STRANGER[2:]
    traded.rpc.call("anvil_setStorageAt", [proxy, slot, word])
    bench.wait(REFRESH_S)
    traded.local.chain.mine()
    head = bench.see()

    first = bench.ask(evaluation, plan, block_hash=head["hash"])
    assert first.by == "node"
    assert (bench.counts["unknown"], bench.counts["learned"]) == (1, 2)
    second = bench.ask(evaluation, plan, block_hash=head["hash"])
    assert second.by == "evm"
    assert first.profit == second.profit


def test_what_aaves_events_change_is_read_from_the_block_that_brought_it(
    traded, bench, opportunity
):
    evaluation, plan = opportunity
    bench.learn(evaluation, plan)
    traded.local.chain.mine(timestamp=int(traded.head()["timestamp"], 16) + 86_400)
    bench.see()
    assert bench.both(evaluation, plan)[1].revert.name == "Expired"
    late = changed(plan, deadline_s=plan.deadline_s + 90_000, last_block=plan.last_block + 90)
    in_process, node = bench.both(evaluation, late)
    assert found(in_process) == found(node)
    assert in_process.ok, "a day of interest is no matter"

    raw = traded.send(traded.receiver, encode_execute(late), sender=EXECUTOR, gas=GAS)
    assert raw["status"] == "0x1"
    asked = len(bench.wire.asked)
    bench.see()
    read = [method for _, method in bench.wire.asked[asked:]]
    assert "eth_getStorageAt" in read, "the loan's event told of it"
    stamps = {int(traded.head()["timestamp"], 16)}
    assert bench.simulator._state.stamp_s in stamps


def test_a_block_in_which_nothing_of_ours_happened_costs_one_question(traded, bench, opportunity):
    bench.learn(*opportunity)
    traded.push(20, share=0.001)
    bench.wire.asked.clear()
    bench.see()
    assert [method for _, method in bench.wire.asked] == ["eth_getLogs"]


def test_after_a_reorg_everything_is_read_anew_and_the_old_block_is_gone(
    traded, bench, opportunity
):
    evaluation, plan = opportunity
    bench.learn(evaluation, plan)
    traded.must(traded.receiver, encode_call("pause()"))
    orphan = bench.see()
    assert bench.both(evaluation, plan)[0].revert.name == "EnforcedPause"
    traded.rpc.call("anvil_reorg", [1, []])
    traded.local.chain.forget_nonces()
    bench.see()

    in_process, node = bench.both(evaluation, plan)

    assert node.ok
    assert found(in_process) == found(node)
    with pytest.raises(StateGone):
        bench.ask(evaluation, plan, block_hash=orphan["hash"])
    assert "eth_call" in bench.wire.mine() or bench.wire.asked == []


def test_a_head_that_is_not_followed_yet_is_the_nodes(traded, bench, opportunity):
    evaluation, plan = opportunity
    plan = changed(plan, last_block=plan.last_block + 20)
    bench.learn(evaluation, plan)
    for _ in range(4):
        traded.local.chain.mine()
    head = traded.head()
    bench.wire.answers["eth_getLogs"] = lambda *_: RpcError(-32000, "overloaded")
    bench.wire.answers["eth_getStorageAt"] = lambda *_: RpcError(-32000, "overloaded")
    bench.see()
    assert bench.ask(evaluation, plan, block_hash=head["hash"]).by == "node"
    bench.wire.answers.clear()
    traded.local.chain.mine()
    head = bench.see()
    assert bench.ask(evaluation, plan, block_hash=head["hash"]).by == "evm"


def test_a_node_that_does_not_trace_simulates_everything_and_is_tried_again(bench, opportunity):
    evaluation, plan = opportunity
    bench.wire.answers["debug_traceCall"] = lambda *_: RpcError(-32601, "no such method")
    for _ in range(3):
        assert bench.ask(evaluation, plan).by == "node"
    assert bench.counts["learned"] == 0
    bench.wire.answers.clear()
    bench.ask(evaluation, plan)
    assert bench.counts["learned"] == 0, "it was asked a moment ago"
    bench.wait(RETRY_TRACE_S)
    bench.ask(evaluation, plan)
    assert bench.ask(evaluation, plan).by == "evm"


def test_what_was_asked_for_at_a_block_long_past_is_not_traced(traded, bench, opportunity):
    for _ in range(4):
        traded.local.chain.mine()
        bench.see()
    assert bench.ask(*opportunity).by == "node"
    assert bench.counts["learned"] == 0


def test_a_path_is_learned_by_rehearsal_without_being_simulated(traded, bench, opportunity):
    evaluation, plan = opportunity
    bench.simulator.rehearse(
        sender=EXECUTOR,
        to=traded.receiver,
        data=encode_execute(plan),
        block_hash=evaluation.block.hash,
        expected=expected_of(evaluation, plan),
    )
    bench.simulator.catch_up()
    assert (bench.counts["learned"], bench.counts["node"]) == (1, 0)
    assert bench.ask(evaluation, plan).by == "evm"


def test_a_block_that_is_gone_before_it_was_traced_delays_no_other(bench, opportunity):
    evaluation, plan = opportunity
    bench.wire.answers["debug_traceCall"] = lambda *_: RpcError(-32001, "Resource not found")
    bench.ask(evaluation, plan)
    bench.wire.answers["debug_traceCall"] = lambda _, real: real
    bench.wire.answers["eth_getBlockByHash"] = lambda *_: 0
    bench.ask(evaluation, plan)
    assert bench.counts["learned"] == 0
    bench.wire.answers.clear()
    bench.ask(evaluation, plan)
    assert bench.ask(evaluation, plan).by == "evm"


@pytest.mark.parametrize("answer", [None, {}, [], "0x", {"0x12": {}}, {"0x" + "11" * 20: 7}])
def test_a_trace_that_is_none_teaches_nothing(bench, opportunity, answer):
    evaluation, plan = opportunity
    bench.wire.answers["debug_traceCall"] = lambda *_: answer if answer is not None else [None]
    for _ in range(2):
        assert bench.ask(evaluation, plan).by == "node"
    assert bench.counts["learned"] == 0


def test_under_other_rules_than_cancuns_it_may_refuse_and_never_allows(bench, opportunity):
    evaluation, plan = opportunity
    bench.wire.answers["eth_call"] = lambda params, real: (
        f"0x{128:064x}" if params[1] == "latest" else real
    )
    bench.learn(evaluation, plan)
    said = bench.ask(evaluation, plan)
    assert (said.by, said.ok, bench.mine) == ("node", True, ["eth_call"])
    assert bench.counts["evm"] == 1
    refused = bench.ask(evaluation, changed(plan, min_profit=plan.min_profit * 1_000))
    assert (refused.by, refused.ok, bench.mine) == ("evm", False, [])


def test_without_a_measured_limit_or_an_expectation_the_node_decides(bench, opportunity):
    evaluation, plan = opportunity
    bench.learn(evaluation, plan)
    unmeasured = bench.ask(evaluation, plan, gas=None)
    assert (unmeasured.by, unmeasured.gas_limit) == (
        "node",
        -(-unmeasured.gas_estimate * 5 // 4),
    )
    to_itself = bench.simulator.simulate(
        sender=EXECUTOR,
        to=EXECUTOR,
        data=b"",
        value_wei=Wei(0),
        gas_price_wei=PRICE_WEI,
        block_hash=evaluation.block.hash,
    )
    assert (to_itself.by, to_itself.ok) == ("node", True)


def test_reserves_that_are_not_the_chains_teach_no_place(traded, bench, opportunity):
    evaluation, plan = opportunity
    right = expected_of(evaluation, plan)
    wrong = Expected(
        profit=right.profit,
        reserves={pair: (TokenAmount(r0 + 1), r1) for pair, (r0, r1) in right.reserves.items()},
    )
    for _ in range(2):
        said = bench.simulator.simulate(
            sender=EXECUTOR,
            to=traded.receiver,
            data=encode_execute(plan),
            value_wei=Wei(0),
            gas_price_wei=PRICE_WEI,
            block_hash=evaluation.block.hash,
            gas=GAS,
            expected=wrong,
        )
        assert said.by == "node"
        bench.simulator.catch_up()
    assert bench.counts["evm"] == 0
