"""Markets on nodes of their own."""

import pytest

from contracts.localchain.harness import local_market


@pytest.fixture(scope="module")
def quiet():
    """A market where nobody trades."""
    with local_market(seed=11, traders=False, rival=False) as live:
        yield live
