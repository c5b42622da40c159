"""Which networks are for play: the one place that tells a test network from a main one. No I/O.

A market file does not say it, so the chain's well-known EIP-155 number does.
"""

from enum import StrEnum
from typing import Final

# Source: the chain definitions of wevm/viem that are marked `testnet`, for the shipped chains'
# own families: BNB Smart Chain, Ethereum (three), Polygon, Arbitrum, OP and Base.
TESTNETS: Final = frozenset({97, 11_155_111, 17_000, 560_048, 80_002, 421_614, 11_155_420, 84_532})


class Network(StrEnum):
    LOCAL = "local"
    TESTNET = "testnet"
    MAINNET = "mainnet"


def network_of(*, eip155_id: int, local: bool) -> Network:
    """What a chain's coins are worth: nothing on a local one, nothing on a test network, money.

    A number that nobody knows counts as a main network: a warning too many costs nothing.
    """
    if local:
        return Network.LOCAL
    return Network.TESTNET if eip155_id in TESTNETS else Network.MAINNET
