"""Reading the whole market at one block: reserves, router quotes and loan caps in one call."""

from collections.abc import Mapping
from dataclasses import dataclass

from arbsite.base.errors import Retryable
from arbsite.base.units import TokenAmount
from contracts.kernel.abi import BadAnswer
from contracts.kernel.events import NewHead, decode_head
from contracts.kernel.jsonrpc import RpcError, hex_bytes
from contracts.rpc import HttpRpc
from prices.kernel.book import BlockRef
from prices.kernel.constant_product import amount_out
from prices.kernel.lenders import lends_for_a_flash
from prices.market_query import (
    CALLS_OF_LENT,
    MarketQuery,
    amounts_out_call,
    decode_answers,
    decode_reserves,
    market_query,
)
from prices.registry import Registry


class BlockGone(Retryable):
    """The node does not know that block: it was reorganised away, or the node is behind."""

    def __init__(self, block: str) -> None:
        self.block = block
        super().__init__(f"the node does not know block {block}: it is asked for a newer one")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketRead:
    """The market at one block. ``quotes``: (in, out) of the router for one whole base token.
    ``caps``: the most that Aave lends now, no entry for what it does not lend."""

    head: NewHead
    block: BlockRef
    reserves: Mapping[int, tuple[TokenAmount, TokenAmount]]
    quotes: Mapping[int, tuple[int, int]]
    caps: Mapping[int, TokenAmount]
    premium_bps: int | None
    quoted: bool = True


def read_head(rpc: HttpRpc, block: str = "latest") -> NewHead:
    """A block's header. Raises: BlockGone, MalformedEvent, RpcError, RpcUnavailable."""
    if len(block) == 66:
        answer = rpc.call("eth_getBlockByHash", [block, False])
    else:
        answer = rpc.call("eth_getBlockByNumber", [block, False])
    if answer is None:
        raise BlockGone(block)
    return decode_head(answer)


def block_ref(head: NewHead) -> BlockRef:
    """A header as the book takes it."""
    return BlockRef(head.number, head.hash, head.parent_hash)


def read_market(
    rpc: HttpRpc, registry: Registry, *, head: NewHead | None = None, quotes: bool = True
) -> MarketRead:
    """Read every pool at one block hash, in one batched call.

    A pool whose getReserves fails is left out; a router that refuses to quote gives no quote.
    Raises: RpcError, RpcUnavailable, BadAnswer.
    """
    head = head or read_head(rpc)
    query = market_query(registry, quotes=quotes)
    reserves, answers = _ask(rpc, registry, query, block_hash=head.hash)
    quoted = len(query.quoted)
    outs = (_quoted_out(answer) for answer in answers[:quoted])
    lent = answers[quoted : quoted + CALLS_OF_LENT * len(query.lent)]
    premium = answers[-1] if registry.aave_pool else None
    return MarketRead(
        head=head,
        block=block_ref(head),
        reserves=reserves,
        quotes={
            pool: (amount_in, out)
            for (pool, amount_in), out in zip(query.quoted, outs, strict=True)
            if out is not None
        },
        caps={
            token: cap
            for at, token in enumerate(query.lent)
            if (cap := _loan_cap(*lent[CALLS_OF_LENT * at : CALLS_OF_LENT * (at + 1)])) is not None
        },
        premium_bps=int.from_bytes(premium[:32]) if premium else None,
        quoted=quotes,
    )


def _ask(
    rpc: HttpRpc, registry: Registry, query: MarketQuery, *, block_hash: str
) -> tuple[dict[int, tuple[TokenAmount, TokenAmount]], list[bytes | None]]:
    """The pools' reserves by index, and what the other calls returned."""
    at = {"blockHash": block_hash}
    pools, count = len(registry.pools), len(query.calls)
    if registry.multicall3:
        answer = rpc.eth_call(to=registry.multicall3, data=query.data, block=at)
        found = decode_reserves(answer, pools=pools, count=count)
        if found is not None:
            return found, decode_answers(answer, count=count, first=pools)
        answers = decode_answers(answer, count=count)
    else:
        asked = [("eth_call", [{"to": c.to, "data": "0x" + c.data.hex()}, at]) for c in query.calls]
        answers = [
            None if isinstance(answer, RpcError) else hex_bytes(answer)
            for answer in rpc.batch(asked)
        ]
    reserves = {
        i: _pair_of_words(answer)
        for i, answer in enumerate(answers[:pools])
        if answer is not None and len(answer) >= 64
    }
    return reserves, answers[pools:]


def _pair_of_words(answer: bytes) -> tuple[TokenAmount, TokenAmount]:
    return (
        TokenAmount(int.from_bytes(answer[:32])),
        TokenAmount(int.from_bytes(answer[32:64])),
    )


def _loan_cap(held: bytes | None, flags: bytes | None, virtual: bytes | None) -> TokenAmount | None:
    """The most that Aave lends of a token; None where it says nothing, or lends none now.

    ``virtual``: what Aave from 3.1 counts as its own, None before.
    """
    if held is None or flags is None or len(held) != 32 or len(flags) != 32:
        return None
    if not lends_for_a_flash(int.from_bytes(flags)):
        return None
    cap = int.from_bytes(held)
    if virtual is not None and len(virtual) == 32:
        cap = min(cap, int.from_bytes(virtual))
    return TokenAmount(cap)


def _quoted_out(answer: bytes | None) -> int | None:
    """The last of a two-element ``uint256[]``."""
    if answer is None or len(answer) != 128:
        return None
    return int.from_bytes(answer[96:128])


def quote_disagreements(read: MarketRead, registry: Registry) -> dict[int, str]:
    """Pools whose router quotes another output than local arithmetic, with both figures.

    Raises: BadAnswer never; a pool without a quote (no liquidity) does not disagree.
    """
    wrong: dict[int, str] = {}
    for i, pool in enumerate(registry.pools if read.quoted else ()):
        reserves = read.reserves.get(i)
        if reserves is None or not all(reserves):
            continue
        if i not in read.quotes:
            wrong[i] = "changed storage: the router does not quote a pool that has reserves"
            continue
        amount_in, quoted = read.quotes[i]
        reserve_in, reserve_out = reserves if pool.base_first else reserves[::-1]
        fee = registry.specs[i].fee_bps
        local = amount_out(TokenAmount(amount_in), reserve_in, reserve_out, fee)
        if local != quoted:
            wrong[i] = f"changed storage: router quotes {quoted}, computed {local}"
    return wrong


__all__ = [
    "BadAnswer",
    "BlockGone",
    "MarketRead",
    "amounts_out_call",
    "block_ref",
    "quote_disagreements",
    "read_head",
    "read_market",
]
