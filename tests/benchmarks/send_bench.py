"""Milliseconds that sender and signer add to an execution: its nonce, signature and stored bytes.

Run it alone with ``python -m tests.benchmarks.send_bench``.
"""

import ast
import json
import os
import subprocess
import sys

Entry = dict[str, object]
SENDS = 200
TARGET_MS = 10.0
TEST = (
    "tests/wallets/test_send_times.py::test_each_stage_of_a_send_is_measured_and_each_is_mined_once"
)


def measure() -> dict[str, Entry]:
    """``{"send": ...}``: medians of what the test measures; the node's own answer is not added."""
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", TEST],
        env={**os.environ, "PROVE_SENDS": str(SENDS)},
        capture_output=True,
        text=True,
        check=True,
    )
    line = next(line for line in ended.stdout.splitlines() if "whole_ms" in line)
    found = ast.literal_eval(line[line.index("{") :].rstrip(". "))
    added = found["whole_ms"] - found["submit"]
    return {
        "send": {
            "value": round(added, 2),
            "unit": f"ms that sender and signer add to an execution, median of {SENDS}",
            "target": f"<= {TARGET_MS:g}",
            "reference": {
                "sign_ms": round(found["sign"], 2),
                "persist_ms": round(found["persist"], 2),
                "node_answers_ms": round(found["submit"], 2),
                "whole_ms": round(found["whole_ms"], 2),
            },
            "ok": added <= TARGET_MS,
        }
    }


if __name__ == "__main__":
    json.dump(measure(), sys.stdout, indent=1)
    sys.stdout.write("\n")
