"""Bytecode of the market: our own contracts, and Uniswap V2, WETH9 and Aave V3 from npm."""

import functools
import json
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from arbsite.base.errors import Rejected
from arbsite.base.files import write_atomic

PROJECT: Final = Path(__file__).resolve().parents[2]
OWN: Final = Path(__file__).with_name("artifacts")
SOLIDITY: Final = Path(__file__).with_name("solidity")
NODE_MODULES: Final = PROJECT / "node_modules"
FORGE: Final = NODE_MODULES / "@foundry-rs/forge-linux-amd64/bin/forge"
EXPORTED: Final = (
    "ForkFactory",
    "ForkPair",
    "ForkRouter",
    "LiquiditySeeder",
    "MarketToken",
    "Multicall",
    "RivalTrader",
)


class ArtifactMissing(Rejected):
    """A package's build output is not installed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"{path.name} is missing from node_modules: run `npm ci`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """Creation code, with the byte offsets at which libraries' addresses go."""

    name: str
    creation: bytes
    links: Mapping[str, tuple[int, ...]]

    def linked(self, libraries: Mapping[str, str]) -> bytes:
        """The creation code with each library's address in its places.

        Raises: KeyError naming a library that is not given.
        """
        code = bytearray(self.creation)
        for library, places in self.links.items():
            address = bytes.fromhex(libraries[library][2:])
            for place in places:
                code[place : place + 20] = address
        return bytes(code)


@functools.cache
def own(name: str) -> Artifact:
    """One of our own contracts, as exported."""
    return _artifact(name, json.loads((OWN / f"{name}.json").read_text()))


@functools.cache
def uniswap(name: str) -> Artifact:
    """A contract of Uniswap V2's core or periphery, WETH9 among them."""
    for package in ("v2-core", "v2-periphery"):
        path = NODE_MODULES / "@uniswap" / package / "build" / f"{name}.json"
        if path.exists():
            built = json.loads(path.read_text())
            return _artifact(name, {"bytecode": "0x" + built["bytecode"].removeprefix("0x")})
    raise ArtifactMissing(path)


@functools.cache
def aave(path: str) -> Artifact:
    """A contract of Aave V3 (3.0.2) by its source's path, such as ``protocol/pool/Pool``."""
    name = path.rsplit("/", 1)[1]
    place = NODE_MODULES / f"@aave/core-v3/artifacts/contracts/{path}.sol/{name}.json"
    if not place.exists():
        raise ArtifactMissing(place)
    return _artifact(name, json.loads(place.read_text()))


def _artifact(name: str, built: Mapping[str, Any]) -> Artifact:
    links: dict[str, tuple[int, ...]] = {}
    text = str(built["bytecode"]).removeprefix("0x")
    for libraries in built.get("linkReferences", {}).values():
        for library, places in libraries.items():
            links[library] = tuple(int(place["start"]) for place in places)
            for start in links[library]:
                text = text[: start * 2] + "0" * 40 + text[start * 2 + 40 :]
    return Artifact(name=name, creation=bytes.fromhex(text), links=links)


def build() -> dict[str, dict[str, Any]]:
    """Compile our contracts anew, in a folder of its own; what is to be exported, by name.

    Raises: ArtifactMissing without Foundry; subprocess.CalledProcessError when they do not compile.
    """
    if not FORGE.exists():
        raise ArtifactMissing(FORGE)
    with tempfile.TemporaryDirectory() as folder:
        out, cache = Path(folder, "out"), Path(folder, "cache")
        subprocess.run(  # noqa: S603  our own pinned binary and fixed arguments
            [FORGE, "build", "--out", out, "--cache-path", cache],
            cwd=SOLIDITY,  # Foundry resolves the compiler of foundry.toml from where it stands
            check=True,
            capture_output=True,
        )
        built = {
            name: json.loads((out / f"{name}.sol" / f"{name}.json").read_text())
            for name in EXPORTED
        }
    return {
        name: {
            "contractName": name,
            "abi": found["abi"],
            "bytecode": found["bytecode"]["object"],
            "deployedBytecode": found["deployedBytecode"]["object"],
            "immutableReferences": found["deployedBytecode"].get("immutableReferences", {}),
        }
        for name, found in built.items()
    }


def export() -> None:
    """Write what `build` gives to the files that the market is made from."""
    for name, artifact in build().items():
        text = json.dumps(artifact, indent=1, sort_keys=True) + "\n"
        write_atomic(OWN / f"{name}.json", text.encode(), mode=0o644)


if __name__ == "__main__":
    export()
