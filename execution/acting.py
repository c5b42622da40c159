"""Between the loop and the desk: whose turn it is, what becomes of each opportunity and request.

Runs in the event loop; the desk itself works in its thread, one thing at a time.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from heapq import merge
from itertools import chain as chained
from itertools import islice
from typing import Final

from django.utils import timezone

from arbsite.base.errors import Halt
from contracts.models import Chain
from execution import services
from execution.desk import Desk
from execution.kernel.latency import Stage, Timeline
from execution.models import Execution, FastModeConfig
from execution.threads import RECORD_AWAY, Threads
from execution.ticks import Ticks
from execution.wanted import Acted, Wanted, wanted_from
from prices.chain_state import MarketRead
from prices.kernel.opportunity import Evaluation
from prices.kernel.waterfall import Verdict
from prices.models import Opportunity
from prices.session import PriceSession
from prices.state_check import CheckResult
from prices.watcher import Watcher

logger = logging.getLogger(__name__)
TURN_S: Final = 0.002
REHEARSED_AT_ONCE: Final = 2  # each a trace of some milliseconds, beside everything else


class Acting:
    """Gives the desk its work. ``settle`` is called after something was sent; ``again`` when the
    desk is free and a hunt came while it was not."""

    def __init__(
        self,
        *,
        chain: Chain,
        threads: Threads,
        settle: Callable[[], None],
        again: Callable[[], None] = lambda: None,
    ) -> None:
        self.chain = chain
        self.desk: Desk | None = None
        self.config: FastModeConfig | None = None  # the limits; without any nothing is planned
        self._threads = threads
        self._settle = settle
        self._again = again
        self._busy = False
        self._missed = False  # a hunt came while the desk was busy, or was a person's
        self._person_waits = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._error: BaseException | None = None
        self._erred = asyncio.Event()
        # What was decided before the scan gave its opportunity a row.
        self._unplaced: list[tuple[Evaluation, Acted, bool]] = []
        self._executed: dict[int, int] = {}  # execution -> opportunity, to be written
        self._ticks = Ticks()
        self._rehearsed: set[str] = set()  # cycles of the session that these are of
        self._rehearsed_of: PriceSession | None = None

    def open(self, desk: Desk) -> None:
        """Take the desk of a new lead."""
        self.close()
        self.desk = desk

    def close(self) -> None:
        """The lead has ended."""
        if self.desk is not None:
            self.desk.close()

    async def failure(self) -> None:
        """Ends, by raising, when acting or settling met a bug."""
        await self._erred.wait()
        assert self._error is not None  # noqa: S101  `watch` set it first
        raise self._error

    def watch(self, task: asyncio.Task[None]) -> None:
        """Have `failure` tell what this task raises."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._error = error
            self._erred.set()

    async def finish(self) -> None:
        """Wait for what is being sent."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def hunt(
        self, session: PriceSession, touched: frozenset[int], *, received_ns: int
    ) -> asyncio.Task[None] | None:
        """Search the block, and hand what pays to the desk if the desk is free.

        What paid before and was not touched is among it: it was passed over while another was in
        flight, and pays still.
        """
        timeline = Timeline(event_ns=received_ns)
        if self.desk is not None and (gas := self.desk.gas_expected) is not None:
            session.watcher.take_gas(gas)
        state_ns = time.perf_counter_ns()
        timeline.span(Stage.EVENT_TO_STATE, started_ns=received_ns, ended_ns=state_ns)
        found = huntable(session.watcher, touched)
        best = next(found, None)
        timeline.span(Stage.SEARCH, started_ns=state_ns, ended_ns=time.perf_counter_ns())
        self._ticks.note(timeline)
        acts = best is not None and not session.idle_reason
        if best is None or not acts or self._busy or self._person_waits:
            self._missed = self._missed or acts
            self._rest()
            return None
        self._busy = True
        task = asyncio.get_running_loop().create_task(
            self._act(session, chained([best], found), timeline)
        )
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _rest(self) -> None:
        if self.desk is not None and not self._busy:
            self.desk.rest()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.watch(task)
        self._free()

    def _free(self) -> None:
        """The desk has done; what was missed meanwhile is hunted now."""
        self._busy = False
        self._catch_up()

    def _catch_up(self) -> None:
        if self._missed and not self._busy and not self._person_waits:
            self._missed = False
            self._again()

    async def answer_all(self, session: PriceSession, requests: Sequence[Execution]) -> None:
        """Act on what people asked for, oldest first.

        A person goes before automation: while a request waits for the executor nothing is hunted,
        or automation would take the executor each time it is free. Each waits for so long as
        `REQUEST_LIVES` says.
        """
        self._person_waits = bool(requests)
        waiting = [await self.answer(session, request) for request in requests]
        self._person_waits = any(waiting)
        self._catch_up()

    async def _act(
        self, session: PriceSession, found: Iterator[Evaluation], timeline: Timeline
    ) -> None:
        """Try the block's opportunities from the best on, until one is taken or all refused.

        What stops all of them ends it: a lesser one must not find free what the best found taken.
        """
        try:
            for evaluation in found:
                wanted = self._wanted(session, evaluation, timeline)
                if wanted is None:
                    return
                acted = await self._threads.run("desk", partial(self._desk().act, wanted))
                await self._took(session, evaluation, acted)
                if acted.execution_pk is not None:
                    self._settle()
                    return
                if acted.stops_all:
                    for other in found:
                        self._note(session, other, acted, again=True)
                    return
        except RECORD_AWAY as error:
            logger.warning("not executed", extra={"why": str(error)[:120]})

    def place(self, session: PriceSession) -> None:
        """After a scan: write what was decided to the rows that it made."""
        waiting, self._unplaced = self._unplaced, []
        for evaluation, acted, by_person in waiting:
            self._note(session, evaluation, acted, again=False, by_person=by_person)

    def rehearse(self, session: PriceSession) -> None:
        """Have a few of the paths that live and were never met learned, for when they pay."""
        if self.desk is None:
            return
        if self._rehearsed_of is not session:
            self._rehearsed_of, self._rehearsed = session, set()
        watcher = session.watcher
        lives = watcher.scanner.lives.current().values()
        new = (each for each in lives if each.identity not in self._rehearsed)
        for each in list(islice(new, REHEARSED_AT_ONCE)):
            self._rehearsed.add(each.identity)
            evaluation = watcher.again(each.path)
            timeline = Timeline(event_ns=time.perf_counter_ns())
            wanted = evaluation and self._wanted(session, evaluation, timeline)
            if wanted:
                self.desk.rehearse(wanted)

    def _note(
        self,
        session: PriceSession,
        evaluation: Evaluation,
        acted: Acted,
        *,
        again: bool,
        by_person: bool = False,
    ) -> None:
        pk = session.note(
            evaluation, verdict=acted.verdict, reason=acted.reason, by_person=by_person
        )
        if pk is None and again:
            self._unplaced.append((evaluation, acted, by_person))
        elif pk is not None and acted.execution_pk is not None:
            self._executed[acted.execution_pk] = pk

    def rows_link(self) -> None:
        """Name the opportunity of executions that were faster than its row, and write the sampled
        blocks' times. Database."""
        self._ticks.write(chain=self.chain)
        while self._executed:
            execution_pk, opportunity_pk = self._executed.popitem()
            services.execution_place(pk=execution_pk, opportunity_pk=opportunity_pk)

    async def _took(
        self,
        session: PriceSession,
        evaluation: Evaluation,
        acted: Acted,
        *,
        by_person: bool = False,
    ) -> None:
        """Note what became of it; distrust what the simulation disproved."""
        self._note(session, evaluation, acted, again=True, by_person=by_person)
        if acted.reason:
            failed = acted.reason == "simulation_failed" or acted.distrust
            logger.log(
                logging.INFO if failed else logging.DEBUG,
                "passed over",
                extra={"chain": self.chain.key, "reason": acted.reason, "detail": acted.detail},
            )
        if acted.distrust:
            await self._quarantine(session, evaluation, acted.distrust)

    async def _quarantine(self, session: PriceSession, evaluation: Evaluation, why: str) -> None:
        """One of the path's pools is not what the book says; nobody knows which (I36)."""
        watcher = session.watcher
        if watcher.head is None:
            return
        nothing_read = MarketRead(
            head=watcher.head,
            block=evaluation.block,
            reserves={},
            quotes={},
            caps=watcher.caps,
            premium_bps=watcher.premium_bps,
        )
        result = CheckResult(read=nothing_read, wrong={hop.pool: why for hop in evaluation.hops})
        session.take_check(result)
        await self._threads.run("check", partial(session.write_quarantines, result))

    async def answer(self, session: PriceSession, request: Execution) -> bool:
        """Act on what a person asked for, at the state as it is now.

        What passes by itself (a block in between, an execution that is not settled) is waited for
        until the request is `services.REQUEST_LIVES` old.

        Returns: whether it waits.
        """
        if await self._is_late(request):
            return False
        await self._turn()
        try:
            if request.kind == "test":
                test = partial(self._desk().test, request, waits=True)
                return (await self._threads.run("desk", test)).passes
            evaluation = await self._requote(session, request)
            if evaluation is None:
                await self.refuse(request, "superseded", "The spread is gone.")
                return False
            timeline = Timeline(event_ns=time.perf_counter_ns())
            wanted = self._wanted(session, evaluation, timeline, request=request)
            if wanted is None:
                return True  # a block came in between: the next round asks again
            act = partial(self._desk().act, wanted, waits=True)
            acted = await self._threads.run("desk", act)
            await self._took(session, evaluation, acted, by_person=True)
            return acted.passes
        except RECORD_AWAY as error:
            logger.warning("request waits", extra={"execution": request.pk, "why": str(error)})
            return True
        finally:
            self._free()
            self._settle()

    async def answer_unwatched(self, request: Execution) -> None:
        """The same while nothing is watched: a test needs no prices, anything else does."""
        if await self._is_late(request):
            return
        if request.kind != "test":
            await self.refuse(request, "stale_pool", "Monitoring is stopped: start it first.")
            return
        await self._turn()
        try:
            await self._threads.run("desk", partial(self._desk().test, request, waits=True))
        except RECORD_AWAY as error:
            logger.warning("request waits", extra={"execution": request.pk, "why": str(error)})
        finally:
            self._free()
            self._settle()

    async def refuse(self, request: Execution, reason: str, detail: str) -> None:
        """Drop a request."""
        refuse = partial(services.execution_refused, pk=request.pk, reason=reason, detail=detail)
        await self._threads.run("control", refuse)

    async def _is_late(self, request: Execution) -> bool:
        if timezone.now() - request.created_at < services.REQUEST_LIVES:
            return False
        await self.refuse(request, "superseded", "Nobody could act on it in time: ask again.")
        return True

    async def _turn(self) -> None:
        while self._busy:
            await asyncio.sleep(TURN_S)
        self._busy = True

    async def _requote(self, session: PriceSession, request: Execution) -> Evaluation | None:
        """The same cycle, evaluated anew at the head."""
        row = await self._threads.run("control", partial(_opportunity_cycle, request))
        if row is None:
            return None
        watcher = session.watcher
        index = {pool.pk: i for i, pool in enumerate(watcher.registry.pools)}
        pks, zero_for_one = row
        if not all(pk in index for pk in pks):
            return None
        path = [
            2 * index[pk] + (not forward) for pk, forward in zip(pks, zero_for_one, strict=True)
        ]
        return watcher.again(path)

    def _wanted(
        self,
        session: PriceSession,
        evaluation: Evaluation,
        timeline: Timeline,
        *,
        request: Execution | None = None,
    ) -> Wanted | None:
        head, config = session.watcher.head, self.config
        if config is None or head is None or head.hash != evaluation.block.hash:
            return None  # a newer block was taken: what was found on the old one is superseded
        return wanted_from(
            session.watcher,
            evaluation,
            chain=self.chain,
            timeline=timeline,
            opportunity_pk=request.opportunity_id
            if request
            else session.lives.by_identity.get(evaluation.identity),
            config=config,
            request_pk=request.pk if request else None,
        )

    def _desk(self) -> Desk:
        if self.desk is None:
            raise Halt("the desk is not open")
        return self.desk


