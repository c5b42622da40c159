"""`make bench`: every speed target measured here and now, beside its reference, as measured."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Entries = Mapping[str, Mapping[str, Any]]


def _machine(name: str = "machine") -> Entries:
    from tests.benchmarks import machine_bench

    return machine_bench.measure(name)


def _kernels() -> Entries:
    from tests.benchmarks import kernel_bench

    return kernel_bench.measure()


def _search() -> Entries:
    from tests.benchmarks import search_bench

    return search_bench.measure()


def _signing() -> Entries:
    from tests.benchmarks import signing_bench

    return signing_bench.run()


def _paths() -> Entries:
    from tests.benchmarks import path_bench

    return path_bench.measure()


def _loops() -> Entries:
    from tests.benchmarks import loop_bench

    return loop_bench.measure()


def _rpc() -> Entries:
    from tests.benchmarks import rpc_bench

    return rpc_bench.measure()


def _simulation() -> Entries:
    from tests.benchmarks import simulation_bench

    return simulation_bench.measure()


def _balances() -> Entries:
    from tests.benchmarks import balances_bench

    return balances_bench.measure()


def _nonces() -> Entries:
    from tests.benchmarks import nonce_bench

    return nonce_bench.measure()


def _sending() -> Entries:
    from tests.benchmarks import send_bench

    return send_bench.measure()


def _storage() -> Entries:
    from tests.benchmarks import storage_bench

    return storage_bench.measure()


def _stack() -> Entries:
    from tests.benchmarks import stack_bench

    return stack_bench.measure()


PARTS: tuple[tuple[str, Callable[[], Entries]], ...] = (
    ("the machine", _machine),
    ("the exact size", _kernels),
    ("search and memory", _search),
    ("signing", _signing),
    ("event to transaction", _paths),
    ("event loops and sockets", _loops),
    ("refresh over RPC", _rpc),
    ("simulation", _simulation),
    ("balances", _balances),
    ("nonce allocation", _nonces),
    ("sending", _sending),
    ("opportunities stored", _storage),
    ("the whole stack", _stack),
    ("the machine once more", partial(_machine, "machine at the end")),
)
PROMISED = (
    *("P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9", "P11", "P12", "P13"),
    *("growth", "loops"),
)


def main(parts: tuple[tuple[str, Callable[[], Entries]], ...] = PARTS) -> int:
    """Measure, print a table, write ``bench.json`` into the data folder.

    0 whatever was met; 1 where a promised figure was not measured at all.
    """
    console = Console(stderr=True)
    # Read before anything is measured: some parts bring a data folder of their own.
    folder = Path(os.environ.get("ARB_DATA_DIR") or ".data").absolute()
    found: dict[str, Mapping[str, Any]] = {}
    for name, measure in parts:
        console.print(f"measuring {name} ...")
        try:
            found |= measure()
        except Exception:  # it must not take the figures of the others with it
            console.print_exception(max_frames=3)
    found |= _headlines(found)
    table = Table("", "measured", "unit", "target", "reference", "met")
    for name in sorted(found, key=_in_order):
        row = found[name]
        met = "yes" if row["ok"] else "no"
        cells = (row["value"], row["unit"], row["target"], row["reference"])
        table.add_row(name, *(_shown(cell) for cell in cells), met)
    Console(width=max(120, console.width)).print(table)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / "bench.json"
    scratch = target.with_suffix(".tmp")
    scratch.write_text(json.dumps(found, indent=1, default=str) + "\n")
    scratch.replace(target)
    print(f"written to {target}")
    measured = {case.split()[0] for case in found}
    if missing := [name for name in PROMISED if name not in measured]:
        print(f"not measured: {', '.join(missing)}")
    return 1 if missing else 0


def _headlines(found: Entries) -> Entries:
    """A figure of several cases once more by its bare name: the case nearest to its target."""
    headlines = {}
    for name in PROMISED:
        cases = [each for each in found if each.split()[0] == name and found[each]["target"] != "-"]
        if cases and name not in cases:
            nearest = max(cases, key=lambda case: (not found[case]["ok"], _share(found[case])))
            headlines[name] = {**found[nearest], "case": nearest}
    return headlines


def _share(row: Mapping[str, Any]) -> float:
    value, target = row["value"], row["target"]
    numbers = isinstance(value, int | float) and isinstance(target, int | float)
    return value / target if numbers and target else 0.0


def _in_order(name: str) -> tuple[int, str]:
    digits = "".join(c for c in name.split()[0] if c.isdigit())
    return (int(digits) if digits else 99, name)


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
