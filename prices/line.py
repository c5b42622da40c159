"""One endpoint of the feed: its heads, each with its logs by hash, as it alone tells them.

Subscribed before anything is fetched, so that nothing falls in between; connected again for ever.
What is told goes to ``take`` in the order of the heads; nothing here knows of other endpoints.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from arbsite.base.errors import Retryable
from contracts.endpoints import Endpoint, endpoint_of
from contracts.kernel.events import (
    SYNC_TOPIC,
    MalformedEvent,
    NewHead,
    SyncEvent,
    decode_head,
    decode_sync,
)
from contracts.kernel.jsonrpc import Json, RpcError, hex_int
from contracts.kernel.latencies import Latencies
from contracts.rpc import RpcUnavailable, WrongChain, WsRpc

logger = logging.getLogger(__name__)
LOG_SILENCE_BLOCKS: Final = 5
LOG_SILENCE_S: Final = 1.0
RETRY_FIRST_S: Final = 0.2
RETRY_MAX_S: Final = 5.0
WATCH_S: Final = 0.1


class FeedBlock(NamedTuple):
    """One block with every Sync of registered pools in it, in log order."""

    head: NewHead
    events: tuple[SyncEvent, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """A head that an endpoint announced. ``block`` is None where its logs were not to be had."""

    line: "Line"
    head: NewHead
    block: FeedBlock | None
    received_ns: int


@dataclass(frozen=True, slots=True)
class Gone:
    """An endpoint's connection ended, or was never made."""

    line: "Line"
    why: str


class Silent(Retryable):
    """Heads or logs stopped arriving over a connection that looks alive."""


@dataclass(slots=True)
class Standing:
    """How an endpoint does beside the others.

    ``first``: blocks it told before any other; ``behind``: how much later than the first it told
    the rest. ``disputes``: the same hash with other contents; ``forks``: another hash at a height.
    ``aside``: blocks it has yet to agree on before it is followed again.
    """

    first: int = 0
    behind: Latencies = field(default_factory=Latencies)
    disputes: int = 0
    forks: int = 0
    reconnects: int = 0
    aside: int = 0


