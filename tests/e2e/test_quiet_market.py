"""Where nobody else trades there is nothing to earn: an engine at work that executes nothing."""

import pytest

from contracts.models import Pool
from execution.models import Execution
from prices.models import Monitor, Opportunity, PoolState
from tests.execution.conftest import open_floor  # noqa: F401  a fixture
from tests.execution.floor import await_
from wallets.models import Attempt

pytestmark = pytest.mark.e2e
BLOCKS = 30


@pytest.fixture(scope="module")
def place(open_floor):  # noqa: F811  a fixture
    return open_floor(seed=35, traders=False, rival=False)


def watched(place):
    return Monitor.objects.get(chain=place.chain)


def test_without_traders_nothing_is_executed(place):
    sent_before = Attempt.objects.count()
    place.start()
    await_(lambda: watched(place).running == "stream", until_s=30)
    until = place.market.chain.head() + BLOCKS

    with place.pump(block_s=0.2):
        await_(lambda: (watched(place).head_number or 0) >= until, until_s=90)
    place.stop()

    assert watched(place).problem == ""
    assert PoolState.objects.count() == Pool.objects.count() > 50
    assert not Opportunity.objects.filter(verdict="executable").exists()
    assert not Execution.objects.exists()
    assert Attempt.objects.count() == sent_before
