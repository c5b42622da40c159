"""The desk on a real record, with fakes where a node and a signer would stand."""

import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from arbsite.base.units import BlockNumber, Bps, Gas, TokenAmount, Wei
from contracts.kernel.events import NewHead
from contracts.kernel.fees import FeeModel, GasFees
from contracts.rpc import RpcUnavailable
from execution import fast_mode, services
from execution.desk import SLOW_NS, Desk
from execution.kernel.gate import candidate_from
from execution.kernel.latency import Timeline
from execution.kernel.plan import LenderCode, plan_from, validity_for
from execution.models import Execution, FastMode
from execution.reverts import explain_refusal
from execution.simulator import Simulated, StateGone
from execution.trial import expected_of
from execution.wanted import Wanted
from prices import services as price_services
from prices.kernel.costs import Policy
from prices.kernel.opportunity import evaluate
from prices.kernel.scan import best_first
from prices.kernel.waterfall import Verdict
from prices.models import GasUse
from tests.execution.floor import await_
from tests.execution.kernel.builders import TOKEN
from tests.execution.rows import (
    armed,
    make_chain,
    make_desk_rows,
    make_execution,
    make_gas_use,
    make_sent,
)
from tests.prices.kernel.builders import make_market
from tests.prices.kernel.every_cycle import find_cycles
from wallets import adapters, kill, releases
from wallets.beginning import Beginning
from wallets.kernel.lifecycle import Status
from wallets.models import Assignment, ChainLeader, NonceSequence, Transaction, Wallet
from wallets.record import RecordUnavailable
from wallets.sender import SendOutcome
from wallets.signer_client import SignRefused

pytestmark = pytest.mark.django_db(transaction=True)
PRICE_WEI = Wei(50_000_000)
ESTIMATE = Gas(200_000)


def market():
    made = make_market(3)
    policy = Policy(min_profit_threshold_bps=Bps(1), implausible_bps=Bps(9_000))
    cycles = find_cycles(made.book.pools, lendable=made.lendable)
    found = [
        evaluate(
            made.book,
            cycles=cycles,
            cycle=cycle,
            lenders=made.lenders(),
            costs=made.costs(gas_price_wei=PRICE_WEI),
            policy=policy,
        )
        for cycle in range(len(cycles))
    ]
    paying = best_first(e for e in found if e and e.verdict is Verdict.EXECUTABLE)
    assert len(paying) > 1
    return made.book, policy, paying


BOOK, POLICY, PAYING = market()
BEST = PAYING[0]


def wanted_of(evaluation=BEST, *, manual=False, **changes):
    plan = plan_from(
        evaluation,
        book=BOOK,
        policy=POLICY,
        max_slippage_bps=Bps(50),
        validity=validity_for(block_time_ms=1_000, blocks=3),
        block_timestamp_s=1_800_000_000,
    )
    facts = {
        "evaluation": evaluation,
        "plan": plan,
        "candidate": candidate_from(evaluation, book=BOOK, chain_key="local", manual=manual),
        "opportunity_pk": 7,
        "path": [{"pool": BOOK.pools[hop.pool].address} for hop in evaluation.hops],
        "timeline": Timeline(event_ns=time.perf_counter_ns()),
        "token_pk": TOKENS["pk"],
        "base_fee_wei": Wei(0),
        "threshold": POLICY.threshold(evaluation.borrow_amount),
        "config_pk": FastMode.objects.values_list("config_id", flat=True).first(),
    }
    return Wanted(**{**facts, **changes})


def another(bench):
    """A second opportunity at the same block, through other pools."""
    second = PAYING[1]
    bench.simulator.expected = second.waterfall.expected_profit
    return wanted_of(second)


TOKENS = {"pk": 0}


