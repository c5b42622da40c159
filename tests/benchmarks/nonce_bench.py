"""Nonces a second that eight processes take from one account, each in a commit of its own.

Run it alone with ``python -m tests.benchmarks.nonce_bench``.
"""

import ast
import json
import os
import subprocess
import sys

Entry = dict[str, object]
PROCESSES = 8
EACH = 250
TARGET = 500
TEST = "tests/proofs/test_allocation.py::test_processes_take_distinct_nonces_without_gaps"


def measure() -> dict[str, Entry]:
    """``{"nonces": ...}``: what the proof of allocation measures while it proves."""
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", TEST],
        env={**os.environ, "PROVE_PROCESSES": str(PROCESSES), "PROVE_EACH": str(EACH)},
        capture_output=True,
        text=True,
        check=True,
    )
    line = next(line for line in ended.stdout.splitlines() if "per_second" in line)
    found = ast.literal_eval(line[line.index("{") :])
    return {
        "nonces": {
            "value": found["per_second"],
            "unit": f"nonces a second, {PROCESSES} processes on one account",
            "target": f">= {TARGET}",
            "reference": f"{found['nonces']} taken, distinct and gapless",
            "ok": found["per_second"] >= TARGET,
        }
    }


if __name__ == "__main__":
    json.dump(measure(), sys.stdout, indent=1)
    sys.stdout.write("\n")
