"""The promises in their long form, one part after the other; writes prove.json into ARB_DATA_DIR.

`python tools/prove.py` goes on with the parts that did not pass yet on this commit;
`python tools/prove.py seeds contracts` runs those named.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PYTHON = str(ROOT / ".venv" / "bin" / "python")
FORGE = str(ROOT / "node_modules" / "@foundry-rs" / "forge-linux-amd64" / "bin" / "forge")
SOLIDITY = ROOT / "contracts" / "solidity"
PYTEST = (PYTHON, "-m", "pytest", "-q", "-s")
# name -> (what it promises, folder, command, environment)
PARTS: dict[str, tuple[str, Path, tuple[str, ...], dict[str, str]]] = {
    "fuzz": (
        "contracts: 50,000 fuzz runs a property",
        SOLIDITY,
        (FORGE, "test", "--no-match-contract", "InvariantsTest"),
        {"FOUNDRY_PROFILE": "prove"},
    ),
    "invariants": (
        "contracts: invariants 1,000 runs x 250 calls",
        SOLIDITY,
        (FORGE, "test", "--match-contract", "InvariantsTest"),
        {"FOUNDRY_PROFILE": "prove"},
    ),
    "inputs": (
        "decoders and the reorg machine: 100,000 generated inputs and steps",
        ROOT,
        (*PYTEST, "tests/contracts/kernel", "tests/prices/kernel/test_book.py"),
        {
            "PROVE_INPUTS": "100000",
            "PROVE_REORG_EXAMPLES": "1000",
            "HYPOTHESIS_PROFILE": "prove",
        },
    ),
    "laws": (
        "laws of all kernels and services on values never drawn before",
        ROOT,
        (*PYTEST, "-m", "not e2e and not browser and not prove", "tests"),
        {"HYPOTHESIS_PROFILE": "prove"},
    ),
    "requests": (
        "API: 500 generated requests to every operation for each of four roles, none answered 5xx",
        ROOT,
        (*PYTEST, "tests/arbsite/test_generated_requests.py"),
        {"PROVE_REQUESTS": "500"},
    ),
    "memory": (
        "100,000 events through book, search and gate leave no memory and no object behind",
        ROOT,
        (*PYTEST, "tests/proofs/test_steady_memory.py"),
        {"PROVE_EVENTS": "100000"},
    ),
    "funding": (
        "funding: 500 rounds of 50 concurrent triggers, no cap passed",
        ROOT,
        (*PYTEST, "tests/wallets/test_funding.py", "-k", "round_after_round"),
        {"PROVE_FUNDING_ROUNDS": "500"},
    ),
    "rotation": (
        "passphrase: 200 kills while it changes, the keystore opens after each",
        ROOT,
        (*PYTEST, "tests/wallets/test_rotation.py"),
        {"PROVE_ROTATION_KILLS": "200"},
    ),
    "crashes": (
        "the send path: killed at every boundary four ways, and at 1,000 random instants",
        ROOT,
        (*PYTEST, "tests/proofs/test_crash_points.py"),
        {"PROVE_ALONE": "1", "PROVE_KILLS": "1000"},
    ),
    "wire": (
        "a bad wire: 20,000 random steps, no nonce lost, none spent twice",
        ROOT,
        (*PYTEST, "tests/proofs/test_wire_chaos.py"),
        {"PROVE_STEPS": "20000"},
    ),
    "preparation": (
        "50 concurrent preparations of one transaction, 1,000 rounds: one nonce, one hash",
        ROOT,
        (*PYTEST, "tests/proofs/test_allocation.py", "-k", "preparation"),
        {"PROVE_ROUNDS": "1000"},
    ),
    "allocation": (
        "32 processes take 10,000 nonces each, distinct and gapless",
        ROOT,
        (*PYTEST, "tests/proofs/test_allocation.py", "-k", "processes"),
        {"PROVE_PROCESSES": "32", "PROVE_EACH": "10000"},
    ),
    "kill": (
        "kill switch: 2,000 trials under load, nothing sent after the answer",
        ROOT,
        (*PYTEST, "tests/wallets/test_kill.py", "-k", "under_load"),
        {"PROVE_KILL_TRIALS": "2000"},
    ),
    "kill_wire": (
        "kill switch: 200 trials from 4 processes at 200 requests a second, on the wire",
        ROOT,
        (*PYTEST, "tests/proofs/test_kill_under_load.py"),
        {"PROVE_KILL_TRIALS": "200", "PROVE_KILL_RATE": "200"},
    ),
    "redelivery": (
        "10,000 deliveries of tasks, one effect each",
        ROOT,
        (*PYTEST, "tests/proofs/test_redelivery.py"),
        {"PROVE_DELIVERIES": "10000"},
    ),
    "far node": (
        "50 ms on every answer of the node: event to accepted in under 200 ms, 95 of 100",
        ROOT,
        (*PYTEST, "-m", "prove", "tests/proofs/test_slow_node.py"),
        {},
    ),
    "product path": (
        "240 events through the product's own parts, each attempt in the record before it is sent",
        ROOT,
        (*PYTEST, "-m", "prove", "tests/proofs/test_product_path.py"),
        {},
    ),
    "armed": (
        "30 minutes armed beside a rival that races: nothing missed, no revert unexplained",
        ROOT,
        (*PYTEST, "-m", "prove", "tests/proofs/test_armed_market.py"),
        {"PROVE_ARMED_S": "1800"},
    ),
    "seeds": (
        "ten unseen markets trade by themselves, every unit accounted for",
        ROOT,
        (*PYTEST, "-m", "prove", "tests/proofs/test_ten_seeds.py"),
        {},
    ),
}


def main(names: list[str]) -> int:
    """Run the named parts, or those that have not passed on this commit yet."""
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"no such part: {', '.join(unknown)} (there are {', '.join(PARTS)})")
        return 2
    folder = Path(os.environ.get("ARB_DATA_DIR") or ".data")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    record = folder / "prove.json"
    commit = _commit()
    os.environ["PROVE_FOLDER"] = str(folder.resolve())  # where a part leaves its report
    done: dict[str, Any] = json.loads(record.read_text()) if record.is_file() else {}
    for name in names or PARTS:
        if not names and done.get(name, {}).get("commit") == commit and done[name]["ok"]:
            print(f"== {name}: passed already on this commit")
            continue
        done[name] = {"commit": commit, **_run(name)}
        scratch = record.with_suffix(".tmp")
        scratch.write_text(json.dumps(done, indent=1) + "\n")
        scratch.replace(record)
    failed = [name for name in names or PARTS if not done[name]["ok"]]
    print(f"failed: {', '.join(failed)}" if failed else "every promise held")
    return 1 if failed else 0


def _run(name: str) -> dict[str, Any]:
    promise, folder, command, env = PARTS[name]
    print(f"== {name}: {promise}", flush=True)
    started = time.monotonic()
    ended = subprocess.run(  # noqa: S603  commands of this file
        command, cwd=folder, env={**os.environ, **env}, check=False
    )
    took_s = round(time.monotonic() - started, 1)
    print(f"== {name}: {took_s} s", flush=True)
    return {"promise": promise, "ok": ended.returncode == 0, "seconds": took_s}


def _commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "HEAD"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