@dataclass
class FakeSimulator:
    """Earns what was expected, unless told otherwise."""

    expected: int
    answers: list = field(default_factory=list)
    asked: list = field(default_factory=list)
    heads: list = field(default_factory=list)
    by: str = "node"
    refusal: str = "it failed"

    ahead: bool = False

    def note_block(self, *, number, block_hash, timestamp_s, parent_hash):
        self.heads.append(block_hash)

    def make_way(self):
        self.ahead = True

    def go_on(self):
        self.ahead = False

    def simulate(self, **asked):
        self.asked.append(asked)
        answer = self.answers.pop(0) if self.answers else self.expected
        if isinstance(answer, Exception):
            raise answer
        ok = answer is not None
        return Simulated(
            ok=ok,
            profit=TokenAmount(answer) if ok else None,
            gas_estimate=Gas(0) if asked["gas"] else ESTIMATE,
            gas_limit=(asked["gas"] or Gas(ESTIMATE * 5 // 4)) if ok else Gas(0),
            revert=None if ok else explain_refusal(self.refusal),
            block_number=BlockNumber(100),
            block_hash=asked["block_hash"],
            by=self.by,
        )


@dataclass
class FakeSender:
    """Takes everything, unless told otherwise; what it was asked stands in ``sent``."""

    error: Exception | None = None
    fees: GasFees | None = None
    sent: list = field(default_factory=list)
    asked_fees: int = 0
    tip_recipients: frozenset = frozenset()
    woken: int = 0

    def wake(self):
        self.woken += 1

    def fees_now(self):
        self.asked_fees += 1
        return self.fees

    @contextmanager
    def begin(self, nonce_of, *, payer="", asks=(), fees):
        """Real rows on a session of its own, as a sender has it; what follows is the fake."""

        def finish(job):
            if self.error:
                releases.release(session, job.attempt_id, reason=str(self.error), rejects=True)
                raise self.error
            epoch = Transaction.objects.get(pk=job.transaction_id).leader_epoch
            self.sent.append((job.transaction_id, fees, epoch))
            Transaction.objects.filter(pk=job.transaction_id).update(status="submitted")
            return SendOutcome(
                transaction_id=job.transaction_id,
                attempt_id=job.attempt_id,
                nonce=job.nonce,
                hash="0x" + "12" * 32,
                status=Status.SUBMITTED,
                detail="",
                stages_us={"sign": 10, "persist": 20, "submit": 30},
            )

        if nonce_of is not None:
            NonceSequence.objects.get_or_create(chain_id="local", address=nonce_of)
        with adapters.connect(name="test-desk") as session:
            beginning = Beginning(
                session,
                chain_key="local",
                nonce_of=nonce_of,
                payer=payer,
                fees=fees,
                public=False,
                hidden=True,
                reuse=lambda earlier, seen: fees,
                finish=finish,
            )
            try:
                beginning.ask(asks)
                yield beginning
            finally:
                beginning.drop()


def head_of(block_hash=BEST.block.hash):
    return NewHead(
        number=BlockNumber(100),
        hash=block_hash,
        parent_hash="0x" + "00" * 32,
        timestamp_s=1_800_000_000,
        base_fee_wei=None,
        gas_used=0,
        gas_limit=30_000_000,
    )


@dataclass
class Bench:
    chain: object
    desk: Desk
    simulator: FakeSimulator
    sender: FakeSender
    head: list

    def act(self, wanted=None, **how):
        self.desk.refresh()
        return self.desk.act(wanted or wanted_of(), **how)


def make_bench(*, may_sign=True, **chain) -> Bench:
    row = make_chain(**chain)
    TOKENS["pk"] = row.tokens.get(address__iexact=TOKEN).pk
    make_desk_rows(row)
    armed(row)
    ChainLeader.objects.create(chain=row, epoch=5, holder="this test")
    simulator, sender = FakeSimulator(BEST.waterfall.expected_profit), FakeSender()
    head = [head_of()]
    desk = Desk(
        chain=row,
        may_sign=may_sign,
        simulator=simulator,
        sender=sender,
        epoch=5,
        head=lambda: head[0],
    )
    return Bench(row, desk, simulator, sender, head)


@pytest.fixture
def bench(channel_layer):
    return make_bench()


def test_what_pays_is_simulated_recorded_and_handed_over(bench):
    acted = bench.act()

    row = Execution.objects.select_related("transaction").get(pk=acted.execution_pk)
    [(sent, fees, epoch)] = bench.sender.sent
    assert (acted.reason, acted.verdict) == ("", "executable")
    assert (row.transaction_id, epoch) == (sent, 5)
    assert fees.max_fee_wei == bench.simulator.asked[0]["gas_price_wei"] == PRICE_WEI
    assert (row.automatic, row.tip_wei, row.opportunity_id) == (True, 0, 7)
    assert row.transaction.gas_limit == ESTIMATE * 5 // 4
    assert row.transaction.simulated_block_hash == BEST.block.hash
    assert {"simulate", "sign", "persist", "submit", "total"} <= set(row.latency_us)


def test_the_signer_is_woken_once_the_gate_lets_pass(bench):
    fast_mode.fast_mode_set(chain=bench.chain, state="off", reason="a test")
    assert bench.act().reason == "not_armed"
    assert bench.sender.woken == 0
    armed(bench.chain)
    assert bench.act().execution_pk
    assert bench.sender.woken


def test_a_measured_kind_is_simulated_and_sent_with_five_quarters_of_the_largest(bench):
    kind, hops = BEST.lender.kind.value, len(BEST.hops)
    make_gas_use(bench.chain, lender=kind, hops=hops, largest=210_001)
    acted = bench.act()
    assert bench.simulator.asked[0]["gas"] == 262_502
    row = Execution.objects.select_related("transaction").get(pk=acted.execution_pk)
    assert row.transaction.gas_limit == 262_502


def test_the_simulator_is_told_what_was_computed_and_at_which_reserves(bench):
    bench.act()
    [asked] = bench.simulator.asked
    expected, plan = asked["expected"], wanted_of().plan
    assert expected.profit == BEST.waterfall.expected_profit
    for hop, at in zip(BEST.hops, plan.hops, strict=True):
        in_order = (BOOK.reserve0[hop.pool], BOOK.reserve1[hop.pool])
        assert expected.reserves[at.pair] == in_order


def test_where_a_pair_outside_the_path_lends_nothing_is_expected_in_process():
    plan = replace(wanted_of().plan, lender_kind=LenderCode.PAIR)
    assert expected_of(BEST, plan) is None


@pytest.mark.parametrize("by", ["evm", "node"])
def test_an_execution_keeps_the_profit_that_its_simulation_gave_and_who_simulated(bench, by):
    bench.simulator.by = by
    row = Execution.objects.get(pk=bench.act().execution_pk)
    assert (row.simulated_profit, row.simulated_by) == (BEST.waterfall.expected_profit, by)


def test_before_a_receipt_the_estimate_is_what_a_kind_costs_and_then_the_receipt(bench):
    kind, hops = BEST.lender.kind, len(BEST.hops)
    before = bench.desk.refresh().gas_expected[kind, hops]
    bench.act()
    assert bench.desk.refresh().gas_expected[kind, hops] == ESTIMATE != before
    assert bench.desk.refresh().gas_limits == {}
    price_services.gas_measured(
        chain=bench.chain,
        lender_kind=kind.value,
        hops=hops,
        gas_used=Gas(150_000),
        source="receipt",
    )
    standing = bench.desk.refresh()
    assert standing.gas_expected[kind, hops] == 150_000
    assert standing.gas_limits == {(kind.value, hops): 187_500}


def test_a_measured_limit_that_holds_leaves_no_estimate(bench):
    make_gas_use(bench.chain, lender=BEST.lender.kind.value, hops=len(BEST.hops), largest=210_001)
    bench.act()
    [row] = GasUse.objects.all()
    assert (row.source, row.samples) == ("receipt", 1)


def test_an_estimate_bounds_nothing(bench):
    kind, hops = BEST.lender.kind.value, len(BEST.hops)
    make_gas_use(bench.chain, lender=kind, hops=hops, largest=1, source="estimate")
    bench.act()
    assert bench.simulator.asked[0]["gas"] is None


def test_a_bound_that_is_too_tight_gives_way_to_an_estimate(bench):
    make_gas_use(bench.chain, lender=BEST.lender.kind.value, hops=len(BEST.hops), largest=1_000)
    bench.simulator.answers = [None]
    assert bench.act().execution_pk is not None
    assert [asked["gas"] for asked in bench.simulator.asked] == [1_250, None]


def test_a_block_that_is_gone_supersedes(bench):
    bench.simulator.answers = [StateGone(BEST.block.hash, why="pruned")]
    acted = bench.act()
    assert (acted.reason, acted.verdict, bench.sender.sent) == ("superseded", "executable", [])


def test_a_newer_block_supersedes(bench):
    bench.head[0] = head_of("0x" + "fe" * 32)
    assert bench.act().reason == "superseded"
    assert bench.sender.sent == []


def test_a_failed_simulation_rejects_and_says_why(bench):
    bench.simulator.answers = [None]
    acted = bench.act()
    assert (acted.reason, acted.verdict) == ("simulation_failed", "rejected")
    assert acted.detail
    assert not Execution.objects.exists()


def test_no_answer_is_no_simulation(bench):
    bench.simulator.answers = [RpcUnavailable("gone", endpoint="x", sent=True)]
    assert bench.act().reason == "simulation_failed"
    assert bench.sender.sent == []


def test_another_profit_than_computed_said_twice_distrusts_the_pools(bench):
    wrong = BEST.waterfall.expected_profit - 1
    bench.simulator.answers = [wrong, wrong]
    acted = bench.act()
    assert (acted.reason, acted.verdict) == ("stale_pool", "rejected")
    assert str(wrong) in acted.distrust
    assert bench.sender.sent == []
    assert not Execution.objects.exists()


def test_another_profit_said_once_is_asked_again(bench):
    bench.simulator.answers = [BEST.waterfall.expected_profit + 1]
    acted = bench.act()
    assert (acted.reason, acted.distrust) == ("", "")
    assert len(bench.simulator.asked) == 2


def test_two_wrong_profits_that_differ_prove_nothing(bench):
    expected = BEST.waterfall.expected_profit
    bench.simulator.answers = [expected + 1, expected + 2]
    acted = bench.act()
    assert (acted.reason, acted.distrust) == ("superseded", "")


def test_one_opportunity_is_acted_on_once(bench):
    assert bench.act().execution_pk is not None
    Transaction.objects.update(status="confirmed")
    assert bench.act().reason == "in_flight"
    assert len(bench.sender.sent) == 1


@pytest.mark.parametrize("status", ["signed", "submitted", "unknown"])
def test_a_busy_executor_is_waited_for(bench, status):
    make_sent(bench.chain, status=status)
    assert bench.act().reason == "in_flight"


def test_what_ended_in_simulation_keeps_nobody_busy(bench):
    sent = make_sent(bench.chain, status="simulated", simulated_only=True)
    make_execution(bench.chain, sent=sent, path=wanted_of().path)
    assert bench.act().execution_pk is not None


@pytest.mark.parametrize(("state", "reason"), [("off", "not_armed"), ("paused", "paused")])
def test_a_person_may_what_automation_may_not(bench, state, reason):
    fast_mode.fast_mode_set(chain=bench.chain, state=state, reason="a test")
    assert bench.act().reason == reason
    assert bench.act(wanted_of(manual=True)).execution_pk is not None


def test_a_mode_that_changed_since_the_rows_were_read_is_seen(bench):
    bench.desk.refresh()
    fast_mode.fast_mode_set(chain=bench.chain, state="paused", reason="a test")
    assert bench.desk.act(wanted_of()).reason == "paused"


@pytest.mark.parametrize(
    ("words", "stops"),
    [("insufficient funds for gas * price + value", True), ("execution reverted", False)],
)
def test_an_executor_that_cannot_pay_is_asked_for_no_other_trade_of_the_block(bench, words, stops):
    bench.simulator.answers, bench.simulator.refusal = [None], words
    acted = bench.act()
    assert (acted.reason, acted.stops_all) == ("simulation_failed", stops)


def test_without_an_executor_nothing_else_of_the_block_is_tried(bench):
    Assignment.objects.update(desired=False)
    acted = bench.act()
    assert (acted.reason, acted.stops_all) == ("not_armed", True)


def test_killed_stops_people_too(bench):
    kill.kill_engage(reason="a test")
    assert bench.act(wanted_of(manual=True)).reason == "killed"


def test_what_a_disarming_came_between_is_not_begun_with_the_rows_as_they_were(bench):
    standing = bench.desk.refresh()
    kill.planned_invalidate()
    acted = bench.desk.act(wanted_of())
    assert (acted.reason, bench.sender.sent) == ("killed", [])
    assert not Transaction.objects.exists()
    row = Execution.objects.select_related("transaction").get(pk=bench.act().execution_pk)
    assert row.transaction.kill_epoch == standing.kill_epoch + 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [(SignRefused("killed", "now"), "killed"), (SignRefused("policy", "too many"), "limit")],
)
def test_a_refused_signature_ends_the_transaction_and_names_the_reason(bench, error, reason):
    bench.sender.error = error
    request = Execution.objects.create(chain=bench.chain, kind="arbitrage", key="request:7:0")
    acted = bench.act(wanted_of(manual=True, request_pk=request.pk))
    row = Execution.objects.select_related("transaction").get(pk=request.pk)
    assert acted.reason == row.refused == reason
    assert row.transaction.status == "rejected"
    assert acted.verdict == "executable"


def freeze():
    address = Wallet.objects.get().address
    NonceSequence.objects.create(chain_id="local", address=address, frozen="a stranger")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (lambda: ChainLeader.objects.update(epoch=6), "superseded"),
        (freeze, "not_armed"),
        (lambda: kill.kill_engage(reason="a test"), "killed"),
    ],
    ids=["another leads", "frozen", "killed"],
)
def test_what_changes_after_the_gate_was_asked_leaves_nothing_behind(bench, changes, reason):
    """The record is asked once more with the rows themselves, under the account's lock."""
    request = Execution.objects.create(chain=bench.chain, kind="arbitrage", key="request:7:0")
    bench.desk.refresh()
    bench.desk.look(None)
    changes()
    acted = bench.desk.act(wanted_of(manual=True, request_pk=request.pk))
    row = Execution.objects.get(pk=request.pk)
    assert acted.reason == row.refused == reason
    assert (row.transaction_id, bench.sender.sent) == (None, [])
    assert not Transaction.objects.exists()


