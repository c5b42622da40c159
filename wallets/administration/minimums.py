"""The owner's least profit of each token in raw units: a share of a small position's worth.

The contract holds it against the profit before gas, so it is a floor under mistakes and not the
threshold of a decision: 5 bps of a hundred dollars, five cents, by default.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from arbsite.base.units import BPS_ONE, Bps
from contracts.models import Chain, Deployment, Pool, Token
from contracts.probe import read_pools
from contracts.rpc import HttpRpc

REFERENCE_DOLLARS: Final = 100
# Tokens of which one is a dollar, the first that can be priced counts.
DOLLARS: Final = ("USDT", "USDC", "BUSD", "DAI", "FDUSD", "USD1", "TUSD", "USDbC", "USDC.e")


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """One pool's reserves, raw units, by token address."""

    token0: str
    token1: str
    reserve0: int
    reserve1: int


def min_profits(
    rpc: HttpRpc, *, deployment: Deployment, tokens: Iterable[Token], block_hash: str
) -> dict[str, int]:
    """By token address, raw units, rounded up, never zero. One read of all pools at that block.

    A token that no pool prices in dollars, directly or through the native coin, has no entry.
    """
    chain = deployment.chain
    rows = Pool.objects.filter(chain=chain, dex__enabled=True, quarantined="")
    pools = list(rows.select_related("dex", "token0", "token1"))
    depths = [
        Depth(
            token0=fact.token0, token1=fact.token1, reserve0=fact.reserve0, reserve1=fact.reserve1
        )
        for fact in read_pools(pools, rpc, block={"blockHash": block_hash})
        if fact.reserve0 and fact.reserve1
    ]
    bps = Bps(max(deployment.min_profit_bps, 1))
    rates = dollar_rates(chain, depths)
    return {
        token.address: min_profit_raw(rates[token.address], bps=bps)
        for token in tokens
        if token.address in rates
    }


def min_profit_raw(raw_per_dollar: Fraction, *, bps: Bps) -> int:
    """``bps`` of the reference position in raw units, rounded up, at least 1."""
    exact = raw_per_dollar * REFERENCE_DOLLARS * bps / BPS_ONE
    return max(-(-exact.numerator // exact.denominator), 1)


def dollar_rates(chain: Chain, depths: list[Depth]) -> Mapping[str, Fraction]:
    """Raw units per dollar of each token that pools price, by marginal price without fee.

    From the pool that holds most of the dollar token; else from the one that holds most wrapped
    native, which the dollar prices in turn.
    """
    # Only what the lender vouches for: anyone can deploy a token and call it USDT.
    rows = Token.objects.filter(chain=chain, symbol__in=DOLLARS, lendable=True).order_by("id")
    dollars = sorted(rows, key=lambda token: DOLLARS.index(token.symbol))
    rates: dict[str, Fraction] = {}
    for dollar in dollars:
        # Every dollar token is worth a dollar here: a floor under mistakes need not know better.
        rates.setdefault(dollar.address, Fraction(10**dollar.decimals))
    for anchor in [*(dollar.address for dollar in dollars), chain.wrapped_native]:
        if anchor in rates:
            for token, rate in _priced_in(anchor, rates[anchor], depths).items():
                rates.setdefault(token, rate)
    return rates


def _priced_in(anchor: str, anchor_rate: Fraction, depths: list[Depth]) -> dict[str, Fraction]:
    deepest: dict[str, tuple[int, Fraction]] = {}
    for pool in depths:
        for token, reserve, other, other_reserve in (
            (pool.token0, pool.reserve0, pool.token1, pool.reserve1),
            (pool.token1, pool.reserve1, pool.token0, pool.reserve0),
        ):
            if other == anchor and other_reserve > deepest.get(token, (0, None))[0]:
                rate = anchor_rate * Fraction(reserve, other_reserve)
                deepest[token] = (other_reserve, rate)
    return {token: rate for token, (_, rate) in deepest.items()}
