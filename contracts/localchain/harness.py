"""The local market for tests: a node of its own, blocks mined by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from contracts.localchain.anvil import free_port
from contracts.localchain.chain import LocalChain
from contracts.localchain.deployed import Market
from contracts.localchain.driver import Driver
from contracts.localchain.market_file import market_file
from contracts.localchain.node import Node
from contracts.localchain.rival import Race
from contracts.rpc import HttpRpc


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalMarket:
    """A market under test. ``file`` is its market file, ``driver.step()`` mines one block."""

    rpc_url: str
    ws_url: str
    rpc: HttpRpc
    chain: LocalChain
    market: Market
    file: dict[str, Any]
    driver: Driver
    node: Node


@contextmanager
def local_market(
    *,
    seed: int = 1,
    traders: bool = True,
    rival: bool = True,
    key: str = "local",
    chain_id: int = 31337,
    states_kept: int = 64,
    race: Race | None = None,
) -> Iterator[LocalMarket]:
    """A fresh market on a free port; ended with the block."""
    with Node(port=free_port(), chain_id=chain_id, seed=seed, states_kept=states_kept) as node:
        anvil = node.anvil
        yield LocalMarket(
            rpc_url=anvil.http_url,
            ws_url=anvil.ws_url,
            rpc=anvil.rpc,
            chain=node.chain,
            market=node.market,
            file=market_file(
                node.market,
                key=key,
                chain_id=chain_id,
                http_url=anvil.http_url,
                ws_url=anvil.ws_url,
                block_time_ms=1_000,
            ),
            driver=Driver(node.market, chain=node.chain, noise=traders, rival=rival, race=race),
            node=node,
        )