def test_a_chain_that_may_not_sign_ends_in_simulation(channel_layer):
    bench = make_bench(may_sign=False)
    acted = bench.act()
    row = Execution.objects.select_related("transaction").get(pk=acted.execution_pk)
    assert (row.transaction.status, row.transaction.simulated_only) == ("simulated", True)
    assert bench.sender.sent == []


@pytest.fixture
def dynamic(channel_layer):
    return make_bench(fee_model="eip1559")


def eip1559(*, tip, max_fee):
    return GasFees(model=FeeModel.EIP1559, max_fee_wei=Wei(max_fee), max_priority_fee_wei=Wei(tip))


def test_a_dearer_gas_price_raises_the_minimum_that_the_contract_holds(dynamic):
    dynamic.sender.fees = eip1559(tip=PRICE_WEI * 2, max_fee=PRICE_WEI * 2)
    dynamic.act()
    plain = wanted_of()
    dearer = plain.repriced(Wei(PRICE_WEI * 2))
    assert dearer.candidate.net_profit < plain.candidate.net_profit
    assert dearer.plan.min_profit >= plain.plan.min_profit
    costs = BEST.waterfall.expected_profit - dearer.candidate.net_profit
    assert dearer.plan.min_profit >= costs + plain.threshold
    [asked] = dynamic.simulator.asked
    assert asked["gas_price_wei"] == dynamic.sender.sent[0][1].max_fee_wei


