"""Decoders of what a node sends: golden logs, and hostile ones refused with one kind of error."""

import contextlib
import copy
import os
import re
import string

import pytest
from eth_utils import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.kernel import events
from contracts.kernel.events import (
    MalformedEvent,
    decode_head,
    decode_reserve_data_updated,
    decode_swap,
    decode_sync,
    log_topic,
)

# The long form of the promise runs with PROVE_INPUTS=100000.
INPUTS = int(os.environ.get("PROVE_INPUTS", "400"))

HASH = "0x" + "ab" * 32
PAIR = "0x16b9a82891338f9bA80E2D6970FddA79D1eb0daE"


def word(value):
    return f"{value:064x}"


def make_log(topics, data, **changes):
    return {
        "address": PAIR,
        "topics": list(topics),
        "data": data,
        "blockNumber": "0x2faf080",
        "blockHash": HASH,
        "transactionHash": "0x" + "CD" * 32,
        "transactionIndex": "0x1",
        "logIndex": "0x1f",
        "removed": False,
        **changes,
    }


SYNC = make_log([events.SYNC_TOPIC], "0x" + word(5) + word(2**112 - 1))
SWAP = make_log(
    [events.SWAP_TOPIC, "0x" + word(1), "0x" + word(0xBEEF)],
    "0x" + word(1) + word(0) + word(0) + word(9),
)
AAVE = make_log(
    [events.RESERVE_DATA_UPDATED_TOPIC, "0x" + word(0xA55E7)],
    "0x" + word(1) * 5,
)
HEAD = {
    "number": "0x10",
    "hash": HASH,
    "parentHash": "0x" + "00" * 32,
    "timestamp": "0x6921bb2e",
    "baseFeePerGas": "0x0",
    "gasUsed": "0x5208",
    "gasLimit": "0x1c9c380",
    "miner": "0x0",
}
DECODERS = {
    "sync": (decode_sync, SYNC),
    "swap": (decode_swap, SWAP),
    "aave": (decode_reserve_data_updated, AAVE),
    "head": (decode_head, HEAD),
}


@pytest.mark.parametrize(
    ("topic", "signature"),
    [
        (events.SYNC_TOPIC, "Sync(uint112,uint112)"),
        (events.SWAP_TOPIC, "Swap(address,uint256,uint256,uint256,uint256,address)"),
        (
            events.RESERVE_DATA_UPDATED_TOPIC,
            "ReserveDataUpdated(address,uint256,uint256,uint256,uint256,uint256)",
        ),
    ],
)
def test_a_topic_is_the_hash_of_its_signature(topic, signature):
    assert topic == "0x" + keccak(text=signature).hex()


def test_a_sync_log_gives_reserves_and_its_place():
    event = decode_sync(SYNC)
    assert (event.reserve0, event.reserve1) == (5, 2**112 - 1)
    assert event.pool == PAIR.lower()
    assert (event.block_number, event.block_hash, event.log_index) == (50_000_000, HASH, 31)
    assert event.removed is False
    assert decode_sync({**SYNC, "removed": True}).removed is True


def test_a_log_without_the_removed_flag_is_in_the_chain():
    log = {key: value for key, value in SYNC.items() if key != "removed"}
    assert decode_sync(log).removed is False


def test_a_swap_log_gives_amounts_and_receiver():
    event = decode_swap(SWAP)
    assert (event.amount0_in, event.amount1_out) == (1, 9)
    assert event.to == "0x" + "beef".rjust(40, "0")
    assert event.transaction_hash == "0x" + "cd" * 32


def test_an_aave_log_names_the_asset():
    assert decode_reserve_data_updated(AAVE).asset == "0x" + "a55e7".rjust(40, "0")


def test_a_header_gives_its_parent_and_base_fee():
    head = decode_head(HEAD)
    assert (head.number, head.hash, head.parent_hash) == (16, HASH, "0x" + "00" * 32)
    assert (head.base_fee_wei, head.gas_used, head.gas_limit) == (0, 21_000, 30_000_000)
    assert decode_head({**HEAD, "baseFeePerGas": None}).base_fee_wei is None


