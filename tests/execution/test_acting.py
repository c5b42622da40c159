"""What is hunted at a head, before its scan as after it; and that a person goes before it."""

import asyncio

import pytest

from execution.acting import Acting, huntable
from execution.models import Execution, FastModeConfig
from execution.threads import Threads
from execution.wanted import Acted
from prices.chain_state import read_market
from prices.kernel.waterfall import Verdict
from prices.models import Monitor
from tests.prices.conftest import chain, channel_layer, facts, market, monitor  # noqa: F401
from tests.prices.test_session import make_session, take

pytestmark = pytest.mark.django_db(transaction=True)
BLOCKS = 40


def test_what_a_block_brought_is_hunted_before_its_scan_too(monitor, market):  # noqa: F811
    session = make_session(monitor)
    take(session, market)
    watcher, brought = session.watcher, 0
    for _ in range(BLOCKS):
        market.driver.step()
        touched = session.take_read(read_market(market.rpc, watcher.registry))
        found = huntable(watcher, touched)
        without = {each.identity for each in huntable(watcher, frozenset())}

        session.scan(touched)

        lives = watcher.scanner.lives.current().values()
        now = {each.identity: each for each in lives if each.verdict is Verdict.EXECUTABLE}
        fresh = {key for key, each in now.items() if any(hop.pool in touched for hop in each.hops)}
        identities = [each.identity for each in found]
        assert fresh <= set(identities) <= set(now)
        assert [each.net_wei for each in found] == sorted(
            (each.net_wei for each in found), reverse=True
        )
        brought += bool(fresh - without)
    assert brought  # a hunt that did not know what the block moved would have missed some


class DeskOfOneExecutor:
    """Says in flight to the first it is asked about, and would take any other."""

    gas_expected = None  # nothing measured yet

    def __init__(self):
        self.asked = []
        self.plans = []  # (least profit that the contract holds, version of the limits)
        self.rested = 0

    def rest(self):
        self.rested += 1

    def act(self, wanted):
        self.asked.append(wanted.evaluation.identity)
        self.plans.append((wanted.plan.min_profit, wanted.config_pk))
        if len(self.asked) == 1:
            return Acted("in_flight", "busy", stops_all=True)
        return Acted(execution_pk=len(self.asked))


@pytest.fixture
def paying(monitor, market):  # noqa: F811
    """A session at a head with several opportunities, and the pools that the head moved."""
    session = make_session(monitor)
    take(session, market)
    session.idle_reason = ""
    for _ in range(120):
        market.driver.step()
        touched = session.take_read(read_market(market.rpc, session.watcher.registry))
        if len(list(huntable(session.watcher, touched))) > 1:
            return session, touched
        session.scan(touched)
    raise AssertionError("no block brought two opportunities")


def hunted(session, touched, desk, *, times=1, config=None):
    """What the desk was asked about, in ``times`` hunts that come at one moment."""

    async def run():
        threads = Threads("desk")

        def again():
            acting.hunt(session, touched, received_ns=0)

        acting = Acting(chain=session.chain, threads=threads, settle=lambda: None, again=again)
        acting.config = config or FastModeConfig(pk=1)
        acting.open(desk)
        for _ in range(times):
            acting.hunt(session, touched, received_ns=0)
        await acting.finish()
        await acting.finish()
        await threads.close()

    asyncio.run(run())
    return desk.asked


def test_where_the_executor_is_busy_no_lesser_opportunity_takes_the_place_of_the_best(paying):
    session, touched = paying
    best = next(huntable(session.watcher, touched)).identity

    assert hunted(session, touched, DeskOfOneExecutor()) == [best]


def test_a_hunt_that_met_a_busy_desk_comes_again_and_begins_with_the_best(paying):
    session, touched = paying
    best = next(huntable(session.watcher, touched)).identity

    assert hunted(session, touched, DeskOfOneExecutor(), times=3) == [best, best]


