"""Where the time of an execution goes: stages in microseconds, and exact percentiles; no clock."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_NS_PER_US: Final = 1_000


class Stage(StrEnum):
    """Named as the API shows them. They may overlap: a row is written while a simulation runs."""

    EVENT_TO_STATE = "eventToState"
    SEARCH = "search"
    SIMULATE = "simulate"
    SIGN = "sign"
    PERSIST = "persist"
    SUBMIT = "submit"
    TOTAL = "total"
    INCLUSION = "inclusion"


class Timeline:
    """The stages of one execution, from readings of one monotonic clock in nanoseconds.

    ``event_ns``: when the event's bytes arrived. `TOTAL` runs from there to the end of `SUBMIT`,
    `INCLUSION` from the end of `SUBMIT` to the receipt; both are derived.
    """

    def __init__(self, *, event_ns: int) -> None:
        self.event_ns = event_ns
        self._spans: dict[Stage, tuple[int, int]] = {}

    def span(self, stage: Stage, *, started_ns: int, ended_ns: int) -> None:
        """Record a stage. Raises: ValueError for one that ends before it began."""
        if stage in (Stage.TOTAL, Stage.INCLUSION):
            raise ValueError(f"{stage} is derived from the others")
        if ended_ns < started_ns:
            raise ValueError(f"{stage} ended {started_ns - ended_ns} ns before it began")
        self._spans[stage] = (started_ns, ended_ns)

    def microseconds(self, *, included_ns: int | None = None) -> dict[str, int]:
        """Each recorded stage in whole microseconds, rounded up; absent where it did not happen."""
        taken = {stage.value: _micros(*span) for stage, span in self._spans.items()}
        submit = self._spans.get(Stage.SUBMIT)
        if submit is not None:
            taken[Stage.TOTAL.value] = _micros(self.event_ns, submit[1])
            if included_ns is not None:
                taken[Stage.INCLUSION.value] = _micros(submit[1], included_ns)
        return taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Microseconds of one stage over a window."""

    count: int
    p50_us: int
    p95_us: int
    p99_us: int
    max_us: int


def percentile(samples: Sequence[int], *, percent: int) -> int:
    """The nearest-rank percentile: the least sample that so many percent do not exceed.

    ``samples``: rising. Raises: ValueError without samples or outside 1 to 100.
    """
    if not samples or not 1 <= percent <= 100:
        raise ValueError(f"no {percent}th percentile of {len(samples)} samples")
    return samples[-(-percent * len(samples) // 100) - 1]


def summarise(samples: Iterable[int]) -> Summary | None:
    """Count, percentiles and the largest, or None where there is no sample."""
    rising = sorted(samples)
    if not rising:
        return None
    return Summary(
        count=len(rising),
        p50_us=percentile(rising, percent=50),
        p95_us=percentile(rising, percent=95),
        p99_us=percentile(rising, percent=99),
        max_us=rising[-1],
    )


def summarise_stages(samples: Mapping[str, Iterable[int]]) -> dict[str, Summary]:
    """A summary per stage in the order of `Stage`, without stages that have no sample."""
    found = ((stage.value, summarise(samples.get(stage.value, ()))) for stage in Stage)
    return {stage: summary for stage, summary in found if summary is not None}


# Bounds between the columns of a histogram, microseconds: 1, 2, 5 to a decade.
EDGES_US: Final[tuple[int, ...]] = tuple(
    step * 10**power for power in range(2, 7) for step in (1, 2, 5)
)


def histogram(samples: Iterable[int], *, edges: Sequence[int] = EDGES_US) -> list[int]:
    """How many samples lie below each edge and not below the one before, then those beyond all.

    ``edges``: rising, in the samples' unit. Returns: one count more than edges.
    """
    counts = [0] * (len(edges) + 1)
    for sample in samples:
        counts[bisect_right(edges, sample)] += 1
    return counts


def as_ms(microseconds: int) -> float:
    """Milliseconds to three decimals, for display."""
    return round(microseconds / 1_000, 3)


def _micros(started_ns: int, ended_ns: int) -> int:
    """Rounded up, and never below zero: a receipt may be seen before the endpoint answered."""
    return max(-(-(ended_ns - started_ns) // _NS_PER_US), 0)
