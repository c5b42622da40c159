"""The market as a graph of tokens and pairs, with its rings, packed for the compiled search.

Rings are cycles of directed pairs, so their number does not grow with the pools of a pair: pools
are looked at only where a ring passes. Built once per registry.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from prices.kernel import compiled, rings
from prices.kernel.book import PoolSpec
from prices.kernel.cycles import MAX_HOPS, TooManyCycles

Words = npt.NDArray[np.uint32]
Longs = npt.NDArray[np.int64]
# 44 bytes each with all that is kept of a ring of 4 hops: 400 MB.
MOST_RINGS: Final = 8_000_000


@dataclass(frozen=True, slots=True)
class Graph:
    """``table``: the buffer that `prices.kernel.compiled` reads; counts of what is in it."""

    table: Words
    pairs: int
    threes: int
    fours: int
    tokens: int

    @property
    def rings(self) -> int:
        """How many directed rings over pairs there are; a pair counts as its ring of 2 hops."""
        return self.pairs + self.threes + self.fours

    @property
    def levels_size(self) -> int:
        """How many float64 the compiled search keeps beside the table."""
        return compiled.LEVELS + 8 * self.pairs + self.rings + 2 * self.tokens

    def region(self, name: int, size: int) -> Words:
        """A view of ``size`` words of the table at the offset that header word ``name`` gives."""
        start = int(self.table[name])
        return self.table[start : start + size]


def build(
    pools: Sequence[PoolSpec],
    *,
    tokens: int,
    lendable: Collection[int],
    max_hops: int = 3,
    limit: int = MOST_RINGS,
) -> Graph:
    """Every ring of 2 to ``max_hops`` pairs through a lendable token; no token is visited twice.

    Raises: TooManyCycles beyond ``limit`` rings; ValueError if ``max_hops`` is not 2, 3 or 4.
    """
    if not 2 <= max_hops <= MAX_HOPS:
        raise ValueError(f"{max_hops=} must be 2 to {MAX_HOPS}")
    ends = np.array([(pool.token0, pool.token1) for pool in pools], dtype=np.int64).reshape(-1, 2)
    low, high = ends.min(axis=1), ends.max(axis=1)
    keys, pair_of_pool = np.unique(low * max(tokens, 1) + high, return_inverse=True)
    lows, highs = keys // max(tokens, 1), keys % max(tokens, 1)
    lent = np.zeros(max(tokens, 1), dtype=np.bool_)
    lent[list(lendable)] = True
    threes, fours = _rings(lows, highs, lent=lent, tokens=tokens, max_hops=max_hops, limit=limit)
    edges, offsets = _edges(ends, low=low, pair_of_pool=pair_of_pool, pairs=len(keys))
    several = np.bincount(pair_of_pool, minlength=len(keys)) > 1
    through_offsets, through = _through(threes, fours, pairs=len(keys))
    ring_count = len(keys) + len(threes) + len(fours)
    regions: list[tuple[int, npt.NDArray[Any]]] = [
        (compiled.EDGES, edges),
        (compiled.EDGE_OFFSETS, offsets),
        (compiled.PAIR_OF_POOL, pair_of_pool),
        (compiled.USABLE, several & (lent[lows] | lent[highs])),
        (compiled.RINGS3, threes),
        (compiled.RINGS4, fours),
        (compiled.THROUGH_OFFSETS, through_offsets),
        (compiled.THROUGH, through),
        (compiled.TOKEN_IN, np.column_stack((lows, highs))),
        (compiled.POOL_STAMPS, np.zeros(len(pools), dtype=np.uint32)),
        (compiled.RING_STAMPS, np.zeros(ring_count, dtype=np.uint32)),
    ]
    table = np.zeros(compiled.HEADER + sum(part.size for _, part in regions), dtype=np.uint32)
    table[compiled.PAIRS] = len(keys)
    table[compiled.THREES], table[compiled.FOURS] = len(threes), len(fours)
    at = compiled.HEADER
    for name, part in regions:
        table[name] = at
        table[at : at + part.size] = part.ravel()
        at += part.size
    return Graph(table, len(keys), len(threes), len(fours), max(tokens, 1))


def _rings(
    lows: Longs,
    highs: Longs,
    *,
    lent: npt.NDArray[np.bool_],
    tokens: int,
    max_hops: int,
    limit: int,
) -> tuple[Words, Words]:
    """Directed pairs of every ring of 3 and of 4 hops, one row a ring, smallest token first."""
    count = len(lows)
    order = np.lexsort((np.concatenate((highs, lows)), np.concatenate((lows, highs))))
    other = np.concatenate((highs, lows))[order].astype(np.uint32)
    pair = np.concatenate((np.arange(count), np.arange(count)))[order].astype(np.uint32)
    starts = np.zeros(tokens + 1, dtype=np.uint32)
    degrees = np.bincount(np.concatenate((lows, highs)), minlength=max(tokens, 1))[:tokens]
    np.cumsum(degrees, out=starts[1:])
    found = [np.empty((0, 3), dtype=np.uint32), np.empty((0, 4), dtype=np.uint32)]
    left = limit
    for hops, enumerate_rings in ((3, rings.triangles), (4, rings.squares)):
        if hops > max_hops or not count:
            continue
        rows = int(enumerate_rings(starts, other, pair, lent, found[hops - 3], left))
        if rows > left:
            raise TooManyCycles(limit=limit)
        left -= rows
        found[hops - 3] = np.empty((rows, hops), dtype=np.uint32)
        enumerate_rings(starts, other, pair, lent, found[hops - 3], left + rows)
    return found[0], found[1]


def _edges(
    ends: Longs, *, low: Longs, pair_of_pool: npt.NDArray[np.intp], pairs: int
) -> tuple[Longs, Longs]:
    """(edges, offsets): those of a pair from low to high, then the same back."""
    pool = np.arange(len(ends))
    forward = 2 * pool + (ends[:, 0] != low)
    directed = np.concatenate((2 * pair_of_pool, 2 * pair_of_pool + 1))
    both = np.concatenate((forward, forward ^ 1))
    order = np.argsort(directed, kind="stable")
    offsets = np.zeros(2 * pairs + 1, dtype=np.int64)
    np.cumsum(np.bincount(directed, minlength=2 * pairs), out=offsets[1:])
    return both[order], offsets


def _through(threes: Words, fours: Words, *, pairs: int) -> tuple[Longs, Longs]:
    """(offsets, members): ids of the rings of 3 and 4 hops through each pair."""
    crossed = np.concatenate((threes.ravel() >> 1, fours.ravel() >> 1))
    ids = np.concatenate(
        (
            pairs + np.repeat(np.arange(len(threes)), 3),
            pairs + len(threes) + np.repeat(np.arange(len(fours)), 4),
        )
    )
    order = np.argsort(crossed, kind="stable")
    offsets = np.zeros(pairs + 1, dtype=np.int64)
    np.cumsum(np.bincount(crossed, minlength=pairs), out=offsets[1:])
    return offsets, ids[order]
