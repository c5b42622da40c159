"""Chains with an L1 data fee: watched and explained, never executable while it is not computed."""

import pytest
from rest_framework.test import APIClient

from contracts.models import Chain
from prices.chain_state import read_market
from prices.models import Monitor, Opportunity
from prices.session import Limits, PriceSession
from tests.arbsite.console.builders import make_user

pytestmark = pytest.mark.django_db
LONGEST = 60  # blocks until something pays; about seven are the rule


def scanned(market, *, l1_fee):
    """What a fresh session writes of the market as it stands, on a chain with that L1 fee."""
    Opportunity.objects.all().delete()
    Chain.objects.filter(key="local").update(l1_fee=l1_fee)
    monitor = Monitor.objects.select_related("chain").get()
    session = PriceSession(
        monitor, mode="stream", limits=Limits(min_profit_bps=5), idle_reason="not_armed"
    )
    session.begin()
    session.scan(session.take_read(read_market(market.rpc, session.watcher.registry)))
    session.write(session.take_batch())
    return {row.cycle: row for row in Opportunity.objects.all()}


def until_something_pays(market):
    for _ in range(LONGEST):
        rows = scanned(market, l1_fee="none")
        if any(row.verdict == "executable" for row in rows.values()):
            return rows
        market.driver.step()
    raise AssertionError(f"nothing paid in {LONGEST} blocks")


@pytest.fixture
def api():
    client = APIClient()
    client.force_login(make_user("vera", role="viewer"))
    return client


@pytest.mark.parametrize("l1_fee", ["op_stack", "arbitrum"])
def test_what_would_pay_is_refused_as_gas_while_the_l1_fee_is_not_known(
    monitor, market, api, l1_fee
):
    before = until_something_pays(market)
    assert {row.l1_fee_wei for row in before.values()} == {0}

    after = scanned(market, l1_fee=l1_fee)

    assert set(after) == set(before)
    for cycle, row in after.items():
        assert (row.verdict, row.l1_fee_wei, row.steps[6]) == ("rejected", None, None)
        # An earlier gate stays the first one; what came past the costs now stops at them.
        known = before[cycle]
        past = known.verdict == "executable" or known.reason in ("min_profit", "max_gas")
        assert row.reason == ("gas" if past else known.reason)
        assert sum(step for step in row.steps[:-1] if step is not None) == row.net_profit

    body = api.get("/api/opportunities").json()["results"]
    assert {each["l1FeeWei"] for each in body} == {None}
    for each in body:
        (step,) = (step for step in each["waterfall"] if step["step"] == "l1_data_fee")
        assert (step["amount"], step["bps"]) == (None, None)
    assert not api.get("/api/opportunities?verdict=executable").json()["results"]
