"""Between the product and its node: every answer comes later, and what passes is timed.

Bytes are passed on as they are, HTTP and WebSocket alike; a head is known by its field, a
transaction by its method.
"""

import asyncio
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import uvloop

from wallets.kernel.payload import transaction_hash

_RAW = re.compile(rb'eth_sendRawTransaction","params":\["0x([0-9a-f]+)"')


@dataclass
class Passed:
    """One transaction that passed, `perf_counter` seconds of the wire: when the newest head was
    handed on before it, when its bytes came, when the node's answer was handed on."""

    hash: str
    head_s: float
    sent_s: float
    accepted_s: float = 0.0


@dataclass
class SlowWire:
    """A listener on ``port`` whose every answer from ``upstream()`` comes ``delay_s`` later."""

    upstream: Callable[[], tuple[str, int]]
    delay_s: float = 0.0
    port: int = 0
    passed: list[Passed] = field(default_factory=list)
    head_s: float = 0.0

    def __enter__(self) -> "SlowWire":
        self._loop = uvloop.new_event_loop()  # the wire's own work is counted with the product's
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="slow wire")
        self._thread.start()
        ready.wait(10)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self, ready: threading.Event) -> None:
        self._loop.run_until_complete(self._serve(ready))
        self._loop.close()

    async def _serve(self, ready: threading.Event) -> None:
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stop.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        pending: list[Passed] = []
        try:
            up_reader, up_writer = await asyncio.open_connection(*self.upstream())
        except OSError:
            writer.close()
            return
        both = [
            asyncio.ensure_future(self._up(reader, up_writer, pending)),
            asyncio.ensure_future(self._down(up_reader, writer, pending)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in both:
                each.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            up_writer.close()
            writer.close()

    async def _up(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pending: list[Passed]
    ) -> None:
        kept = b""
        while data := await reader.read(2**16):
            kept = kept[-4096:] + data
            if found := _RAW.search(kept):
                kept = b""
                hash_ = "0x" + transaction_hash(bytes.fromhex(found[1].decode())).hex()
                pending.append(Passed(hash_, self.head_s, time.perf_counter()))
            writer.write(data)

    async def _down(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pending: list[Passed]
    ) -> None:
        while data := await reader.read(2**16):
            waiting, pending[:] = list(pending), []
            self._loop.call_later(self.delay_s, self._hand_on, data, writer, waiting)

    def _hand_on(self, data: bytes, writer: asyncio.StreamWriter, waiting: list[Passed]) -> None:
        now = time.perf_counter()
        if b"eth_subscription" in data and b"parentHash" in data:
            self.head_s = now
        for each in waiting:
            each.accepted_s = now
        self.passed += waiting
        if not writer.is_closing():
            writer.write(data)