def huntable(watcher: Watcher, touched: frozenset[int]) -> Iterator[Evaluation]:
    """What can be executed at the head, best first, whether or not its scan was made yet.

    ``touched``: the pools that the head moved; without them what it brought is not among it.
    Each is decided when it is asked for: the first is what is waited for.
    """
    return merge(watcher.hot(touched), _left_over(watcher, touched), key=_rank)


def _rank(evaluation: Evaluation) -> int:
    return -(evaluation.net_wei or 0)


def _left_over(watcher: Watcher, touched: frozenset[int]) -> Iterator[Evaluation]:
    """Executable opportunities that the last block left as they were, decided at the head."""
    head = watcher.head
    for each in sorted(watcher.scanner.lives.executables(), key=_rank):
        if watcher.head is not head:
            return
        if any(hop.pool in touched for hop in each.hops):
            continue
        evaluation = watcher.again(each.path)
        if evaluation is not None and evaluation.verdict is Verdict.EXECUTABLE:
            yield evaluation


def _opportunity_cycle(request: Execution) -> tuple[list[int], list[bool]] | None:
    """(rows of its pools, whether each is crossed from its first token)."""
    row = Opportunity.objects.filter(pk=request.opportunity_id or 0).first()
    return (row.pools, row.zero_for_one) if row else None
