"""The book held against the chain at the same block: a difference is a defect, never mended."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from contracts.kernel.events import SYNC_TOPIC, MalformedEvent, NewHead, decode_sync
from contracts.kernel.jsonrpc import RpcError
from contracts.rpc import HttpRpc
from prices.chain_state import BlockGone, MarketRead, quote_disagreements, read_head, read_market
from prices.kernel.book import BookSnapshot
from prices.registry import Registry

logger = logging.getLogger(__name__)
LOOK_BACK_BLOCKS: Final = 64
NEXT_S: Final = 2.0  # blocks that take longer are not mined while they are asked about
_LOOK_S: Final = 0.05
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """``wrong``: pool index -> class of the defect and both figures. ``read``: the chain's side."""

    read: MarketRead
    wrong: Mapping[int, str]


def check(rpc: HttpRpc, registry: Registry, book: BookSnapshot) -> CheckResult | None:
    """Read all pools at the book's block and compare, quotes included.

    Returns: None where the node no longer knows that block (it was reorganised away).
    Raises: RpcUnavailable.
    """
    if book.block is None:
        return None
    try:
        head = read_head(rpc, book.block.hash)
        read = read_market(rpc, registry, head=head)
    except (RpcError, BlockGone):
        return None
    differing = _differing(book, read)
    if differing:
        # A node may answer for its newest state while it mines the next block, as often as it is
        # asked: only what it says twice counts, the second time once that block is past.
        try:
            _await_next(rpc, head)
            again = read_market(rpc, registry, head=head)
        except (RpcError, BlockGone):
            return None
        differing = {i: pair for i, pair in _differing(book, again).items() if i in differing}
        read = again
    wrong = quote_disagreements(read, registry)
    for i, pair in differing.items():
        wrong[i] = _classified(rpc, registry, i, book, pair)
    return CheckResult(
        read=read, wrong={i: w for i, w in wrong.items() if i not in book.quarantined}
    )


def _await_next(rpc: HttpRpc, head: NewHead) -> None:
    """Wait until the node has a later block; on a chain that stands still, for `NEXT_S`.

    Raises: BlockGone, RpcError, RpcUnavailable.
    """
    until = time.monotonic() + NEXT_S
    while read_head(rpc).number <= head.number and time.monotonic() < until:
        time.sleep(_LOOK_S)


def _differing(book: BookSnapshot, read: MarketRead) -> dict[int, Pair | None]:
    """Pools whose reserves on chain are not the book's, with the chain's; None: it says nothing."""
    return {
        i: read.reserves.get(i)
        for i, held in enumerate(book.reserves)
        if i not in book.unknown and i not in book.quarantined and read.reserves.get(i) != held
    }


def _classified(
    rpc: HttpRpc, registry: Registry, pool: int, book: BookSnapshot, found: Pair | None
) -> str:
    """Which kind of defect: told by the last Sync that the chain has of the pool."""
    if found is None:
        return f"changed storage: book has {book.reserves[pool]}, the pool does not answer"
    figures = f"book has {book.reserves[pool]}, chain has {found}"
    assert book.block is not None  # noqa: S101  checked by the caller
    since = max(0, book.block.number - LOOK_BACK_BLOCKS)
    query = {
        "address": registry.specs[pool].address,
        "topics": [SYNC_TOPIC],
        "fromBlock": hex(since),
        "toBlock": hex(book.block.number),
    }
    try:
        logs = rpc.call("eth_getLogs", [query])
        last = decode_sync(logs[-1]) if logs else None
    except (RpcError, MalformedEvent):
        last = None
    if last is None or (last.reserve0, last.reserve1) != found:
        return f"changed storage: {figures}"
    if last.block_number == book.block.number:
        return f"missed log or unhandled reorg at block {last.block_number}: {figures}"
    return f"missed log at block {last.block_number}: {figures}"
