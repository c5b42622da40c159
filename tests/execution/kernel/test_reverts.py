"""Every revert has a name, a meaning and a next action; hostile bytes change nothing of that."""

import json

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from contracts.kernel.abi import ERROR_STRING, PANIC, artifact, encode_call
from execution.kernel.revert_words import AAVE_CODES, ERRORS, PAIR_TEXTS, UNKNOWN
from execution.reverts import CONTRACTS, explain_refusal, explain_revert, explain_text

PAIR = "0x" + "ab" * 20


def error(text):
    return ERROR_STRING + encode(["string"], [text])


def test_a_custom_error_is_named_with_its_values():
    found = explain_revert(encode_call("ProfitTooLow(uint256,uint256)", 5, 9))
    assert found.as_json() == {
        "name": "ProfitTooLow",
        "values": {"got": "5", "wanted": "9"},
        "meaning": "The trade would earn less than its minimum profit.",
        "nextAction": found.next_action,
    }
    assert "ProfitTooLow" in str(found)
    assert "9" in str(found)


def test_every_error_of_our_contracts_has_words_of_its_own():
    declared = {
        item["name"]
        for contract in CONTRACTS
        for item in artifact(contract)["abi"]
        if item["type"] == "error"
    }
    assert declared - set(ERRORS) == set()


@pytest.mark.parametrize("prefix", ["UniswapV2", "Pancake", "Biswap", "ApeSwap", "MdexSwap"])
@pytest.mark.parametrize("text", sorted(PAIR_TEXTS))
def test_a_pairs_text_is_known_whatever_its_prefix(prefix, text):
    found = explain_revert(error(f"{prefix}: {text}"))
    assert found.name == text
    assert found.values["by"] == prefix
    assert found.meaning == PAIR_TEXTS[text].meaning


@pytest.mark.parametrize("code", sorted(AAVE_CODES))
def test_aaves_numbers_are_named(code):
    found = explain_revert(error(code))
    assert found.name == f"Aave {AAVE_CODES[code][0]}"
    assert found.values == {"code": code}


@pytest.mark.parametrize(
    "text",
    [
        "BEP20: transfer amount exceeds balance",
        "TransferHelper: TRANSFER_FROM_FAILED",
        "TransferHelper::transferFrom: transferFrom failed",
        "ds-math-sub-underflow",
        "TRANSFER_FAILED",
        "GPv2: failed transfer",
    ],
)
def test_other_known_texts_have_a_meaning(text):
    assert explain_text(text).meaning != UNKNOWN.meaning


def test_panics_say_what_overflowed():
    found = explain_revert(PANIC + encode(["uint256"], [0x11]))
    assert found.values == {"code": "0x11"}
    assert "overflowed" in found.meaning
    assert "not known" in explain_revert(PANIC + encode(["uint256"], [0x99])).meaning


def test_an_empty_revert_says_so():
    assert "without saying why" in explain_revert(b"").meaning


def test_a_known_selector_with_broken_values_is_shown_and_not_misread():
    found = explain_revert(encode_call("UnknownPool(address)", PAIR)[:20])
    assert found.name == "unknown error"
    assert list(found.values) == ["data"]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("insufficient funds for gas * price + value: address 0x12", "cannot pay"),
        ("EVM error OutOfGas", "gas limit"),
        ("something new", "refused to simulate"),
    ],
)
def test_a_nodes_refusal_is_put_in_words(message, words):
    assert words in explain_refusal(message).meaning


def check_harmless(found):
    shown = json.dumps(found.as_json())
    assert len(shown) < 4_000
    for text in (found.name, found.meaning, found.next_action, *found.values.values()):
        assert text.isprintable()
        assert len(text) <= 300
    assert found.meaning
    assert found.next_action


@given(st.text(max_size=5_000))
def test_hostile_text_comes_out_bounded_and_printable(text):
    check_harmless(explain_revert(error(text.encode("utf-8", "replace").decode())))
    check_harmless(explain_refusal(text))


heads = st.sampled_from(
    [
        b"",
        ERROR_STRING,
        PANIC,
        encode_call("ProfitTooLow(uint256,uint256)", 1, 2)[:4],
        encode_call("UnknownPool(address)", PAIR)[:4],
        encode_call("Expired()"),
    ]
)


@given(heads, st.binary(max_size=300))
def test_any_bytes_are_explained_and_never_raise(head, body):
    check_harmless(explain_revert(head + body))


def test_a_very_long_revert_is_cut_before_it_is_decoded():
    check_harmless(explain_revert(error("x" * 2_000_000)))