def test_what_is_hunted_is_planned_by_the_limits_that_stand_and_names_them(paying):
    session, touched = paying
    plans = []
    for config in (
        FastModeConfig(pk=1, max_slippage_bps=0),
        FastModeConfig(pk=2, max_slippage_bps=5_000),
    ):
        desk = DeskOfOneExecutor()
        hunted(session, touched, desk, config=config)
        plans.append(desk.plans[0])
    (strict, first), (loose, second) = plans
    assert strict > loose
    assert (first, second) == (1, 2)


def test_a_head_that_nobody_acts_on_lets_what_waits_beside_go_on(paying):
    session, touched = paying
    desk = DeskOfOneExecutor()
    session.idle_reason = "not_armed"

    assert hunted(session, touched, desk) == []
    assert desk.rested == 1


class DeskThatRefuses(DeskOfOneExecutor):
    """Everything, with a reason that no gate of the search has."""

    def act(self, wanted, *, waits=False):
        self.asked.append(wanted.request_pk)
        return Acted("simulation_failed", "it reverts")


def counted(session):
    """Reasons and how many lives each stopped, after everything is written."""
    session.write(session.take_batch())
    return Monitor.objects.get().rejections


def test_what_automation_refuses_is_counted_once_a_life(paying):
    session, touched = paying
    lives = {each.identity for each in huntable(session.watcher, touched)}
    before = counted(session).get("simulation_failed", 0)

    async def run():
        threads = Threads("desk")
        acting = Acting(chain=session.chain, threads=threads, settle=lambda: None)
        acting.config = FastModeConfig(pk=1)
        acting.open(DeskThatRefuses())
        for _ in range(2):  # the second is refused as lives that have rows
            acting.hunt(session, touched, received_ns=0)
            await acting.finish()
            session.scan(touched)
            acting.place(session)
        await threads.close()

    asyncio.run(run())

    assert (before, counted(session)["simulation_failed"]) == (0, len(lives))


def test_what_a_person_asked_for_is_not_counted_as_automations(paying):
    session, touched = paying
    best = next(huntable(session.watcher, touched))
    session.scan(touched)
    before = counted(session)
    request = Execution.objects.create(
        chain=session.chain, kind="arbitrage", key="person:1",
        opportunity_id=session.lives.by_identity[best.identity],
    )  # fmt: skip
    desk = DeskThatRefuses()

    async def run():
        threads = Threads("desk", "control")
        acting = Acting(chain=session.chain, threads=threads, settle=lambda: None)
        acting.config = FastModeConfig(pk=1)
        acting.open(desk)
        await acting.answer_all(session, [request])
        await threads.close()

    asyncio.run(run())

    assert (desk.asked, counted(session)) == ([request.pk], before)


class DeskThatIsFreeLater(DeskOfOneExecutor):
    """Has its executor in flight when a person asks first."""

    def __init__(self):
        super().__init__()
        self.persons = 0

    def act(self, wanted):
        self.asked.append("automation")
        return Acted(execution_pk=1)

    def test(self, request, *, waits):
        self.asked.append("person")
        self.persons += 1
        busy = self.persons == 1
        return Acted("in_flight", "busy", stops_all=True) if busy else Acted(execution_pk=2)


def test_while_a_person_waits_for_the_executor_automation_leaves_it_to_them(paying):
    session, touched = paying
    request = Execution.objects.create(chain=session.chain, kind="test", key="test:1")
    desk = DeskThatIsFreeLater()

    async def run():
        threads = Threads("desk", "control")

        def again():
            acting.hunt(session, touched, received_ns=0)

        acting = Acting(chain=session.chain, threads=threads, settle=again, again=again)
        acting.config = FastModeConfig(pk=1)
        acting.open(desk)
        for _ in range(3):  # three rounds of the control loop; each answer ends with a hunt
            await acting.answer_all(session, [request] if desk.persons < 2 else [])
            again()
            await acting.finish()
        await threads.close()

    asyncio.run(run())

    assert desk.asked[:3] == ["person", "person", "automation"]
