"""Noise traders: what they do in a block follows from (seed, block number) alone.

None of them reads a price, a spread or a balance. Each trade sells a fixed share of the pool's
first reserve, in a direction drawn with even odds: where a price has wandered off, the cheap
token's trades move it less and the dear one's more, so prices keep within about a fifth of where
they began, for ever, without anybody looking.
"""

from dataclasses import dataclass
from typing import Final

from arbsite.base.units import BlockNumber, TokenAmount
from contracts.kernel.abi import encode_call
from contracts.localchain.chain import Sending
from contracts.localchain.deployed import Market, Pool
from contracts.localchain.stream import Stream

TRADES_PER_BLOCK: Final = 2.0  # mean, over all pools
SMALLEST_PPB: Final = 20_000  # 0.002 % of the pool's first reserve
LARGEST_PPB: Final = 6_000_000  # 0.6 %
PPB: Final = 10**9
TRADERS_PER_DEX: Final = 2
NOISE_GAS: Final = 250_000
FOREVER: Final = 2**256 - 1
_SWAP: Final = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseTrade:
    """One sale: ``amount_in`` raw units of a pool's first or second token, by one trader."""

    pool: int
    zero_for_one: bool
    amount_in: TokenAmount
    trader: int


def noise_trades(*, seed: int, block: BlockNumber, pools: tuple[Pool, ...]) -> list[NoiseTrade]:
    """The noise of one block, in order."""
    stream = Stream(seed, "noise", block)
    trades = []
    for _ in range(stream.poisson(TRADES_PER_BLOCK)):
        index = stream.below(len(pools))
        zero_for_one = stream.below(2) == 0
        share = stream.log_uniform(SMALLEST_PPB, LARGEST_PPB)
        pool = pools[index]
        reserve = pool.first_reserve0 if zero_for_one else pool.first_reserve1
        trades.append(
            NoiseTrade(
                pool=index,
                zero_for_one=zero_for_one,
                amount_in=TokenAmount(max(1, reserve * share // PPB)),
                trader=stream.below(TRADERS_PER_DEX),
            )
        )
    return trades


def noise_sendings(*, market: Market, block: BlockNumber) -> list[Sending]:
    """The block's noise as router calls that take any price, so that none of them can fail."""
    sendings = []
    for trade in noise_trades(seed=market.seed, block=block, pools=market.pools):
        pool = market.pools[trade.pool]
        dex = market.dex(pool.dex)
        trader = dex.traders[trade.trader]
        path = [pool.token0, pool.token1] if trade.zero_for_one else [pool.token1, pool.token0]
        data = encode_call(_SWAP, trade.amount_in, 0, path, trader, FOREVER)
        sendings.append(
            Sending(
                sender=trader,
                to=dex.router,
                data=data,
                gas=NOISE_GAS,
                gas_price=market.min_gas_price_wei,
            )
        )
    return sendings
