"""What each shipped chain's transactions offer, to the wei."""

import pytest

from arbsite.base.units import Wei, gwei
from contracts.kernel.fees import FeeModel, fees_offered
from tests.contracts.registry.shipped import MARKETS

# Chain, base fee, bid; then the largest fee per gas, the tip, and what is paid in such a block.
GOLDEN = [
    ("bsc", 0, "0", "0.05", "0.05", "0.05"),
    ("bsc", 0, "1", "1", "1", "1"),
    ("bsc_testnet", 0, "0", "0.1", "0.1", "0.1"),
    ("ethereum", "1.5", "0", "3.001", "0.001", "1.501"),
    ("ethereum", "1.5", "2", "5", "2", "3.5"),
    ("polygon", "30", "0", "85", "25", "55"),
    ("polygon", "30", "40", "100", "40", "70"),
    ("arbitrum", "0.01", "0", "0.020000001", "0.000000001", "0.010000001"),
    ("optimism", "0.0000005", "0", "0.001001", "0.001", "0.0010005"),
    ("base", "0.005", "0", "0.011", "0.001", "0.006"),
    ("sepolia", "0", "0", "0.001", "0.001", "0.001"),
]


@pytest.mark.parametrize(("key", "base_fee", "bid", "largest", "tip", "paid"), GOLDEN)
def test_a_first_payload_offers_what_the_chains_model_says(key, base_fee, bid, largest, tip, paid):
    chain = MARKETS[key]["chain"]

    offered = fees_offered(
        model=FeeModel(chain["feeModel"]),
        base_fee_wei=gwei(base_fee),
        min_gas_price_wei=Wei(int(chain["minGasPriceWei"])),
        bid_wei=gwei(bid),
    )

    assert (offered.max_fee_wei, offered.max_priority_fee_wei) == (gwei(largest), gwei(tip))
    assert offered.price_at(base_fee_wei=gwei(base_fee)) == gwei(paid)


def test_every_shipped_chain_stands_among_the_examples():
    assert {row[0] for row in GOLDEN} == set(MARKETS)
