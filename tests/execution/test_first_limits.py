"""The limits that a chain begins with, before an operator sets his."""

import pytest

from arbsite.base.units import gwei
from contracts.models import Chain
from execution.fast_mode import fast_mode_ensure
from tests.arbsite.console.builders import make_shipped_chains


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("key", "ceiling"),
    [
        ("bsc", "1"),
        ("bsc_testnet", "2"),
        ("ethereum", "1"),
        ("polygon", "500"),
        ("arbitrum", "1"),
        ("optimism", "1"),
        ("base", "1"),
        ("sepolia", "1"),
    ],
)
def test_the_first_ceiling_leaves_room_for_a_base_fee(key, ceiling):
    make_shipped_chains()

    mode = fast_mode_ensure(chain=Chain.objects.get(key=key))

    assert mode.config.max_gas_price_wei == gwei(ceiling)
    assert mode.state == "off"