def test_a_gas_price_that_eats_the_profit_is_named(dynamic):
    fast_mode_ceiling(dynamic, None)
    dynamic.sender.fees = eip1559(tip=10**15, max_fee=10**15)
    assert dynamic.act().reason in ("gas", "min_profit")
    assert dynamic.simulator.asked == []


def test_a_gas_price_above_the_ceiling_is_refused_for_people_too(dynamic):
    fast_mode_ceiling(dynamic, PRICE_WEI + 1)
    dynamic.sender.fees = eip1559(tip=PRICE_WEI + 2, max_fee=PRICE_WEI + 2)
    assert dynamic.act(wanted_of(manual=True)).reason == "max_gas"
    assert dynamic.simulator.asked == []


def test_the_largest_fee_never_passes_the_ceiling(dynamic):
    fast_mode_ceiling(dynamic, PRICE_WEI + 5)
    dynamic.sender.fees = eip1559(tip=PRICE_WEI, max_fee=PRICE_WEI * 3)
    dynamic.act()
    assert dynamic.sender.sent[0][1].max_fee_wei == PRICE_WEI + 5


def test_fees_that_were_looked_up_once_a_block_are_not_asked_for_on_the_way(dynamic):
    dynamic.sender.fees = eip1559(tip=PRICE_WEI, max_fee=PRICE_WEI * 9)
    dynamic.head[0] = head_of()._replace(base_fee_wei=Wei(7))
    dynamic.desk.look(None)
    assert dynamic.act().execution_pk is not None
    assert dynamic.sender.asked_fees == 1
    [(_, fees, _)] = dynamic.sender.sent
    # The tip as the chain asked for it, over the base fee of the head that is traded on.
    assert (fees.max_priority_fee_wei, fees.max_fee_wei) == (PRICE_WEI, PRICE_WEI + 2 * 7)


