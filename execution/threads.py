"""Named threads, one job at a time in each, for whatever waits: database, node, signer."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from django.db import InterfaceError, OperationalError, connection

from arbsite.base.errors import Retryable
from wallets.record import RecordUnavailable

logger = logging.getLogger(__name__)
T = TypeVar("T")
RETRY_S: Final = 1.0
RECORD_AWAY: Final = (OperationalError, InterfaceError, RecordUnavailable)


class Threads:
    """Each name is one thread with one database connection of its own."""

    def __init__(self, *names: str) -> None:
        self._pools = {
            name: ThreadPoolExecutor(1, thread_name_prefix=f"engine-{name}") for name in names
        }

    async def run(self, name: str, work: Callable[[], T]) -> T:
        """Run in that thread; a broken database connection is closed for the next."""

        def guarded() -> T:
            try:
                return work()
            except RECORD_AWAY:
                connection.close()
                raise

        return await asyncio.get_running_loop().run_in_executor(self._pools[name], guarded)

    async def retried(self, name: str, work: Callable[[], T]) -> T:
        """The same, asked again while the record or the node is away."""
        while True:
            try:
                return await self.run(name, work)
            except (*RECORD_AWAY, Retryable) as error:
                logger.warning("waiting", extra={"why": str(error)[:120]})
                await asyncio.sleep(RETRY_S)

    async def close(self) -> None:
        """Close every thread's connection once its work is done, then end the threads."""
        await asyncio.gather(*(self.run(name, _disconnect) for name in self._pools))
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)


def _disconnect() -> None:
    connection.close()  # each thread's own
