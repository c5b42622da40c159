"""Native coin out of nothing, on the embedded chain alone."""

from eth_utils import is_address

from arbsite.base.errors import Rejected
from arbsite.base.units import Wei
from contracts.kernel.jsonrpc import RpcError
from contracts.rpc import HttpRpc, is_loopback

NODES = ("anvil/", "hardhat")


class NotLocal(Rejected):
    """Coin can be made only on a test node on this machine."""

    def __init__(self, why: str) -> None:
        super().__init__(f"no faucet here: {why}; it serves chains marked local only")


def faucet(rpc: HttpRpc, *, address: str, amount_wei: Wei) -> Wei:
    """Add ``amount_wei`` to an account's balance; the balance it then has, wei.

    Raises: NotLocal unless every endpoint is loopback and the node is anvil or hardhat;
        ValueError for a bad address or an amount that is not positive.
    """
    if not is_address(address):
        raise ValueError(f"{address!r} is not an address")
    if amount_wei <= 0:
        raise ValueError(f"{amount_wei=} must be positive")
    if not all(is_loopback(endpoint.url) for endpoint in rpc.endpoints):
        raise NotLocal("an endpoint is not on this machine")
    version = str(rpc.call("web3_clientVersion")).lower()
    if not version.startswith(NODES):
        raise NotLocal("the node is neither anvil nor hardhat")
    balance = Wei(int(str(rpc.call("eth_getBalance", [address, "latest"])), 16) + amount_wei)
    try:
        rpc.call("anvil_setBalance", [address, hex(balance)])
    except RpcError:
        rpc.call("hardhat_setBalance", [address, hex(balance)])
    return balance
