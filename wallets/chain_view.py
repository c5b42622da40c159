"""One look at a chain: what settling needs to know of everything that is out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from arbsite.base.errors import Rejected
from contracts.kernel.jsonrpc import Json, RpcError, hex_int
from contracts.models import Chain
from contracts.rpc import HttpRpc
from wallets.models import Attempt, NonceSequence, Transaction


class Unproven(Rejected):
    """A nonce is spent, and the node cannot say by what: nothing ends on that."""

    def __init__(self, *, address: str, nonce: int, why: str) -> None:
        super().__init__(
            f"nonce {nonce} of {address} is spent by none of ours that the node knows, and it "
            f"cannot show the block ({why}): add an endpoint that keeps state of that age"
        )


@dataclass(slots=True)
class View:
    """One look at the chain."""

    head: int
    final: int  # the newest height that is final
    receipts: dict[str, dict[str, Any]]
    known: set[str]  # hashes the node has, mined or pending
    blocks: dict[int, str]  # hash of each height asked for
    mined_nonce: dict[str, int]
    final_nonce: dict[str, int]

    def mined_in(self, tx_hash: str) -> dict[str, Any] | None:
        """The receipt of a hash, if its block is the one at that height."""
        receipt = self.receipts.get(tx_hash)
        if receipt is None:
            return None
        there = self.blocks.get(hex_int(receipt["blockNumber"]))
        return receipt if there is not None and there == str(receipt["blockHash"]) else None


def look(
    *,
    chain: Chain,
    rpc: HttpRpc,
    waiting: Sequence[Transaction],
    watched: Sequence[Attempt] = (),
) -> View:
    """Read head, receipts and nonces in one batch, then what they point at in another.

    ``watched``: payloads whose nonce was given back. Raises: RpcUnavailable, RpcError.
    """
    hashes = [a.hash for one in waiting for a in one.attempts.all() if a.hash and not a.released]
    hashes += [attempt.hash for attempt in watched if attempt.hash]
    addresses = sorted(
        {one.wallet.address for one in waiting}
        | set(NonceSequence.objects.filter(chain=chain).values_list("address", flat=True))
    )
    asked: list[tuple[str, list[object]]] = [
        ("eth_getBlockByNumber", ["latest", False]),
        ("eth_getBlockByNumber", ["finalized", False]),
    ]
    asked += [("eth_getTransactionCount", [address, "latest"]) for address in addresses]
    asked += [("eth_getTransactionReceipt", [tx_hash]) for tx_hash in hashes]
    asked += [("eth_getTransactionByHash", [tx_hash]) for tx_hash in hashes]
    answers = iter(rpc.batch(asked))
    latest, finalized = next(answers), next(answers)
    if isinstance(latest, RpcError):
        raise latest
    if not isinstance(latest, dict):
        raise RpcError(0, "the node gave no latest block")
    head = hex_int(latest["number"])
    final = head - max(1, chain.confirmations) + 1
    if isinstance(finalized, dict):
        final = max(final, hex_int(finalized["number"]))
    mined = {address: _count(next(answers)) for address in addresses}
    receipts = {h: r for h in hashes if _is_mined(r := next(answers))}
    known = {h for h in hashes if isinstance(next(answers), dict)} | set(receipts)
    view = View(
        head=head,
        final=final,
        receipts=receipts,
        known=known,
        blocks={head: str(latest["hash"])},
        mined_nonce=mined,
        final_nonce={},
    )
    _look_deeper(rpc=rpc, waiting=waiting, view=view)
    return view


def _look_deeper(*, rpc: HttpRpc, waiting: Sequence[Transaction], view: View) -> None:
    """Headers under receipts, and the accounts' nonces at the final height."""
    heights = {hex_int(receipt["blockNumber"]) for receipt in view.receipts.values()}
    heights |= {one.block_number for one in waiting if one.block_number is not None}
    wanted = sorted(height for height in heights if height not in view.blocks)
    spent = sorted(
        {
            one.wallet.address
            for one in waiting
            for a in one.attempts.all()
            if a.nonce < view.mined_nonce[one.wallet.address] and a.hash not in view.receipts
        }
    )
    asked: list[tuple[str, list[object]]] = [
        ("eth_getBlockByNumber", [hex(height), False]) for height in wanted
    ]
    asked += [("eth_getTransactionCount", [a, hex(max(0, view.final))]) for a in spent]
    answers = iter(rpc.batch(asked))
    for height in wanted:
        if isinstance(header := next(answers), dict):
            view.blocks[height] = str(header["hash"])
    for address in spent:
        view.final_nonce[address] = _quantity(next(answers))


def spent_in(*, rpc: HttpRpc, address: str, nonce: int, at: int) -> frozenset[str]:
    """Hashes of the block in which an account's nonce was spent, at or before height ``at``.

    The account's count says that a nonce is spent, not by whom: a missing receipt is no proof, an
    index may lag. Calls: 2 log2 of the age in blocks. Raises: Unproven, RpcUnavailable.
    """

    def is_spent(height: int) -> bool:
        return hex_int(rpc.call("eth_getTransactionCount", [address, hex(height)])) > nonce

    try:
        high, low, step = at, at - 1, 1
        while low > 0 and is_spent(low):
            high, step = low, 2 * step
            low = max(0, low - step)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if is_spent(middle) else (middle, high)
        block = rpc.call("eth_getBlockByNumber", [hex(high), False])
    except RpcError as error:
        raise Unproven(address=address, nonce=nonce, why=str(error)) from None
    if not isinstance(block, dict):
        raise Unproven(address=address, nonce=nonce, why=f"the node has no block {high}")
    return frozenset(str(tx_hash) for tx_hash in block["transactions"])


def _is_mined(answer: Json) -> bool:
    """Whether a receipt is one of a block: some nodes give one for what is pending."""
    return isinstance(answer, dict) and bool(answer.get("blockHash") and answer.get("blockNumber"))


def _count(answer: Json) -> int:
    """An account's nonce: where the node gives none, nothing may be concluded from its absence."""
    if isinstance(answer, RpcError):
        raise answer
    return hex_int(answer)


def _quantity(answer: Json) -> int:
    return 0 if isinstance(answer, RpcError) else hex_int(answer)
