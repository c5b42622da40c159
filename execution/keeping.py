"""What runs beside a session's hot path: its writer, its checker, and what is kept warm."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import Final

from arbsite.base import alerts
from arbsite.base.errors import ArbError, Retryable
from contracts.models import Chain
from contracts.observing import Taken, endpoint_latency_record
from contracts.rpc import HttpRpc
from execution.threads import RECORD_AWAY, RETRY_S, Threads
from prices import state_check
from prices.feed import Feed
from prices.session import PriceSession

logger = logging.getLogger(__name__)
WRITE_S: Final = 0.1
CHECK_S: Final = 2.0
WARM_S: Final = 5.0
RECORD_EVERY: Final = 2  # rounds of keeping warm to one row of latencies


async def write_loop(session: PriceSession, *, threads: Threads) -> None:
    """Write what was seen ten times a second; keep it while the record is away."""
    while True:
        await asyncio.sleep(WRITE_S)
        if session.pending.empty and not session.dirty and not session.head_moved:
            continue
        batch = session.take_batch()
        while True:
            try:
                await threads.run("write", partial(session.write, batch))
                break
            except RECORD_AWAY as error:
                logger.warning("record away", extra={"error_kind": type(error).__name__})
                await asyncio.sleep(RETRY_S)


async def check_loop(session: PriceSession, *, threads: Threads, rpc: HttpRpc) -> None:
    """Hold the book against the chain; a difference is quarantined, never mended."""
    while True:
        await asyncio.sleep(CHECK_S)
        snapshot = session.watcher.book.snapshot()
        registry = session.watcher.registry
        try:
            result = await threads.run("check", partial(state_check.check, rpc, registry, snapshot))
            if result is None:
                continue
            session.take_check(result)
            if result.wrong:
                await threads.run("check", partial(session.write_quarantines, result))
        except (Retryable, *RECORD_AWAY) as error:
            logger.warning("check failed", extra={"why": str(error)})


class Endpoints:
    """The endpoints that a sending waits for: kept warm, and what they took written down.

    ``clients``: by the use that the record knows them by, ``http`` or ``send``.
    """

    def __init__(
        self, *, chain: Chain, clients: Sequence[tuple[str, HttpRpc]], threads: Threads
    ) -> None:
        self.chain = chain
        self.feed: Feed | None = None
        self._clients = list(clients)
        self._threads = threads

    async def keep(self) -> None:
        """For ever: a send finds its connection open and its chain proven moments ago."""
        rounds = 0
        while True:
            await self.warm()
            rounds += 1
            if rounds % RECORD_EVERY == 0:
                await self.record()
            await asyncio.sleep(WARM_S)

    async def warm(self) -> None:
        """Prove the chain of each endpoint where that was long ago, which keeps it connected."""
        for _, client in self._clients:
            try:
                await self._threads.run("warm", client.warm)
            except ArbError as error:  # the next send meets it, and says so where it counts
                logger.error("endpoint not usable", extra={"why": str(error)})

    async def record(self) -> None:
        """Write down what was seen since the last time; lost where the record is away."""
        taken = list(self._taken())
        try:
            await self._threads.run("warm", partial(self._write, taken))
        except RECORD_AWAY as error:
            logger.warning("latencies not kept", extra={"error_kind": type(error).__name__})

    def _write(self, taken: Sequence[Taken]) -> None:
        endpoint_latency_record(chain=self.chain, taken=taken)
        disputed = sorted({each.endpoint for each in taken if each.disputes})
        if disputed:
            alerts.alert_raise(
                key=f"feed-dispute:{self.chain.key}",
                title=f"Endpoints of {self.chain.key} contradict each other",
                detail=f"One block, told with different contents by {', '.join(disputed)}. The one "
                "named first is believed, and the book was loaded afresh where it had to be.",
                fix="Find out which of them lies and take it out of RPC_*_WS or the market file.",
                severity="warning",
            )

    def _taken(self) -> list[Taken]:
        lines = self.feed.lines if self.feed is not None else []
        found = [
            Taken(use, at, endpoint.shown, endpoint.take_latencies())
            for use, client in self._clients
            for at, endpoint in enumerate(client.endpoints)
        ]
        for line in lines:
            shown, seen = line.endpoint.shown, line.take_standing()
            found.append(Taken("ws", line.position, shown, line.endpoint.take_latencies()))
            found.append(
                Taken(
                    "behind",
                    line.position,
                    shown,
                    seen.behind,
                    first=seen.first,
                    disputes=seen.disputes,
                    forks=seen.forks,
                )
            )
        return found
