"""Every shipped market file: its form, its sources, and its pair addresses."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from eth_utils import is_checksum_address

from arbsite.base.conf import CHAIN_KEYS as KNOWN_KEYS
from contracts.kernel import market_file
from tests.contracts.registry.shipped import (
    MARKETS,
    PAGE,
    RECORDED,
    addresses,
    create2,
    publisher,
    repository,
)

NOTES = {"source", "comment"}
CHAIN_KEYS = {
    "key", "name", "chainId", "nativeSymbol", "local", "rpcHttp", "rpcWs", "blockTimeMs",
    "confirmations", "feeModel", "minGasPriceWei", "l1Fee", "explorerUrl", "wrappedNative",
    "aavePool", "multicall3", "relays",
}  # fmt: skip
DEX_KEYS = {"key", "name", "kind", "factory", "router", "feeBps", "callback"}
# Chain id, native coin, block time in ms, fee model, floor in wei, L1 fee, wrapped native.
CHAINS = {
    "bsc": (56, "BNB", 450, "legacy", 50_000_000, "none", "WBNB"),
    "bsc_testnet": (97, "tBNB", 450, "legacy", 100_000_000, "none", "WBNB"),
    "ethereum": (1, "ETH", 12_000, "eip1559", 1_000_000, "none", "WETH"),
    "polygon": (137, "POL", 2_000, "eip1559", 25_000_000_000, "none", "WPOL"),
    "arbitrum": (42_161, "ETH", 250, "eip1559", 0, "arbitrum", "WETH"),
    "optimism": (10, "ETH", 2_000, "eip1559", 1_000_000, "op_stack", "WETH"),
    "base": (8_453, "ETH", 2_000, "eip1559", 1_000_000, "op_stack", "WETH"),
    "sepolia": (11_155_111, "ETH", 12_000, "eip1559", 1_000_000, "none", "WETH"),
}
UNISWAP, SUSHISWAP, PANCAKESWAP = (30, "uniswapV2Call"), (30, "uniswapV2Call"), (25, "pancakeCall")
EXCHANGES = {
    "bsc": {
        "pancakeswap": PANCAKESWAP,
        "biswap": (10, "BiswapCall"),
        "apeswap": (20, "apeCall"),
        "mdex": (30, "swapV2Call"),
        "babyswap": (30, "babyCall"),
    },
    "bsc_testnet": {"pancakeswap": PANCAKESWAP},
    "ethereum": {"uniswap": UNISWAP, "sushiswap": SUSHISWAP, "pancakeswap": PANCAKESWAP},
    "polygon": {
        "quickswap": UNISWAP,
        "sushiswap": SUSHISWAP,
        "apeswap": (20, "apeCall"),
        "uniswap": UNISWAP,
    },
    "arbitrum": {"sushiswap": SUSHISWAP, "uniswap": UNISWAP, "pancakeswap": PANCAKESWAP},
    "optimism": {"uniswap": UNISWAP},
    "base": {"uniswap": UNISWAP, "sushiswap": SUSHISWAP, "pancakeswap": PANCAKESWAP},
    "sepolia": {"uniswap": UNISWAP},
}
# Where fewer than three published pairs were found; the page on sources names them.
FEWER_PUBLISHED = {
    ("arbitrum", "pancakeswap"): 1,
    ("base", "sushiswap"): 2,
    ("optimism", "uniswap"): 2,
}
ADDRESSES = [
    pytest.param(address, sources, id=f"{key}-{where}")
    for key, market in MARKETS.items()
    for where, address, sources in addresses(market)
]
PUBLISHED = [
    pytest.param(key, exchange, row, id=f"{key}-{dex}-{'-'.join(row['symbols'])}")
    for key, exchanges in RECORDED.items()
    for dex, exchange in exchanges.items()
    for row in exchange["pairs"]
]
every_chain = pytest.mark.parametrize("key", sorted(MARKETS))


def tokens_of(key: str) -> dict[str, dict[str, Any]]:
    return {entry["symbol"]: entry for entry in MARKETS[key]["tokens"]}


def test_a_market_file_is_shipped_for_every_chain_that_has_a_key() -> None:
    assert set(MARKETS) == set(CHAINS) == set(KNOWN_KEYS) - {"local"}


@every_chain
def test_the_file_holds_exactly_the_keys_of_the_format(key: str) -> None:
    market = MARKETS[key]

    assert set(market) - NOTES == {"chain", "tokens", "dexes", "pairs"}
    assert set(market["chain"]) - NOTES == CHAIN_KEYS
    for token in market["tokens"]:
        assert set(token) - NOTES == {"symbol", "address", "decimals"}
    for dex in market["dexes"]:
        assert set(dex) - NOTES == DEX_KEYS


@every_chain
def test_the_reader_of_market_files_accepts_it(key: str) -> None:
    market = market_file.parse(MARKETS[key])

    assert (market.chain.key, market.chain.chain_id) == (key, CHAINS[key][0])
    assert not market.chain.local
    assert len(market.pairs) == len(MARKETS[key]["pairs"])


@every_chain
def test_the_chain_is_described_as_it_runs(key: str) -> None:
    chain = MARKETS[key]["chain"]
    chain_id, native, block_time_ms, fee_model, floor_wei, l1_fee, wrapped = CHAINS[key]

    assert (chain["chainId"], chain["nativeSymbol"]) == (chain_id, native)
    assert (chain["blockTimeMs"], chain["feeModel"]) == (block_time_ms, fee_model)
    assert (int(chain["minGasPriceWei"]), chain["l1Fee"]) == (floor_wei, l1_fee)
    assert chain["wrappedNative"] == tokens_of(key)[wrapped]["address"]
    assert urlsplit(chain["explorerUrl"]).scheme == "https"
    # A validator of BNB Smart Chain mines 16 blocks in a row; elsewhere less would be braver still.
    assert chain["confirmations"] > 16


@every_chain
@pytest.mark.parametrize(("field", "scheme"), [("rpcHttp", "https"), ("rpcWs", "wss")])
def test_endpoints_are_public_and_carry_no_key(key: str, field: str, scheme: str) -> None:
    urls = MARKETS[key]["chain"][field]

    assert len(urls) == len(set(urls)) >= 1
    for url in urls:
        parts = urlsplit(url)
        assert (parts.scheme, parts.path, parts.query) == (scheme, "", "")
        assert parts.username is parts.password is None


def test_no_endpoint_serves_two_chains() -> None:
    urls = [url for each in MARKETS.values() for url in each["chain"]["rpcHttp"]]

    assert len(set(urls)) == len(urls)


@pytest.mark.parametrize(("address", "sources"), ADDRESSES)
def test_an_address_passes_eip_55_and_has_two_independent_sources(
    address: str, sources: list[str]
) -> None:
    assert is_checksum_address(address)
    assert len({publisher(source) for source in sources}) >= 2


@every_chain
def test_no_address_and_no_symbol_stands_twice(key: str) -> None:
    market = MARKETS[key]
    contracts = [token["address"] for token in market["tokens"]]
    contracts += [dex[field] for dex in market["dexes"] for field in ("factory", "router")]
    contracts += [market["chain"][field] for field in ("aavePool", "multicall3")]

    assert len(set(contracts)) == len(contracts)
    assert len(tokens_of(key)) == len(market["tokens"])


@every_chain
def test_decimals_are_whole_numbers_a_token_can_have(key: str) -> None:
    for entry in MARKETS[key]["tokens"]:
        assert type(entry["decimals"]) is int
        assert 2 <= entry["decimals"] <= 18


@pytest.mark.parametrize(
    ("key", "symbol", "decimals"),
    [
        ("bsc", "DOGE", 8),
        ("bsc", "USDT", 18),
        ("ethereum", "USDT", 6),
        ("ethereum", "WBTC", 8),
        ("polygon", "TEL", 2),
        ("polygon", "USDC.e", 6),
        ("arbitrum", "USDC", 6),
        ("optimism", "WBTC", 8),
        ("base", "cbBTC", 8),
        ("sepolia", "USDC", 6),
        ("bsc_testnet", "USDT", 18),
    ],
)
def test_decimals_that_are_often_guessed_wrong(key: str, symbol: str, decimals: int) -> None:
    assert tokens_of(key)[symbol]["decimals"] == decimals


@every_chain
def test_the_exchanges_stand_with_their_fee_and_their_callback(key: str) -> None:
    dexes = MARKETS[key]["dexes"]

    assert {dex["key"]: (dex["feeBps"], dex["callback"]) for dex in dexes} == EXCHANGES[key]
    assert {dex["kind"] for dex in dexes} == {"uniswap_v2"}


@every_chain
def test_pairs_name_tokens_of_the_file_and_none_stands_twice(key: str) -> None:
    pairs = MARKETS[key]["pairs"]

    assert len({frozenset(pair) for pair in pairs}) == len(pairs)
    assert {len(set(pair)) for pair in pairs} == {2}
    assert {side for pair in pairs for side in pair} == set(tokens_of(key))


def test_forty_nine_pairs_of_bnb_smart_chain_are_shipped() -> None:
    assert len(MARKETS["bsc"]["pairs"]) == 49


@every_chain
def test_each_exchange_has_published_pairs_and_the_factory_of_the_market_file(key: str) -> None:
    assert set(RECORDED[key]) == set(EXCHANGES[key])
    for dex in MARKETS[key]["dexes"]:
        recorded = RECORDED[key][dex["key"]]
        published = len({row["pair"] for row in recorded["pairs"]})
        assert recorded["factory"] == dex["factory"]
        assert recorded["initCodeHashSource"]
        if (fewer := FEWER_PUBLISHED.get((key, dex["key"]))) is None:
            assert published >= 3
        else:
            assert published == fewer
        assert all(row["source"] for row in recorded["pairs"])


@pytest.mark.parametrize(("key", "exchange", "row"), PUBLISHED)
def test_a_published_pair_follows_from_factory_and_init_code_hash(
    key: str, exchange: dict[str, Any], row: dict[str, Any]
) -> None:
    found = create2(
        exchange["factory"], exchange["initCodeHash"], row["token0"], row["token1"]
    )  # fmt: skip

    assert found == row["pair"]
    assert int(row["token0"], 16) < int(row["token1"], 16)
    # A published pair may hold a token that the file leaves out: its address is then the pair's.
    known = tokens_of(key)
    for symbol, address in zip(row["symbols"], (row["token0"], row["token1"]), strict=True):
        assert known.get(symbol, {"address": address})["address"] == address


@every_chain
def test_a_published_pair_of_every_exchange_holds_two_tokens_of_the_file(key: str) -> None:
    addresses_of = {entry["address"] for entry in MARKETS[key]["tokens"]}
    for dex, exchange in RECORDED[key].items():
        sides = [{row["token0"], row["token1"]} for row in exchange["pairs"]]
        # The test network's list was published for the exchange's own play tokens.
        assert any(pair <= addresses_of for pair in sides) or key == "bsc_testnet", dex


@every_chain
def test_the_factory_or_hash_of_another_exchange_does_not_give_the_published_pairs(
    key: str,
) -> None:
    for dex, exchange in RECORDED[key].items():
        for other, strange in RECORDED[key].items():
            row = exchange["pairs"][0]
            found = create2(
                strange["factory"], strange["initCodeHash"], row["token0"], row["token1"]
            )  # fmt: skip
            assert (found == row["pair"]) == (dex == other)


@every_chain
def test_the_page_on_sources_names_every_hash_and_every_source(key: str) -> None:
    named = [source for _, _, sources in addresses(MARKETS[key]) for source in sources]
    for exchange in RECORDED[key].values():
        assert exchange["initCodeHash"] in PAGE
        named += exchange["initCodeHashSource"]
        named += [source for row in exchange["pairs"] for source in row["source"]]

    assert not {repository(source) for source in named if repository(source) not in PAGE}


def test_the_page_on_sources_says_where_fewer_pairs_were_published() -> None:
    for key, dex in FEWER_PUBLISHED:
        name = next(each["name"] for each in MARKETS[key]["dexes"] if each["key"] == dex)
        assert f"{name} on {MARKETS[key]['chain']['name']}" in PAGE
