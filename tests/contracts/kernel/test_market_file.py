"""A market file is read strictly: the first thing that is odd is named, with what to correct."""

import copy
import json
import os

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contracts.kernel.market_file import BadMarketFile, parse
from contracts.kernel.relay_entry import relay_entry
from tests.architecture.tree import ROOT

EXAMPLES = int(os.environ.get("PROVE_INPUTS", "200"))
WBNB, CAKE, USDT = ("0x" + digits * 20 for digits in ("a1", "b2", "c3"))
FACTORY, ROUTER, AAVE = ("0x" + digits * 20 for digits in ("d4", "e5", "f6"))
RELAY = {
    "kind": "bundle", "name": "blox", "url": "https://relay.example", "dialect": "bloxroute",
    "auth": "header", "tipRecipient": "0x" + "d4" * 20, "windowBlocks": 3, "cancels": False,
    "minGasPriceWei": "50000000", "flags": {"noMerge": False}, "builders": ["all"],
    "verified": False,
}  # fmt: skip
MARKET = {
    "chain": {
        "key": "bsc", "name": "BNB Smart Chain", "chainId": 56, "nativeSymbol": "BNB",
        "local": False, "rpcHttp": ["https://node.example/key"], "rpcWs": ["wss://node.example"],
        "blockTimeMs": 450, "confirmations": 5, "feeModel": "legacy",
        "minGasPriceWei": "50000000", "l1Fee": "none", "explorerUrl": "https://bscscan.com",
        "wrappedNative": WBNB, "aavePool": AAVE, "multicall3": "",
        "relays": [RELAY],
    },
    "tokens": [
        {"symbol": "WBNB", "address": WBNB, "decimals": 18},
        {"symbol": "CAKE", "address": CAKE, "decimals": 18, "comment": "a note"},
        {"symbol": "USDT", "address": USDT, "decimals": 6, "source": "docs"},
    ],
    "dexes": [
        {"key": "pancake", "name": "PancakeSwap", "kind": "uniswap_v2", "factory": FACTORY,
         "router": ROUTER, "feeBps": 25, "callback": "pancakeCall"},
    ],
    "pairs": [["CAKE", "USDT"], ["WBNB", USDT]],
}  # fmt: skip
ABSENT = object()


def changed(path: str, value: object):
    """The market with one entry replaced; ``ABSENT`` takes it out."""
    market = copy.deepcopy(MARKET)
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    at = market
    for step in way:
        at = at[step]
    if value is ABSENT:
        del at[last]
    else:
        at[last] = value
    return market


def test_a_good_file_is_typed_and_checksummed():
    market = parse(MARKET)

    assert (market.chain.key, market.chain.chain_id) == ("bsc", 56)
    assert market.chain.min_gas_price_wei == 50_000_000
    assert market.chain.wrapped_native.lower() == WBNB
    assert market.chain.wrapped_native != WBNB  # with its checksum
    assert market.chain.multicall3 == ""
    assert [pair.name for pair in market.pairs] == ["CAKE/USDT", "WBNB/USDT"]
    assert market.pairs[1].quote.lower() == USDT


@pytest.mark.parametrize("name", ["explorerUrl", "aavePool", "multicall3", "relays", "local"])
def test_what_may_be_left_out_may_be_left_out(name):
    parse(changed(f"chain.{name}", ABSENT))


