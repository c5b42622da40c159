"""Each quirk of a builder, with the page it was read on, against a builder at the wire.

What the shipped entries say is sent to a local builder; the quotations are from the builders' own
pages as they were stored in 2026.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.kernel.jsonrpc import RpcError
from contracts.kernel.market_file import parse
from contracts.kernel.relay_entry import Dialect
from contracts.rpc import RpcUnavailable
from tests.wallets.relays.builder import builder
from tests.wallets.relays.test_published import CLIENT, PUBLISHED, RAW
from wallets.kernel.bundles import Parcel
from wallets.relays import answers
from wallets.relays.bundle import TAKEN, BundleRelay, NoLastBlock
from wallets.relays.fan_out import FanOut

REGISTRY = Path(__file__).resolve().parents[3] / "contracts" / "registry"
GWEI = 10**9
KEY = CLIENT["key"]


def shipped(chain, name):
    market = parse(json.loads((REGISTRY / f"{chain}.json").read_text()))
    (found,) = [relay for relay in market.chain.relays if relay.name == name]
    return found


def parcel(last_block=105, gas_price_wei=GWEI):
    return Parcel(raw=RAW, hash="0x", last_block=last_block, gas_price_wei=gas_price_wei)


@pytest.fixture
def wire():
    with builder() as made:
        yield made


def relay_to(wire, entry, *, chain_id=56, credential="secret", head=100):
    return BundleRelay(
        replace(entry, url=wire.url), chain_id=chain_id, credential=credential, head=lambda: head
    )


def sent_by(wire, entry, one=None, **facts):
    relay = relay_to(wire, entry, **facts)
    said = relay.send(one or parcel(), timeout_s=2)
    relay.close()
    return said


def test_blockrazor_is_told_the_last_block_and_both_flags_as_plain_json(wire):
    """ "maxBlockNumber  uint64  39177941  The maximum block number for the bundle to be valid, with
    the default set to the current block number + 100"; "noMerge  bool  false  Bundle merge can
    increase block value and inclusion rate"; "positionFirst  bool  false  [...] late-arriving
    bundles may be appended to the block tail".
    https://blockrazor.io/docs_en/block-builder/block-builder/send-bundle.md
    """
    sent_by(wire, shipped("bsc", "blockrazor"))
    (call,) = wire.calls

    assert call["method"] == "eth_sendBundle"
    assert call["params"] == [
        {
            "txs": ["0x" + RAW.hex()],
            "maxBlockNumber": 105,
            "noMerge": False,
            "positionFirst": True,
        }
    ]


def test_blockrazor_gets_its_token_as_it_is(wire):
    """`-H 'Authorization: <auth-token>'`, without Bearer.
    https://blockrazor.io/docs_en/block-builder/block-builder/send-bundle.md
    """
    sent_by(wire, shipped("bsc", "blockrazor"), credential="M2ZiZj")

    assert wire.requests[0][0]["Authorization"] == "M2ZiZj"


def test_blockrazor_takes_no_gas_price_below_its_floor_so_nothing_is_sent(wire):
    """ "The gas price for transactions within the bundle must be at least the minimum standard
    required by BSC Validators (Currently at 0.05 gwei)."
    https://blockrazor.io/docs_en/block-builder/block-builder/send-bundle.md
    """
    way = FanOut([relay_to(wire, shipped("bsc", "blockrazor"))])
    (below,) = way.hand_over(parcel(gas_price_wei=GWEI // 20 - 1), timeout_s=2)
    (at,) = way.hand_over(parcel(gas_price_wei=GWEI // 20), timeout_s=2)
    way.close()

    assert (below.outcome, at.outcome) == (answers.NOT_SENT, answers.ACCEPTED)
    assert "50000000 or more" in below.detail
    assert len(wire.requests) == 1


def test_blockrazor_favours_who_pays_its_account():
    """ "favors bundles that transfer more native tokens (BNB) to BlockRazor Builder EOA of which
    address is 0x1266C6bE60392A8Ff346E8d5ECCd3E69dD9c5F20 currently".
    https://blockrazor.gitbook.io/blockrazor/bsc/block-builder/send-bundle
    """
    entry = shipped("bsc", "blockrazor")

    assert entry.tip_recipient == "0x1266C6bE60392A8Ff346E8d5ECCd3E69dD9c5F20"


def test_48club_is_told_the_last_block_and_signs_as_a_member_where_a_key_is_given(wire):
    """ "MaxBlockNumber uint64 `json:"maxBlockNumber"`", "SoulPointSignature hexutil.Bytes
    `json:"48spSign"`"; the recovery id is that of `crypto.Sign`, 0 or 1.
    https://docs.48.club/puissant-builder/48-soulpoint-benefits
    """
    known = PUBLISHED["soul_point_signature"]
    sent_by(wire, shipped("bsc", "48club"), credential=known["key"])
    sent_by(wire, shipped("bsc", "48club"), credential="")
    (member, guest) = (call["params"][0] for call in wire.calls)

    assert member["maxBlockNumber"] == guest["maxBlockNumber"] == 105
    assert (len(member["48spSign"]), member["48spSign"][-2:] in ("00", "01")) == (132, True)
    assert "48spSign" not in guest
    assert "Authorization" not in wire.requests[0][0]
    assert known["key"] not in wire.requests[0][1].decode()


def test_48club_sorts_by_what_its_account_is_paid():
    """ "Direct transfers to the Builder Control EOA are prioritized in the auction ranking";
    "Address: 0x4848489f0b2BEdd788c696e2D79b6b69D7484848".
    https://docs.48.club/puissant-builder/send-bundle
    """
    entry = shipped("bsc", "48club")

    assert entry.tip_recipient == "0x4848489f0b2BEdd788c696e2D79b6b69D7484848"


def test_48club_may_merge_a_bundle_but_not_put_it_last(wire):
    """`NoMerge *bool json:"noMerge,omitempty"`, `NoTail *bool json:"noTail,omitempty"`: type
    FortyEightClubBundleParams, package bundler of the public Go module auto-arbitrage; 48Club's
    own page with them could not be read.
    """
    sent_by(wire, shipped("bsc", "48club"), credential="")

    assert {"noMerge": False, "noTail": True}.items() <= wire.calls[0]["params"][0].items()


def test_bloxroute_gets_names_bytes_without_0x_and_all_builders(wire):
    """ "txs  A list of raw transaction bytes without a 0x prefix"; "blockchain_network [...] Must
    be BSC-Mainnet"; "max_block_number [Optional] Default: current block number + 100";
    "mev_builders  A dictionary of MEV builders [...] a signature (which can be an empty string) is
    required"; method `blxr_submit_bundle`.
    https://docs.bloxroute.com/bsc/submit-bundles/bsc-bundle-submission
    """
    sent_by(wire, shipped("bsc", "bloxroute"), credential="token")
    (call,) = wire.calls

    assert call["method"] == "blxr_submit_bundle"
    assert call["params"] == {
        "txs": [RAW.hex()],
        "blockchain_network": "BSC-Mainnet",
        "max_block_number": hex(105),
        "mev_builders": {"all": ""},
    }
    assert wire.requests[0][0]["Authorization"] == "token"


def test_bloxroute_counts_what_its_contract_is_paid_at_a_floor_of_a_twentieth_gwei():
    """ "Smart Contract Address: 0x6374Ca2da5646C73Eb444aB99780495d61035f9b"
    https://docs.bloxroute.com/bsc-and-eth/apis/backrunme/arb-only-bundle-submission/arb-only-bundle-submission
    "(gas fees + dynamic fee payment) / gas used >= 0.05 gwei"
    https://docs.bloxroute.com/bsc/submit-bundles/bundle-mechanics-and-fees
    """
    entry = shipped("bsc", "bloxroute")

    assert entry.tip_recipient == "0x6374Ca2da5646C73Eb444aB99780495d61035f9b"
    assert entry.min_gas_price_wei == GWEI // 20


@pytest.mark.parametrize(("name", "credential"), [("48club", ""), ("bloxroute", "token")])
def test_below_the_other_floors_nothing_is_sent_either(wire, name, credential):
    """bloXroute's is its page's (above); 48Club's is ours, the chain's own."""
    way = FanOut([relay_to(wire, shipped("bsc", name), credential=credential)])
    (below,) = way.hand_over(parcel(gas_price_wei=GWEI // 20 - 1), timeout_s=2)
    (at,) = way.hand_over(parcel(gas_price_wei=GWEI // 20), timeout_s=2)
    way.close()

    assert (below.outcome, at.outcome) == (answers.NOT_SENT, answers.ACCEPTED)
    assert len(wire.requests) == 1


def test_flashbots_is_asked_once_for_each_exact_block(wire):
    """ "blockNumber, // String, a hex encoded block number for which this bundle is valid on"
    https://docs.flashbots.net/flashbots-protect/api/json-rpc
    """
    sent_by(wire, shipped("ethereum", "flashbots"), chain_id=1, credential=KEY)
    blocks = [call["params"][0]["blockNumber"] for call in wire.calls]

    assert blocks == [hex(101), hex(102)]
    # "To replace a bundle, send the new bundle via eth_sendBundle with the same replacementUuid":
    # https://docs.flashbots.net/flashbots-auction/advanced/bundle-cancellations
    assert len({call["params"][0]["replacementUuid"] for call in wire.calls}) == 2


def test_flashbots_is_never_asked_for_a_block_after_the_payloads_last(wire):
    one = parcel(last_block=101)
    sent_by(wire, shipped("ethereum", "flashbots"), one, chain_id=1, credential=KEY)

    assert [call["params"][0]["blockNumber"] for call in wire.calls] == [hex(101)]
    with pytest.raises(NoLastBlock, match="is past"):
        sent_by(
            wire, shipped("ethereum", "flashbots"), parcel(last_block=100), chain_id=1,
            credential=KEY,
        )  # fmt: skip


def test_flashbots_and_titan_take_a_bundle_back_by_its_id(wire):
    """ "call the eth_cancelBundle endpoint [...] replacementUuid"
    https://docs.flashbots.net/flashbots-auction/advanced/bundle-cancellations
    "the replacementUuid must have been set when the bundle was submitted"; {"result":200}
    https://docs.titanbuilder.xyz/api/eth_cancelbundle
    """
    for name in ("flashbots", "titan"):
        relay = relay_to(wire, shipped("ethereum", name), chain_id=1, credential=KEY)
        relay.send(parcel(), timeout_s=2)
        wire.answer = {"result": 200}
        assert relay.cancel(parcel(), timeout_s=2) == "200"
        relay.close()
        assert wire.cancelled == [parcel().replacement_id(block=block) for block in (101, 102)]
        assert wire.held == []
        wire.cancelled.clear()


def test_builders_without_a_cancel_are_not_asked_for_one(wire):
    way = FanOut([relay_to(wire, shipped("bsc", name)) for name in ("48club", "blockrazor")])

    assert way.cancel(parcel(), timeout_s=2) == []
    assert wire.requests == []
    way.close()


@pytest.mark.parametrize(
    "result", [None, "0x" + "be" * 32, {"bundleHash": "0x" + "be" * 32}, 200, ""]
)
def test_whatever_a_builder_says_without_an_error_is_a_yes(wire, result):
    """Builders answer with null, a hash, an object, 200 (flashbots/ethers-flashbots report 75)."""
    wire.answer = {"result": result}
    said = sent_by(wire, shipped("bsc", "bloxroute"))

    assert said in (TAKEN, "200", "0x" + "be" * 32)


def test_an_error_beside_null_is_no_error(wire):
    """bloXroute's answer carries "error": null beside its result."""
    wire.answer = {"result": {"bundleHash": "0x1"}, "error": None}
    wire.take = lambda call: None

    assert sent_by(wire, shipped("bsc", "bloxroute")) == "0x1"


