"""Telling pages what changed: one thread and one connection per process, fire and forget.

Each app's `push.py` is the only caller. Redis may be away: then the word is lost, and pages ask the
database instead; nothing waits and nothing is raised.
"""

import asyncio
import logging
import threading
from collections.abc import Sequence
from typing import Any, Final

from channels.layers import get_channel_layer
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)
GROUP: Final = "hub"
MAX_WAITING: Final = 200
# Words of so short a time go out as one: who speaks is often in a hurry, and pages are drawn no
# faster than that.
GATHER_S: Final = 0.02


class _Teller:
    """Owns the loop that the channel layer's connection lives on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gathered: dict[str, dict[Any, None]] = {}  # keys by channel, in their order
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, channel: str, keys: Sequence[Any]) -> None:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="channel", daemon=True).start()
            first = not self._gathered
            self._gathered.setdefault(channel, {}).update(dict.fromkeys(keys))
        if first:
            self._loop.call_soon_threadsafe(self._loop.call_later, GATHER_S, self._send_gathered)

    def _send_gathered(self) -> None:
        with self._lock:
            gathered, self._gathered = self._gathered, {}
        for channel, keys in gathered.items():
            if len(self._tasks) >= MAX_WAITING:
                return  # nobody takes them; pages ask the database meanwhile
            message = {"type": "hub.message", "channel": channel, "keys": list(keys)}
            task = asyncio.get_running_loop().create_task(self._send(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(2):
                await get_channel_layer().group_send(GROUP, message)
        except (RedisError, OSError, TimeoutError) as error:
            logger.debug("push lost", extra={"error_kind": type(error).__name__})


_teller: Final = _Teller()


def tell(channel: str, keys: Sequence[Any]) -> None:
    """Say that rows of ``channel`` changed: their keys, never their data. Call it after commit."""
    _teller.tell(channel, keys)
