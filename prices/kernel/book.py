"""The state of every pool at one block, kept exact, screened in float64, undone by block hash.

Layout. Reserves live twice. Exact: two preallocated lists of Python integers, which the sizing
reads in tens of nanoseconds; two uint64 limbs per reserve would have to be put together again by
that same Python for more than the sizing itself costs. For the search: one packed float64 buffer,
``rates``, of 3 rows by 2n edges. Edge 2i goes from token0 to token1 of pool i, edge 2i + 1 back;
row 0 is the marginal price, row 1 the same after the fee, row 2 the depth: the reserve that the
edge takes, over what the fee leaves. An empty or unknown pool has rates and depth of 0, so no
product with it reaches any threshold.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, NamedTuple, cast, overload

import numpy as np
import numpy.typing as npt

from arbsite.base.errors import Halt, Rejected, Retryable
from arbsite.base.units import BPS_ONE, BlockNumber, Bps, TokenAmount

Floats = npt.NDArray[np.float64]
Reserves = tuple[tuple[TokenAmount, TokenAmount], ...]
UINT112_MAX: Final = 2**112 - 1
MARGINAL: Final = 0  # row of ``rates``: the price without fee
AFTER_FEE: Final = 1  # row of ``rates``: the price less the fee
DEPTH: Final = 2  # row of ``rates``: reserve in / (1 - fee), raw token units
_CHUNK: Final = 512  # pools that a snapshot copies together


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSpec:
    """What never changes of a pool. Tokens are indexes into the book's tokens, in pair order."""

    address: str  # lower case
    token0: int
    token1: int
    fee_bps: Bps
    dex: str = ""


class BlockRef(NamedTuple):
    """A block by number and hash, and the hash that it builds on."""

    number: BlockNumber
    hash: str
    parent_hash: str


class PoolState(NamedTuple):
    """New reserves of one pool, raw token units in pair order."""

    pool: int
    reserve0: TokenAmount
    reserve1: TokenAmount


class BlockGap(Retryable):
    """A block that does not build on the book's head: fetch what lies between by hash."""

    def __init__(self, *, head: BlockRef | None, block: BlockRef) -> None:
        self.head = head
        self.block = block
        at = "no block yet" if head is None else f"block {head.number} {head.hash}"
        super().__init__(
            f"block {block.number} builds on {block.parent_hash}, the book is at {at}: "
            "fetch the blocks between by hash, or roll back to their common ancestor"
        )


class JournalTooShort(Retryable):
    """A reorganisation reaches below the last full load: load the book afresh."""

    def __init__(self, *, block_hash: str, blocks: int) -> None:
        self.block_hash = block_hash
        self.blocks = blocks
        super().__init__(
            f"block {block_hash} is not among the {blocks} since the last load: load afresh"
        )


class ReorgTooDeep(Halt):
    """A reorganisation beyond the limit: the chain is halted and a human looks."""

    def __init__(self, *, block_hash: str, limit: int) -> None:
        self.block_hash = block_hash
        self.limit = limit
        super().__init__(
            f"the chain reorganised to {block_hash}, more than {limit} blocks back: "
            "compare the RPC endpoints, then restart the engine to load the book afresh"
        )


class BadReserves(Rejected):
    """Reserves or a pool index that no pair can have; nothing was applied."""

    def __init__(self, state: PoolState) -> None:
        self.state = state
        super().__init__(f"pool {state.pool} cannot hold {state.reserve0} and {state.reserve1}")


class ReservesByPool(Sequence[tuple[TokenAmount, TokenAmount]]):
    """Reserves of every pool in immutable chunks, which snapshots share where nothing changed."""

    __slots__ = ("_chunks", "_count")

    def __init__(self, chunks: tuple[Reserves, ...], count: int) -> None:
        self._chunks = chunks
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, pool: int) -> tuple[TokenAmount, TokenAmount]: ...
    @overload
    def __getitem__(self, pool: slice) -> Sequence[tuple[TokenAmount, TokenAmount]]: ...
    def __getitem__(self, pool: Any) -> Any:
        if isinstance(pool, slice):
            return [self[i] for i in range(*pool.indices(self._count))]
        if not -self._count <= pool < self._count:
            raise IndexError(pool)
        pool %= self._count
        return self._chunks[pool // _CHUNK][pool % _CHUNK]

    def __iter__(self) -> Iterator[tuple[TokenAmount, TokenAmount]]:
        return chain.from_iterable(self._chunks)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ReservesByPool):
            return self._chunks == other._chunks
        return isinstance(other, tuple) and tuple(self) == other

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class BookSnapshot:
    """The book at one version. Nothing in it ever changes: any thread reads it without a lock."""

    block: BlockRef | None
    version: int
    reserves: ReservesByPool
    quarantined: Mapping[int, str]
    unknown: frozenset[int]


