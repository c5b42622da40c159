"""Unsent opportunities looked at again on a real chain, where a rival takes what it finds."""

from datetime import timedelta

import pytest
from django.utils import timezone

from contracts.kernel import market_file
from contracts.localchain.harness import local_market
from contracts.localchain.rival import Race
from contracts.models import Chain, Token
from contracts.probe import probe_market
from contracts.services import market_import, tokens_prove
from execution import shadow, shadow_selectors
from execution.models import Execution, ShadowCheck
from prices.chain_state import read_market
from prices.models import Monitor, Opportunity, Sighting
from prices.session import Limits, PriceSession
from tests.execution.rows import make_sent
from wallets import kill

pytestmark = [pytest.mark.e2e, pytest.mark.django_db]
BLOCKS = 70


@pytest.fixture(scope="module")
def market():
    with local_market(seed=52, race=Race(delay_ms=0, share_percent=100)) as built:
        built.driver.step()
        yield built


@pytest.fixture
def chain(market) -> Chain:
    parsed = market_file.parse(market.file)
    facts = probe_market(parsed, market.rpc, progress=lambda line: None)
    market_import(market=parsed, facts=facts)
    row = Chain.objects.get(key="local")
    tokens_prove(chain=row, rpc=market.rpc)
    kill.kill_rows_ensure(chain_keys=[row.key])
    Monitor.objects.create(chain=row)
    return row


@pytest.fixture(autouse=True)
def channel_layer(settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


def watched(chain, market, *, blocks):
    """Watch so many blocks without sending; what could be executed after each, by path."""
    monitor = Monitor.objects.select_related("chain").get(chain=chain)
    session = PriceSession(
        monitor, mode="stream", limits=Limits(min_profit_bps=5), idle_reason="not_armed"
    )
    session.begin()
    standing = {}
    for _ in range(blocks):
        touched = session.take_read(read_market(market.rpc, session.watcher.registry))
        result = session.scan(touched)
        session.write(session.take_batch())
        standing[result.block.number] = {each.identity: each for each in result.executable}
        market.driver.step()
    return standing


@pytest.fixture
def looked(chain, market):
    """What stood when, and the checks made of it."""
    standing = watched(chain, market, blocks=BLOCKS)
    market.driver.steps(2)
    while shadow.shadow_look(chain=chain, rpc=market.rpc):
        pass
    return standing, list(ShadowCheck.objects.order_by("block_number"))


def test_everything_that_could_be_executed_is_looked_at_twice(chain, market, looked):
    standing, checks = looked
    assert len(checks) >= 10
    assert not Sighting.objects.exists()
    cycles = dict(Opportunity.objects.values_list("id", "cycle"))
    begun = {
        (number, path)
        for number, paths in standing.items()
        for path in paths
        if path not in standing.get(number - 1, {})
    }
    assert {(c.block_number, cycles[c.opportunity_id]) for c in checks} >= begun

    for check in checks:
        path = cycles[check.opportunity_id]
        after = standing.get(check.block_number + 1)
        if after is not None and check.after_one == "there":
            assert path in after
            assert check.later[0] > 0
        if after is not None and path not in after:
            assert check.after_one in ("taken", "gone")
            assert check.later == [None, None]


def test_whoever_took_it_is_named_with_the_transaction(chain, market, looked):
    _, checks = looked
    taken = [check for check in checks if "taken" in (check.after_one, check.after_two)]
    assert len(taken) >= 5
    for check in taken:
        receipt = market.rpc.call("eth_getTransactionReceipt", [check.ended_by])
        assert int(receipt["blockNumber"], 16) == check.ended_in
        assert receipt["from"] == check.taken_by.lower()
    assert market.market.rival in {check.taken_by for check in taken}
    assert {c.taken_via for c in taken if c.taken_by == market.market.rival} == {
        market.market.rival_contract
    }


def test_what_was_sent_is_not_among_them(chain, market):
    watched(chain, market, blocks=25)
    while not Sighting.objects.exists():
        watched(chain, market, blocks=10)
    sighting = Sighting.objects.order_by("block_number").first()
    Execution.objects.create(
        chain=chain,
        kind="arbitrage",
        key=f"local:{sighting.block_hash}:{sighting.cycle}",  # faster than its row: no id yet
        block_number=sighting.block_number,
        transaction=make_sent(chain),
        borrow_token=Token.objects.filter(chain=chain).first(),
    )
    market.driver.steps(2)
    others = Sighting.objects.exclude(pk=sighting.pk).count()

    while shadow.shadow_look(chain=chain, rpc=market.rpc):
        pass

    assert not Sighting.objects.exists()
    assert not ShadowCheck.objects.filter(opportunity_id=sighting.opportunity_id).exists()
    assert ShadowCheck.objects.count() <= others


def test_what_stood_on_a_block_that_left_the_chain_is_dropped(chain, market):
    watched(chain, market, blocks=40)
    assert Sighting.objects.exists()
    Sighting.objects.update(block_hash="0x" + "ab" * 32)
    market.driver.steps(2)

    assert shadow.shadow_look(chain=chain, rpc=market.rpc) == 0

    assert not Sighting.objects.exists()
    assert not ShadowCheck.objects.exists()


def test_nothing_is_looked_at_before_its_two_blocks_are_there(chain, market):
    while not Sighting.objects.exists():
        watched(chain, market, blocks=10)
    head = market.chain.head()
    Sighting.objects.update(block_number=head - 1)

    assert shadow.shadow_look(chain=chain, rpc=market.rpc) == 0

    assert Sighting.objects.exists()


def test_figures_add_up_to_the_checks(chain, market, looked):
    _, checks = looked
    figures = shadow_selectors.shadow(chain=chain)

    assert figures["unsent"]["count"] == len(checks)
    assert sum(row["count"] for row in figures["reasons"]) == len(checks)
    assert {row["reason"] for row in figures["reasons"]} == {"not_armed"}
    assert sum(row["taken"] for row in figures["takers"]) == len(
        [check for check in checks if check.taken_by]
    )
    assert len(figures["latest"]) == min(len(checks), shadow_selectors.LATEST)


def test_checks_past_their_keep_are_removed(chain, market, looked):
    _, checks = looked
    ShadowCheck.objects.filter(pk=checks[0].pk).update(
        at=timezone.now() - shadow.KEEP - timedelta(minutes=1)
    )

    assert shadow.shadow_prune() == 1
