"""This process's simulator, and what of settings the executing side needs."""

from typing import Final

from django.conf import settings

from arbsite.base.errors import ArbError
from contracts import adapters as contracts_adapters
from contracts.models import Chain
from execution.path_simulator import PathSimulator
from execution.simulator import Simulator
from execution.trial import SimulatesHeads
from wallets import adapters as wallet_adapters
from wallets.signer_client import SignerClient

QUICK_S: Final = 0.4
_quick: Final[dict[str, SignerClient]] = {}


def may_sign(chain: Chain) -> bool:
    """Whether anything at all may be signed on this chain."""
    allowed: bool = settings.ARB.may_sign(chain_key=chain.key, is_local=chain.is_local)
    return allowed


def simulator(chain: Chain) -> Simulator:
    """Simulates on the chain's own node."""
    return Simulator(contracts_adapters.rpc(chain), next_block=chain.l1_fee != "arbitrum")


def path_simulator(chain: Chain) -> SimulatesHeads:
    """The same, answering in this process what it has learned: for a process that lasts.

    Arbitrum's calls see the L1's block number, which nothing here follows: its node simulates.
    """
    node = simulator(chain)
    if chain.l1_fee == "arbitrum":
        return node
    return PathSimulator(node, contracts_adapters.rpc(chain), chain_id=chain.eip155_id)


def signer_up() -> bool:
    """Whether the signer answers."""
    return _answers(wallet_adapters.signer())


def signer_up_quickly() -> bool:
    """The same for whoever looks twice a second and must not wait: two short tries."""
    path = wallet_adapters.signer_socket()
    client = _quick.setdefault(str(path), SignerClient(path, timeout_s=QUICK_S))
    return _answers(client) or _answers(client)


def _answers(client: SignerClient) -> bool:
    try:
        client.status()
    except ArbError:
        return False
    return True
