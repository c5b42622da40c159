"""The local market on a real node, and its registry in a real database."""

from collections.abc import Iterator

import pytest

from contracts.kernel import market_file
from contracts.localchain.harness import LocalMarket, local_market
from contracts.models import Chain
from contracts.probe import MarketFacts, probe_market
from contracts.services import market_import, tokens_prove
from prices.models import Monitor


@pytest.fixture(scope="module")
def market() -> Iterator[LocalMarket]:
    """A market of this module's own; blocks are mined by hand."""
    with local_market() as built:
        built.driver.step()
        yield built


@pytest.fixture(scope="module")
def facts(market: LocalMarket) -> MarketFacts:
    parsed = market_file.parse(market.file)
    return probe_market(parsed, market.rpc, progress=lambda line: None)


@pytest.fixture
def chain(market: LocalMarket, facts: MarketFacts) -> Chain:
    """The market in the registry, everything proven."""
    market_import(market=market_file.parse(market.file), facts=facts)
    row = Chain.objects.get(key="local")
    tokens_prove(chain=row, rpc=market.rpc)
    return row


@pytest.fixture
def monitor(chain: Chain) -> Monitor:
    return Monitor.objects.create(chain=chain)


@pytest.fixture(autouse=True)
def channel_layer(settings):
    """Messages to pages stay in this process."""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
