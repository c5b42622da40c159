"""Events leave nothing behind: after 100,000, book, search, lives and gate hold what they held.

The market goes round: after each lap it stands where it stood, so that what is counted before and
after is the same state. The garbage collector is off meanwhile, as it may be in the loop: nothing
may depend on it. The long form runs 100,000 events: PROVE_EVENTS=100000.
"""

import gc
import os
import random
import tracemalloc

import pytest

from arbsite.base.units import Bps
from execution.kernel.gate import GateConfig, GateState, Mode, candidate_from, first_reason
from prices.kernel.book import BlockRef, PoolState
from prices.kernel.costs import Policy
from prices.kernel.scan import Market, Scanner
from tests.prices.kernel.builders import make_market

pytestmark = pytest.mark.timeout(5400)
EVENTS = int(os.environ.get("PROVE_EVENTS", "200"))
LAP = 50
POOLS = 12
CONFIG = GateConfig(
    auto_execute=True, min_profit_threshold_bps=Bps(1), max_gas_price_wei=None, cooldown_ms=1
)


def lap_of(book, rng):
    """Blocks of one or two Sync events each, the last of which undoes them all."""
    start = [(book.reserve0[i], book.reserve1[i]) for i in range(POOLS)]
    blocks = []
    for _ in range(LAP - 1):
        moved = []
        for pool in rng.sample(range(POOLS), rng.choice((1, 2))):
            share = rng.randrange(9_900, 10_100)
            reserve0, reserve1 = start[pool]
            moved.append(PoolState(pool, reserve0 * share // 10_000, reserve1 * 10_000 // share))
        blocks.append(moved)
    return [*blocks, [PoolState(pool, *start[pool]) for pool in range(POOLS)]]


class Loop:
    """What an engine does with a block, without its sockets and rows."""

    def __init__(self, seed):
        self.made = make_market(seed, tokens=5, pools=POOLS, noise=0.006)
        self.book = self.made.book
        self.scanner = Scanner(self.book, lendable=self.made.lendable)
        self.blocks = lap_of(self.book, random.Random(seed))  # noqa: S311 - reproducible events
        self.lenders = self.made.lenders()
        self.policy = Policy(min_spread_bps=50, min_profit_threshold_bps=5)
        self.passed = 0

    def run(self, laps):
        for _ in range(laps):
            for states in self.blocks:
                self.event(states)

    def event(self, states):
        head = self.book.head
        block = BlockRef(head.number + 1, f"0x{head.number + 1:064x}", head.hash)
        touched = self.book.apply_block(block, states)
        market = Market(lenders=self.lenders, costs=self.made.costs(), policy=self.policy)
        for evaluation in self.scanner.hot(market=market, touched=touched):
            candidate = candidate_from(evaluation, book=self.book, chain_key="local")
            state = GateState(
                killed=False, mode=Mode.ARMED, config=CONFIG, now_ms=1, head_hash=block.hash
            )
            self.passed += first_reason(state, candidate) is None
        self.scanner.scan(market=market, touched=touched)
        self.book.snapshot()


def held():
    """(bytes, objects, garbage): what is alive, and what only the collector could have freed."""
    garbage = gc.collect()  # empties the free lists of tuples and floats, too
    return tracemalloc.get_traced_memory()[0], len(gc.get_objects()), garbage


def test_events_leave_no_memory_and_no_objects_behind():
    tracemalloc.start()
    gc.disable()
    try:
        loop = Loop(3)
        loop.run(2)  # caches fill, the undo journal is full
        held()
        loop.run(1)
        memory, objects, _ = held()

        loop.run(EVENTS // LAP)

        memory_after, objects_after, garbage = held()
    finally:
        gc.enable()
        tracemalloc.stop()
    assert loop.passed > EVENTS // LAP  # opportunities were met, on every lap
    assert garbage == 0
    assert objects_after <= objects
    # Tables of changing size end a lap here a little larger, there a little smaller.
    assert memory_after - memory < 4_096
