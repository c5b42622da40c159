"""Every directed cycle of a small market, enumerated one by one: what the search is held against.

It shares nothing with the search but what a pool and an identity are.
"""

from collections import defaultdict
from dataclasses import dataclass
from itertools import product

from prices.kernel.book import PoolSpec
from prices.kernel.cycles import cycle_identity


@dataclass(frozen=True)
class EveryCycle:
    """``paths``: the edges of each, from its smallest token on; a cycle's number is its place."""

    pools: tuple[PoolSpec, ...]
    paths: tuple[tuple[int, ...], ...]

    def __len__(self):
        return len(self.paths)

    def path(self, cycle, *, start=0):
        path = self.paths[cycle]
        return (*path[start:], *path[:start])

    def identity(self, cycle):
        return cycle_identity(self.pools, self.paths[cycle])


def find_cycles(pools, *, lendable, max_hops=3):
    """Every cycle of 2 to ``max_hops`` pools through a lendable token, no pool or token twice."""
    edges_of = defaultdict(list)
    for index, pool in enumerate(pools):
        edges_of[pool.token0, pool.token1].append(2 * index)
        edges_of[pool.token1, pool.token0].append(2 * index + 1)
    paths = [
        path
        for ring in sorted(_token_rings(edges_of, max_hops=max_hops), key=lambda r: (len(r), r))
        if not set(lendable).isdisjoint(ring)
        for path in product(
            *(edges_of[pair] for pair in zip(ring, (*ring[1:], ring[0]), strict=True))
        )
        if len({edge >> 1 for edge in path}) == len(path)
    ]
    return EveryCycle(tuple(pools), tuple(paths))


def _token_rings(edges_of, *, max_hops):
    """Directed rings of tokens, each beginning at its smallest, so each once."""
    neighbours = defaultdict(set)
    for token, other in edges_of:
        neighbours[token].add(other)
    for first in sorted(neighbours):
        stack = [(first,)]
        while stack:
            walk = stack.pop()
            last = walk[-1]
            if len(walk) >= 2 and first in neighbours[last]:
                yield walk
            if len(walk) < max_hops:
                stack += [
                    (*walk, token)
                    for token in neighbours[last]
                    if token > first and token not in walk
                ]
