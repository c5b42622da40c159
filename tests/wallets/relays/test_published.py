"""Signatures and bodies against what others published, never against our own encoder."""

import json
from pathlib import Path

import pytest

from contracts.kernel.relay_entry import Auth, Dialect, RelayEntry
from wallets.kernel import bundles, relay_auth
from wallets.kernel.bundles import Parcel
from wallets.kernel.derivation import BadKey

PUBLISHED = json.loads((Path(__file__).parent / "published.json").read_text())
CLIENT = PUBLISHED["flashbots_client"]
REQUESTS = {json.loads(each["body"])["method"]: each for each in CLIENT["requests"]}
RAW = bytes.fromhex(PUBLISHED["soul_point_signature"]["txs"][0][2:])


def entry(**facts):
    return RelayEntry(kind="bundle", name="test", url="https://relay.example", **facts)


def parcel(last_block=CLIENT["block"]):
    return Parcel(raw=RAW, hash="0x" + "00" * 32, last_block=last_block, gas_price_wei=10**9)


def params_of(method):
    return json.loads(REQUESTS[method]["body"])["params"]


def test_flashbots_header_is_that_of_go_utils_cast_and_ethers():
    known = PUBLISHED["flashbots_signature"]

    assert (
        relay_auth.flashbots_signature(known["body"].encode(), key=known["key"]) == known["header"]
    )


@pytest.mark.parametrize("method", REQUESTS)
def test_each_body_of_flashbots_own_client_is_signed_as_it_signed_it(method):
    known = REQUESTS[method]
    headers = relay_auth.auth_headers(
        entry(auth=Auth.FLASHBOTS), known["body"].encode(), credential=CLIENT["key"]
    )

    assert headers == {"X-Flashbots-Signature": known["header"]}


def test_a_bundle_is_what_flashbots_own_client_sends_but_for_its_id():
    ours = bundles.send_params(entry(), parcel(), block=CLIENT["block"], chain_id=1, credential="")
    (theirs,) = params_of("eth_sendBundle")

    assert {**ours[0], "replacementUuid": theirs["replacementUuid"]} == theirs


def test_a_cancel_and_a_simulation_are_what_flashbots_own_client_sends():
    (theirs,) = params_of("eth_cancelBundle")

    assert set(bundles.cancel_params(parcel(), block=1)[0]) == set(theirs)
    assert bundles.call_params(
        [RAW], block=CLIENT["block"], state_block=CLIENT["block"] - 1
    ) == params_of("eth_callBundle")


def test_the_soul_point_signature_is_that_of_the_published_signer():
    known = PUBLISHED["soul_point_signature"]
    raws = [bytes.fromhex(raw[2:]) for raw in known["txs"]]

    assert relay_auth.soul_point_signature(raws, key=known["key"]) == known["signature"]


def test_a_replacement_id_is_a_uuid_of_version_four_and_another_for_other_bytes_or_blocks():
    one, other = parcel(), Parcel(raw=RAW + b"x", hash="", last_block=1, gas_price_wei=1)
    name = one.replacement_id(block=7)

    assert name == parcel(last_block=5).replacement_id(block=7)
    assert len({name, other.replacement_id(block=7), one.replacement_id(block=8)}) == 3
    assert (name[14], name[19] in "89ab") == ("4", True)


def test_a_credential_that_is_no_key_is_refused_and_not_repeated():
    secret = "not-a-key-but-secret"
    with pytest.raises(BadKey) as refused:
        relay_auth.auth_headers(entry(auth=Auth.FLASHBOTS), b"x", credential=secret)

    assert secret not in str(refused.value)


def test_a_missing_credential_is_named_with_its_variable():
    with pytest.raises(relay_auth.NoCredential, match="RELAY_TEST_AUTH"):
        relay_auth.auth_headers(entry(auth=Auth.HEADER), b"x", credential="")


def test_a_soul_point_signature_is_left_out_where_no_member_signs():
    asked = entry(dialect=Dialect.MAX_BLOCK, auth=Auth.SOUL_POINT)
    params = bundles.send_params(asked, parcel(), block=7, chain_id=56, credential="")

    assert set(params[0]) == {"txs", "maxBlockNumber"}
