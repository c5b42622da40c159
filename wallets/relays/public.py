"""Submission to an ordinary node: everyone may see the transaction before it is mined."""

from typing import Final

from contracts.rpc import HttpRpc

NAME: Final = "public"


class PublicRelay:
    """`eth_sendRawTransaction` at the chain's submission endpoint, else its first one."""

    name = NAME

    def __init__(self, rpc: HttpRpc) -> None:
        self._rpc = rpc

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicRelay) and other._rpc is self._rpc

    def __hash__(self) -> int:
        return hash(id(self._rpc))

    def send(self, raw: bytes, *, timeout_s: float) -> str:
        """Hand over once. Raises: RpcError, RpcUnavailable, WrongChain."""
        # The client may first ask the node's chain id, with the same limit: halved, both fit.
        return self._rpc.send_raw(raw, timeout_s=timeout_s / 2)
