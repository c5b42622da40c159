"""Where pairs and tokens keep their numbers: found only where nothing else can be meant."""

import pytest
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from execution.kernel.slots import packed_reserves, pair_places

PAIR, TOKEN0, TOKEN1, OTHER = ("0x" + f"{n:02x}" * 20 for n in (1, 2, 3, 4))
RESERVES = (10**22 + 7, 31 * 10**12)
NAMESPACE = 0x52C63247E1F47DB19D5CE0460030C497F067CA4CEBF71BA98EEADABE20BACE00
uint112 = st.integers(1, 2**112 - 1)


def entry(holder, base, *, vyper=False):
    key, place = int(holder, 16).to_bytes(32), base.to_bytes(32)
    return int.from_bytes(keccak(place + key if vyper else key + place))


def seen(*, slot0=None, slot1=None, reserves=RESERVES, stamped_s=1_700_000_000):
    """What a call read of a V2 pair and its two tokens."""
    return {
        PAIR: {6: int(TOKEN0, 16), 8: packed_reserves(*reserves, stamped_s=stamped_s), 9: 0, 12: 1},
        TOKEN0: {slot0 or entry(PAIR, 3): reserves[0], 5: 0},
        TOKEN1: {slot1 or entry(PAIR, 0): reserves[1]},
    }


@pytest.mark.parametrize("vyper", [False, True])
@pytest.mark.parametrize("base", [0, 9, 51, 255, NAMESPACE])
def test_the_places_of_a_pair_are_found_however_its_tokens_keep_balances(base, vyper):
    slot0 = entry(PAIR, base, vyper=vyper)
    found = pair_places(PAIR, seen(slot0=slot0), reserves=RESERVES)
    assert found == ((PAIR, 8), (TOKEN0, slot0), (TOKEN1, entry(PAIR, 0)))


def test_a_balance_at_a_place_of_no_mapping_is_not_believed():
    assert pair_places(PAIR, seen(slot0=77), reserves=RESERVES) is None
    assert pair_places(PAIR, seen(slot0=entry(PAIR, 256)), reserves=RESERVES) is None
    assert pair_places(PAIR, seen(slot0=entry(OTHER, 3)), reserves=RESERVES) is None


@pytest.mark.parametrize("off", [(1, 0), (0, 1), (-1, 0)])
def test_numbers_that_are_not_the_pairs_find_nothing(off):
    wrong = (RESERVES[0] + off[0], RESERVES[1] + off[1])
    assert pair_places(PAIR, seen(), reserves=wrong) is None


def test_a_pair_that_holds_more_than_its_reserves_is_not_learned_now():
    storage = seen()
    storage[TOKEN1][entry(PAIR, 0)] += 1
    assert pair_places(PAIR, storage, reserves=RESERVES) is None


def test_two_places_that_could_be_meant_are_none():
    storage = seen()
    storage[TOKEN0][entry(PAIR, 4)] = RESERVES[0]
    assert pair_places(PAIR, storage, reserves=RESERVES) is None
    assert pair_places(PAIR, seen(reserves=(5, 5)), reserves=(5, 5)) is None
    storage = seen()
    storage[PAIR][20] = storage[PAIR][8]
    assert pair_places(PAIR, storage, reserves=RESERVES) is None


def test_what_was_not_read_is_not_there():
    for account in (PAIR, TOKEN0, TOKEN1):
        storage = seen()
        del storage[account]
        assert pair_places(PAIR, storage, reserves=RESERVES) is None


@given(uint112, uint112, st.integers(0, 2**40))
def test_reserves_are_packed_as_the_pair_packs_them(reserve0, reserve1, stamped_s):
    word = packed_reserves(reserve0, reserve1, stamped_s=stamped_s)
    assert word < 2**256
    assert word & (2**112 - 1) == reserve0
    assert word >> 112 & (2**112 - 1) == reserve1
    assert word >> 224 == stamped_s % 2**32
