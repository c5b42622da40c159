"""The other market: five tokens of 6, 8 and 18 decimals, two of one symbol, four exchanges."""

from dataclasses import dataclass, field
from typing import Any

from eth_utils import to_checksum_address

from tests.e2e.other_market.node import DEPLOYER, Node, calldata

ROOM = 2**255
# symbol in this code: (symbol on chain, decimals, dollars)
TOKENS = {
    "WBNB": ("WBNB", 18, 600),
    "USDT": ("USDT", 18, 1),
    "USDT6": ("USDT", 6, 1),
    "BTC": ("BTCB", 8, 60_000),
    "ALPHA": ("ALPHA", 18, 2),
}
DEXES = {
    "harbor": (10, "harborCall"),
    "meadow": (17, "onMeadowSwap"),
    "quarry": (25, "quarryCallback"),
    "summit": (30, "summitSwapCall"),
}
PAIRS = [("WBNB", "USDT"), ("WBNB", "USDT6"), ("BTC", "WBNB"), ("BTC", "USDT"), ("USDT", "USDT6")]
DOLLARS = {"harbor": 900_000, "meadow": 700_000, "quarry": 1_200_000, "summit": 500_000}
EMPTY = ("ALPHA", "WBNB")  # created on the first exchange, never funded


@dataclass
class OtherMarket:
    """What stands on the node. ``pools``: (dex, base, quote) -> pair."""

    node: Node
    tokens: dict[str, str] = field(default_factory=dict)
    factories: dict[str, str] = field(default_factory=dict)
    routers: dict[str, str] = field(default_factory=dict)
    pools: dict[tuple[str, str, str], str] = field(default_factory=dict)
    multicall: str = ""
    aave: str = ""

    def mint(self, token: str, to: str, raw: int) -> None:
        address = self.tokens[token]
        if token == "WBNB":
            self.node.send(address, calldata("deposit()"), value=raw)
            self.node.send(address, calldata("transfer(address,uint256)", to, raw))
        else:
            self.node.send(address, calldata("mint(address,uint256)", to, raw))

    def fund(self, dex: str, base: str, quote: str, dollars: float) -> None:
        """Give a pair as many dollars of each side and take them as its reserves."""
        pair = self.pools[dex, base, quote]
        for token in (base, quote):
            _, decimals, price = TOKENS[token]
            self.mint(token, pair, int(dollars * 10**decimals / price))
        self.node.send(pair, calldata("sync()"))

    def pair(self, dex: str, base: str, quote: str, *, odd_fee: int | None = None) -> str:
        """Create a pair."""
        factory, sides = self.factories[dex], (self.tokens[base], self.tokens[quote])
        data = (
            calldata("createPair(address,address)", *sides)
            if odd_fee is None
            else calldata("createOddPair(address,address,uint256)", *sides, odd_fee)
        )
        self.node.send(factory, data)
        found = self.node.call(factory, "getPair(address,address)", *sides)
        self.pools[dex, base, quote] = to_checksum_address("0x" + found[-40:])
        return self.pools[dex, base, quote]

    def settle(self) -> None:
        """One empty block: an import asks about the block before the newest."""
        self.node.ask("evm_mine")

    def trade(self, dex: str, token_in: str, token_out: str, dollars: float) -> dict:
        """Somebody sells that many dollars of one token for another."""
        _, decimals, price = TOKENS[token_in]
        amount = int(dollars * 10**decimals / price)
        self.mint(token_in, DEPLOYER, amount)
        return self.node.send(
            self.routers[dex],
            calldata(
                "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)",
                amount, 0, [self.tokens[token_in], self.tokens[token_out]], DEPLOYER, 2**40,
            ),
        )  # fmt: skip

    def file(self, key: str = "other") -> dict[str, Any]:
        """Its market file."""
        return {
            "chain": {
                "key": key,
                "name": "The other chain",
                "chainId": self.node.chain_id,
                "nativeSymbol": "BNB",
                "local": True,
                "rpcHttp": [self.node.http_url],
                "rpcWs": [self.node.ws_url],
                "blockTimeMs": 1000,
                "confirmations": 2,
                "feeModel": "eip1559",
                "minGasPriceWei": "100000000",
                "l1Fee": "none",
                "wrappedNative": self.tokens["WBNB"],
                "multicall3": self.multicall,
                "relays": [],
            }
            | ({"aavePool": self.aave} if self.aave else {}),
            "tokens": [
                {"symbol": TOKENS[each][0], "address": address, "decimals": TOKENS[each][1]}
                for each, address in self.tokens.items()
            ],
            "dexes": [
                {
                    "key": dex, "name": dex.title(), "kind": "uniswap_v2", "feeBps": fee,
                    "factory": self.factories[dex], "router": self.routers[dex],
                    "callback": callback,
                }
                for dex, (fee, callback) in DEXES.items()
            ],
            "pairs": [[self.side(a), self.side(b)] for a, b in [*PAIRS, EMPTY]],
        }  # fmt: skip

    def side(self, token: str) -> str:
        """How a pair names it: by its symbol, or by its address where another has that symbol."""
        symbols = [TOKENS[each][0] for each in self.tokens]
        symbol = TOKENS[token][0]
        return symbol if symbols.count(symbol) == 1 else self.tokens[token]


def build(node: Node) -> OtherMarket:
    """Deploy everything; every exchange starts at the same prices."""
    market = OtherMarket(node)
    node.ask("anvil_setBalance", DEPLOYER, hex(10**26))
    for each, (symbol, decimals, _) in TOKENS.items():
        market.tokens[each] = (
            node.create("WrappedCoin")
            if each == "WBNB"
            else node.create("Coin", "string,uint8,uint16", symbol, decimals, 0)
        )
    market.multicall = node.create("Aggregator")
    for dex, (fee, callback) in DEXES.items():
        signature = f"{callback}(address,uint256,uint256,bytes)"
        factory = node.create("Factory", "uint256,string", fee, signature)
        market.factories[dex] = factory
        market.routers[dex] = node.create("Router", "address", factory)
        for token in market.tokens.values():
            node.send(token, calldata("approve(address,uint256)", market.routers[dex], ROOM))
        for base, quote in PAIRS:
            if (dex, quote) == ("meadow", "USDT6"):
                continue  # not every pair on every exchange
            market.pair(dex, base, quote)
            market.fund(dex, base, quote, DOLLARS[dex])
    market.pair("harbor", *EMPTY)
    market.settle()
    return market
