"""What becomes of an unsent opportunity in the next two blocks, from its pools' events alone."""

import pytest

from execution.kernel.shadow import Fate, Look, Moved, Sight, look_again
from prices.kernel.lenders import FIRST_POOL
from prices.kernel.sizing import Hop, best_size, walk

UNIT = 10**18
A, B, C = ("0x" + letter * 40 for letter in "abc")
BLOCK = 100
# A sells the token 2 % too cheap against B; both directions of reserves are the pool's own.
CHEAP = Hop(1_000 * UNIT, 1_020 * UNIT, 25)
DEAR = Hop(1_000 * UNIT, 1_000 * UNIT, 25)


def sight(**change):
    facts = {
        "block": BLOCK, "pools": (A, B), "zero_for_one": (True, False), "hops": (CHEAP, DEAR),
        "lender": FIRST_POOL, "costs": -(10**14), "min_profit_bps": 5,
    }  # fmt: skip
    return Sight(**{**facts, **change})


def moved(hop, *, pool, tx, block=BLOCK + 1, zero_for_one):
    sides = (hop.reserve_in, hop.reserve_out)
    return Moved(block, tx, pool, *(sides if zero_for_one else sides[::-1]))


def crossed(hops, amount):
    """The reserves after somebody ran the whole path with this input."""
    after = []
    amounts = walk(hops, amount)
    for hop, taken, given in zip(hops, amounts, amounts[1:], strict=False):
        after.append(Hop(hop.reserve_in + taken, hop.reserve_out - given, hop.fee_bps))
    return after


def taking(tx, *, block=BLOCK + 1):
    best = best_size([CHEAP, DEAR], lender=FIRST_POOL)
    first, second = crossed([CHEAP, DEAR], best.amounts[0])
    return [
        moved(first, pool=A, tx=tx, block=block, zero_for_one=True),
        moved(second, pool=B, tx=tx, block=block, zero_for_one=False),
    ]


def test_untouched_it_is_there_both_times_and_worth_the_same():
    found = look_again(sight(), [])

    worth = sight().net([CHEAP, DEAR])
    assert worth > 0
    assert found.looks == (Look(Fate.THERE, worth), Look(Fate.THERE, worth))
    assert (found.ended_in, found.ended_by) == (None, "")


@pytest.mark.parametrize("block", [BLOCK + 1, BLOCK + 2])
def test_one_transaction_over_both_pools_in_its_direction_took_it(block):
    found = look_again(sight(), taking("0x01", block=block))

    assert [look.fate for look in found.looks] == (
        [Fate.TAKEN, Fate.TAKEN] if block == BLOCK + 1 else [Fate.THERE, Fate.TAKEN]
    )
    assert found.looks[-1].net is None
    assert (found.ended_in, found.ended_by) == (block, "0x01")


def test_a_trade_in_one_pool_lets_it_go():
    level = Hop(1_020 * UNIT, 1_020 * UNIT, 25)
    found = look_again(sight(), [moved(level, pool=A, tx="0x02", zero_for_one=True)])

    assert [look.fate for look in found.looks] == [Fate.GONE, Fate.GONE]
    assert found.ended_by == "0x02"


def test_a_trade_over_both_pools_against_its_direction_did_not_take_it():
    moves = [
        moved(Hop(1_000 * UNIT, 900 * UNIT, 25), pool=B, tx="0x03", zero_for_one=False),
        moved(Hop(1_010 * UNIT, 1_015 * UNIT, 25), pool=A, tx="0x03", zero_for_one=True),
    ]

    assert [look.fate for look in look_again(sight(), moves).looks] == [Fate.GONE, Fate.GONE]


def test_what_arises_again_after_it_was_taken_is_another_one():
    again = [
        moved(CHEAP, pool=A, tx="0x05", block=BLOCK + 2, zero_for_one=True),
        moved(DEAR, pool=B, tx="0x05", block=BLOCK + 2, zero_for_one=False),
    ]
    found = look_again(sight(), [*taking("0x04"), *again])

    assert [look.fate for look in found.looks] == [Fate.TAKEN, Fate.TAKEN]
    assert found.ended_by == "0x04"


def test_who_only_lowered_what_it_earns_did_not_end_it():
    best = best_size([CHEAP, DEAR], lender=FIRST_POOL)
    first, second = crossed([CHEAP, DEAR], best.amounts[0] // 10)
    found = look_again(
        sight(),
        [
            moved(first, pool=A, tx="0x06", zero_for_one=True),
            moved(second, pool=B, tx="0x06", zero_for_one=False),
        ],
    )

    assert [look.fate for look in found.looks] == [Fate.THERE, Fate.THERE]
    assert 0 < found.looks[0].net < sight().net([CHEAP, DEAR])


def test_below_the_minimum_or_its_costs_it_is_not_there():
    profit = best_size([CHEAP, DEAR], lender=FIRST_POOL).profit

    assert sight(costs=-profit).net([CHEAP, DEAR]) is None
    assert sight(costs=-profit + 1, min_profit_bps=5).net([CHEAP, DEAR]) is None
    assert sight(min_profit_bps=9_000).net([CHEAP, DEAR]) is None


def test_who_comes_after_it_ended_did_not_end_it():
    worse = Hop(1_010 * UNIT, 990 * UNIT, 25)
    later = moved(worse, pool=B, tx="0x08", block=BLOCK + 2, zero_for_one=False)
    found = look_again(sight(), [*taking("0x07"), later])

    assert (found.ended_in, found.ended_by) == (BLOCK + 1, "0x07")
    assert [look.fate for look in found.looks] == [Fate.TAKEN, Fate.TAKEN]
