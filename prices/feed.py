"""Heads and logs over WebSocket, handed on as contiguous blocks; reads the chain, writes nothing.

Every endpoint is followed at the same time, and a block is taken from the first that tells it
whole. A block's logs come from `eth_getLogs` by its hash, never from its header alone and never
from the log stream, which may lose, double or delay; the stream is watched beside it, so that its
silence is noticed too. What is handed on in one step is told by one endpoint alone: endpoints that
contradict each other are noted, never mixed. Whatever cannot be joined by parent hashes is handed
on as a reason to load afresh.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from arbsite.base.errors import Retryable
from contracts.kernel.events import MalformedEvent, NewHead, decode_head
from contracts.kernel.jsonrpc import RpcError
from prices.line import FeedBlock, Gone, Line, Told

logger = logging.getLogger(__name__)
PASSED_DEPTHS: Final = 4
JOIN_S: Final = 1.0
ASIDE_BLOCKS: Final = 32  # so many it agrees on before an endpoint that lost a dispute is followed
__all__ = ["Advance", "Down", "Feed", "FeedBlock", "Lost", "Step"]


class Advance(NamedTuple):
    """Blocks that join one after the other to ``ancestor``, a hash the book knows."""

    ancestor: str
    blocks: tuple[FeedBlock, ...]
    received_ns: int


@dataclass(frozen=True, slots=True)
class Lost:
    """The chain between the book and ``head`` cannot be joined: load the book afresh.

    ``deep_reorg``: because the chain was reorganised below everything the book knows.
    """

    head: NewHead
    why: str
    received_ns: int
    deep_reorg: bool = False


@dataclass(frozen=True, slots=True)
class Down:
    """The feed has no connection; the state ages until it is back."""

    why: str


Step = Advance | Lost | Down


class Feed:
    """One chain's feed; `steps` runs for ever, across reconnections.

    ``urls``: in the order of preference, which decides only where two contradict each other.
    ``known``: hashes the book can roll back to, newest first.
    """

    def __init__(
        self,
        *,
        urls: Sequence[str],
        chain_id: int,
        addresses: Sequence[str],
        block_time_ms: int,
        known: Callable[[], tuple[str, ...]],
        depth: int = 64,
    ) -> None:
        self.known = known
        self.depth = depth
        # Ten block times, at least 5 s: a header stream can die while the connection lives.
        self.silence_s = max(5.0, block_time_ms * 10 / 1000)
        self._events: asyncio.Queue[Told | Gone | BaseException] = asyncio.Queue()
        self.lines = [
            Line(
                url,
                position=i,
                chain_id=chain_id,
                addresses=addresses,
                silence_s=lambda: self.silence_s,
                take=self._events.put_nowait,
            )
            for i, url in enumerate(urls)
        ]
        self._leader: Line | None = None  # who told the head that the book stands at
        self._down = False
        self._refused: set[int] = set()
        self._passed: dict[int, str] = {}  # height -> hash of what was handed on
        # (endpoint, hash) -> height as that endpoint says, of heads that were loaded
        self._heights: dict[tuple[int, str], int] = {}
        self._first: dict[str, Told] = {}  # hash -> who told it first, what, and when

    async def steps(self) -> AsyncGenerator[Step, None]:
        """Everything that happens, in order; close it, and the connections are closed.

        Raises: a bug of a line, which would else be still for ever.
        """
        tasks = [asyncio.create_task(line.run(), name="feed line") for line in self.lines]
        for task in tasks:
            task.add_done_callback(self._line_ended)
        try:
            while True:
                event = await self._events.get()
                if isinstance(event, BaseException):
                    raise event
                step = (
                    self._lost_line(event) if isinstance(event, Gone) else await self._took(event)
                )
                if step is not None:
                    self._down = isinstance(step, Down)
                    yield step
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _line_ended(self, task: "asyncio.Task[None]") -> None:
        """Only a bug ends one that nobody cancelled."""
        if not task.cancelled() and (bug := task.exception()) is not None:
            self._events.put_nowait(bug)

    def _lost_line(self, event: Gone) -> Down | None:
        """A connection ended: the feed is down when no other is up or still to be tried."""
        if self._leader is event.line:
            self._leader = None
        self._refused.add(event.line.position)
        others = [line for line in self.lines if line is not event.line]
        alive = any(line.up or line.position not in self._refused for line in others)
        return None if alive else Down(event.why)

    async def _took(self, told: Told) -> Step | None:
        """What a head of one endpoint means for the book; None where it changes nothing."""
        self._refused.discard(told.line.position)
        line, head = told.line, told.head
        if (disputed := self._compare(told)) is not None:
            return disputed
        others = any(other.up for other in self.lines if other is not line)
        if others and (line.standing.aside or told.block is None):
            return None  # another tells it, and is believed
        try:
            # One that answers slowly must not keep what the others tell waiting.
            async with asyncio.timeout(JOIN_S if others else None):
                wanted = await self._newest(told)
                if wanted is None:
                    return None
                step = await self._join(line, wanted, told)
        except (TimeoutError, Retryable, RpcError, MalformedEvent) as error:
            # It ended, or says what nobody can use: its own watch, or the next head, tells.
            logger.warning("head not joined", extra={"why": str(error), "block": head.number})
            return None
        self._leader = line if isinstance(step, Advance) else None
        return step

    def _compare(self, told: Told) -> Lost | None:
        """Hold an endpoint's block against what others told; note what differs (I36).

        Returns: a reason to load afresh, where the book stands on what the less preferred told.
        """
        head, line = told.head, told.line
        passed = self._passed.get(head.number)
        apart = passed is not None and passed != head.hash
        if line is not self._leader:
            line.standing.forks += apart
        if told.block is None:
            return None
        first = self._first.setdefault(head.hash, told)
        self._forget()
        if first.line is line:
            line.standing.first += first is told
            return None
        line.standing.behind.add(max(0, told.received_ns - first.received_ns) // 1_000)
        if first.block == told.block:
            for each in (first.line, line):
                each.standing.aside = max(0, each.standing.aside - 1)
            return None
        return self._dispute(first, told)

    def _dispute(self, first: Told, told: Told) -> Lost | None:
        """Two told one hash with different contents: the less preferred is set aside."""
        for each in (first.line, told.line):
            each.standing.disputes += 1
        believed, doubted = sorted((first, told), key=lambda each: each.line.position)
        doubted.line.standing.aside = ASIDE_BLOCKS
        self._first[told.head.hash] = believed
        why = (
            f"{doubted.line.endpoint.shown} and {believed.line.endpoint.shown} tell block "
            f"{told.head.number} differently: the latter is believed"
        )
        logger.error("feed endpoints disagree", extra={"why": why, "hash": told.head.hash})
        if doubted is not first or told.head.hash not in self.known():
            return None
        self._passed.clear()
        self._leader = None
        return Lost(told.head, why, told.received_ns)

    async def _newest(self, told: Told) -> NewHead | None:
        """The head to go to; None where the book is there or further.

        One that the book has passed came late, or the chain went back. Of the endpoint that told
        the book's head only the node can tell which, and it is asked; the others came late.
        """
        head, line, known = told.head, told.line, self.known()
        if not known:
            return head
        if head.hash == known[0]:
            return head if self._down else None
        leads = self._leader is line or self._leader is None or not self._leader.up
        if head.hash in known or self._passed.get(head.number) == head.hash:
            if not leads and not self._down:
                return None
            newest = decode_head(await line.call("eth_getBlockByNumber", ["latest", False]))
            return newest if self._down or newest.hash != known[0] else None
        if self._down or self._leader is line:
            return head
        at = await self._height_of(line, known[0])
        if at is None or head.number > at or (leads and head.number == at):
            return head
        return None

    async def _height_of(self, line: Line, block_hash: str) -> int | None:
        """The height of a block that the book knows: as handed on, else as this endpoint says,
        asked once; None where it does not know it."""
        for number, passed in reversed(self._passed.items()):
            if passed == block_hash:
                return number
        if (line.position, block_hash) not in self._heights:
            answer = await line.call("eth_getBlockByHash", [block_hash, False])
            if answer is None:
                return None
            self._heights[line.position, block_hash] = decode_head(answer).number
        return self._heights[line.position, block_hash]

    async def _join(self, line: Line, head: NewHead, told: Told) -> Advance | Lost:
        """Walk back by parent hash to a block the book knows, then forward with logs by hash."""
        known = set(self.known())
        received_ns = told.received_ns
        if not known:
            return Lost(head, "nothing loaded yet", received_ns)
        if head.hash in known:
            return Advance(head.hash, (), received_ns)
        chain = [head]
        while chain[-1].parent_hash not in known:
            if len(chain) >= self.depth:
                why = f"no common block within {self.depth}"
                return await self._lost(line, chain, why, received_ns)
            parent = await line.call("eth_getBlockByHash", [chain[-1].parent_hash, False])
            if parent is None:
                return await self._lost(line, chain, "the node does not know a parent", received_ns)
            chain.append(decode_head(parent))
        chain.reverse()
        try:
            blocks = await self._blocks(line, chain, told)
        except RpcError as error:
            return Lost(head, f"a block went away while it was read: {error.message}", received_ns)
        for each in chain:
            self._passed[each.number] = each.hash
        for number in sorted(self._passed)[: -PASSED_DEPTHS * self.depth]:
            del self._passed[number]
        return Advance(chain[0].parent_hash, blocks, received_ns)

    async def _blocks(
        self, line: Line, chain: Sequence[NewHead], told: Told
    ) -> tuple[FeedBlock, ...]:
        """The blocks of one endpoint's chain; that of the head it announced is there already."""
        if len(chain) == 1 and told.block is not None and told.block.head == chain[0]:
            return (told.block,)
        return tuple(await asyncio.gather(*(line.block(each) for each in chain)))

    async def _lost(self, line: Line, chain: Sequence[NewHead], why: str, received_ns: int) -> Lost:
        """``chain``: what was walked back from the head, without meeting a known block."""
        deep = len(self.known()) > self.depth and await self._left(line, chain)
        self._passed.clear()
        return Lost(chain[0], why, received_ns, deep_reorg=deep)

    async def _left(self, line: Line, chain: Sequence[NewHead]) -> bool:
        """Whether the chain left what was followed, below everything the book can go back to.

        A pause longer than the journal is none: what was followed still stands. Nor is a node that
        lags: what it walks was passed here.
        """
        met = [head for head in chain if head.number in self._passed]
        if met:
            return self._passed[met[0].number] != met[0].hash
        if not self._passed:
            return False
        number = min(self._passed)
        standing = await line.call("eth_getBlockByNumber", [hex(number), False])
        return standing is not None and decode_head(standing).hash != self._passed[number]

    def _forget(self) -> None:
        """Keep what was told of as many blocks as the book can go back."""
        while len(self._first) > self.depth:
            del self._first[next(iter(self._first))]
        while len(self._heights) > PASSED_DEPTHS * self.depth:
            del self._heights[next(iter(self._heights))]