@pytest.mark.parametrize(
    "path", sorted((ROOT / "contracts" / "registry").glob("*.json")), ids=lambda path: path.stem
)
def test_the_shipped_files_are_good(path):
    assert parse(json.loads(path.read_text())).chain.key == path.stem


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("chain", ABSENT, "file.chain"),
        ("chain", [], "chain"),
        ("tokens", [], "tokens"),
        ("tokens", {}, "tokens"),
        ("pairs", ABSENT, "file.pairs"),
        ("chain.surprise", 1, "chain.surprise"),
        ("tokens.0.surprise", 1, "tokens[0].surprise"),
        ("dexes.0.surprise", 1, "dexes[0].surprise"),
        ("chain.chainId", ABSENT, "chain.chainId"),
        ("chain.key", "BSC", "chain.key"),
        ("chain.key", None, "chain.key"),
        ("chain.key", float("nan"), "chain.key"),
        ("chain.key", "a\n", "chain.key"),
        ("chain.key", "a" * 33, "chain.key"),
        ("chain.name", " ", "chain.name"),
        ("chain.name", "BNB\u202e", "chain.name"),
        ("chain.name", 5, "chain.name"),
        ("chain.chainId", "56", "chain.chainId"),
        ("chain.chainId", 0, "chain.chainId"),
        ("chain.chainId", True, "chain.chainId"),
        ("chain.chainId", 56.0, "chain.chainId"),
        ("chain.chainId", 2**64, "chain.chainId"),
        ("chain.local", "yes", "chain.local"),
        ("chain.rpcHttp", [], "chain.rpcHttp"),
        ("chain.rpcHttp", "https://node", "chain.rpcHttp"),
        ("chain.rpcHttp", ["wss://node"], "chain.rpcHttp"),
        ("chain.rpcHttp", ["http://["], "chain.rpcHttp"),
        ("chain.rpcHttp", ["http://node:99999"], "chain.rpcHttp"),
        ("chain.rpcHttp", ["http://node/\n"], "chain.rpcHttp"),
        ("chain.rpcHttp", [None], "chain.rpcHttp"),
        ("chain.rpcWs", ["https://node"], "chain.rpcWs"),
        ("chain.blockTimeMs", 0, "chain.blockTimeMs"),
        ("chain.confirmations", -1, "chain.confirmations"),
        ("chain.feeModel", "eip-1559", "chain.feeModel"),
        ("chain.feeModel", [], "chain.feeModel"),
        ("chain.minGasPriceWei", 50, "chain.minGasPriceWei"),
        ("chain.minGasPriceWei", "05", "chain.minGasPriceWei"),
        ("chain.minGasPriceWei", "٣", "chain.minGasPriceWei"),
        ("chain.l1Fee", "other", "chain.l1Fee"),
        ("chain.explorerUrl", "javascript:alert(1)", "chain.explorerUrl"),
        ("chain.explorerUrl", "https://" + "x" * 300, "chain.explorerUrl"),
        ("chain.explorerUrl", 5, "chain.explorerUrl"),
        ("chain.wrappedNative", "0x12", "chain.wrappedNative"),
        ("chain.wrappedNative", FACTORY, "chain.wrappedNative"),
        ("chain.aavePool", "0x" + "0" * 40, "chain.aavePool"),
        ("chain.relays", {}, "chain.relays"),
        ("chain.relays.0.kind", "friend", "chain.relays[0].kind"),
        ("chain.relays.0.url", "ftp://relay", "chain.relays[0].url"),
        ("chain.relays.0.url", "https://[", "chain.relays[0].url"),
        ("chain.relays.0.name", "Blox", "chain.relays[0].name"),
        ("chain.relays.0.surprise", 1, "chain.relays[0].surprise"),
        ("chain.relays.0.verified", True, "chain.relays[0].verified"),
        ("chain.relays.0.dialect", "french", "chain.relays[0].dialect"),
        ("chain.relays.0.auth", "trust", "chain.relays[0].auth"),
        ("chain.relays.0.auth", "48sp", "chain.relays[0].auth"),
        ("chain.relays.0.tipRecipient", "0x12", "chain.relays[0].tipRecipient"),
        ("chain.relays.0.windowBlocks", 26, "chain.relays[0].windowBlocks"),
        ("chain.relays.0.minGasPriceWei", 5, "chain.relays[0].minGasPriceWei"),
        ("chain.relays.0.flags", ["noMerge"], "chain.relays[0].flags"),
        ("chain.relays.0.flags", {"noMerge": 1}, "chain.relays[0].flags"),
        ("chain.relays.0.flags", {"revertingTxHashes": True}, "chain.relays[0].flags"),
        ("chain.relays.0.dialect", "max_block", "chain.relays[0].builders"),
        ("chain.relays.0.cancels", "yes", "chain.relays[0].cancels"),
        ("chain.relays", [{**RELAY, "kind": "private_rpc"}], "chain.relays[0].builders"),
        ("chain.relays", [RELAY, RELAY], "chain.relays[1]"),
        ("tokens.0", "WBNB", "tokens[0]"),
        ("tokens.0.symbol", "", "tokens[0].symbol"),
        ("tokens.0.symbol", "x" * 33, "tokens[0].symbol"),
        ("tokens.0.decimals", 37, "tokens[0].decimals"),
        ("tokens.0.decimals", -1, "tokens[0].decimals"),
        ("tokens.1.address", WBNB.upper().replace("X", "x"), "tokens[1]"),
        ("tokens.1.address", "0xAb" + "cD" * 19, "tokens[1].address"),
        ("tokens.1.address", "0x" + "0" * 40, "tokens[1].address"),
        ("dexes.0.key", "Pancake", "dexes[0].key"),
        ("dexes.0.kind", "uniswap_v3", "dexes[0].kind"),
        ("dexes.0.feeBps", 10_000, "dexes[0].feeBps"),
        ("dexes.0.feeBps", 0.25, "dexes[0].feeBps"),
        ("dexes.0.callback", None, "dexes[0].callback"),
        ("dexes.0.callback", "pancake Call", "dexes[0].callback"),
        ("dexes.0.callback", "appelé", "dexes[0].callback"),
        ("pairs.0", ["CAKE"], "pairs[0]"),
        ("pairs.0", "CAKE/USDT", "pairs[0]"),
        ("pairs.0", ["CAKE", "CAKE"], "pairs[0]"),
        ("pairs.0", ["CAKE", "DOGE"], "pairs[0]"),
        ("pairs.0", ["CAKE", ROUTER], "pairs[0]"),
        ("pairs.0", [None, 5], "pairs[0]"),
        ("pairs.1", ["USDT", "CAKE"], "pairs[1]"),
    ],
)
def test_what_is_odd_is_named(path, value, where):
    with pytest.raises(BadMarketFile) as told:
        parse(changed(path, value))

    assert told.value.where == where
    assert "\n" not in str(told.value)


