"""A small market of another make, for what an import must believe and refuse."""

from collections.abc import Iterator

import pytest

from contracts.rpc import HttpRpc
from tests.e2e.other_market.market import OtherMarket, build
from tests.e2e.other_market.node import Node


@pytest.fixture(scope="session")
def other_market() -> Iterator[OtherMarket]:
    """Built once; a test that changes the chain takes `chain_as_before`."""
    with Node() as node:
        yield build(node)


@pytest.fixture
def chain_as_before(other_market: OtherMarket) -> Iterator[OtherMarket]:
    """The market, with the node set back afterwards."""
    node, pools = other_market.node, dict(other_market.pools)
    kept = node.ask("evm_snapshot")
    yield other_market
    node.ask("evm_revert", kept)
    other_market.pools = pools


@pytest.fixture
def other_rpc(other_market: OtherMarket) -> Iterator[HttpRpc]:
    rpc = HttpRpc([other_market.node.http_url])
    yield rpc
    rpc.close()