def test_a_refusal_keeps_the_builders_words(wire):
    wire.answer = {"error": {"code": -38000, "message": "bundle execution failed"}}
    with pytest.raises(RpcError, match="bundle execution failed"):
        sent_by(wire, shipped("bsc", "blockrazor"))


def test_a_builder_that_never_answers_is_not_told_to_have_refused(wire):
    wire.answer = None
    relay = relay_to(wire, shipped("bsc", "blockrazor"))
    with pytest.raises(RpcUnavailable) as failed:
        relay.send(parcel(), timeout_s=0.3)

    assert failed.value.sent


def test_a_builder_that_is_away_was_sent_nothing():
    entry = replace(shipped("bsc", "blockrazor"), url="http://127.0.0.1:9")
    relay = BundleRelay(entry, chain_id=56, credential="x", head=lambda: 1)
    with pytest.raises(RpcUnavailable) as failed:
        relay.send(parcel(), timeout_s=2)

    assert not failed.value.sent


def test_bytes_that_went_out_for_one_block_are_not_forgotten_when_the_next_is_refused(wire):
    entry = replace(shipped("ethereum", "titan"), url=wire.url)
    relay = BundleRelay(entry, chain_id=1, credential="", head=lambda: 100)
    wire.answer = None
    with pytest.raises(RpcUnavailable) as failed:
        relay.send(parcel(), timeout_s=0.3)

    assert failed.value.sent
    assert len(wire.requests) == 1  # no time was left for the second