def fast_mode_ceiling(bench, wei):
    mode = fast_mode.fast_mode_ensure(chain=bench.chain)
    mode.config.max_gas_price_wei = 10**30 if wei is None else wei
    mode.config.save()


def test_a_request_that_must_wait_stays_open_for_whoever_asks_again(bench):
    make_sent(bench.chain, status="submitted")
    request = Execution.objects.create(chain=bench.chain, kind="arbitrage", key="request:7:0")
    wanted = wanted_of(manual=True, request_pk=request.pk)
    assert bench.act(wanted, waits=True).reason == "in_flight"
    assert [row.pk for row in services.requests_open(chain_key="local")] == [request.pk]
    assert bench.act(wanted).reason == "in_flight"
    assert services.requests_open(chain_key="local") == []


def test_before_a_simulation_one_query_tells_what_stands_in_the_way(
    bench, django_assert_num_queries
):
    make_sent(bench.chain, status="submitted")
    bench.desk.refresh()
    wanted = wanted_of()
    with django_assert_num_queries(1):
        assert bench.desk.act(wanted).reason == "in_flight"


@dataclass
class SimulatorThatLooks(FakeSimulator):
    """Answers when the desk has written its rows and waits; ``committed``: what others see then."""

    committed: list = field(default_factory=list)

    def simulate(self, **asked):
        with adapters.connect(name="a look") as other:
            await_(lambda: other.execute(WAITS).fetchone()[0])
            row = other.execute("SELECT count(*) FROM execution_execution").fetchone()
            self.committed.append(row[0])
        return super().simulate(**asked)


