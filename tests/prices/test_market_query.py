"""A whole market's answer, cut by hand: what `eth_abi` writes is read, and nothing else."""

import pytest
from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

from contracts.kernel.abi import BadAnswer
from prices.market_query import decode_answers, decode_reserves

RESERVE = st.integers(0, 2**112 - 1)
REGULAR = st.tuples(RESERVE, RESERVE, st.integers(0, 2**32 - 1))
ODD = st.one_of(st.just((False, b"")), st.tuples(st.booleans(), st.binary(max_size=130)))


def answered(pools, others):
    """As a Multicall3 returns it: ``getReserves`` of each pool, then other calls."""
    rows = [(True, encode(["uint112", "uint112", "uint32"], each)) for each in pools]
    return encode(["(bool,bytes)[]"], [[*rows, *others]]), len(rows) + len(others)


@given(st.lists(REGULAR, min_size=1, max_size=9), st.lists(ODD, max_size=4))
def test_reserves_are_cut_at_once_and_the_rest_as_ever(pools, others):
    data, count = answered(pools, others)
    found = decode_reserves(data, pools=len(pools), count=count)
    assert found == {i: each[:2] for i, each in enumerate(pools)}
    rest = decode_answers(data, count=count, first=len(pools))
    assert rest == [body if ok else None for ok, body in others]
    assert decode_answers(data, count=count)[len(pools) :] == rest


@given(st.lists(ODD, min_size=1, max_size=6), st.data())
def test_where_one_answer_has_another_form_all_are_looked_at_one_by_one(rows, drawn):
    data = encode(["(bool,bytes)[]"], [rows])
    pools = drawn.draw(st.integers(1, len(rows)))
    found = decode_reserves(data, pools=pools, count=len(rows))
    singly = decode_answers(data, count=len(rows))
    assert singly == [body if ok else None for ok, body in rows]
    if found is not None:
        for i, reserves in found.items():
            assert reserves == (
                int.from_bytes(singly[i][:32]),
                int.from_bytes(singly[i][32:64]),
            )


@given(st.lists(REGULAR, min_size=1, max_size=4), st.data())
def test_bytes_that_are_cut_short_or_changed_give_no_reserve_that_is_not_there(pools, drawn):
    data, count = answered(pools, [])
    at = drawn.draw(st.integers(0, len(data) - 1))
    assert decode_reserves(data[:at], pools=len(pools), count=count) is None
    spoilt = bytearray(data)
    spoilt[at] ^= drawn.draw(st.integers(1, 255))
    found = decode_reserves(bytes(spoilt), pools=len(pools), count=count)
    if found is not None:  # what was changed is a reserve's own digits, or the time
        singly = decode_answers(bytes(spoilt), count=count)
        assert found == {
            i: (int.from_bytes(each[:32]), int.from_bytes(each[32:64]))
            for i, each in enumerate(singly)
        }


def test_an_answer_for_another_number_of_calls_is_none():
    data, count = answered([(1, 2, 3)], [])
    assert decode_reserves(data, pools=1, count=count + 1) is None
    with pytest.raises(BadAnswer):
        decode_answers(data, count=count + 1)