def test_a_payload_without_a_last_block_goes_into_no_bundle(wire):
    for name in ("48club", "blockrazor", "bloxroute"):
        with pytest.raises(NoLastBlock, match="no last block"):
            sent_by(wire, shipped("bsc", name), parcel(last_block=None))

    assert wire.requests == []


def test_a_simulation_is_asked_and_given_as_flashbots_gives_it(wire):
    wire.answer = {"result": {"results": [{"gasUsed": 21_000}], "totalGasUsed": 21_000}}
    relay = relay_to(wire, shipped("ethereum", "flashbots"), chain_id=1, credential=KEY)
    said = relay.simulate(
        [RAW], block=CLIENT["block"], state_block=CLIENT["block"] - 1, timeout_s=2
    )
    relay.close()
    headers, body = wire.requests[0]

    assert said["totalGasUsed"] == 21_000
    assert json.loads(body)["params"] == json.loads(CLIENT["requests"][2]["body"])["params"]
    assert headers["X-Flashbots-Signature"].startswith(CLIENT["requests"][2]["header"][:42])


def test_no_shipped_entry_claims_to_be_verified_and_each_names_its_source():
    for path in REGISTRY.glob("*.json"):
        for relay in json.loads(path.read_text())["chain"]["relays"]:
            assert relay["verified"] is False, (path.name, relay["name"])
            assert relay["source"], (path.name, relay["name"])


def test_every_dialect_has_a_shipped_entry():
    found = {
        relay.dialect
        for path in REGISTRY.glob("*.json")
        for relay in parse(json.loads(path.read_text())).chain.relays
    }

    assert found == set(Dialect)
