"""The hub of live data: one subscription and one reading a process, fanned out to its sockets.

It reads what changed once, renders it once, and gives every client the same text. It knows
channels by name only: what is in them comes from `arbsite.console.feeds`.
"""

import asyncio
import contextlib
import logging
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from channels.layers import get_channel_layer
from django.db import Error as DatabaseError
from django.db import connection
from redis.exceptions import RedisError

from arbsite.console.clients import CLOSE_SIGNED_OUT, Client, Frame, text_of
from arbsite.console.feeds import Feed, feeds
from arbsite.console.logins import still_good

logger = logging.getLogger(__name__)

GROUP: Final = "hub"
PACE_S: Final = 0.11  # at most nine frames a second to each client, whatever happens
POLL_S: Final = 1.0
SILENCE_S: Final = 3.0  # without our own beat for so long, the channel layer counts as gone
LOGIN_CHECK_S: Final = 3.0
# What the channel layer raises while Redis is away.
LAYER_ERRORS: Final = (OSError, RedisError, TimeoutError)
_PASSING: Final = ("ageMs", "headAgeMs", "lagMs", "feedLagMs", "durationMs", "at")


class Hub:
    """Reads once, renders once, tells all clients of this process; lives while there are any."""

    _of_loop: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub]" = (
        weakref.WeakKeyDictionary()
    )

    def __init__(self, *, feeds: Mapping[str, Feed]) -> None:
        self.clients: set[Client] = set()
        self._feeds = feeds
        self._seq = dict.fromkeys(feeds, 0)
        self._dirty: dict[str, set[Any] | None] = {}
        self._due = asyncio.Event()
        self._seen: dict[str, Any] = {}
        self._snapshots: dict[str, tuple[int, float, asyncio.Future[str]]] = {}
        self._linked = True
        self._beat_at = time.monotonic()
        self._beats = 0
        self._own_channel: str | None = None
        self._listening = asyncio.Event()
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hub")
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    def here(cls) -> "Hub":
        """The hub of this event loop."""
        loop = asyncio.get_running_loop()
        if loop not in cls._of_loop:
            cls._of_loop[loop] = cls(feeds=feeds())
        return cls._of_loop[loop]

    def enter(self, client: Client) -> None:
        """A client came; the first one starts the work."""
        self.clients.add(client)
        if not self._tasks:
            self._beat_at = time.monotonic()
            work = (self._listen, self._beat, self._flush, self._poll, self._check_logins)
            self._tasks = [asyncio.create_task(one()) for one in work]

    async def exit(self, client: Client) -> None:
        """A client went; the last one ends the work, and its database connection."""
        self.clients.discard(client)
        if self.clients or not self._tasks:
            return
        tasks, self._tasks = self._tasks, []
        self._own_channel = None
        self._listening.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if not self.clients:
            await self.read(_close_connection)

    async def read(self, question: Callable[..., Any], *args: Any) -> Any:
        """Ask the database in the hub's thread, whose connection stays open between questions."""

        def ask() -> Any:
            try:
                return question(*args)
            except DatabaseError:
                connection.close()
                raise

        return await asyncio.get_running_loop().run_in_executor(self._threads, ask)

    async def snapshot(self, channel: str) -> str:
        """A snapshot frame; clients that come at the same moment share one reading.

        Nothing is read before changes are heard, so none falls between the two.
        """
        await self._listening.wait()
        seq = self._seq[channel]
        held = self._snapshots.get(channel)
        now = time.monotonic()
        if held and held[0] == seq and (not held[2].done() or now - held[1] < PACE_S):
            return await asyncio.shield(held[2])
        reading = asyncio.ensure_future(self._render_snapshot(channel, seq))
        self._snapshots[channel] = (seq, now, reading)
        return await asyncio.shield(reading)

    async def _render_snapshot(self, channel: str, seq: int) -> str:
        data = await self.read(self._feeds[channel].snapshot)
        return text_of({"type": "snapshot", "channel": channel, "seq": seq, "data": data})

    def mark(self, channel: str, ids: Sequence[Any] | None) -> None:
        """Something changed: rows of these ids, or (None) who knows what."""
        if channel not in self._feeds:
            return
        waiting = self._dirty.setdefault(channel, set())
        if ids is None or waiting is None:
            self._dirty[channel] = None
        else:
            waiting.update(ids)
        self._due.set()

    def _watched(self, channel: str) -> bool:
        return any(channel in client.channels for client in self.clients)

    async def _flush(self) -> None:
        """One channel a turn, the longest-waiting first, never faster than the pace."""
        while True:
            await self._due.wait()
            channel = next(iter(self._dirty), None)
            if channel is None:
                self._due.clear()
                continue
            ids = self._dirty.pop(channel)
            if not self._watched(channel):
                continue
            try:
                if ids is None:
                    data = await self._difference(channel)
                else:
                    data = await self.read(self._feeds[channel].changed, sorted(ids, key=str))
            except DatabaseError as error:
                logger.warning("hub cannot read", extra={"error_kind": type(error).__name__})
                self._lost(channel)
                await asyncio.sleep(POLL_S)
                continue
            if data:
                self._publish(channel, data)
                await asyncio.sleep(PACE_S)

    def _publish(self, channel: str, data: Any) -> None:
        self._seq[channel] += 1
        update = {"type": "update", "channel": channel, "seq": self._seq[channel], "data": data}
        frame = Frame(text_of(update))
        for client in self.clients:
            client.offer(channel, frame)

    def _lost(self, channel: str) -> None:
        """Something may have been missed: the next number is skipped, and all is read again."""
        self._seq[channel] += 1
        self._seen.pop(channel, None)
        self.mark(channel, None)

    async def _difference(self, channel: str) -> Any:
        """What differs from the last whole reading, ages aside."""
        data = await self.read(self._feeds[channel].snapshot)
        before, self._seen[channel] = self._seen.get(channel), data
        if before is None or not isinstance(data, list):
            return None if _lasting(before) == _lasting(data) else data
        known = {_key(row): _lasting(row) for row in before}
        return [row for row in data if known.get(_key(row)) != _lasting(row)]

    async def _poll(self) -> None:
        """`status` each second; everything each second while the channel layer is away."""
        while True:
            await asyncio.sleep(POLL_S)
            if self._linked and time.monotonic() - self._beat_at > SILENCE_S:
                self._link(False)
            for channel in self._feeds:
                if channel == "status" or not self._linked:
                    self.mark(channel, None)

    def _link(self, up: bool) -> None:
        if up == self._linked:
            return
        self._linked = up
        logger.warning("channel layer is back" if up else "channel layer is away, polling")
        for channel in self._feeds:
            self._lost(channel)

    async def _listen(self) -> None:
        layer = get_channel_layer()
        while True:
            try:
                own = self._own_channel = await layer.new_channel()
                await layer.group_add(GROUP, own)
                self._listening.set()
                while True:
                    self._take(await layer.receive(own))
            except LAYER_ERRORS as error:
                self._own_channel = None
                logger.debug("channel layer", extra={"error_kind": type(error).__name__})
                self._link(False)
                self._listening.set()  # nothing to wait for: what is asked is polled
                await asyncio.sleep(POLL_S)

    def _take(self, message: Mapping[str, Any]) -> None:
        if message.get("type") == "hub.beat":
            self._beat_at = time.monotonic()
            if message.get("n") != self._beats:
                return  # an old one: whether the newest arrives is what counts
            self._link(True)
            return
        ids = message.get("keys", message.get("ids", message.get("id")))
        if ids is not None and not isinstance(ids, list | tuple | set):
            ids = [ids]
        self.mark(str(message.get("channel")), ids)

    async def _beat(self) -> None:
        """Send ourselves a word through the layer: what arrives proves that it works."""
        layer = get_channel_layer()
        while True:
            if self._own_channel is not None:
                self._beats += 1
                word = {"type": "hub.beat", "n": self._beats}
                try:
                    async with asyncio.timeout(SILENCE_S):
                        await layer.send(self._own_channel, word)
                except LAYER_ERRORS:
                    self._link(False)
            await asyncio.sleep(POLL_S)

    async def _check_logins(self) -> None:
        while True:
            await asyncio.sleep(LOGIN_CHECK_S)
            logins = {client.login for client in self.clients}
            with contextlib.suppress(DatabaseError):
                good = await self.read(still_good, logins)
                for client in self.clients:
                    if client.login in logins - good:
                        client.close(CLOSE_SIGNED_OUT)


def _close_connection() -> None:
    connection.close()  # the calling thread's own


def _key(row: Mapping[str, Any]) -> Any:
    return next((row[name] for name in ("pool", "id", "stage") if name in row), None)


def _lasting(data: Any) -> Any:
    """``data`` without what passes by itself: ages."""
    if isinstance(data, Mapping):
        return {k: _lasting(v) for k, v in data.items() if k not in _PASSING}
    return [_lasting(v) for v in data] if isinstance(data, list) else data
