"""One simulation of a learned path in this process, beside `eth_call` of the same plan.

On the local market's real bytecode; each run finds its pairs at other reserves than the run
before, as at a new block. Run it alone with ``python -m tests.benchmarks.simulation_bench``.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

Entry = dict[str, object]
ROUNDS = 200
NODE_ROUNDS = 60
GAS = 900_000
WAYS = (("first_pool", 2), ("first_pool", 3), ("aave_v3", 2), ("aave_v3", 3))
TARGET_TIMES = 2.0


def measure() -> dict[str, Entry]:
    """``{"simulation, first_pool, 2 hops": ...}``: median microseconds per kind and length."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from tests.execution.traded_market import traded_market

    with traded_market() as traded:
        return {
            f"simulation, {kind}, {hops} hops": _entry(traded, kind, hops) for kind, hops in WAYS
        }


@dataclass
class Learned:
    """A path that this process simulates. ``again``: once more, at other reserves than before."""

    simulator: Any
    asks: list[Any]
    by_node: Callable[[], object]
    learned_ms: float
    turn: int = 0
    _took: list[float] = field(default_factory=list)

    @property
    def took_us(self) -> float:
        return median(self._took)

    def again(self) -> Any:
        self.turn += 1
        started = time.perf_counter()
        found = self.simulator.in_process(self.asks[self.turn % len(self.asks)])
        self._took.append((time.perf_counter() - started) * 1_000_000)
        assert found is not None
        assert found.ok, "what it simulates does not pay"
        return found


def learned_path(traded: Any, kind: str, hops: int) -> Learned:
    """The best path of that kind and length, learned from the node."""
    from arbsite.base.units import Gas, Wei
    from execution.kernel.plan import encode_execute
    from execution.path_simulator import Ask, PathSimulator
    from execution.simulator import Expected, PinnedBlock, Simulator
    from execution.trial import expected_of
    from prices.kernel.lenders import LenderKind
    from tests.execution.traded_market import EXECUTOR, PRICE_WEI

    book, evaluation = traded.best(kind=LenderKind(kind), hops=hops)
    plan = traded.plan(book, evaluation)
    head = traded.head()
    block = PinnedBlock(
        number=evaluation.block.number,
        hash=evaluation.block.hash,
        timestamp_s=int(head["timestamp"], 16),
    )
    expected = expected_of(evaluation, plan)
    assert expected is not None
    elsewhere = Expected(
        profit=expected.profit,
        reserves={pair: (r0 + 1, r1) for pair, (r0, r1) in expected.reserves.items()},
    )
    asked: dict[str, Any] = {
        "sender": EXECUTOR,
        "to": traded.receiver,
        "data": encode_execute(plan),
        "value_wei": Wei(0),
        "gas_price_wei": PRICE_WEI,
        "gas": Gas(GAS),
    }
    node = Simulator(traded.rpc)
    simulator = PathSimulator(node, traded.rpc, chain_id=31337)
    simulator.note_block(number=block.number, block_hash=block.hash, timestamp_s=block.timestamp_s)
    started = time.perf_counter()
    simulator.simulate(**asked, block_hash=block.hash, expected=expected)
    simulator.catch_up()
    learned_ms = (time.perf_counter() - started) * 1_000
    asks = [Ask(**asked, block=block, expected=each) for each in (expected, elsewhere)]
    found = simulator.in_process(asks[0])
    assert found is not None, "it was not learned"
    assert found.profit == expected.profit
    by_node = partial(node.simulate, **asked, block_hash=block.hash)
    return Learned(simulator, asks, by_node, learned_ms)


def _entry(traded: Any, kind: str, hops: int) -> Entry:
    learned = learned_path(traded, kind, hops)
    in_process = [_us(learned.again) for _ in range(ROUNDS)]
    by_node = [_us(learned.by_node) for _ in range(NODE_ROUNDS)]
    learned.simulator.close()
    value, reference = median(in_process), median(by_node)
    return {
        "value": round(value),
        "unit": "us",
        "target": f"{TARGET_TIMES:g} times faster than eth_call",
        "reference": {
            "eth_call_us": round(reference),
            "times_faster": round(reference / value, 1),
            "least_us": round(min(in_process)),
            "least_eth_call_us": round(min(by_node)),
            "first_call_and_learning_ms": round(learned.learned_ms, 1),
        },
        "ok": reference / value >= TARGET_TIMES,
    }


def _us(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return (time.perf_counter() - started) * 1_000_000


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(), indent=1) + "\n")
