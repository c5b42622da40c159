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


class _Teller:
    """Owns the loop that the channel layer's connection lives on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting = 0

    def tell(self, message: dict[str, Any]) -> None:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="channel", daemon=True).start()
            if self._waiting >= MAX_WAITING:
                return
            self._waiting += 1
        asyncio.run_coroutine_threadsafe(self._send(message), self._loop)

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(2):
                await get_channel_layer().group_send(GROUP, message)
        except (RedisError, OSError, TimeoutError) as error:
            logger.debug("push lost", extra={"error_kind": type(error).__name__})
        finally:
            with self._lock:
                self._waiting -= 1


_teller: Final = _Teller()


def tell(channel: str, keys: Sequence[Any]) -> None:
    """Say that rows of ``channel`` changed: their keys, never their data. Call it after commit."""
    _teller.tell({"type": "hub.message", "channel": channel, "keys": list(keys)})
