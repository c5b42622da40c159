"""What the local market consists of, fixed by its seed: tokens, exchanges, pools and their depth.

Amounts are made with integers only: prices and depths are in millionths of a dollar. At birth the
exchanges agree: each pool stands within 4 bps of its pair's price, so no spread is planted.
"""

from dataclasses import dataclass
from typing import Final

from arbsite.base.units import Bps, TokenAmount, Wei
from contracts.localchain.stream import Stream

USD: Final = 10**6  # one dollar in the unit of prices and depths
PPM: Final = 10**6
NATIVE: Final = "WBNB"
MIN_GAS_PRICE_WEI: Final = Wei(750_000_000)  # 0.75 gwei: 200k to 400k gas cost $0.09 to $0.18
FLASH_PREMIUM_BPS: Final = Bps(5)
OFFSET_PPM: Final = 400
PRICE_SPAN_PPM: Final = 80_000
DEPTH_SPAN_PPM: Final = 250_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPlan:
    """A token and what one whole of it is worth, in millionths of a dollar."""

    symbol: str
    name: str
    decimals: int
    price_micro_usd: int
    lent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DexPlan:
    """An exchange. ``genuine``: Uniswap V2's own bytecode, else our pair with the fork's terms."""

    key: str
    name: str
    fee_bps: Bps
    callback: str
    genuine: bool
    depth_percent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPlan:
    """One pool and its first reserves, raw units."""

    dex: str
    token_a: str
    token_b: str
    amount_a: TokenAmount
    amount_b: TokenAmount


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketPlan:
    """All of it."""

    seed: int
    tokens: tuple[TokenPlan, ...]
    dexes: tuple[DexPlan, ...]
    pairs: tuple[tuple[str, str], ...]
    pools: tuple[PoolPlan, ...]

    def token(self, symbol: str) -> TokenPlan:
        return next(token for token in self.tokens if token.symbol == symbol)


def _token(
    symbol: str, name: str, decimals: int, price_micro_usd: int, *, lent: bool = False
) -> TokenPlan:
    return TokenPlan(
        symbol=symbol, name=name, decimals=decimals, price_micro_usd=price_micro_usd, lent=lent
    )


TOKENS: Final = (
    _token("WBNB", "Wrapped BNB", 18, 600 * USD, lent=True),
    _token("USDT", "Tether USD", 18, USD, lent=True),
    _token("BUSD", "BUSD Token", 18, USD, lent=True),
    _token("USDC", "USD Coin", 6, USD, lent=True),
    _token("ETH", "Ethereum Token", 18, 3_000 * USD, lent=True),
    _token("BTCB", "BTCB Token", 18, 65_000 * USD, lent=True),
    _token("CAKE", "PancakeSwap Token", 18, 1_950_000),
    _token("XRP", "XRP Token", 18, 620_000),
    _token("ADA", "Cardano Token", 18, 450_000),
    _token("DOT", "Polkadot Token", 18, 6_200_000),
    _token("LINK", "ChainLink Token", 18, 15 * USD),
    _token("DOGE", "Dogecoin", 8, 160_000),
    _token("LTC", "Litecoin Token", 18, 85 * USD),
    _token("UNI", "Uniswap", 18, 8 * USD),
    _token("AVAX", "Avalanche", 18, 28 * USD),
    _token("ATOM", "Cosmos Token", 18, 7_500_000),
    _token("FIL", "Filecoin", 18, 4_800_000),
    _token("XVS", "Venus", 18, 9 * USD),
    _token("AXS", "Axie Infinity Shard", 18, 6 * USD),
    _token("BCH", "Bitcoin Cash Token", 18, 380 * USD),
)
DOLLARS: Final = frozenset({"USDT", "BUSD", "USDC"})

DEXES: Final = (
    DexPlan(
        key="pancakeswap",
        name="PancakeSwap",
        fee_bps=Bps(25),
        callback="pancakeCall",
        genuine=False,
        depth_percent=100,
    ),
    DexPlan(
        key="biswap",
        name="Biswap",
        fee_bps=Bps(10),
        callback="BiswapCall",
        genuine=False,
        depth_percent=60,
    ),
    # Source of the callback's name: ApeSwapFinance/apeswap-swap-core, contracts/ApePair.sol.
    DexPlan(
        key="apeswap",
        name="ApeSwap",
        fee_bps=Bps(20),
        callback="pancakeCall",
        genuine=False,
        depth_percent=35,
    ),
    DexPlan(
        key="mdex",
        name="MDEX",
        fee_bps=Bps(30),
        callback="uniswapV2Call",
        genuine=True,
        depth_percent=40,
    ),
    DexPlan(
        key="babyswap",
        name="BabySwap",
        fee_bps=Bps(30),
        callback="uniswapV2Call",
        genuine=True,
        depth_percent=25,
    ),
)

