"""Where pairs and tokens keep their numbers, found among the slots that a call read; no I/O.

Nothing is guessed: a slot counts only if its place is that of the thing and its value is right.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from eth_utils.crypto import keccak

from arbsite.base.units import TokenAmount

_RESERVE_BITS: Final = 112
_RESERVES_MASK: Final = 2 ** (2 * _RESERVE_BITS) - 1
_PLAIN_BASES: Final = 256  # a contract's own variables come first
# ERC-7201 "openzeppelin.storage.ERC20", the base of balances in OpenZeppelin 5's upgradeable token.
_NAMED_BASES: Final = (0x52C63247E1F47DB19D5CE0460030C497F067CA4CEBF71BA98EEADABE20BACE00,)
_HOLDERS_KEPT: Final = 4_096

Storage = Mapping[int, int]
Place = tuple[str, int]  # account in lower case, slot


class PairPlaces(NamedTuple):
    """Where one pair's state is: its packed reserves, and what either token holds for it."""

    reserves: Place
    balance0: Place
    balance1: Place


def packed_reserves(reserve0: int, reserve1: int, *, stamped_s: int) -> int:
    """A V2 pair's word of reserves and the time of their last change. Source: UniswapV2Pair."""
    return reserve0 | reserve1 << _RESERVE_BITS | (stamped_s % 2**32) << 2 * _RESERVE_BITS


def pair_places(
    pair: str, storage: Mapping[str, Storage], *, reserves: tuple[TokenAmount, TokenAmount]
) -> PairPlaces | None:
    """The pair's places among ``storage``, what a call was seen to read at a state in which the
    pair has these reserves and holds exactly them; None where they are not clear.

    Addresses in lower case; ``reserves`` in the pair's own order.
    """
    held = reserves[0] | reserves[1] << _RESERVE_BITS
    words = [at for at, value in storage.get(pair, {}).items() if value & _RESERVES_MASK == held]
    balance0, balance1 = (
        _balance_place(storage, holder=pair, balance=reserve) for reserve in reserves
    )
    if len(words) != 1 or balance0 is None or balance1 is None:
        return None
    return PairPlaces((pair, words[0]), balance0, balance1)


def _balance_place(storage: Mapping[str, Storage], *, holder: str, balance: int) -> Place | None:
    """The one read slot that is the holder's entry of a mapping and has that balance."""
    entries = _entries(holder)
    found = [
        (account, at)
        for account, slots in storage.items()
        for at, value in slots.items()
        if value == balance and at in entries
    ]
    return found[0] if len(found) == 1 else None


@lru_cache(_HOLDERS_KEPT)
def _entries(holder: str) -> frozenset[int]:
    """Every slot at which a mapping of usual place keeps what belongs to an address: as Solidity
    hashes key and base, and as Vyper does."""
    key = int(holder, 16).to_bytes(32)
    bases = [base.to_bytes(32) for base in (*range(_PLAIN_BASES), *_NAMED_BASES)]
    return frozenset(
        int.from_bytes(keccak(words)) for base in bases for words in (key + base, base + key)
    )