WAITS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'test-desk' AND backend_xid IS NOT NULL"
    " AND wait_event = 'ClientRead'"
)


@dataclass
class SlowSimulator(FakeSimulator):
    """Something happens while it simulates, and it takes longer than in this process."""

    meanwhile: object = None

    def simulate(self, **asked):
        self.meanwhile()
        until = time.perf_counter_ns() + SLOW_NS
        while time.perf_counter_ns() <= until:
            pass
        return super().simulate(**asked)


@pytest.mark.parametrize(
    ("stop", "reason"),
    [(fast_mode.fast_mode_disarm, "not_armed"), (fast_mode.fast_mode_pause, "paused")],
)
def test_what_stops_it_while_it_is_simulated_is_seen_before_it_is_sent(bench, stop, reason):
    simulator = SlowSimulator(BEST.waterfall.expected_profit)
    simulator.meanwhile = lambda: stop(chain=bench.chain, reason="a test")
    make_gas_use(bench.chain, largest=200_000, lender=BEST.lender.kind.value, hops=len(BEST.hops))
    bench.desk.trial.simulator = simulator
    assert bench.act().reason == reason
    assert bench.sender.sent == []
    assert not Transaction.objects.exists()


@pytest.mark.parametrize("succeeds", [True, False])
def test_rows_are_written_while_the_simulation_runs_and_kept_if_it_succeeds(bench, succeeds):
    simulator = SimulatorThatLooks(BEST.waterfall.expected_profit)
    simulator.answers = [] if succeeds else [None]
    bench.desk.trial.simulator = simulator
    acted = bench.act()
    assert simulator.committed == [0]
    assert (acted.execution_pk is not None) == succeeds
    assert Execution.objects.count() == Transaction.objects.count() == int(succeeds)
    assert len(bench.sender.sent) == int(succeeds)


