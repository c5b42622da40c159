"""Signed bytes are those of eth-account, to the last bit."""

import pytest
from coincurve import PrivateKey
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from wallets.kernel.payload import EIP1559, LEGACY, Payload, rlp_bytes, rlp_int, sign, skeleton

KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
uint64 = st.integers(0, 2**64 - 1)
uint96 = st.integers(0, 2**96 - 1)
targets = st.one_of(st.just(b""), st.binary(min_size=20, max_size=20))
keys = st.integers(1, 2**200).map(lambda n: n.to_bytes(32, "big"))


def _as_dict(payload):
    common = {
        "chainId": payload.chain_id,
        "nonce": payload.nonce,
        "gas": payload.gas_limit,
        "value": payload.value_wei,
        "data": payload.data,
    }
    if payload.to:
        common["to"] = payload.to
    if payload.tx_type == LEGACY:
        return {**common, "gasPrice": payload.max_fee_wei}
    return {
        **common,
        "type": 2,
        "maxFeePerGas": payload.max_fee_wei,
        "maxPriorityFeePerGas": payload.tip_fee_wei,
    }


@given(
    st.sampled_from([LEGACY, EIP1559]),
    st.integers(1, 2**40),
    uint64,
    uint96,
    uint96,
    st.integers(0, 2**40),
    targets,
    st.integers(0, 2**256 - 1),
    st.binary(max_size=400),
    keys,
)
def test_bytes_and_hash_equal_those_of_eth_account(
    tx_type, chain_id, nonce, fee, tip, gas, to, value, data, key
):
    payload = Payload(
        chain_id=chain_id,
        tx_type=tx_type,
        nonce=nonce,
        max_fee_wei=max(fee, tip),
        tip_fee_wei=max(fee, tip) if tx_type == LEGACY else min(fee, tip),
        gas_limit=gas,
        to=to,
        value_wei=value,
        data=data,
    )
    expected = Account.sign_transaction(_as_dict(payload), key)
    raw, digest = sign(payload, PrivateKey(key))
    assert raw == bytes(expected.raw_transaction)
    assert digest == bytes(expected.hash)


@given(
    st.sampled_from([LEGACY, EIP1559]),
    st.lists(st.tuples(uint64, uint96, st.binary(max_size=70)), min_size=2, max_size=5),
)
def test_a_skeleton_filled_anew_gives_the_bytes_of_a_fresh_encoding(tx_type, fills):
    """One kind of transaction, its holes filled with other nonces, fees and data each time."""
    key = PrivateKey(KEY)
    for nonce, fee, data in fills:
        payload = _plain(tx_type=tx_type, nonce=nonce, max_fee_wei=fee, tip_fee_wei=fee, data=data)
        skeleton.cache_clear()
        fresh = sign(payload, key)
        again = sign(payload, key)  # from the skeleton that stands now
        expected = Account.sign_transaction(_as_dict(payload), KEY)
        assert fresh == again
        assert again[0] == bytes(expected.raw_transaction)
        sign(_plain(tx_type=tx_type, nonce=nonce + 1, max_fee_wei=fee, tip_fee_wei=fee), key)


@pytest.mark.parametrize("size", [0, 1, 55, 56, 255, 256, 65_535, 65_536, 100_000])
def test_long_calldata_keeps_the_same_bytes(size):
    payload = Payload(
        chain_id=56, tx_type=LEGACY, nonce=1, max_fee_wei=7, tip_fee_wei=7, gas_limit=90_000,
        to=b"\x11" * 20, value_wei=0, data=b"\xff" * size,
    )  # fmt: skip
    expected = Account.sign_transaction(_as_dict(payload), KEY)
    assert sign(payload, PrivateKey(KEY))[0] == bytes(expected.raw_transaction)


def test_the_same_payload_always_gives_the_same_bytes():
    payload = _plain()
    assert sign(payload, PrivateKey(KEY)) == sign(payload, PrivateKey(KEY))


def test_rlp_of_known_values_is_the_yellow_papers():
    assert rlp_int(0) == b"\x80"
    assert rlp_int(15) == b"\x0f"
    assert rlp_int(1024) == b"\x82\x04\x00"
    assert rlp_bytes(b"dog") == b"\x83dog"
    assert rlp_bytes(b"\x00") == b"\x00"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"chain_id": 0}, "EIP-155"),
        ({"to": b"\x01" * 19}, "20 bytes"),
        ({"tip_fee_wei": 11}, "tip passes"),
        ({"tx_type": 1}, "type 1"),
        ({"nonce": -1}, "negative"),
        ({"tx_type": LEGACY}, "one gas price"),
    ],
)
def test_a_payload_that_must_not_be_signed_cannot_be_made(change, words):
    with pytest.raises(ValueError, match=words):
        _plain(**change)


def _plain(**change):
    facts = {
        "chain_id": 31337, "tx_type": EIP1559, "nonce": 0, "max_fee_wei": 10, "tip_fee_wei": 1,
        "gas_limit": 21_000, "to": b"\x22" * 20, "value_wei": 5, "data": b"",
    }  # fmt: skip
    return Payload(**{**facts, **change})