def test_a_relay_is_typed_and_given_back_without_its_notes():
    (relay,) = parse(changed("chain.relays.0.comment", "a note")).chain.relays
    bare = {"kind": "private_rpc", "name": "p", "url": "https://p.example"}
    (private,) = parse(changed("chain.relays", [bare])).chain.relays

    assert (relay.dialect, relay.auth, relay.builders) == ("bloxroute", "header", ("all",))
    assert relay.as_json() == {
        key: value for key, value in RELAY.items() if key not in ("verified", "cancels")
    } | {"tipRecipient": relay.tip_recipient}
    assert relay_entry("again", relay.as_json()) == relay
    assert (private.as_json(), private.min_gas_price_wei) == (bare, 0)
    assert RELAY["url"] not in repr(relay)


def test_two_tokens_of_one_symbol_are_told_apart_by_address():
    market = changed("tokens.1.symbol", "USDT")

    with pytest.raises(BadMarketFile, match="2 tokens call themselves USDT"):
        parse({**market, "pairs": [["WBNB", "USDT"]]})
    pairs = parse({**market, "pairs": [["WBNB", CAKE], ["WBNB", USDT]]}).pairs
    assert [pair.name for pair in pairs] == ["WBNB/USDT.b2b2", "WBNB/USDT.c3c3"]


def leaves(node, path=()):
    yield path
    if isinstance(node, dict | list):
        for key, below in node.items() if isinstance(node, dict) else enumerate(node):
            yield from leaves(below, (*path, str(key)))


@settings(max_examples=EXAMPLES)
@given(
    st.sampled_from([".".join(path) for path in leaves(MARKET) if path]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
        lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(), below, max_size=3),
        max_leaves=6,
    ),
)
@example("chain", {"\n": None})
@example("chain", {"\ud800": None})
def test_no_value_anywhere_breaks_the_reader(path, value):
    try:
        parse(changed(path, value))
    except BadMarketFile as told:
        said = str(told)
    else:
        said = ""
    assert "\n" not in said


@settings(max_examples=EXAMPLES)
@given(st.recursive(
    st.none() | st.integers() | st.text(max_size=9),
    lambda below: st.lists(below) | st.dictionaries(st.sampled_from(list(MARKET)), below),
    max_leaves=9,
))  # fmt: skip
def test_no_document_breaks_the_reader(document):
    with pytest.raises(BadMarketFile):
        parse(document)