class Line:
    """Follows one URL. ``position``: its place in the operator's list; the first is preferred."""

    def __init__(
        self,
        url: str,
        *,
        position: int,
        chain_id: int,
        addresses: Sequence[str],
        silence_s: Callable[[], float],
        take: Callable[[Told | Gone], None],
    ) -> None:
        self.endpoint: Endpoint = endpoint_of(url)
        self.position = position
        self.standing = Standing()
        self._chain_id = chain_id
        self._addresses = list(addresses)
        self._wanted = frozenset(self._addresses)
        self._silence_s = silence_s
        self._take = take
        self._ws: WsRpc | None = None
        self._heads = self._logs = ""
        self._early: list[tuple[str, Json, int]] = []
        self._asked: deque[tuple[NewHead, asyncio.Future[Json], int]] = deque()
        self._head_at = 0.0
        # Blocks with logs since the stream last sent one, and since when: in a burst of blocks the
        # answers overtake the stream.
        self._unlogged = 0
        self._unlogged_at = 0.0

    @property
    def up(self) -> bool:
        """Whether it is connected and subscribed."""
        return bool(self._heads and self._ws is not None and not self._ws.why_ended)

    def take_standing(self) -> Standing:
        """What was counted since the last call; whether it is set aside stays."""
        seen = self.standing
        self.standing = Standing(aside=seen.aside)
        return seen

    async def run(self) -> None:
        """Connect, follow, and connect again, until cancelled."""
        wait_s = RETRY_FIRST_S
        while True:
            began = time.monotonic()
            try:
                await self._follow()
            except (Retryable, RpcError, MalformedEvent, WrongChain) as error:
                logger.warning(
                    "feed endpoint lost", extra={"endpoint": self.endpoint.shown, "why": str(error)}
                )
                self.standing.reconnects += 1
                self._take(Gone(self, str(error)))
            if time.monotonic() - began > 2 * RETRY_MAX_S:
                wait_s = RETRY_FIRST_S
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, RETRY_MAX_S)

    async def call(self, method: str, params: Sequence[object]) -> Json:
        """Ask this endpoint something. Raises: RpcError, RpcUnavailable."""
        if self._ws is None:
            raise RpcUnavailable("not connected", endpoint=self.endpoint.shown, sent=False)
        return await self._ws.call(method, params)

    async def block(self, head: NewHead) -> FeedBlock:
        """A block's logs by its hash. Raises: RpcError, RpcUnavailable, MalformedEvent."""
        return self._decoded(head, await self.call("eth_getLogs", [self._query(head)]))

    async def _follow(self) -> None:
        """One connection from its handshake to its end; only raises."""
        ws = await WsRpc.connect(self.endpoint, on_note=self._note)
        self._ws, self._unlogged = ws, 0
        self._asked.clear()
        try:
            found = hex_int(await ws.call("eth_chainId"))
            if found != self._chain_id:
                raise WrongChain(endpoint=ws.shown, expected=self._chain_id, found=found)
            # Subscribe first, fetch afterwards: what happens in between is in one or the other.
            heads = await ws.subscribe("newHeads")
            query = {"address": self._addresses, "topics": [[SYNC_TOPIC]]}
            self._logs = await ws.subscribe("logs", query)
            now = decode_head(await ws.call("eth_getBlockByNumber", ["latest", False]))
            self._head_at = time.monotonic()
            self._ask(now, time.perf_counter_ns())
            self._heads = heads
            early, self._early = self._early, []
            for note in early:
                self._note(*note)
            await self._watch(ws)
        finally:
            self._heads = self._logs = ""
            self._early.clear()
            await ws.close()

    async def _watch(self, ws: WsRpc) -> None:
        """Raises when the connection ends, or when heads or logs fall silent."""
        ended = asyncio.ensure_future(ws.ended())
        try:
            while not ended.done():
                await asyncio.wait([ended], timeout=WATCH_S)
                if time.monotonic() - self._head_at > self._silence_s():
                    raise Silent(f"no block for {self._silence_s():.0f} s from {ws.shown}")
                if (
                    self._unlogged > LOG_SILENCE_BLOCKS
                    and time.monotonic() - self._unlogged_at > LOG_SILENCE_S
                ):
                    raise Silent(
                        f"{self._unlogged} blocks had logs that the log stream did not send"
                    )
        finally:
            ended.cancel()
        raise RpcUnavailable(ws.why_ended, endpoint=ws.shown, sent=True)

    def _note(self, subscription: str, payload: Json, arrived_ns: int) -> None:
        """A notification, straight from the socket: a head's logs are asked for at once."""
        if not self._heads:
            self._early.append((subscription, payload, arrived_ns))
        elif subscription == self._logs:
            self._unlogged = 0
        elif subscription == self._heads and self._ws is not None:
            try:
                head = decode_head(payload)
            except MalformedEvent as error:
                self._ws.end(str(error))
                return
            self._head_at = time.monotonic()
            self._ask(head, arrived_ns)

    def _ask(self, head: NewHead, arrived_ns: int) -> None:
        if self._ws is None or self._ws.why_ended:
            return
        logs = self._ws.request("eth_getLogs", [self._query(head)])
        self._asked.append((head, logs, arrived_ns))
        logs.add_done_callback(lambda _: self._hand_on())

    def _hand_on(self) -> None:
        """Give on, in the order of the heads, what has its logs."""
        while self._asked and self._asked[0][1].done():
            head, logs, arrived_ns = self._asked.popleft()
            if logs.cancelled() or logs.exception() is not None:
                continue  # the connection ended: whoever watches it says so
            answer, block = logs.result(), None
            if not isinstance(answer, RpcError):
                try:
                    block = self._decoded(head, answer)
                except (MalformedEvent, RpcUnavailable) as error:
                    if self._ws is not None:
                        self._ws.end(str(error))
                    return
                if block.events:
                    self._unlogged_at = self._unlogged_at if self._unlogged else time.monotonic()
                    self._unlogged += 1
            self._take(Told(self, head, block, arrived_ns))

    def _query(self, head: NewHead) -> dict[str, object]:
        return {"blockHash": head.hash, "address": self._addresses, "topics": [[SYNC_TOPIC]]}

    def _decoded(self, head: NewHead, logs: Json) -> FeedBlock:
        if not isinstance(logs, list):
            why = "logs are not a list"
            raise RpcUnavailable(why, endpoint=self.endpoint.shown, sent=True)
        events = [decode_sync(log) for log in logs]
        kept = [e for e in events if e.pool in self._wanted and e.block_hash == head.hash]
        kept.sort(key=lambda event: event.log_index)
        return FeedBlock(head, tuple(kept))