# One line per pair: base, quote, depth of one side on the deepest exchange in dollars, exchanges
# by their first letters (p, b, a, m, y for BabySwap). Which pair stands where decides how many
# cycles there are and what they cost; the shares that follow are measured in the tests.
_PAIRS: Final = """
WBNB USDT 675000 pbamy
WBNB BUSD 525000 pam
WBNB USDC 300000 pm
ETH WBNB 450000 pay
BTCB WBNB 450000 pby
BTCB ETH 225000 pm
ETH USDT 375000 pba
ETH USDC 225000 my
BTCB USDT 375000 pay
BTCB BUSD 225000 am
BUSD USDT 525000 pm
USDC USDT 450000 pa
USDC BUSD 300000 y
CAKE WBNB 375000 pby
CAKE USDT 265000 pbmy
CAKE USDC 170000 pba
XRP WBNB 150000 pa
XRP USDT 135000 m
XRP USDC 130000 pb
ADA WBNB 135000 p
ADA USDT 120000 py
DOT WBNB 135000 pa
DOT USDT 120000 p
DOT USDC 100000 pb
LINK WBNB 135000 pb
LINK USDT 120000 m
DOGE WBNB 135000 pm
DOGE USDT 135000 pa
DOGE USDC 115000 pb
LTC WBNB 120000 p
LTC USDT 115000 pm
UNI WBNB 115000 pa
UNI USDT 105000 m
UNI BUSD 90000 p
AVAX WBNB 115000 pm
AVAX USDT 105000 p
AVAX USDC 90000 pb
ATOM WBNB 105000 py
ATOM USDT 105000 p
FIL WBNB 105000 p
FIL USDT 105000 pa
LINK USDC 120000 pb
XVS WBNB 115000 pb
XVS USDT 100000 m
AXS WBNB 105000 p
AXS USDT 105000 pa
BCH WBNB 105000 pm
BCH USDT 105000 p
BCH USDC 90000 pa
"""
_LETTERS: Final = {
    "p": "pancakeswap",
    "b": "biswap",
    "a": "apeswap",
    "m": "mdex",
    "y": "babyswap",
}


def plan_market(seed: int) -> MarketPlan:
    """The market of ``seed``: the same seed gives the same market to the last unit."""
    tokens = tuple(_priced(token, seed=seed) for token in TOKENS)
    prices = {token.symbol: token for token in tokens}
    dexes = {dex.key: dex for dex in DEXES}
    pairs: list[tuple[str, str]] = []
    pools: list[PoolPlan] = []
    for line in _PAIRS.split("\n"):
        if not line:
            continue
        base, quote, depth, letters = line.split()
        pairs.append((base, quote))
        pools += [
            _pool(
                dexes[_LETTERS[letter]],
                base=prices[base],
                quote=prices[quote],
                depth_micro_usd=int(depth) * USD,
                seed=seed,
            )
            for letter in letters
        ]
    return MarketPlan(seed=seed, tokens=tokens, dexes=DEXES, pairs=tuple(pairs), pools=tuple(pools))


def _priced(token: TokenPlan, *, seed: int) -> TokenPlan:
    if token.symbol in DOLLARS:
        return token
    factor = PPM + Stream(seed, "price", token.symbol).between(-PRICE_SPAN_PPM, PRICE_SPAN_PPM)
    return _token(
        token.symbol,
        token.name,
        token.decimals,
        token.price_micro_usd * factor // PPM,
        lent=token.lent,
    )


def _pool(
    dex: DexPlan, *, base: TokenPlan, quote: TokenPlan, depth_micro_usd: int, seed: int
) -> PoolPlan:
    stream = Stream(seed, "pool", dex.key, base.symbol, quote.symbol)
    depth = depth_micro_usd * dex.depth_percent // 100
    depth = depth * (PPM + stream.between(-DEPTH_SPAN_PPM, DEPTH_SPAN_PPM)) // PPM
    offset = stream.between(-OFFSET_PPM, OFFSET_PPM)
    return PoolPlan(
        dex=dex.key,
        token_a=base.symbol,
        token_b=quote.symbol,
        amount_a=worth(base, micro_usd=depth),
        amount_b=worth(quote, micro_usd=depth * (PPM + offset) // PPM),
    )


def worth(token: TokenPlan, *, micro_usd: int) -> TokenAmount:
    """How much of a token a sum of money buys at its planned price, raw units, rounded down."""
    return TokenAmount(micro_usd * 10**token.decimals // token.price_micro_usd)
