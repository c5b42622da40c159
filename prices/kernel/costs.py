"""What a trade costs besides its swaps, and the policy it is held against; values passed in."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from arbsite.base.units import BPS_ONE, Bps, Gas, TokenAmount, Wei, mul_div_ceil, mul_div_floor
from prices.kernel.book import PoolBook
from prices.kernel.lenders import LenderKind

_NO_WEI: Final = Wei(0)
_MIN_SPREAD: Final = Bps(5)
_MIN_PROFIT: Final = Bps(50)
_IMPLAUSIBLE: Final = Bps(2_000)
_SCALE: Final = 2**64  # keeps fractions of a wei apart when amounts of two tokens are compared


class NativeRate(NamedTuple):
    """``num / den`` raw token units per wei, and the pools it was read from (none: native itself).

    Marginal, without fee: it values costs and never decides a swap.
    """

    num: int
    den: int
    pools: tuple[int, ...] = ()

    def tokens_ceil(self, wei: int) -> TokenAmount:
        """What that many wei cost in the token, rounded up."""
        return TokenAmount(-(-wei * self.num // self.den))

    def wei_floor(self, amount: int) -> Wei:
        """What a token amount is worth in wei, rounded down; negative for a loss."""
        return Wei(amount * self.den // self.num)

    def scaled_worth(self, amount: int) -> int:
        """A figure by which amounts of different tokens compare, finer than a wei."""
        return amount * self.den * _SCALE // self.num


@dataclass(frozen=True, slots=True, kw_only=True)
class TipTerms:
    """What a builder is offered: ``share_bps`` of a trade's net profit after all other costs, and
    never more than ``most_wei``. A share of 0 offers nothing."""

    share_bps: Bps
    most_wei: Wei

    def __post_init__(self) -> None:
        if not 0 <= self.share_bps < BPS_ONE or self.most_wei < 0:
            raise ValueError("a tip is a share below all of it, up to a bound that is not negative")

    def offered(self, net: int, *, least: int, rate: NativeRate | None) -> Wei:
        """The tip for a trade that nets ``net`` before it and must keep ``least``.

        Units: both raw units of the borrow token, as ``rate`` values it.
        Rounding: the share up; then down to what leaves ``least``, so that whatever pays without
        a tip pays with it. 0 for what does not pay.
        """
        if not self.share_bps or rate is None or net <= max(least, 0):
            return _NO_WEI
        share_wei = mul_div_ceil(net * self.share_bps, rate.den, rate.num * BPS_ONE)
        return Wei(min(share_wei, rate.wei_floor(net - max(least, 0)), self.most_wei))


NO_TIP: Final = TipTerms(share_bps=Bps(0), most_wei=_NO_WEI)


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Costs at one block.

    ``gas``: expected gas used after refunds per lender kind and hops; a missing entry is a cost
    that nobody knows, and refuses the trade. ``l1_fee_wei``: None where it is not computed yet,
    likewise. ``native_rates``: per token index; no entry means no route to the native coin.
    ``tips``: what is offered of what a trade nets after all these.
    """

    gas_price_wei: Wei
    tips: TipTerms = NO_TIP
    l1_fee_wei: Wei | None
    gas: Mapping[tuple[LenderKind, int], Gas]
    native_rates: Mapping[int, NativeRate]

    def __post_init__(self) -> None:
        if self.gas_price_wei < 0 or (self.l1_fee_wei or 0) < 0:
            raise ValueError("gas price and L1 fee must not be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What an opportunity must meet. Every figure is the operator's.

    ``min_profit_threshold_bps``: of the size, on the net profit. ``contract_min_profit``: raw
    units per token index, held against the profit before gas as the contract does.
    ``min_pool_depth_wei``: what the shallower side of every pool must be worth; 0 asks nothing.
    ``implausible_bps``: a net profit above it is an error somewhere, not luck.
    ``max_position_wei``: what a loan may be worth; 0 asks nothing. See `position_caps`.
    """

    min_spread_bps: Bps = _MIN_SPREAD
    min_profit_threshold_bps: Bps = _MIN_PROFIT
    max_gas_price_wei: Wei | None = None
    min_pool_depth_wei: Wei = _NO_WEI
    implausible_bps: Bps = _IMPLAUSIBLE
    risky_tokens: frozenset[int] = frozenset()
    risky_pools: frozenset[int] = frozenset()
    max_position: Mapping[int, TokenAmount] = field(default_factory=dict)
    max_position_wei: Wei = _NO_WEI
    contract_min_profit: Mapping[int, TokenAmount] = field(default_factory=dict)

    def threshold(self, amount: int) -> TokenAmount:
        """The least net profit for a size, raw units, rounded up; never below one unit."""
        least = -(-amount * self.min_profit_threshold_bps // BPS_ONE)
        return TokenAmount(max(least, 1))


def position_caps(
    max_position_wei: Wei, *, native_rates: Mapping[int, NativeRate]
) -> dict[int, TokenAmount]:
    """The largest loan in raw units of each token, rounded down; empty where nothing is asked."""
    if not max_position_wei:
        return {}
    return {
        token: TokenAmount(mul_div_floor(max_position_wei, rate.num, rate.den))
        for token, rate in native_rates.items()
    }


def native_rate(book: PoolBook, *, token: int, native: int) -> NativeRate | None:
    """Units of ``token`` per wei of the wrapped native token ``native``, at the book's head.

    The pool with the largest wrapped-native reserve; through two pools where none is direct: the
    route whose shallower pool is deepest, both measured in wrapped native. Empty and quarantined
    pools do not count.

    Returns: None where there is no such route.
    """
    return native_rates(book, native=native, tokens=(token,)).get(token)


def native_rates(
    book: PoolBook, *, native: int, tokens: Collection[int] | None = None
) -> dict[int, NativeRate]:
    """`native_rate` for the given tokens (default all), without an entry where no route is.

    A few microseconds per pool: once a block, not once an opportunity.
    """
    sides = _sides(book)
    direct: dict[int, tuple[int, NativeRate]] = {}  # token -> (native reserve, rate)
    for pool, token, reserve, other, other_reserve in sides:
        if other == native and token != native:
            known = direct.get(token)
            if known is None or other_reserve > known[0]:
                direct[token] = (other_reserve, NativeRate(reserve, other_reserve, (pool,)))
    through: dict[int, tuple[int, NativeRate]] = {}
    for pool, token, reserve, other, other_reserve in sides:
        if token == native or token in direct or other not in direct:
            continue
        native_reserve, rate = direct[other]
        depth = min(native_reserve, int(rate.wei_floor(other_reserve)))
        found = through.get(token)
        if found is None or depth > found[0]:
            joined = NativeRate(reserve * rate.num, other_reserve * rate.den, (pool, *rate.pools))
            through[token] = (depth, joined)
    rates = {token: rate for token, (_, rate) in (direct | through).items()}
    rates[native] = NativeRate(1, 1)
    if tokens is None:
        return rates
    return {token: rates[token] for token in tokens if token in rates}


def _sides(book: PoolBook) -> list[tuple[int, int, int, int, int]]:
    """(pool, token, its reserve, other token, its reserve), each usable pool from both sides."""
    sides: list[tuple[int, int, int, int, int]] = []
    for index, pool in enumerate(book.pools):
        reserve0, reserve1 = book.reserve0[index], book.reserve1[index]
        if not reserve0 or not reserve1 or index in book.quarantined:
            continue
        sides.append((index, pool.token0, reserve0, pool.token1, reserve1))
        sides.append((index, pool.token1, reserve1, pool.token0, reserve0))
    return sides
