"""What a cycle is, apart from what it earns.

A cycle is a ring of directed edges: edge 2i crosses pool i from token0 to token1, 2i + 1 back. Its
rotation does not matter to what it is, only to what is borrowed.
"""

from collections.abc import Container, Sequence
from functools import lru_cache, partial
from hashlib import blake2b
from typing import Final

from arbsite.base.errors import Rejected
from prices.kernel.book import PoolSpec

MAX_HOPS: Final = 4
_IDENTITIES: Final = 2**14  # more than there are lives; some 300 bytes each


class TooManyCycles(Rejected):
    """More rings of token pairs than the search may hold."""

    def __init__(self, *, limit: int) -> None:
        self.limit = limit
        super().__init__(
            f"the pools form more than {limit} rings of pairs: register fewer pools, or search "
            "fewer hops"
        )


class Cycles:
    """The cycles that are spoken of now, by numbers of this process; the rest is forgotten.

    A market has more cycles than memory. `number` gives a path its number, the same until `keep`
    leaves it out.
    """

    def __init__(self, pools: Sequence[PoolSpec]) -> None:
        self.pools = tuple(pools)
        self._numbers: dict[tuple[int, ...], int] = {}
        self._paths: dict[int, tuple[int, ...]] = {}
        # Kept beyond `keep`: a spread that comes back is one that was here before.
        self._identity = lru_cache(maxsize=_IDENTITIES)(partial(cycle_identity, self.pools))
        self._next = 0

    def __len__(self) -> int:
        return len(self._paths)

    def number(self, path: tuple[int, ...]) -> int:
        """The number of a ring given as its edges from its smallest token on."""
        known = self._numbers.get(path)
        if known is None:
            known = self._numbers[path] = self._next
            self._paths[known] = path
            self._next += 1
        return known

    def keep(self, cycles: Container[int]) -> None:
        """Forget every cycle but these."""
        for cycle in [each for each in self._paths if each not in cycles]:
            del self._numbers[self._paths.pop(cycle)]

    def path(self, cycle: int, *, start: int = 0) -> tuple[int, ...]:
        """The edges of a cycle in order, beginning at position ``start``."""
        edges = self._paths[cycle]
        return (*edges[start:], *edges[:start]) if start else edges

    def identity(self, cycle: int) -> str:
        """What the cycle is, the same in every process and rotation: see `cycle_identity`."""
        return self._identity(self._paths[cycle])


def from_smallest_token(pools: Sequence[PoolSpec], path: Sequence[int]) -> tuple[int, ...]:
    """The same ring, rotated as `Cycles.number` takes it."""
    tokens = [pools[edge >> 1].token1 if edge & 1 else pools[edge >> 1].token0 for edge in path]
    start = tokens.index(min(tokens))
    return (*path[start:], *path[:start])


def cycle_identity(pools: Sequence[PoolSpec], path: Sequence[int]) -> str:
    """32 hex digits that name the pools and directions of a ring, whatever its rotation.

    Built on pool addresses, so it outlives a change of indexes.
    """
    names = [f"{pools[edge >> 1].address}{'<' if edge & 1 else '>'}" for edge in path]
    first = names.index(min(names))
    ring = "|".join(names[first:] + names[:first])
    return blake2b(ring.encode(), digest_size=16).hexdigest()
