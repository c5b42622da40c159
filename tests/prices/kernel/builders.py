"""Markets made by a seed: tokens of many decimals and prices, pools of believable depth."""

import random
from dataclasses import dataclass

from arbsite.base.units import BlockNumber, Bps, Gas, TokenAmount, Wei
from prices.kernel.book import BlockRef, PoolBook, PoolSpec
from prices.kernel.costs import Costs, native_rates
from prices.kernel.lenders import FIRST_POOL, Lender, LenderKind

DECIMALS = (18, 18, 6, 8, 18, 9, 18, 18, 12, 18, 6, 18)
USD = (600.0, 1.0, 1.0, 60_000.0, 3_000.0, 0.02, 1.9, 12.0, 0.5, 7.0, 1.0, 90.0)
NATIVE = 0
GAS = {
    (LenderKind.FIRST_POOL, 2): Gas(191_500),
    (LenderKind.FIRST_POOL, 3): Gas(290_000),
    (LenderKind.FIRST_POOL, 4): Gas(390_000),
    (LenderKind.AAVE_V3, 2): Gas(322_500),
    (LenderKind.AAVE_V3, 3): Gas(430_000),
    (LenderKind.AAVE_V3, 4): Gas(540_000),
    (LenderKind.PAIR, 2): Gas(300_000),
    (LenderKind.PAIR, 3): Gas(400_000),
    (LenderKind.PAIR, 4): Gas(500_000),
}


def address(number: int) -> str:
    return f"0x{number:040x}"


def block_ref(number: int, *, branch: str = "a") -> BlockRef:
    return BlockRef(BlockNumber(number), f"0x{branch}{number:063x}", f"0x{branch}{number - 1:063x}")


def aave(*, bps: int = 5, cap: int | None = None) -> Lender:
    return Lender(
        kind=LenderKind.AAVE_V3,
        address=address(0xAAAE),
        premium_bps=Bps(bps),
        cap=None if cap is None else TokenAmount(cap),
    )


@dataclass
class MadeMarket:
    book: PoolBook
    usd_per_unit: list[float]
    lendable: list[int]

    def lenders(self) -> dict[int, list[Lender]]:
        return {token: [FIRST_POOL, aave()] for token in self.lendable}

    def costs(self, *, gas_price_wei: int = 500_000_000) -> Costs:
        return Costs(
            gas_price_wei=Wei(gas_price_wei),
            l1_fee_wei=Wei(0),
            gas=GAS,
            native_rates=native_rates(self.book, native=NATIVE),
        )


def make_market(
    seed: int,
    *,
    tokens: int = 12,
    pools: int = 66,
    noise: float = 0.004,
    depth_usd: tuple[float, float] = (2e4, 4e6),
    depth: int = 64,
) -> MadeMarket:
    """A loaded book at block 100: the first tokens are hubs, prices off by ``noise`` at most."""
    rng = random.Random(seed)  # noqa: S311 - a reproducible market, not a secret
    usd = [USD[t % 12] * (1 + t // 12) for t in range(tokens)]
    decimals = [DECIMALS[t % 12] for t in range(tokens)]
    specs = []
    reserves = {}
    for index in range(pools):
        a = min(int(rng.paretovariate(0.9)) - 1, tokens - 1)
        b = rng.choice([t for t in range(tokens) if t != a])
        if index < tokens - 1:
            a, b = 0, index + 1
        a, b = min(a, b), max(a, b)
        specs.append(
            PoolSpec(
                address=address(1000 + index),
                token0=a,
                token1=b,
                fee_bps=Bps(rng.choice((10, 17, 20, 25, 30))),
                dex=f"dex{index % 5}",
            )
        )
        value = depth_usd[0] * (depth_usd[1] / depth_usd[0]) ** rng.random()
        off = 1 + rng.uniform(-noise, noise)
        reserves[index] = (
            TokenAmount(int(value / usd[a] * 10 ** decimals[a])),
            TokenAmount(int(value * off / usd[b] * 10 ** decimals[b])),
        )
    book = PoolBook(tokens=[address(t + 1) for t in range(tokens)], pools=specs, depth=depth)
    book.load(block_ref(100), reserves)
    per_unit = [price / 10**places for price, places in zip(usd, decimals, strict=True)]
    return MadeMarket(book=book, usd_per_unit=per_unit, lendable=list(range(min(tokens, 6))))
