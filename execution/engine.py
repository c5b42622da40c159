"""The loop of one chain: feed to book to search to desk, with writers and watchers beside it.

One asyncio task owns the book; whatever waits (database, node, signer) runs in threads. What any of
them cannot do is retried or reported, and never stops the feed from being followed.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from arbsite.base.errors import ArbError, Retryable
from contracts.kernel.events import NewHead
from contracts.models import Chain
from contracts.rpc import HttpRpc
from execution import fast_mode, guards, services
from execution.acting import Acting
from execution.collector import Collector
from execution.desk import Desk
from execution.keeping import Endpoints, check_loop, write_loop
from execution.leader import Leadership, LeadLost
from execution.models import Execution, FastMode
from execution.settling import Settling
from execution.threads import RECORD_AWAY, RETRY_S, Threads
from prices import adapters as price_adapters
from prices import services as price_services
from prices.chain_state import read_head, read_market
from prices.feed import Advance, Down, Feed, Lost, Step
from prices.kernel.book import JournalTooShort
from prices.kernel.costs import NO_TIP, TipTerms
from prices.kernel.waterfall import Verdict
from prices.models import Monitor
from prices.session import Limits, PriceSession
from wallets.sender import Sender

logger = logging.getLogger(__name__)
CONTROL_S: Final = 0.25
GUARD_S: Final = 1.0
READY_S: Final = 0.5  # a check that fails disarms within 2 s
FINISH_S: Final = 8.0  # a send in progress ends within this: 2 s of hand-over and its commits
# The block's own scan waits so long for the desk: both in one interpreter, the desk first.
DESK_FIRST_S: Final = 0.2
SWITCH_S: Final = 0.001  # a thread that has its answer waits no longer than this for another


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineParts:
    """Everything an engine is made of; the composition root builds it.

    ``clients``: what is kept warm, by its use: ``http`` to read, ``send`` to submit. ``close`` ends
    what of all this has threads of its own. ``sender`` is asked for anew when the registry changed:
    it goes by the chain's row and its relays as they then are.
    """

    chain: Chain
    may_sign: bool
    rpc: HttpRpc
    feed: Callable[[list[str], Callable[[], tuple[str, ...]]], Feed]
    clients: Sequence[tuple[str, HttpRpc]]
    sender: Callable[[], Sender]
    desk: Callable[[int, Callable[[], NewHead]], Desk]
    close: Callable[[], None]


class Stopped(Exception):
    """The operator's wishes changed: this session ends and the next begins."""


