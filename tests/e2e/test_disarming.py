"""An engine at work whose checks fail and whose limits change under it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from contracts.models import Deployment
from execution import fast_mode, limits
from execution.models import FastMode
from prices.models import Opportunity
from tests.execution.conftest import open_floor  # noqa: F401  a fixture
from tests.execution.floor import await_

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def place(open_floor):  # noqa: F811  a fixture
    return open_floor(seed=77, states_kept=256)


@pytest.fixture(autouse=True)
def _orderly(place):
    fast_mode.fast_mode_set(chain=place.chain, state="armed", reason="a test begins")
    yield
    place.stop()
    for _ in range(6):
        place.market.driver.step()
        place.settle()


def trades_again(place):
    count = len(place.traded())
    return await_(lambda: len(place.traded()) > count and place.traded()[-1], until_s=90)


def change(place, **changes):
    mode = FastMode.objects.select_related("config", "chain").get(chain=place.chain)
    return limits.limits_change(mode=mode, changes=changes)


def meets(config, opportunity):
    least = config.min_profit_threshold_bps * opportunity.borrow_amount
    return opportunity.net_profit * 10_000 >= least


def mode_of(place):
    return FastMode.objects.get(chain=place.chain)


def test_a_check_that_fails_disarms_within_two_seconds_and_says_why(place):
    place.start()
    with place.pump():
        trades_again(place)
        # On a local chain only a check that was seen to hold disarms.
        await_(lambda: "contract_running" in place.engines[-1].engine._held)
        paused = Deployment.objects.filter(kind="receiver")
        began = timezone.now()
        paused.update(observed={"paused": True})
        await_(lambda: mode_of(place).state == "off")
        mode = mode_of(place)
        assert mode.reason.startswith("not ready: contract_running (paused)")
        assert mode.since - began < timedelta(seconds=2)
        head, count = place.market.chain.head(), len(place.traded())
        await_(lambda: place.market.chain.head() > head + 5)
        assert len(place.traded()) == count
        paused.update(observed={})
        await_(lambda: mode_of(place).state == "armed")
        trades_again(place)


def test_a_minimum_that_is_raised_stops_it_and_each_execution_names_its_limits(place):
    place.start()
    with place.pump():
        old = trades_again(place).config
        first = old.version
        raised = change(place, minProfitThresholdBps=10_000)
        found = Opportunity.objects.filter(detected_at__gt=timezone.now(), reason="min_profit")
        # By the new minimum: the old one refuses some too, until the engine has taken the new.
        await_(lambda: any(meets(old, row) for row in found.all()), until_s=60)
        head, count = place.market.chain.head(), len(place.traded())
        await_(lambda: place.market.chain.head() > head + 5)
        assert len(place.traded()) == count
        mode = FastMode.objects.select_related("config", "chain").get(chain=place.chain)
        back = limits.limits_rollback(mode=mode, version=first)
        assert (raised.version, back.version, back.repeats) == (first + 1, first + 2, first)
        assert trades_again(place).config.version == first + 2


def test_no_loan_is_searched_above_the_largest_position(place):
    place.start()
    with place.pump():
        first = trades_again(place)
        worth = first.borrow_amount * first.native_rate_den // first.native_rate_num
        cap = worth // 4
        change(place, maxPositionWei=cap)
        head = place.market.chain.head()
        await_(lambda: place.market.chain.head() > head + 2)
        since = timezone.now()
        found = Opportunity.objects.filter(detected_at__gt=since, native_rate_num__isnull=False)
        rows = await_(lambda: found.count() > 5 and list(found), until_s=60)
        change(place, maxPositionWei=0)
    for row in rows:
        assert row.borrow_amount * row.native_rate_den <= cap * row.native_rate_num
