"""JSON-RPC answers: whatever a node writes becomes values, an RpcError or a ValueError."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.kernel.jsonrpc import (
    RpcError,
    call_object,
    clean_text,
    decode_answers,
    hex_bytes,
    hex_int,
    result_of,
)

# The short form; `make prove` raises it to 100,000.
EXAMPLES = int(os.environ.get("PROVE_INPUTS", "200"))
many = settings(max_examples=EXAMPLES)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=20),
    lambda below: (
        st.lists(below, max_size=4)
        | st.dictionaries(
            st.sampled_from(["jsonrpc", "id", "result", "error", "code", "message", "data"])
            | st.text(max_size=5),
            below,
            max_size=5,
        )
    ),
    max_leaves=15,
)


def answer(key=1, **rest):
    return {"jsonrpc": "2.0", "id": key, **rest}


def decode(document, ids=(1,)):
    return decode_answers(json.dumps(document).encode(), list(ids))


def test_answers_are_placed_by_their_id_whatever_their_order():
    document = [answer(3, result="c"), answer(1, result="a"), answer(2, error={"code": -32000})]

    first, second, third = decode(document, (1, 2, 3))

    assert (first, third) == ("a", "c")
    assert isinstance(second, RpcError)
    assert second.code == -32000


def test_null_is_a_result():
    assert decode(answer(result=None)) == [None]


def test_one_refusal_stands_for_the_whole_batch():
    found = decode(answer(None, error={"code": -32005, "message": "batch too large"}), (1, 2))

    assert [error.message for error in found] == ["batch too large"] * 2


@pytest.mark.parametrize(
    "document",
    [
        [], {}, [[]], "x", 1, None, [answer(1)], [answer(2, result="x")], answer(True, result="x"),
        [answer(1, result="x"), 5], answer("1", result="x"),
    ],
)  # fmt: skip
def test_what_is_no_answer_to_the_question_is_refused(document):
    with pytest.raises(ValueError, match=r"JSON-RPC|lacks"):
        decode(document)


@pytest.mark.parametrize(
    "body", [b"", b"<html>429</html>", b"{", b'{"id":1,"result":', b"\xff", b"NaN", b"[" * 200_000]
)
def test_what_is_no_json_is_refused(body):
    with pytest.raises(ValueError, match="not JSON"):
        decode_answers(body, [1])


@many
@given(st.binary(max_size=200), st.lists(st.integers(1, 5), min_size=1, max_size=4, unique=True))
def test_no_bytes_break_the_decoder(body, ids):
    try:
        found = decode_answers(body, ids)
    except ValueError:
        return
    assert len(found) == len(ids)


@many
@given(values, st.lists(st.integers(1, 5), min_size=1, max_size=4, unique=True))
def test_no_json_breaks_the_decoder(document, ids):
    try:
        found = decode(document, ids)
    except ValueError:
        return
    assert len(found) == len(ids)


@many
@given(st.permutations(range(1, 8)), st.lists(values, min_size=7, max_size=7))
def test_a_shuffled_batch_loses_and_swaps_nothing(order, results):
    document = [answer(key, result=results[key - 1]) for key in order]

    assert decode(document, range(1, 8)) == results


@many
@given(values)
def test_an_error_of_any_shape_is_an_rpc_error(error):
    found = result_of({"error": error, "result": "x"})

    assert isinstance(found, RpcError) == (error is not None)
    if isinstance(found, RpcError):
        assert len(str(found)) < 400
        assert str(found).isprintable()


@many
@given(st.integers(0, 2**256 - 1))
def test_a_quantity_is_read_exactly(number):
    assert hex_int(hex(number)) == number


@pytest.mark.parametrize(
    "value",
    [
        "", "0x", "1", "0X1", "0x1_0", "0x 1", "0x1 ", "0x-1", "0x+1", "-0x1", "0xg", "0x٣", 1,
        None, True, [], {}, "0x" + "f" * 65, "0x" + "0" * 65,
    ],
)  # fmt: skip
def test_what_is_no_quantity_is_refused(value):
    with pytest.raises(RpcError, match="quantity"):
        hex_int(value)


@many
@given(st.binary(max_size=100))
def test_data_is_read_exactly(data):
    assert hex_bytes("0x" + data.hex()) == data
    assert hex_bytes("0x" + data.hex().upper()) == data


@pytest.mark.parametrize(
    "value", ["", "00", "0x0", "0x0g", "0x00 00", "0x 00", "0x00\n", "0X00", None, 5, [], "0x٣٣"]
)
def test_what_is_no_data_is_refused(value):
    with pytest.raises(RpcError, match="data"):
        hex_bytes(value)


@many
@given(st.text() | values)
def test_chain_text_is_made_one_bounded_printable_line(text):
    shown = clean_text(text)

    assert len(shown) <= 300
    assert all(c.isprintable() for c in shown)


def test_a_call_holds_only_what_was_given():
    assert call_object(to="0xaa", data=b"\x01") == {"to": "0xaa", "data": "0x01"}
    assert call_object(to=None, data=b"", sender="0xbb", value=10**30, gas=0, gas_price=0) == {
        "data": "0x",
        "from": "0xbb",
        "value": hex(10**30),
        "gas": "0x0",
        "gasPrice": "0x0",
    }