class _Undo(NamedTuple):
    parent: BlockRef
    before: tuple[PoolState, ...]


class PoolBook:
    """Reserves of all pools at ``head``; one writer, snapshots for readers.

    ``version`` rises with every change of state. ``depth`` is how many blocks can be undone.
    """

    def __init__(
        self, *, tokens: Sequence[str], pools: Sequence[PoolSpec], depth: int = 64
    ) -> None:
        if depth < 1:
            raise ValueError(f"{depth=} must be at least 1")
        self.tokens = tuple(tokens)
        self.pools = tuple(pools)
        self.depth = depth
        self.head: BlockRef | None = None
        self.version = 0
        self.quarantined: dict[int, str] = {}
        self.untrusted: str | None = "not loaded yet"
        self._index = {pool.address: i for i, pool in enumerate(self.pools)}
        if len(self._index) != len(self.pools):
            raise ValueError("a pool address stands twice in the book")
        for pool in self.pools:
            if pool.token0 == pool.token1 or not 0 <= pool.fee_bps < BPS_ONE:
                raise ValueError(f"{pool} is no pair: equal tokens, or a fee outside [0, 10000)")
        count = len(self.pools)
        self.reserve0: list[TokenAmount] = [TokenAmount(0)] * count
        self.reserve1: list[TokenAmount] = [TokenAmount(0)] * count
        self.unknown: set[int] = set(range(count))
        self.rates: Floats = np.zeros((3, 2 * count))
        # The same memory, row by row: one number is written in half the time.
        self._flat = cast("memoryview[float]", self.rates.reshape(-1).data)
        self._followers: list[set[int]] = []
        self._chunks: list[Reserves] = [()] * -(-count // _CHUNK)
        self._stale_chunks = set(range(len(self._chunks)))
        self._keep = [(BPS_ONE - pool.fee_bps) / BPS_ONE for pool in self.pools]
        self._journal: deque[_Undo] = deque(maxlen=depth)

    def pool_index(self, address: str) -> int | None:
        """The pool of that lower-case address, or None where it is not ours."""
        return self._index.get(address)

    @property
    def undoable(self) -> int:
        """How many blocks can be rolled back now."""
        return len(self._journal)

    def load(
        self, block: BlockRef, reserves: Mapping[int, tuple[TokenAmount, TokenAmount]]
    ) -> None:
        """Take the whole state as read from the chain at one block; forget the journal.

        Pools that are not in ``reserves`` become unknown. Quarantines stay until `release`.

        Raises: BadReserves, and then nothing changed.
        """
        states = [PoolState(pool, *pair) for pool, pair in reserves.items()]
        self._check(states)
        for pool in range(len(self.pools)):
            self._put(PoolState(pool, TokenAmount(0), TokenAmount(0)))
        self.unknown = set(range(len(self.pools))) - set(reserves)
        for state in states:
            self._put(state)
        self._journal.clear()
        self.head = block
        self.untrusted = None
        self.version += 1

    def load_pool(self, state: PoolState, *, block_hash: str) -> None:
        """Take one pool's state as read at the head, as after a quarantine.

        The journal is forgotten: what it holds of this pool was wrong.

        Raises: BadReserves; JournalTooShort if the book has moved past that block.
        """
        if self.head is None or self.head.hash != block_hash:
            raise JournalTooShort(block_hash=block_hash, blocks=0)
        self._check([state])
        self._put(state)
        self.unknown.discard(state.pool)
        self._journal.clear()
        self.version += 1

    def apply_block(self, block: BlockRef, states: Iterable[PoolState] = ()) -> frozenset[int]:
        """Move to the next block: its Sync events in log order, the last of a pool wins.

        Returns: the pools whose reserves differ from before.
        Raises: BlockGap or BadReserves, and then nothing changed.
        """
        head = self.head
        if head is None or block.parent_hash != head.hash or block.number != head.number + 1:
            raise BlockGap(head=head, block=block)
        last = {state.pool: state for state in states}
        self._check(last.values())
        before: list[PoolState] = []
        moved: set[int] = set()
        for state in last.values():
            pool = state.pool
            if pool in self.unknown:  # its past is not known: it waits for a load
                continue
            old = PoolState(pool, self.reserve0[pool], self.reserve1[pool])
            if old != state:
                before.append(old)
                moved.add(pool)
                self._put(state)
        self._journal.append(_Undo(head, tuple(before)))
        self.head = block
        self.version += 1
        return frozenset(moved)

    def rollback_to(self, block_hash: str) -> frozenset[int]:
        """Undo blocks until the head is that one, the common ancestor of the new branch.

        Returns: the pools whose reserves may differ from before.
        Raises: ReorgTooDeep beyond ``depth``; JournalTooShort where the last load is nearer.
            Nothing changed then.
        """
        head = self.head
        if head is not None and head.hash == block_hash:
            return frozenset()
        if not any(undo.parent.hash == block_hash for undo in self._journal):
            if len(self._journal) == self.depth:
                raise ReorgTooDeep(block_hash=block_hash, limit=self.depth)
            raise JournalTooShort(block_hash=block_hash, blocks=len(self._journal))
        touched: set[int] = set()
        while head is None or head.hash != block_hash:
            undo = self._journal.pop()
            for old in undo.before:
                self._put(old)
                touched.add(old.pool)
            head = undo.parent
        self.head = head
        self.version += 1
        return frozenset(touched)

    def known_hashes(self) -> tuple[str, ...]:
        """Hashes that `rollback_to` takes, newest first, the head among them."""
        if self.head is None:
            return ()
        return (self.head.hash, *(undo.parent.hash for undo in reversed(self._journal)))

    def quarantine(self, pool: int, reason: str) -> None:
        """Trust a pool's numbers no more: its cycles are refused as stale until `release`."""
        self.quarantined[pool] = reason
        self.version += 1

    def release(self, pool: int) -> None:
        """End a quarantine, after `load` or `load_pool` gave the pool's true state."""
        if self.quarantined.pop(pool, None) is not None:
            self.version += 1

    def distrust(self, reason: str) -> None:
        """Events may be missing: every cycle is refused as stale until the next `load`."""
        self.untrusted = reason
        self.version += 1

    def stale_reason(self, pool: int) -> str | None:
        """Why this pool's numbers must not be acted on, or None."""
        if self.untrusted is not None:
            return self.untrusted
        if pool in self.unknown:
            return "state not read from the chain yet"
        return self.quarantined.get(pool)

    def edge_reserves(self, edge: int) -> tuple[TokenAmount, TokenAmount]:
        """(reserve in, reserve out) of a directed edge, raw token units."""
        pool = edge >> 1
        if edge & 1:
            return self.reserve1[pool], self.reserve0[pool]
        return self.reserve0[pool], self.reserve1[pool]

    def edge_tokens(self, edge: int) -> tuple[int, int]:
        """(token in, token out) of a directed edge."""
        pool = self.pools[edge >> 1]
        return (pool.token1, pool.token0) if edge & 1 else (pool.token0, pool.token1)

    def follow(self) -> set[int]:
        """A set that every pool is put into whose reserves are set from now on; the caller's."""
        moved: set[int] = set()
        self._followers.append(moved)
        return moved

    def snapshot(self) -> BookSnapshot:
        """The state as it is now, for readers of any thread; the writer makes it.

        Copies only the chunks of pools that changed since the last one.
        """
        for at in self._stale_chunks:
            part = slice(at * _CHUNK, (at + 1) * _CHUNK)
            self._chunks[at] = tuple(zip(self.reserve0[part], self.reserve1[part], strict=True))
        self._stale_chunks.clear()
        return BookSnapshot(
            block=self.head,
            version=self.version,
            reserves=ReservesByPool(tuple(self._chunks), len(self.pools)),
            quarantined=dict(self.quarantined),
            unknown=frozenset(self.unknown),
        )

    def _check(self, states: Iterable[PoolState]) -> None:
        for state in states:
            pool, reserve0, reserve1 = state
            if (
                not 0 <= pool < len(self.pools)
                or not 0 <= reserve0 <= UINT112_MAX
                or not 0 <= reserve1 <= UINT112_MAX
            ):
                raise BadReserves(state)

    def _put(self, state: PoolState) -> None:
        pool, reserve0, reserve1 = state
        self.reserve0[pool] = reserve0
        self.reserve1[pool] = reserve1
        forward = backward = depth0 = depth1 = 0.0
        keep = self._keep[pool]
        if reserve0 and reserve1:
            forward = reserve1 / reserve0
            backward = reserve0 / reserve1
            depth0 = reserve0 / keep
            depth1 = reserve1 / keep
        at, row, flat = 2 * pool, 2 * len(self.pools), self._flat
        flat[at] = forward
        flat[at + 1] = backward
        flat[row + at] = forward * keep
        flat[row + at + 1] = backward * keep
        flat[2 * row + at] = depth0
        flat[2 * row + at + 1] = depth1
        self._stale_chunks.add(pool // _CHUNK)
        for follower in self._followers:
            follower.add(pool)