class Engine:
    """Runs until told to stop; leads its chain or stands by."""

    def __init__(self, parts: EngineParts) -> None:
        self.parts = parts
        self.chain = parts.chain
        self.stopping = asyncio.Event()
        self._threads = Threads("write", "desk", "settle", "check", "control", "warm")
        self._acting = Acting(
            chain=self.chain,
            threads=self._threads,
            settle=lambda: self._settling.spawn(),
            again=self._hunt_again,
        )
        self._settling = Settling(
            chain=self.chain,
            rpc=parts.rpc.background(),
            sender=parts.sender() if parts.may_sign else None,
            threads=self._threads,
            acting=self._acting,
            moved=self._hunt_again,
        )
        self._endpoints = Endpoints(chain=self.chain, clients=parts.clients, threads=self._threads)
        self._collector = Collector()
        self._session: PriceSession | None = None
        self._head: NewHead | None = None
        self._touched: frozenset[int] = frozenset()  # pools that the session's head moved
        # A relay may have been tried since the row was read: the first lead looks again.
        self._registry_revision = 0
        self._guarded_at = 0.0
        self._ready_at = 0.0
        self._held: frozenset[str] = frozenset()  # readiness checks that held since the lead began

    async def run(self) -> None:
        """Stand by for the lead, then watch and execute until `stopping`.

        A lead that is lost (the record restarted, another engine took over) is stood for again.
        """
        sys.setswitchinterval(SWITCH_S)
        leadership = Leadership(self.chain.key)
        with self._collector:
            await self._stand(leadership)

    async def _stand(self, leadership: Leadership) -> None:
        try:
            while not self.stopping.is_set():
                epoch = await self._lead(leadership)
                if epoch is None:
                    return
                try:
                    await self._threads.retried("control", partial(self._prepare, epoch))
                    await self._serve(leadership)
                except LeadLost as error:
                    logger.warning("lead lost", extra={"chain": self.chain.key, "why": str(error)})
                    await self._threads.run("control", leadership.release)
                    await self._pause(RETRY_S)
        finally:
            await self._finish()
            self._acting.close()
            self.parts.close()
            await self._threads.run("control", leadership.release)
            await self._threads.close()

    async def _finish(self) -> None:
        """Let what is being sent or booked come to its end, before another engine may lead."""
        try:
            async with asyncio.timeout(FINISH_S):
                await self._acting.finish()
                await self._settling.finish()
        except TimeoutError:
            logger.warning("left to recovery", extra={"chain": self.chain.key})

    async def _serve(self, leadership: Leadership) -> None:
        """Lead: follow the monitor's wishes from session to session."""
        while not self.stopping.is_set():
            monitor = await self._threads.retried("control", self._monitor)
            if monitor is not None and monitor.chain.registry_revision != self._registry_revision:
                # In the desk's thread: what is being sent is out before the way changes.
                await self._threads.retried("desk", self._take_registry)
            if monitor is None or not monitor.wanted or monitor.mode != "stream":
                await self._idle(leadership)
            else:
                await self._watch(monitor, leadership)

    async def _lead(self, leadership: Leadership) -> int | None:
        waiting = False
        while not self.stopping.is_set():
            epoch = await self._threads.retried("control", leadership.acquire)
            if epoch is not None:
                logger.info("leading", extra={"chain": self.chain.key, "epoch": epoch})
                return epoch
            if not waiting:
                logger.info("standing by", extra={"chain": self.chain.key})
                waiting = True
            await self._pause(CONTROL_S)
        return None

    def _prepare(self, epoch: int) -> None:
        price_services.monitor_ensure(chain=self.chain)
        fast_mode.fast_mode_at_start(chain=self.chain)
        services.executions_abandon(chain=self.chain, leader_epoch=epoch)
        self._settling.begin(epoch=epoch)
        self._held = frozenset()
        desk = self.parts.desk(epoch, self._require_head)
        desk.refresh()
        self._acting.open(desk)

    def _take_registry(self) -> None:
        """Go by the chain's row as it is now, and send by the relays that may be used now.

        The row is one object for all that this engine is made of.
        """
        self.chain.refresh_from_db()
        self._registry_revision = self.chain.registry_revision
        if self.parts.may_sign:
            sender = self.parts.sender()
            self._settling.send_through(sender)
            if self._acting.desk is not None:
                self._acting.desk.send_through(sender)

    async def _idle(self, leadership: Leadership) -> None:
        """Monitoring is off or polled elsewhere: requests are still answered, receipts settled."""
        await self._threads.run("control", leadership.check)
        self._settling.spawn()
        _, _, requests = await self._threads.retried("control", self._wishes)
        for request in requests:
            if request.kind == "test":
                self._see(await self._threads.retried("check", self._read_head))
            await self._acting.answer_unwatched(request)
        await self._pause(CONTROL_S)

    async def _watch(self, monitor: Monitor, leadership: Leadership) -> None:
        """One session: from start of monitoring to its end, or to a change that needs another."""
        session = await self._threads.retried("write", partial(self._open, monitor))
        self._session, self._touched = session, frozenset()
        self._collector.session_began()
        problem = ""
        tasks = [
            asyncio.create_task(self._follow(session), name="follow"),
            asyncio.create_task(write_loop(session, threads=self._threads), name="write"),
            asyncio.create_task(self._control_loop(session, leadership), name="control"),
            asyncio.create_task(
                check_loop(session, threads=self._threads, rpc=self.parts.rpc.background()),
                name="check",
            ),
            asyncio.create_task(self._endpoints.keep(), name="warm"),
            asyncio.create_task(self._acting.failure(), name="acting"),
            asyncio.create_task(self._stop_wait(), name="stop"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if (error := task.exception()) and not isinstance(error, Stopped):
                    problem = str(error)
                    if isinstance(error, LeadLost) or not isinstance(error, ArbError):
                        raise error
                    logger.error("session ended", extra={"chain": self.chain.key, "why": problem})
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._session = None
            self._collector.session_ended()
            await self._threads.retried("write", partial(session.end, problem))
        if problem and not self.stopping.is_set():
            await self._pause(RETRY_S)

    def _open(self, monitor: Monitor) -> PriceSession:
        mode = fast_mode.fast_mode_ensure(chain=self.chain)
        self._acting.config = mode.config
        session = PriceSession(
            monitor,
            mode="stream",
            limits=_limits(mode, tips=self._tips()),
            idle_reason=_idle_reason(mode),
        )
        session.begin()
        return session

    async def _follow(self, session: PriceSession) -> None:
        """The hot path: every step of the feed, in order."""
        feed = self.parts.feed(
            session.watcher.registry.addresses, session.watcher.book.known_hashes
        )
        self._endpoints.feed = feed
        async with aclosing(feed.steps()) as steps:
            async for step in steps:
                await self._step(session, step)

    async def _step(self, session: PriceSession, step: Step) -> None:
        if isinstance(step, Down):
            session.watcher.book.distrust(step.why)
            session.scan(frozenset())
            await self._threads.retried("write", partial(self._report, step.why[:200]))
            self._collector.rest()
            return
        touched = self._touched = await self._take(session, step)
        if session.watcher.head is not None:
            self._see(session.watcher.head)
        acting = self._acting.hunt(session, touched, received_ns=step.received_ns)
        if acting is not None:
            await asyncio.wait([acting], timeout=DESK_FIRST_S)
        result = session.scan(touched)
        if acting is None and result is not None and result.executable:
            # What costs opened where no pool was touched is known by the scan alone.
            self._acting.hunt(session, frozenset(), received_ns=step.received_ns)
        self._acting.place(session)
        self._acting.rehearse(session)
        self._settling.spawn()
        self._collector.rest()

    async def _take(self, session: PriceSession, step: Advance | Lost) -> frozenset[int]:
        """Bring the book to the step's head; load afresh where it cannot be joined, and where it
        was distrusted meanwhile."""
        distrusted = session.watcher.book.untrusted is not None
        if isinstance(step, Advance) and not distrusted:
            try:
                return session.watcher.advance(step)
            except JournalTooShort as error:
                logger.warning("loading afresh", extra={"why": str(error)})
        read = await self._threads.run(
            "check", partial(read_market, self.parts.rpc, session.watcher.registry)
        )
        touched = session.take_read(read)
        if distrusted:
            await self._threads.retried("write", partial(self._report, ""))
        return touched

    def _see(self, head: NewHead) -> None:
        self._head = head
        if self._acting.desk is not None:
            self._acting.desk.saw(head)

    async def _control_loop(self, session: PriceSession, leadership: Leadership) -> None:
        """Follow the operator's wishes and requests four times a second."""
        while True:
            await asyncio.sleep(CONTROL_S)
            try:
                await self._threads.run("control", leadership.check)
                monitor, mode, requests = await self._threads.run("control", self._wishes)
            except RECORD_AWAY:
                continue  # the record is away: nothing is lost, it is asked again
            if monitor is None or monitor.revision != session.revision:
                raise Stopped
            self._obey(session, monitor, mode)
            await self._acting.answer_all(session, requests)

    def _obey(self, session: PriceSession, monitor: Monitor, mode: FastMode) -> None:
        """Take the limits and the mode as they are now, without losing the book."""
        self._acting.config = mode.config
        limits = _limits(mode, tips=self._tips())
        if limits != session.limits:
            session.limits = limits
            policy = price_adapters.policy(
                monitor,
                min_profit_bps=limits.min_profit_bps,
                max_gas_price_wei=limits.max_gas_price_wei,
                max_position_wei=limits.max_position_wei,
                contract_min_profit=session.watcher.policy.contract_min_profit,
            )
            costs = replace(session.watcher.costs, tips=limits.tips)
            session.watcher.configure(costs=costs, policy=policy)
        idle_reason = _idle_reason(mode)
        if idle_reason != session.idle_reason:
            session.idle_reason = idle_reason
            for evaluation in session.watcher.scanner.lives.current().values():
                if evaluation.verdict is Verdict.EXECUTABLE:
                    session.note(evaluation, verdict="executable", reason=idle_reason)

    def _tips(self) -> TipTerms:
        return self._acting.desk.tips() if self._acting.desk is not None else NO_TIP

    def _hunt_again(self) -> None:
        """The executor is free again: what was passed over for it is tried at this same head, with
        what the head brought, which no scan may have seen yet."""
        if self._session is not None:
            now = time.perf_counter_ns()
            self._acting.hunt(self._session, self._touched, received_ns=now)

    async def _stop_wait(self) -> None:
        await self.stopping.wait()
        raise Stopped

    def _report(self, problem: str) -> None:
        price_services.monitor_report(chain_key=self.chain.key, problem=problem)

    def _monitor(self) -> Monitor | None:
        return Monitor.objects.select_related("chain").filter(chain=self.chain).first()

    def _wishes(self) -> tuple[Monitor | None, FastMode, list[Execution]]:
        """What people want now, after whatever disarms by itself; the desk's rows with it."""
        desk = self._acting.desk
        mode = desk.refresh().mode if desk else fast_mode.fast_mode_ensure(chain=self.chain)
        now = time.monotonic()
        if now - self._guarded_at > GUARD_S:
            self._guarded_at = now
            mode = guards.mode_guard(
                chain=self.chain, mode=mode, settled_at_ms=self._settling.at_ms
            )
        if now - self._ready_at > READY_S:
            self._ready_at = now
            self._held = guards.readiness_guard(chain=self.chain, mode=mode, held=self._held)
        return self._monitor(), mode, services.requests_open(chain_key=self.chain.key)

    def _read_head(self) -> NewHead:
        return read_head(self.parts.rpc)

    def _require_head(self) -> NewHead:
        if self._head is None:
            raise Retryable("no block has been seen yet")
        return self._head

    async def _pause(self, seconds: float) -> None:
        self._collector.rest()
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return


def _limits(mode: FastMode, *, tips: TipTerms = NO_TIP) -> Limits:
    return Limits(
        min_profit_bps=mode.config.min_profit_threshold_bps,
        max_gas_price_wei=int(mode.config.max_gas_price_wei),
        max_position_wei=int(mode.config.max_position_wei),
        tips=tips,
    )


def _idle_reason(mode: FastMode) -> str:
    """What an executable opportunity says while nothing executes by itself."""
    if mode.state == "paused":
        return "paused"
    armed = mode.state == "armed" and mode.config.auto_execute
    return "" if armed else "not_armed"
