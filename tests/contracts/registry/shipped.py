"""The shipped market files, and how their addresses are named, sourced and recomputed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from eth_utils import keccak, to_checksum_address

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/registry-sources.md").read_text()
MARKETS: dict[str, dict[str, Any]] = {
    file.stem: json.loads(file.read_text())
    for file in sorted((ROOT / "contracts/registry").glob("*.json"))
}
RECORDED: dict[str, dict[str, Any]] = {
    key: json.loads((ROOT / f"tests/recorded/{key}_pairs.json").read_text())["exchanges"]
    for key in MARKETS
}
# Owners of repositories who are one publisher under two names.
SAME_PUBLISHER = {"sushi-labs": "sushiswap"}
CHAIN_ADDRESSES = ("wrappedNative", "aavePool", "multicall3")


def addresses(market: dict[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    """Each address of a file: where it stands, what it is, the sources of that address."""
    chain = market["chain"]
    for field in CHAIN_ADDRESSES:
        if chain[field]:
            yield f"chain.{field}", chain[field], sources_of(field, chain["source"])
    for token in market["tokens"]:
        yield token["symbol"], token["address"], token["source"]
    for dex in market["dexes"]:
        for field in ("factory", "router"):
            yield f"{dex['key']}.{field}", dex[field], sources_of(field, dex["source"])


def sources_of(field: str, sources: list[str]) -> list[str]:
    return [line.removeprefix(f"{field}: ") for line in sources if line.startswith(f"{field}: ")]


def publisher(source: str) -> str:
    """Who stands behind a source: the owner of a repository, or the host of a page."""
    if source.startswith("github:"):
        repository, path = source.removeprefix("github:").split(" ", 1)
        assert path.strip(), source
        owner = repository.split("/")[0].lower()
        return SAME_PUBLISHER.get(owner, owner)
    parts = urlsplit(source)
    assert parts.scheme == "https", source
    assert parts.hostname, source
    return parts.hostname


def repository(source: str) -> str:
    """How the page names a source: the repository, or the whole address of a page."""
    return source.removeprefix("github:").split(" ", 1)[0]


def create2(factory: str, init_code_hash: str, token0: str, token1: str) -> str:
    salt = keccak(bytes.fromhex(token0[2:]) + bytes.fromhex(token1[2:]))
    seed = b"\xff" + bytes.fromhex(factory[2:]) + salt + bytes.fromhex(init_code_hash[2:])
    return to_checksum_address(keccak(seed)[12:])
