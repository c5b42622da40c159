"""Which networks are for play."""

import pytest

from contracts.kernel.networks import Network, network_of


@pytest.mark.parametrize(
    ("eip155_id", "expected"),
    [
        (1, Network.MAINNET),
        (10, Network.MAINNET),
        (56, Network.MAINNET),
        (137, Network.MAINNET),
        (8_453, Network.MAINNET),
        (42_161, Network.MAINNET),
        (97, Network.TESTNET),
        (11_155_111, Network.TESTNET),
    ],
)
def test_a_well_known_number_says_whether_coins_are_worth_anything(eip155_id, expected):
    assert network_of(eip155_id=eip155_id, local=False) is expected


def test_a_local_chain_is_local_whatever_its_number():
    # A rehearsal may carry the number of a main network.
    assert network_of(eip155_id=56, local=True) is Network.LOCAL
    assert network_of(eip155_id=31_337, local=True) is Network.LOCAL


def test_a_number_that_nobody_knows_counts_as_real_money():
    assert network_of(eip155_id=123_456_789, local=False) is Network.MAINNET
