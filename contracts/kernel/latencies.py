"""Latencies counted in classes, an eighth of a doubling wide: they add up, and flatter nobody."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, log2
from typing import Final

LEAST_US: Final = 16
PER_DOUBLING: Final = 8
_LAST: Final = 8 * 24  # over four minutes: nothing waits so long


@dataclass(slots=True)
class Latencies:
    """How many took how long. ``counts``: class -> how many; ``max_us`` is exact.

    A percentile is the upper bound of its class, never above ``max_us``: at most 9.1 % too much,
    and never too little.
    """

    counts: dict[int, int] = field(default_factory=dict)
    max_us: int = 0

    @property
    def count(self) -> int:
        """How many were counted."""
        return sum(self.counts.values())

    def add(self, microseconds: int) -> None:
        """Count one."""
        at = class_of(microseconds)
        self.counts[at] = self.counts.get(at, 0) + 1
        self.max_us = max(self.max_us, microseconds)

    def merge(self, other: "Latencies") -> None:
        """Take another's counts in."""
        for at, many in other.counts.items():
            self.counts[at] = self.counts.get(at, 0) + many
        self.max_us = max(self.max_us, other.max_us)

    def percentile_us(self, percent: int) -> int:
        """The nearest-rank percentile in microseconds. Raises: ValueError without any."""
        left = -(-percent * self.count // 100)
        if left < 1 or percent > 100:
            raise ValueError(f"no {percent}th percentile of {self.count} latencies")
        for at in sorted(self.counts):
            left -= self.counts[at]
            if left <= 0:
                break
        return min(_upper_us(at), self.max_us)

    def buckets(self, edges_us: Sequence[int]) -> list[int]:
        """How many lie below each edge and not below the one before, then those beyond all.

        ``edges_us``: rising, microseconds. Each counts at the upper bound of its class.
        """
        found = [0] * (len(edges_us) + 1)
        for at, many in self.counts.items():
            found[bisect_right(edges_us, min(_upper_us(at), self.max_us))] += many
        return found


def class_of(microseconds: int) -> int:
    """The class of one latency."""
    if microseconds <= LEAST_US:
        return 0
    return min(ceil(PER_DOUBLING * log2(microseconds / LEAST_US)), _LAST)


def latencies_from(rows: Iterable[tuple[Mapping[str, int], int]]) -> Latencies:
    """The sum of stored rows of (counts with their keys as text, largest microseconds)."""
    found = Latencies()
    for counts, max_us in rows:
        found.merge(Latencies({int(at): many for at, many in counts.items()}, max_us))
    return found


def _upper_us(at: int) -> int:
    return ceil(LEAST_US * 2 ** (at / PER_DOUBLING))
