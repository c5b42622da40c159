"""The market file, read strictly into typed values: every refusal names the entry and the mend.

Source: the outside contract's section on market files. No I/O.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from contracts.kernel.market_entry import BadMarketFile, Entry, address_at, is_url
from contracts.kernel.relay_entry import RelayEntry, relay_entry

__all__ = [
    "BadMarketFile",
    "ChainEntry",
    "DexEntry",
    "MarketFile",
    "PairEntry",
    "TokenEntry",
    "parse",
]
KEY: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
MAX_ENTRIES: Final = 5_000
EXPLORER_MAX: Final = 200  # its column
_FUNCTION: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainEntry:
    """The ``chain`` section."""

    key: str
    name: str
    chain_id: int
    native_symbol: str
    local: bool
    rpc_http: tuple[str, ...]
    rpc_ws: tuple[str, ...]
    block_time_ms: int
    confirmations: int
    fee_model: str
    min_gas_price_wei: int
    l1_fee: str
    explorer_url: str
    wrapped_native: str
    aave_pool: str
    multicall3: str
    relays: tuple[RelayEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEntry:
    """One of ``tokens``."""

    symbol: str
    address: str
    decimals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DexEntry:
    """One of ``dexes``."""

    key: str
    name: str
    kind: str
    factory: str
    router: str
    fee_bps: int
    callback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PairEntry:
    """One of ``pairs``, its sides resolved to addresses."""

    name: str
    base: str
    quote: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketFile:
    """A whole market file."""

    chain: ChainEntry
    tokens: tuple[TokenEntry, ...]
    dexes: tuple[DexEntry, ...]
    pairs: tuple[PairEntry, ...]


def parse(document: object) -> MarketFile:
    """Check and type a decoded market file.

    Raises: BadMarketFile naming the first offending entry.
    """
    top = Entry("file", document, {"chain", "tokens", "dexes", "pairs"})
    chain = _chain(top.values["chain"])
    tokens = tuple(
        _token(f"tokens[{i}]", entry) for i, entry in enumerate(_list("tokens", top.values))
    )
    _no_twins("tokens", [token.address for token in tokens])
    if chain.wrapped_native not in {token.address for token in tokens}:
        raise BadMarketFile("chain.wrappedNative", "is not among tokens: add it there")
    dexes = tuple(_dex(f"dexes[{i}]", entry) for i, entry in enumerate(_list("dexes", top.values)))
    _no_twins("dexes", [dex.key for dex in dexes])
    pairs = tuple(
        _pair(f"pairs[{i}]", entry, tokens) for i, entry in enumerate(_list("pairs", top.values))
    )
    _no_twins("pairs", ["-".join(sorted((pair.base, pair.quote))) for pair in pairs])
    return MarketFile(chain=chain, tokens=tokens, dexes=dexes, pairs=pairs)


def _list(key: str, values: Mapping[str, Any]) -> list[Any]:
    value = values[key]
    if not isinstance(value, list) or not value:
        raise BadMarketFile(key, "must be a list with at least one entry")
    if len(value) > MAX_ENTRIES:
        raise BadMarketFile(key, f"has more than {MAX_ENTRIES} entries")
    return value


def _no_twins(where: str, keys: Sequence[str]) -> None:
    seen: set[str] = set()
    for i, key in enumerate(keys):
        if key in seen:
            raise BadMarketFile(f"{where}[{i}]", f"stands twice ({key})")
        seen.add(key)


def _chain(value: object) -> ChainEntry:
    required = {
        "key", "name", "chainId", "nativeSymbol", "rpcHttp", "rpcWs", "blockTimeMs",
        "confirmations", "feeModel", "minGasPriceWei", "l1Fee", "wrappedNative",
    }  # fmt: skip
    optional = frozenset({"local", "explorerUrl", "aavePool", "multicall3", "relays"})
    entry = Entry("chain", value, required, optional)
    key = entry.named("key", KEY, "must be lower-case letters, digits and _, such as bsc_testnet")
    relays = entry.values.get("relays", [])
    if not isinstance(relays, list):
        raise entry.fail("relays", "must be a list")
    read = tuple(relay_entry(f"chain.relays[{i}]", relay) for i, relay in enumerate(relays))
    _no_twins("chain.relays", [relay.name for relay in read])
    return ChainEntry(
        key=key,
        name=entry.text("name"),
        chain_id=entry.number("chainId", 1, 2**53),
        native_symbol=entry.text("nativeSymbol", most=16),
        local=entry.flag("local"),
        rpc_http=entry.urls("rpcHttp", ("http", "https"), least=1),
        rpc_ws=entry.urls("rpcWs", ("ws", "wss"), least=0),
        block_time_ms=entry.number("blockTimeMs", 1, 600_000),
        confirmations=entry.number("confirmations", 1, 10_000),
        fee_model=entry.choice("feeModel", ("legacy", "eip1559")),
        min_gas_price_wei=entry.wei("minGasPriceWei"),
        l1_fee=entry.choice("l1Fee", ("none", "op_stack", "arbitrum")),
        explorer_url=_explorer(entry),
        wrapped_native=entry.address("wrappedNative"),
        aave_pool=entry.address("aavePool") if entry.values.get("aavePool") else "",
        multicall3=entry.address("multicall3") if entry.values.get("multicall3") else "",
        relays=read,
    )


def _explorer(entry: Entry) -> str:
    url = entry.values.get("explorerUrl") or ""
    if url and not is_url(url, ("http", "https")):
        raise entry.fail("explorerUrl", "must be an http:// or https:// URL")
    if len(url) > EXPLORER_MAX:
        raise entry.fail("explorerUrl", f"is longer than {EXPLORER_MAX} characters")
    return str(url)


def _token(where: str, value: object) -> TokenEntry:
    entry = Entry(where, value, {"symbol", "address", "decimals"})
    return TokenEntry(
        symbol=entry.text("symbol", most=32),
        address=entry.address("address"),
        decimals=entry.number("decimals", 0, 36),
    )


def _dex(where: str, value: object) -> DexEntry:
    required = {"key", "name", "kind", "factory", "router", "feeBps", "callback"}
    entry = Entry(where, value, required)
    return DexEntry(
        key=entry.named(
            "key", KEY, "must be lower-case letters, digits and _, such as pancakeswap"
        ),
        name=entry.text("name"),
        kind=entry.choice("kind", ("uniswap_v2",)),
        factory=entry.address("factory"),
        router=entry.address("router"),
        fee_bps=entry.number("feeBps", 0, 9_999),
        callback=entry.named(
            "callback", _FUNCTION, "must be a Solidity function's name, such as pancakeCall"
        ),
    )


def _pair(where: str, value: object, tokens: Sequence[TokenEntry]) -> PairEntry:
    if not isinstance(value, list) or len(value) != 2:
        raise BadMarketFile(where, 'must be a list of two sides, such as ["CAKE", "USDT"]')
    base, quote = (_side(where, side, tokens) for side in value)
    if base.address == quote.address:
        raise BadMarketFile(where, f"pairs {base.symbol} with itself")
    name = "/".join(_shown(token, tokens) for token in (base, quote))
    return PairEntry(name=name, base=base.address, quote=quote.address)


def _shown(token: TokenEntry, tokens: Sequence[TokenEntry]) -> str:
    """The symbol; where two tokens share it, with the first digits of the address."""
    twins = sum(1 for other in tokens if other.symbol == token.symbol)
    return token.symbol if twins == 1 else f"{token.symbol}.{token.address[2:6].lower()}"


def _side(where: str, side: object, tokens: Sequence[TokenEntry]) -> TokenEntry:
    if not isinstance(side, str):
        raise BadMarketFile(where, "each side must be a symbol or an address")
    if side[:2] == "0x" and len(side) == 42:
        address = address_at(where, side)
        found = [token for token in tokens if token.address == address]
    else:
        found = [token for token in tokens if token.symbol == side]
    if not found:
        raise BadMarketFile(where, f"{side[:42]} is not among tokens")
    if len(found) > 1:
        raise BadMarketFile(
            where, f"{len(found)} tokens call themselves {side}: name this side by its address"
        )
    return found[0]
