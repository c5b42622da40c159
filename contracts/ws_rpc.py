"""JSON-RPC over one WebSocket: calls, subscriptions, notifications in the order of the node.

Frames are taken in the event loop's own read, without a task between: what came off the socket is
decoded and handed on in one step. Nothing here is retried.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Final

import msgspec
import picows
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from contracts.endpoints import Endpoint, RpcUnavailable, endpoint_of
from contracts.kernel.jsonrpc import Json, RpcError, result_of

NOTIFICATIONS_MAX: Final = 20_000
BODY_MAX: Final = 64 * 2**20
PING_S: Final = 20.0
Note = tuple[str, Json]
_FRAMES: Final = logging.getLogger(f"{__name__}.frames")
_FRAMES.setLevel(logging.WARNING)  # connections come and go at INFO, with more than need be said
OnNote = Callable[[str, Json, int], None]


class WsRpc:
    """One connection. ``on_note`` takes (subscription id, payload, `perf_counter_ns` of arrival)
    of each notification at once; without it they wait for `notifications`.
    """

    def __init__(
        self, endpoint: Endpoint, *, timeout_s: float, on_note: OnNote | None = None
    ) -> None:
        self.endpoint = endpoint
        self.timeout_s = timeout_s
        self._on_note = on_note
        self._ids = itertools.count(1)
        self._waiting: dict[int, tuple[asyncio.Future[Json], float]] = {}
        self._notes: asyncio.Queue[Note | None] = asyncio.Queue(NOTIFICATIONS_MAX)
        self._transport: WSTransport | None = None
        self._ended = asyncio.Event()
        self.why_ended = ""

    @classmethod
    async def connect(
        cls,
        url: str | Endpoint,
        *,
        timeout_s: float = 5.0,
        on_note: OnNote | None = None,
    ) -> "WsRpc":
        """Open a connection. Raises: RpcUnavailable when it cannot be opened."""
        endpoint = endpoint_of(url) if isinstance(url, str) else url
        made = cls(endpoint, timeout_s=timeout_s, on_note=on_note)
        try:
            async with asyncio.timeout(timeout_s):
                made._transport, _ = await picows.ws_connect(
                    lambda: _Listener(made),
                    endpoint.url,
                    max_frame_size=BODY_MAX,
                    max_redirects=0,
                    logger_name=_FRAMES,
                    enable_auto_ping=True,
                    auto_ping_idle_timeout=PING_S,
                    auto_ping_reply_timeout=PING_S,
                )
        except (OSError, picows.WSError, ValueError) as error:
            refused = isinstance(error, OSError) and not isinstance(error, TimeoutError)
            why = "connection refused" if refused else "no WebSocket there"
            endpoint.failed(why)
            raise RpcUnavailable(why, endpoint=endpoint.shown, sent=False) from None
        return made

    @property
    def shown(self) -> str:
        """The endpoint's masked name."""
        return self.endpoint.shown

    def request(self, method: str, params: Sequence[object] = ()) -> "asyncio.Future[Json]":
        """Write one request now; the future takes its result or RpcError as a value.

        Raises: RpcUnavailable where the connection has ended; so does the future, later. Nobody
        bounds its time but who waits for it.
        """
        if self.why_ended or self._transport is None:
            raise RpcUnavailable(self.why_ended, endpoint=self.shown, sent=False)
        self.endpoint.budget.spend(1)
        key = next(self._ids)
        future: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._waiting[key] = (future, time.perf_counter())
        future.add_done_callback(lambda _: self._waiting.pop(key, None))
        body = {"jsonrpc": "2.0", "id": key, "method": method, "params": params}
        self._transport.send(WSMsgType.TEXT, msgspec.json.encode(body))
        return future

    async def call(self, method: str, params: Sequence[object] = ()) -> Json:
        """One request and its result. Raises: RpcError, RpcUnavailable."""
        try:
            async with asyncio.timeout(self.timeout_s):
                answer = await self.request(method, params)
        except TimeoutError:
            self.endpoint.failed("no answer in time")
            raise RpcUnavailable("no answer in time", endpoint=self.shown, sent=True) from None
        if isinstance(answer, RpcError):
            raise answer
        return answer

    async def subscribe(self, kind: str, *params: object) -> str:
        """``eth_subscribe``; returns the subscription's id."""
        return str(await self.call("eth_subscribe", [kind, *params]))

    async def notifications(self) -> AsyncIterator[Note]:
        """Every notification as (subscription id, payload), in the order the node wrote them.

        Raises: RpcUnavailable when the connection ends, or when the reader lags so far behind
            that something would have to be dropped.
        """
        while True:
            note = await self._notes.get()
            if note is None:
                raise RpcUnavailable(self.why_ended, endpoint=self.shown, sent=True)
            yield note

    async def ended(self) -> str:
        """Wait until the connection has ended; returns why."""
        await self._ended.wait()
        return self.why_ended

    async def close(self) -> None:
        """Close the connection; whoever still waits is told.

        Raises: what ``on_note`` raised, if that ended the connection: a bug of whoever gave it.
        """
        self.end("closed by us")
        if self._transport is not None:
            with suppress(picows.WSError):  # the node broke the protocol, and its line has ended
                await self._transport.wait_disconnected()

    def end(self, why: str) -> None:
        """End the connection for a reason; the first one stays."""
        if not self.why_ended:
            self.why_ended = why
            self._ended.set()
            for future, _ in list(self._waiting.values()):
                if not future.done():
                    future.set_exception(RpcUnavailable(why, endpoint=self.shown, sent=True))
                    future.exception()  # who waits gets it; where nobody does, nobody is warned
            while self._notes.full():
                self._notes.get_nowait()
            self._notes.put_nowait(None)
        if self._transport is not None:
            with suppress(OSError):
                self._transport.send_close(WSCloseCode.OK)
            self._transport.disconnect(graceful=False)

    def take(self, message: bytes) -> None:
        """One whole message of the node; what is no JSON-RPC ends the connection."""
        arrived_ns = time.perf_counter_ns()
        try:
            document = msgspec.json.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.end("the node sent something that is not JSON")
            return
        if not isinstance(document, dict):
            self.end("the node sent something that is not JSON-RPC")
            return
        if document.get("method") == "eth_subscription":
            params = document.get("params")
            if isinstance(params, dict):
                self._note(str(params.get("subscription")), params.get("result"), arrived_ns)
            return
        self._answer(document)

    def _note(self, subscription: str, payload: Json, arrived_ns: int) -> None:
        if self._on_note is not None:
            self._on_note(subscription, payload, arrived_ns)
            return
        try:
            self._notes.put_nowait((subscription, payload))
        except asyncio.QueueFull:
            self.end("the reader lagged too far behind")

    def _answer(self, document: dict[str, object]) -> None:
        key = document.get("id")
        waiting = self._waiting.pop(key, None) if isinstance(key, int) else None
        if waiting is None:
            return
        future, asked_at = waiting
        self.endpoint.answered(took_s=time.perf_counter() - asked_at)
        if not future.done():
            try:
                future.set_result(result_of(document))
            except ValueError as error:
                self.end(str(error))
                future.set_exception(RpcUnavailable(self.why_ended, endpoint=self.shown, sent=True))


class _Listener(WSListener):
    """Joins frames to messages for one `WsRpc`."""

    def __init__(self, rpc: WsRpc) -> None:
        super().__init__()
        self._rpc = rpc
        self._parts: list[bytes] = []
        self._size = 0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind == WSMsgType.CLOSE:
            self._rpc.end("connection closed")
        elif kind in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION):
            if frame.fin and not self._parts:
                self._rpc.take(frame.get_payload_as_bytes())
                return
            self._parts.append(frame.get_payload_as_bytes())
            self._size += len(self._parts[-1])
            if self._size > BODY_MAX:
                self._rpc.end(f"the node sent a message over {BODY_MAX // 2**20} MiB")
            elif frame.fin:
                parts, self._parts, self._size = self._parts, [], 0
                self._rpc.take(b"".join(parts))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._rpc.end("connection closed")
