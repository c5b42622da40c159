"""The engine sends on what an EVM in its process said, and what is mined says the same."""

import pytest

from execution import fast_mode
from prices.models import GasUse
from tests.execution.conftest import open_floor  # noqa: F401  a fixture
from tests.execution.floor import await_

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def place(open_floor):  # noqa: F811  a fixture
    return open_floor(seed=1_818, states_kept=256)


def test_the_engine_learns_its_paths_and_earns_what_it_simulated_in_process(place):
    fast_mode.fast_mode_set(chain=place.chain, state="armed", reason="a test begins")
    place.start()
    with place.pump():
        await_(
            lambda: len([row for row in place.included() if row.simulated_by == "evm"]) >= 2,
            until_s=240,
        )
    place.stop()
    rows = place.included()
    assert {row.simulated_by for row in rows} == {"evm", "node"}, "the first of a kind is estimated"
    for row in rows:
        assert row.simulated_profit == row.expected_profit
        if row.transaction.receipt["status"] == "0x1":
            assert row.realized_profit == row.simulated_profit
        if row.simulated_by == "evm":
            bound = GasUse.objects.get(lender_kind=row.lender_kind, hops=len(row.path))
            assert row.transaction.gas_limit <= -(-bound.largest_gas * 5 // 4)