def test_a_request_is_carried_out_once_though_somebody_acts_on_it_again(bench):
    request = Execution.objects.create(chain=bench.chain, kind="arbitrage", key="request:7:0")
    first = bench.act(wanted_of(manual=True, request_pk=request.pk))
    Transaction.objects.update(status="confirmed")  # the executor is free again
    other = beside(shares=False)
    bench.simulator.expected = other.waterfall.expected_profit

    again = bench.act(wanted_of(other, manual=True, request_pk=request.pk))

    assert first.execution_pk == request.pk
    assert (again.reason, again.execution_pk) == ("in_flight", None)
    assert "already" in again.detail
    assert Transaction.objects.count() == len(bench.sender.sent) == 1
    assert Execution.objects.get().refused == ""


def test_it_tells_the_simulator_of_heads(bench):
    bench.desk.saw(head_of())
    assert bench.simulator.heads == [BEST.block.hash]


def test_what_the_simulator_does_beside_waits_for_whoever_acts_on_a_head(bench):
    seen = []
    bench.desk.head = lambda: seen.append(bench.simulator.ahead) or head_of()

    bench.desk.saw(head_of())
    assert bench.simulator.ahead
    bench.desk.rest()
    assert not bench.simulator.ahead

    bench.simulator.answers = [RecordUnavailable("away")]
    with pytest.raises(RecordUnavailable):
        bench.act()
    assert not bench.simulator.ahead

    assert bench.act().execution_pk
    assert seen
    assert all(seen)
    assert not bench.simulator.ahead


def test_the_next_best_is_tried_when_the_best_is_taken(bench):
    second = PAYING[1]
    bench.simulator.expected = second.waterfall.expected_profit
    sent = make_sent(bench.chain, status="submitted", n=2)
    Transaction.objects.filter(pk=sent.pk).update(wallet=other_wallet(bench.chain))
    taken = {hop.pool for hop in BEST.hops} - {hop.pool for hop in second.hops}
    make_execution(
        bench.chain, sent=sent, path=[{"pool": BOOK.pools[pool].address} for pool in taken]
    )
    assert bench.act().reason == "in_flight"
    assert bench.act(wanted_of(second)).execution_pk is not None


def beside(evaluation=BEST, *, shares):
    """The best other opportunity of the block that does, or does not, cross a pool of this one."""
    used = {hop.pool for hop in evaluation.hops}
    return next(
        each
        for each in PAYING
        if each is not evaluation and shares is not used.isdisjoint({h.pool for h in each.hops})
    )


def acts_on(bench, evaluation):
    bench.simulator.expected = evaluation.waterfall.expected_profit
    return bench.act(wanted_of(evaluation))


def test_no_pool_is_used_twice_at_one_head_though_the_first_is_settled(bench):
    """Its receipt may be there before the block that carries it: the book knows nothing of it."""
    assert bench.act().execution_pk is not None
    Transaction.objects.update(status="confirmed")

    crossing = acts_on(bench, beside(shares=True))
    apart = acts_on(bench, beside(shares=False))

    assert (crossing.reason, crossing.stops_all, crossing.passes) == ("superseded", False, True)
    assert apart.execution_pk is not None
    assert len(bench.sender.sent) == 2


def test_a_new_head_frees_the_pools(bench):
    assert bench.act().execution_pk is not None
    Transaction.objects.update(status="confirmed")
    crossing = beside(shares=True)
    bench.head[0] = head_of("0x" + "ab" * 32)
    later = crossing._replace(block=crossing.block._replace(hash=bench.head[0].hash))

    assert acts_on(bench, later).execution_pk is not None


def test_a_chain_that_only_simulates_uses_no_pool_twice_at_one_head_either(channel_layer):
    bench = make_bench(may_sign=False)
    assert bench.act().execution_pk is not None
    assert acts_on(bench, beside(shares=True)).reason == "superseded"
    assert acts_on(bench, beside(shares=False)).execution_pk is not None


def test_a_pool_that_was_refused_by_simulation_is_not_used_up(bench):
    bench.simulator.answers = [None]
    assert bench.act().reason == "simulation_failed"
    assert acts_on(bench, beside(shares=True)).execution_pk is not None


def other_wallet(chain):
    return Wallet.objects.create(
        chain=chain, role="executor", address="0x" + "77" * 20, source="imported"
    )


def test_a_reprice_at_or_below_what_was_costed_changes_nothing():
    plain = wanted_of()
    assert plain.repriced(PRICE_WEI) is plain
    assert replace(plain, request_pk=None) == plain