def test_the_first_topic_says_which_event_it_is():
    assert log_topic(SYNC) == events.SYNC_TOPIC
    assert log_topic({**SYNC, "topics": []}) is None
    with pytest.raises(MalformedEvent):
        log_topic({**SYNC, "topics": "0x"})


@pytest.mark.parametrize(
    "changes",
    [
        {"data": "0x" + word(5) + word(2**112)},
        {"data": "0x" + word(5)},
        {"data": "0x" + word(5) + word(6) + "00"},
        {"data": "0x" + "_" * 128},
        {"data": "0x" + word(5) + "+" + word(6)[1:]},
        {"data": "0x" + word(5) + "٣" + word(6)[1:]},
        {"data": None},
        {"topics": [events.SWAP_TOPIC]},
        {"topics": []},
        {"topics": [events.SYNC_TOPIC, events.SYNC_TOPIC]},
        {"address": "0x0"},
        {"address": PAIR + "\n"},
        {"blockNumber": None},
        {"blockNumber": 5},
        {"blockNumber": "0x1_0"},
        {"blockNumber": "0x" + "f" * 64},
        {"blockHash": None},
        {"logIndex": "-0x1"},
        {"removed": "false"},
    ],
)
def test_a_malformed_log_is_refused_with_its_field(changes):
    with pytest.raises(MalformedEvent, match="the node sent a malformed"):
        decode_sync({**SYNC, **changes})


def test_the_message_is_bounded_and_printable():
    with pytest.raises(MalformedEvent) as caught:
        decode_sync({**SYNC, "blockHash": "\x1b[31m\n" * 5_000})
    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=70)
    | st.from_regex(r"0x[0-9a-fA-F_+ ]{0,70}"),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=INPUTS, deadline=None)
@given(
    which=st.sampled_from(sorted(DECODERS)),
    field=st.integers(0, 20),
    value=json_values,
    drop=st.booleans(),
)
def test_one_hostile_field_never_breaks_a_decoder(which, field, value, drop):
    decode, good = DECODERS[which]
    event = copy.deepcopy(good)
    name = sorted(event)[field % len(event)]
    if drop:
        del event[name]
    else:
        event[name] = value
    with contextlib.suppress(MalformedEvent):  # any other exception fails the test
        decode(event)


@settings(max_examples=INPUTS, deadline=None)
@given(which=st.sampled_from(sorted(DECODERS)), value=json_values)
def test_any_value_at_all_is_refused_in_one_way(which, value):
    decode, _ = DECODERS[which]
    with pytest.raises(MalformedEvent):
        decode(value)


hex_like = st.from_regex(r"0[xX][0-9a-fA-FgxX_+\-. \n\u0663]{0,70}", fullmatch=True)


@settings(max_examples=INPUTS, deadline=None)
@given(hex_like | st.from_regex(r"0x[0-9a-fA-F]{1,64}", fullmatch=True))
def test_a_quantity_is_what_the_protocol_says_and_nothing_else(text):
    try:
        number = decode_head({**HEAD, "baseFeePerGas": text}).base_fee_wei
    except MalformedEvent:
        number = None
    right = re.fullmatch(r"0x[0-9a-fA-F]{1,64}", text, re.ASCII)
    assert number == (int(text, 16) if right else None)


@settings(max_examples=INPUTS, deadline=None)
@given(
    at=st.integers(38, 65) | st.integers(102, 129),
    char=st.sampled_from("0fFgxX_+- \n\t\u0663\u00e9"),
)
def test_data_of_a_log_is_hex_to_the_last_character(at, char):
    good = "0x" + word(7) + word(9)
    data = good[:at] + char + good[at + 1 :]
    if char in string.hexdigits:
        assert decode_sync({**SYNC, "data": data}).reserve0 == int(data[2:66], 16)
    else:
        with pytest.raises(MalformedEvent):
            decode_sync({**SYNC, "data": data})


@given(st.integers(0, 2**112 - 1), st.integers(0, 2**112 - 1), st.booleans())
def test_any_reserves_of_a_pair_come_back_as_sent(reserve0, reserve1, upper):
    data = (
        "0x" + (word(reserve0) + word(reserve1)).upper()
        if upper
        else ("0x" + word(reserve0) + word(reserve1))
    )
    event = decode_sync({**SYNC, "data": data})
    assert (event.reserve0, event.reserve1) == (reserve0, reserve1)
