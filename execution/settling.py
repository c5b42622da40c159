"""Booking what the chain says of what was sent: one round at a time, once a block."""

import asyncio
import logging
import time
from collections.abc import Callable

from arbsite.base.errors import ArbError
from contracts.models import Chain
from contracts.rpc import HttpRpc
from execution import accounting, services
from execution.acting import Acting
from execution.threads import RECORD_AWAY, Threads
from wallets import receipts
from wallets.sender import Sender

logger = logging.getLogger(__name__)


class Settling:
    """``sender`` is None where nothing may be signed. ``moved`` is called after a round in which
    anything ended or was mined. ``at_ms``: Unix time of the last round that came to its end."""

    def __init__(
        self,
        *,
        chain: Chain,
        rpc: HttpRpc,
        sender: Sender | None,
        threads: Threads,
        acting: Acting,
        moved: Callable[[], None],
    ) -> None:
        self.chain = chain
        self.at_ms: int | None = None
        self._rpc = rpc
        self._sender = sender
        self._threads = threads
        self._acting = acting
        self._moved = moved
        self._epoch = 0
        self._everything = True
        self._task: asyncio.Task[None] | None = None

    def send_through(self, sender: Sender) -> None:
        """From the next round on, what has to be sent again goes this way."""
        self._sender = sender

    def begin(self, *, epoch: int) -> None:
        """A new lead: others may have led, and settled, meanwhile."""
        self._epoch = epoch
        self._everything = True
        self.at_ms = _now_ms()

    def spawn(self) -> None:
        """Begin a round, unless one is running."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())
            self._task.add_done_callback(self._acting.watch)

    async def finish(self) -> None:
        """Wait for the round that is running."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            moved = await self._threads.run("settle", self._once)
        except (ArbError, *RECORD_AWAY) as error:
            logger.warning("settling waits", extra={"why": str(error)})
            return
        if moved:
            self._moved()

    def _once(self) -> bool:
        """Whether anything ended or was mined."""
        self._acting.rows_link()
        services.executions_abandon(chain=self.chain, leader_epoch=self._epoch)
        report = receipts.settle(chain=self.chain, rpc=self._rpc, sender=self._sender)
        if accounting.executions_settle(chain=self.chain, everything=self._everything):
            accounting.reverts_explain(chain=self.chain, rpc=self._rpc)
        self._everything = False
        self.at_ms = _now_ms()
        if self._acting.desk is not None:
            self._acting.desk.look(self._rpc)
        return bool(report.moves)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
