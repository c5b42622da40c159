"""The one call that reads a whole market: its calldata, built once, and its answer, cut by hand.

`eth_abi` takes six times as long for the same bytes as the node for answering; the form is fixed
(Multicall3's ``aggregate3``), so words are laid and cut here, every one within its bounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import Final, cast

from arbsite.base.units import TokenAmount
from contracts.kernel import abi
from contracts.kernel.abi import BadAnswer, Call
from prices.registry import Registry, base_and_quote

WORD: Final = 32
_AGGREGATE3: Final = abi.selector(abi.AGGREGATE3)
_RESERVES: Final = abi.encode_call("getReserves()")
_PREMIUM: Final = abi.encode_call("FLASHLOAN_PREMIUM_TOTAL()")
_GET_AMOUNTS_OUT: Final = abi.selector("getAmountsOut(uint256,address[])")
_BALANCE_OF: Final = abi.selector("balanceOf(address)")
_CONFIGURATION: Final = abi.selector("getConfiguration(address)")
_VIRTUAL_BALANCE: Final = abi.selector("getVirtualUnderlyingBalance(address)")  # from Aave 3.1
CALLS_OF_LENT: Final = 3
_TRUE: Final = (1).to_bytes(WORD)
_AT_TUPLE_END: Final = (3 * WORD).to_bytes(WORD)
# (success, where the bytes begin, how many); reserve0, reserve1, time: a tuple of `getReserves`.
_RESERVES_HEAD: Final = _TRUE + (2 * WORD).to_bytes(WORD) + (3 * WORD).to_bytes(WORD)
_RESERVES_ANSWER: Final = Struct(">96s16s16s16s16s32x")
_HIGH: Final = bytes(16)  # a reserve has 112 bits


@dataclass(frozen=True, slots=True)
class MarketQuery:
    """Calls in order: reserves of every pool, ``quoted``, ``lent``, and the premium last.

    ``quoted``: (pool, amount in) of one whole base token. ``lent``: tokens that Aave may lend, of
    each what its aToken holds, the reserve's flags, and its virtual balance.
    """

    calls: tuple[Call, ...]
    data: bytes
    quoted: tuple[tuple[int, int], ...]
    lent: tuple[int, ...]


def market_query(registry: Registry, *, quotes: bool) -> MarketQuery:
    """The registry's query, built at its first use."""
    found: MarketQuery | None = registry.memo.get(("query", quotes))
    if found is None:
        found = registry.memo["query", quotes] = _build(registry, quotes=quotes)
    return found


def _build(registry: Registry, *, quotes: bool) -> MarketQuery:
    calls = [Call(pool.address, _RESERVES) for pool in registry.pools]
    quoted: list[tuple[int, int]] = []
    for i, pool in enumerate(registry.pools if quotes else ()):
        base, quote = base_and_quote(registry, pool)
        amount_in = 10**base.decimals
        calls.append(Call(pool.router, amounts_out_call(amount_in, base.address, quote.address)))
        quoted.append((i, amount_in))
    lent = tuple(i for i, token in enumerate(registry.tokens) if token.atoken)
    for i in lent:
        token = registry.tokens[i]
        asset = int(token.address, 16).to_bytes(WORD)
        calls.append(Call(token.address, _BALANCE_OF + int(token.atoken, 16).to_bytes(WORD)))
        calls.append(Call(registry.aave_pool, _CONFIGURATION + asset))
        calls.append(Call(registry.aave_pool, _VIRTUAL_BALANCE + asset))
    if registry.aave_pool:
        calls.append(Call(registry.aave_pool, _PREMIUM))
    return MarketQuery(
        calls=tuple(calls), data=encode_calls(calls), quoted=tuple(quoted), lent=lent
    )


def amounts_out_call(amount_in: int, token_in: str, token_out: str) -> bytes:
    """Calldata of ``getAmountsOut`` over one pair."""
    words = (amount_in, 2 * WORD, 2, int(token_in, 16), int(token_out, 16))
    return _GET_AMOUNTS_OUT + b"".join(word.to_bytes(WORD) for word in words)


def encode_calls(calls: Sequence[Call]) -> bytes:
    """Multicall3 ``aggregate3`` in which a failing call fails alone.

    Source: the ABI specification, ``(address,bool,bytes)[]``.
    """
    offsets, tuples, at = [], [], WORD * len(calls)
    for call in calls:
        padding = -len(call.data) % WORD
        body = b"".join(
            (
                int(call.to, 16).to_bytes(WORD),
                _TRUE,
                _AT_TUPLE_END,
                len(call.data).to_bytes(WORD),
                call.data,
                bytes(padding),
            )
        )
        offsets.append(at.to_bytes(WORD))
        tuples.append(body)
        at += len(body)
    head = (WORD.to_bytes(WORD), len(calls).to_bytes(WORD))
    return b"".join((_AGGREGATE3, *head, *offsets, *tuples))


def decode_reserves(
    data: bytes, *, pools: int, count: int
) -> dict[int, tuple[TokenAmount, TokenAmount]] | None:
    """The reserves that the first ``pools`` of ``count`` calls returned, raw token units, all at
    once; None where an answer has another form, and `decode_answers` says which.

    The usual case: each call succeeds and returns three words, so that all tuples are alike.
    """
    start = 2 * WORD
    first = start + WORD * count
    if data[:start] != WORD.to_bytes(WORD) + count.to_bytes(WORD):
        return None
    if data[start : start + WORD * pools] != _offsets(pools, count):
        return None
    block = data[first : first + _RESERVES_ANSWER.size * pools]
    if len(block) < _RESERVES_ANSWER.size * pools:
        return None
    # Units are a word for the reader, and a call each for the machine: cast once, not 490 times.
    number = int.from_bytes
    found = {}
    for i, (head, high0, low0, high1, low1) in enumerate(_RESERVES_ANSWER.iter_unpack(block)):
        if head != _RESERVES_HEAD or high0 != _HIGH or high1 != _HIGH:
            return None
        found[i] = (number(low0), number(low1))
    return cast("dict[int, tuple[TokenAmount, TokenAmount]]", found)


@lru_cache(maxsize=8)
def _offsets(pools: int, count: int) -> bytes:
    """Where the tuples of the first calls begin, if all of them are alike."""
    at = WORD * count
    return b"".join((at + _RESERVES_ANSWER.size * i).to_bytes(WORD) for i in range(pools))


def decode_answers(data: bytes, *, count: int, first: int = 0) -> list[bytes | None]:
    """What each call from ``first`` on returned, None where it reverted.

    Raises: BadAnswer for bytes that are not ``(bool,bytes)[]`` of that length.
    """
    size = len(data)
    start = 2 * WORD
    if size < start + WORD * count or int.from_bytes(data[:WORD]) != WORD:
        raise BadAnswer(f"{size} bytes are no answer to {count} calls")
    if int.from_bytes(data[WORD:start]) != count:
        raise BadAnswer(f"a multicall of {count} gave {int.from_bytes(data[WORD:start])} answers")
    found: list[bytes | None] = []
    for i in range(first, count):
        at = start + int.from_bytes(data[start + WORD * i : start + WORD * (i + 1)])
        body = at + int.from_bytes(data[at + WORD : at + 2 * WORD]) + WORD
        end = body + int.from_bytes(data[body - WORD : body])
        if at + 2 * WORD > size or body > size or end > size:
            raise BadAnswer(f"answer {i} of {count} reaches beyond its {size} bytes")
        found.append(data[body:end] if int.from_bytes(data[at : at + WORD]) else None)
    return found
