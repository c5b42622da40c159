"""How quick this machine is just now, beside the one that the targets were set on.

Targets in microseconds are of that machine, whose plain closed form is known. Called over and over
it says how quick the processor is; called once after a pause, how much of its caches belongs to
others. Run it alone with ``python -m tests.benchmarks.machine_bench``.
"""

import random
import time
from statistics import median

from tests.benchmarks.kernel_bench import make_hops, plain_closed_form
from tests.benchmarks.search_bench import Entry, best_of, entry

THERE_US = (1.8, 2.6)  # the closed form of 2 and 3 pools, where the targets were set
PAUSE_S = 0.02
PAUSES = 60
CHUNK = 12  # calls that stand for the work of one event


def measure(name: str = "machine") -> dict[str, Entry]:
    """``{name: ...}``: how many times slower this machine is, and how it is after a pause."""
    rng = random.Random(1)  # noqa: S311 - reproducible cycles
    cycles = [make_hops(rng, decimals=(18,) * pools) for pools in (2, 3)]
    here = [best_of(lambda h=h: plain_closed_form(h), rounds=40, loops=25) for h in cycles]
    times = [us / there for us, there in zip(here, THERE_US, strict=True)]
    again = median(_chunk_us(cycles[0]) for _ in range(PAUSES))
    rested = median(_chunk_us(cycles[0], pause_s=PAUSE_S) for _ in range(PAUSES))
    return {
        name: entry(
            round(sum(times) / len(times), 2),
            "times as slow as the machine that the targets were set on",
            "-",
            {
                "closed_form_us": [round(us, 2) for us in here],
                "there_us": list(THERE_US),
                "slower_after_20_ms_of_rest": round(rested / again, 1),
            },
            True,
        )
    }


def _chunk_us(hops: list[object], *, pause_s: float = 0.0) -> float:
    if pause_s:
        time.sleep(pause_s)
    began = time.perf_counter_ns()
    for _ in range(CHUNK):
        plain_closed_form(hops)
    return (time.perf_counter_ns() - began) / 1e3


if __name__ == "__main__":
    print(measure())
