"""The sockets' side of live data: a frame for many, the wire's pressure, and one client's queue.

A client that does not take its frames loses older ones of a channel, and is closed when it stays
behind.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from autobahn.websocket.protocol import PreparedMessage

from arbsite.console.logins import Login

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

MAX_FRAME_BYTES: Final = 16 * 1024
BEHIND_S: Final = 30.0
MAX_WAITING: Final = 64
CLOSE_SIGNED_OUT: Final = 4001
CLOSE_BEHIND: Final = 4008


def text_of(message: Mapping[str, Any]) -> str:
    """A message as it goes over the wire."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)


class Frame:
    """One text for many clients, framed for the wire once."""

    __slots__ = ("prepared", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.prepared = PreparedMessage(
            text.encode(), isBinary=False, applyMask=False, doNotCompress=True
        )


class Wire:
    """Whether the client's connection takes more bytes.

    Daphne's ``send`` returns before anything is written and buffers without bound, so its
    transport tells us here when its buffer is full. Servers whose ``send`` waits need none of it.
    """

    def __init__(self, send: Send) -> None:
        self._free = asyncio.Event()
        self._free.set()
        self._protocol: Any = None
        bound: tuple[Any, ...] = getattr(send, "args", ())
        transport: Any = getattr(bound[0], "transport", None) if bound else None
        if transport is not None and hasattr(transport, "registerProducer"):
            transport.unregisterProducer()  # the HTTP request that became this socket
            transport.registerProducer(self, True)
            # Over 16 KiB we answer with an error; far over it the connection is dropped unread.
            bound[0].maxMessagePayloadSize = 64 * MAX_FRAME_BYTES
            self._protocol = bound[0]

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        self._free.clear()

    def resumeProducing(self) -> None:
        """The transport's buffer is empty again."""
        self._free.set()

    def stopProducing(self) -> None:
        """The connection is gone: let whoever waits find out."""
        self._free.set()

    def put(self, frame: Frame) -> bool:
        """Write at once where that is possible: five hundred clients need no five hundred tasks."""
        protocol = self._protocol
        if protocol is None or protocol.state != protocol.STATE_OPEN or not self._free.is_set():
            return False
        protocol.sendPreparedMessage(frame.prepared)
        return True

    async def free(self) -> None:
        """Wait until the connection takes more."""
        await self._free.wait()


class Client:
    """One socket: what it subscribed to, and the frames it has not taken yet."""

    def __init__(self, *, send: Send, wire: Wire, login: Login, behind_s: float = BEHIND_S) -> None:
        self.login = login
        self._behind_s = behind_s
        self.channels: set[str] = set()
        self._send = send
        self._wire = wire
        self._waiting: deque[str] = deque()
        self._latest: dict[str, str] = {}
        self._joining: dict[str, list[str]] = {}
        self._wake = asyncio.Event()
        self._behind_since: float | None = None
        self._closing: int | None = None

    def offer(self, channel: str, frame: Frame) -> None:
        """Give it an update; an older one of the channel that it has not taken yet is lost."""
        if channel not in self.channels:
            return
        if channel in self._joining:
            self._joining[channel].append(frame.text)
            return
        idle = self._behind_since is None and self._closing is None
        if not (idle and self._wire.put(frame)):
            self._latest[channel] = frame.text
            self._stir()

    def say(self, message: Mapping[str, Any]) -> None:
        """Queue an answer; answers are kept in order and never dropped."""
        self._waiting.append(text_of(message))
        self._stir()

    def join(self, channel: str) -> None:
        """From now on updates are kept until the snapshot is there."""
        self.channels.add(channel)
        self._latest.pop(channel, None)
        self._joining[channel] = []

    def joined(self, channel: str, snapshot: str) -> None:
        """The snapshot, then what came while it was read."""
        kept = self._joining.pop(channel, None)
        if kept is not None:
            self._waiting.extend([snapshot, *kept])
            self._stir()

    def leave(self, channel: str) -> None:
        """No more updates of this channel."""
        self.channels.discard(channel)
        self._latest.pop(channel, None)
        self._joining.pop(channel, None)

    def close(self, code: int) -> None:
        """Close with ``code`` as soon as the sender gets to it."""
        self._closing = self._closing or code
        self._wake.set()

    def _stir(self) -> None:
        now = time.monotonic()
        if self._behind_since is None:
            self._behind_since = now
        if now - self._behind_since > self._behind_s or len(self._waiting) > MAX_WAITING:
            self.close(CLOSE_BEHIND)
        self._wake.set()

    async def send_all(self) -> None:
        """The client's one sender: runs until the socket is closed."""
        while self._closing is None:
            await self._wake.wait()
            self._wake.clear()
            while self._closing is None and (text := self._next()) is not None:
                try:
                    async with asyncio.timeout(self._behind_s):
                        await self._wire.free()
                        await self._send({"type": "websocket.send", "text": text})
                except TimeoutError:
                    self.close(CLOSE_BEHIND)
            if not self._waiting and not self._latest:
                self._behind_since = None
        await self._send({"type": "websocket.close", "code": self._closing})

    def _next(self) -> str | None:
        if self._waiting:
            return self._waiting.popleft()
        for channel in self._latest:
            return self._latest.pop(channel)
        return None
