"""Writing to the embedded chain: impersonated senders, counted nonces, receipts looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import rlp
from eth_utils import keccak, to_checksum_address

from arbsite.base.errors import Halt
from arbsite.base.units import BlockNumber, Wei
from contracts.kernel.jsonrpc import RpcError
from contracts.rpc import HttpRpc

NOTHING: Final = Wei(0)
BATCH_BYTES: Final = 700_000  # anvil refuses a body over 2 MB; hex doubles the bytes


class ChainRefused(Halt):
    """The embedded chain did not do what the market needs it to do."""

    def __init__(self, what: str, *, why: str) -> None:
        self.what = what
        self.why = why
        super().__init__(
            f"the local chain refused {what}: {why}; delete its state folder and start it again"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """A transaction to be sent from an account of the market; ``to`` is None for a creation."""

    sender: str
    to: str | None
    data: bytes
    gas: int
    gas_price: Wei
    value: Wei = NOTHING


def account(role: str) -> str:
    """An address for which nobody has a key; only the embedded node lets it send."""
    return to_checksum_address(keccak(text=f"local market: {role}")[-20:])


def created_at(creator: str, *, nonce: int) -> str:
    """Where CREATE puts a contract."""
    return to_checksum_address(keccak(rlp.encode([bytes.fromhex(creator[2:]), nonce]))[-20:])


def created_by_salt(creator: str, *, salt: bytes, init_code_hash: bytes) -> str:
    """Where CREATE2 puts a contract."""
    preimage = b"\xff" + bytes.fromhex(creator[2:]) + salt + init_code_hash
    return to_checksum_address(keccak(preimage)[-20:])


class LocalChain:
    """The market's hand on the embedded node. Nothing is mined but by `mine`."""

    def __init__(self, rpc: HttpRpc) -> None:
        self.rpc = rpc
        self._nonces: dict[str, int] = {}

    def admin(self, method: str, *params: object) -> Any:
        """One of anvil's own methods. Raises: ChainRefused."""
        try:
            return self.rpc.call(method, params, timeout_s=30.0)
        except RpcError as error:
            raise ChainRefused(method, why=error.message) from None

    def open_accounts(self, senders: Sequence[str], *, balance_wei: Wei) -> None:
        """Let these accounts send without a key, and give each that much native coin."""
        calls: list[tuple[str, Sequence[object]]] = []
        for sender in senders:
            calls.append(("anvil_impersonateAccount", [sender]))
            calls.append(("anvil_setBalance", [sender, hex(balance_wei)]))
        self.all(calls, what="an account of the market")

    def impersonate(self, senders: Sequence[str]) -> None:
        """Let these accounts send without a key."""
        self.all(
            [("anvil_impersonateAccount", [sender]) for sender in senders],
            what="an account of the market",
        )

    def forget_nonces(self) -> None:
        """Read nonces anew at the next sending: the chain may have gone back."""
        self._nonces.clear()

    def next_nonce(self, sender: str) -> int:
        """The nonce of this account's next sending. Counted here once it was read."""
        if sender not in self._nonces:
            self._nonces[sender] = int(self.admin("eth_getTransactionCount", sender, "latest"), 16)
        return self._nonces[sender]

    def send(self, sendings: Sequence[Sending]) -> list[str]:
        """Put transactions into the node's pool, in order; their hashes.

        Raises: ChainRefused when the node takes one of them not; nonces are then read anew.
        """
        hashes: list[str] = []
        calls: list[tuple[str, Sequence[object]]] = []
        size = 0
        for sending in sendings:
            nonce = self.next_nonce(sending.sender)
            self._nonces[sending.sender] = nonce + 1
            calls.append(("eth_sendTransaction", [_request(sending, nonce=nonce)]))
            size += len(sending.data)
            if size > BATCH_BYTES:
                hashes += self.all(calls, what="a transaction")
                calls, size = [], 0
        return hashes + self.all(calls, what="a transaction")

    def send_before_others(self, sendings: Sequence[Sending]) -> None:
        """The same, in front of what is in the pool already, as a builder may order a block.

        What others sent is taken out and put back behind, byte for byte and in its order;
        impersonated senders' transactions have no bytes that could be, and stay where they are.
        Raises: ChainRefused.
        """
        pool = self.admin("txpool_content")["pending"]
        waiting = [each for by_nonce in pool.values() for each in by_nonce.values()]
        signed = [each["hash"] for each in waiting if int(each["r"], 16)]
        asked = [("eth_getRawTransactionByHash", [tx_hash]) for tx_hash in signed]
        raw = self.all(asked, what="what is in the pool") if asked else []
        for tx_hash in signed:
            self.admin("anvil_dropTransaction", tx_hash)
        self.send(sendings)
        for payload in raw:
            self.admin("eth_sendRawTransaction", payload)

    def mine(self, *, timestamp: int | None = None) -> BlockNumber:
        """Mine one block with what is in the pool; its number."""
        if timestamp is not None:
            self.admin("evm_setNextBlockTimestamp", hex(timestamp))
        self.admin("evm_mine")
        return self.head()

    def head(self) -> BlockNumber:
        return BlockNumber(int(self.admin("eth_blockNumber"), 16))

    def receipts(self, block: BlockNumber) -> list[dict[str, Any]]:
        """The receipts of a block, in order."""
        return list(self.admin("eth_getBlockReceipts", hex(block)) or [])

    def all(self, calls: Sequence[tuple[str, Sequence[object]]], *, what: str) -> list[Any]:
        """Several requests in one body. Raises: ChainRefused when one of them is refused."""
        answers = self.rpc.batch(calls, timeout_s=30.0)
        for answer in answers:
            if isinstance(answer, RpcError):
                self.forget_nonces()
                raise ChainRefused(what, why=answer.message)
        return answers


def _request(sending: Sending, *, nonce: int) -> dict[str, str]:
    request = {
        "from": sending.sender,
        "nonce": hex(nonce),
        "gas": hex(sending.gas),
        "gasPrice": hex(sending.gas_price),
        "value": hex(sending.value),
        "data": "0x" + sending.data.hex(),
    }
    return request | ({"to": sending.to} if sending.to else {})
