"""Submission to one endpoint that promises to show a payload to nobody before it is mined.

A promise, not a proof: what such an endpoint was given counts as public in every rule on nonces.
"""

from contracts.kernel.relay_entry import RelayEntry
from contracts.rpc import HttpRpc
from wallets.kernel import relay_auth
from wallets.kernel.bundles import Parcel


class PrivateRpcRelay:
    """`eth_sendRawTransaction` at a private endpoint, whose chain id is checked."""

    shows_bundles_only = False

    def __init__(self, entry: RelayEntry, *, chain_id: int, credential: str) -> None:
        self.entry = entry
        self.name = entry.name
        self._credential = credential
        self._rpc = HttpRpc([entry.url], chain_id=chain_id, headers=self._headers)

    def send(self, parcel: Parcel, *, timeout_s: float) -> str:
        """Hand over once; the hash as the endpoint gave it.

        Raises: NoCredential before a byte left; RpcError, RpcUnavailable, WrongChain.
        """
        # The client may first ask the chain id, with the same limit: halved, both fit.
        return self._rpc.send_raw(parcel.raw, timeout_s=timeout_s / 2)

    def offer_nothing(self, *, timeout_s: float) -> str:
        """Ask for the newest block, to hear whether it answers. As `send`."""
        return f"block {self._rpc.ping(self._rpc.endpoints[0], timeout_s=timeout_s / 2)}"

    def close(self) -> None:
        """Close kept connections."""
        self._rpc.close()

    def _headers(self, body: bytes) -> dict[str, str]:
        return relay_auth.auth_headers(self.entry, body, credential=self._credential)
