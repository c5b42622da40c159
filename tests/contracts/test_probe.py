"""Simulated swaps tell honest tokens from taxing ones, and a pool of another fee from both."""

import pytest

from contracts import services
from contracts.kernel import market_file
from contracts.models import Chain, Pool, Token
from contracts.probe import probe_market
from contracts.services import market_import, pair_deny, token_deny, tokens_prove
from tests.e2e.other_market.node import calldata

pytestmark = pytest.mark.django_db


@pytest.fixture
def imported(other_market, other_rpc):
    """Import the market as it stands now and prove it; the chain's row."""

    def run():
        market = market_file.parse(other_market.file())
        facts = probe_market(market, other_rpc, progress=lambda line: None)
        market_import(market=market, facts=facts)
        chain = Chain.objects.get()
        tokens_prove(chain=chain, rpc=other_rpc)
        return chain

    return run


def token(market, name):
    return Token.objects.get(address=market.tokens[name])


def test_an_honest_market_is_proven_to_the_last_pool_with_liquidity(imported, other_market):
    imported()

    unproven = Pool.objects.filter(fee_proven_at=None)
    assert [str(pool) for pool in unproven] == ["ALPHA/WBNB on Harbor"]
    risks = dict(Token.objects.values_list("address", "risk"))
    assert risks.pop(other_market.tokens["ALPHA"]) == "unproven"
    assert set(risks.values()) == {"proven"}


def test_a_token_that_taxes_is_risky_and_its_partners_are_not(imported, chain_as_before, other_rpc):
    market = chain_as_before
    chain = imported()
    revision = Chain.objects.get().registry_revision
    market.node.send(market.tokens["BTC"], calldata("setTax(uint16)", 1))
    market.settle()
    tokens_prove(chain=chain, rpc=other_rpc)

    assert token(market, "BTC").risk == "risky"
    assert "arrives" in token(market, "BTC").risk_detail
    assert {token(market, each).risk for each in ("WBNB", "USDT", "USDT6")} == {"proven"}
    crossed = Pool.objects.filter(pair__base=token(market, "BTC"))
    assert not crossed.exclude(fee_proven_at=None).exists()
    assert Chain.objects.get().registry_revision > revision


def test_a_token_that_stops_taxing_is_proven_again(imported, chain_as_before, other_rpc):
    market = chain_as_before
    market.node.send(market.tokens["BTC"], calldata("setTax(uint16)", 300))
    market.settle()
    chain = imported()
    assert token(market, "BTC").risk == "risky"

    market.node.send(market.tokens["BTC"], calldata("setTax(uint16)", 0))
    market.settle()
    tokens_prove(chain=chain, rpc=other_rpc)

    assert token(market, "BTC").risk == "proven"
    assert token(market, "BTC").risk_detail == ""


@pytest.mark.parametrize("odd_fee", [16, 18, 100])
def test_a_pool_of_another_fee_is_unproven_and_its_tokens_keep_their_name(
    odd_fee, imported, chain_as_before
):
    market = chain_as_before
    market.pair("meadow", "USDT", "USDT6", odd_fee=odd_fee)
    market.fund("meadow", "USDT", "USDT6", 50_000)
    market.settle()
    imported()

    odd = Pool.objects.get(address=market.pools["meadow", "USDT", "USDT6"])
    assert (odd.fee_proven_at is None) == (odd_fee != 16)  # its router quotes what we compute
    assert token(market, "USDT").risk == "proven"
    assert token(market, "USDT6").risk == "proven"


def test_the_same_proofs_twice_change_no_revision(imported, other_rpc):
    chain = imported()
    revision = Chain.objects.get().registry_revision
    tokens_prove(chain=chain, rpc=other_rpc)

    assert Chain.objects.get().registry_revision == revision


def test_denying_reaches_the_watchers_once(imported, other_market):
    chain = imported()
    revision = Chain.objects.get().registry_revision
    btc = token(other_market, "BTC")
    token_deny(token=btc, denied=True)
    token_deny(token=btc, denied=True)
    pair_deny(pair=chain.pairs.first(), denied=True)

    assert Token.objects.get(pk=btc.pk).denied
    assert Chain.objects.get().registry_revision == revision + 2


def test_health_is_measured_of_every_endpoint_while_nothing_else_runs(imported, other_market):
    chain = imported()
    dead = "ws://127.0.0.1:9/secret-key"

    assert services.ws_health_measure(chain=chain, urls=[other_market.node.ws_url, dead]) == 1
    good, bad = chain.rpc_health.order_by("position")
    assert good.ok
    assert good.block_number > 0
    assert good.latency_us > 0
    assert not bad.ok
    assert "refused" in bad.error
    assert "secret" not in bad.error + bad.endpoint
