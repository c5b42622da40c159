"""Build the contracts and write what Python needs of them to contracts/abi, reproducibly.

`python tools/export_abi.py --check` writes nothing and says what is stale.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOLIDITY = ROOT / "contracts" / "solidity"
TARGET = ROOT / "contracts" / "abi"
NAMES = ("FlashLoanReceiver", "MultiDexRouter", "SwapProver")
FORGE = ROOT / "node_modules" / "@foundry-rs" / "forge-linux-amd64" / "bin" / "forge"


def main() -> int:
    """Export, or with ``--check`` compare. Exit code 1 when an exported file is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when stale")
    check: bool = parser.parse_args().check
    exported = export()
    stale = [name for name, text in exported.items() if current(name) != text]
    if check:
        for name in stale:
            print(f"contracts/abi/{name}.json is stale: run `make abi`", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        replace(TARGET / f"{name}.json", exported[name])
        print(f"wrote contracts/abi/{name}.json")
    return 0


def export() -> dict[str, str]:
    """Name to file text of each exported contract, built from the sources as they are."""
    if not FORGE.exists():
        raise SystemExit(f"{FORGE} is missing: run `npm ci --ignore-scripts` in {ROOT}")
    with tempfile.TemporaryDirectory() as out:
        command = [str(FORGE), "build", "--skip", "test", "--force"]
        built = subprocess.run(  # noqa: S603 - a fixed command of this project's own packages
            [*command, "--out", out, "--cache-path", f"{out}/cache"],
            cwd=SOLIDITY,  # foundry.toml's path of the compiler is relative to where forge runs
            capture_output=True,
            text=True,
            check=False,
        )
        if built.returncode:
            raise SystemExit(f"the contracts do not build:\n{built.stdout}{built.stderr}")
        return {name: render(name, Path(out) / f"{name}.sol" / f"{name}.json") for name in NAMES}


def render(name: str, artifact: Path) -> str:
    """The exported text of one contract from Foundry's ``artifact``."""
    built = json.loads(artifact.read_text())
    deployed = built["deployedBytecode"]
    for part in (built["bytecode"], deployed):
        if part.get("linkReferences"):
            raise SystemExit(f"{name} needs linked libraries, which a deployment does not do")
    document = {
        "contractName": name,
        "abi": built["abi"],
        "bytecode": built["bytecode"]["object"],
        "deployedBytecode": deployed["object"],
        "immutableReferences": deployed.get("immutableReferences", {}),
    }
    return json.dumps(document, indent=1) + "\n"


def current(name: str) -> str | None:
    """The exported text as it lies there, None where there is none."""
    path = TARGET / f"{name}.json"
    return path.read_text() if path.exists() else None


def replace(path: Path, text: str) -> None:
    """Write ``text`` so that a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
