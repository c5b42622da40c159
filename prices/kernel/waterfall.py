"""Where a spread goes: eight exact steps from gross to net, and the first gate that stops it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from arbsite.base.units import BPS_ONE, Bps, TokenAmount, Wei
from prices.kernel.costs import Costs, NativeRate, Policy, TipTerms
from prices.kernel.lenders import Lender, LenderKind
from prices.kernel.sizing import Hop, Products, Size

_NO_WEI: Final = Wei(0)


class Step(StrEnum):
    """The steps in order."""

    GROSS_SPREAD = "gross_spread"
    SWAP_FEES = "swap_fees"
    PRICE_IMPACT = "price_impact"
    FLASH_LOAN_PREMIUM = "flash_loan_premium"
    GAS = "gas"
    RELAY_TIP = "relay_tip"
    L1_DATA_FEE = "l1_data_fee"
    NET = "net"


class Reason(StrEnum):
    """The economic gates in order; the decision gates come after them, in the engine."""

    STALE_POOL = "stale_pool"
    TOKEN_RISK = "token_risk"  # noqa: S105 - a reason, not a secret
    THIN_POOL = "thin_pool"
    IMPLAUSIBLE = "implausible"
    FEES = "fees"
    PRICE_IMPACT = "price_impact"
    PREMIUM = "premium"
    GAS = "gas"
    MIN_PROFIT = "min_profit"
    MAX_GAS = "max_gas"


class SpreadClass(StrEnum):
    THIN = "thin"
    STALE = "stale"
    FEE_BOUND = "fee_bound"
    TOKEN_RISK = "token_risk"  # noqa: S105 - a class, not a secret
    REAL = "real"


class Verdict(StrEnum):
    EXECUTABLE = "executable"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Row:
    """``amount``: signed raw units of the borrow token, None where the cost is not known.

    ``bps``: floor of the share of the size, for display; it need not add up.
    """

    step: Step
    amount: int | None
    bps: Bps | None


class Paid(NamedTuple):
    """What is paid in the native coin: signed raw units of the borrow token, negative or zero, None
    where nobody knows it. ``tip_wei``: what ``relay_tip`` values."""

    gas: int | None
    relay_tip: int
    l1_data_fee: int | None
    tip_wei: Wei

    @property
    def complete(self) -> bool:
        """Whether every cost is known."""
        return self.gas is not None and self.l1_data_fee is not None

    @property
    def total(self) -> int:
        """Their sum; what nobody knows counts as 0."""
        return (self.gas or 0) + self.relay_tip + (self.l1_data_fee or 0)


class Waterfall(NamedTuple):
    """Signed raw units of the borrow token; costs are negative or zero.

    ``gas`` and ``l1_data_fee`` are None where nobody knows them (no gas estimate, no route to the
    native coin, no L1 fee): they then count as 0 in ``net``, and nothing that has such a step is
    executable, so no tip is offered of it.
    """

    amount: TokenAmount
    gross_spread: int
    swap_fees: int
    price_impact: int
    flash_loan_premium: int
    gas: int | None
    relay_tip: int
    l1_data_fee: int | None

    @property
    def expected_profit(self) -> int:
        """The sum through the premium: what the contract keeps, before gas."""
        return self.gross_spread + self.swap_fees + self.price_impact + self.flash_loan_premium

    @property
    def net(self) -> int:
        return self.expected_profit + (self.gas or 0) + self.relay_tip + (self.l1_data_fee or 0)

    @property
    def complete(self) -> bool:
        """Whether every cost is known."""
        return self.gas is not None and self.l1_data_fee is not None

    @property
    def net_profit_bps(self) -> Bps:
        """floor(10^4 net / x)."""
        return Bps(BPS_ONE * self.net // self.amount)

    def rows(self) -> tuple[Row, ...]:
        """All eight steps in order, for a page or a record."""
        amounts = (
            self.gross_spread,
            self.swap_fees,
            self.price_impact,
            self.flash_loan_premium,
            self.gas,
            self.relay_tip,
            self.l1_data_fee,
            self.net,
        )
        return tuple(
            Row(step, amount, None if amount is None else Bps(BPS_ONE * amount // self.amount))
            for step, amount in zip(Step, amounts, strict=True)
        )


def explain(
    hops: Sequence[Hop],
    *,
    size: Size,
    lender: Lender,
    costs: Costs,
    rate: NativeRate | None,
    least: int = 1,
) -> Waterfall:
    """The eight steps of MONEY section 1 for a size; they add up exactly.

    ``rate``: of the borrow token, None where it has no route to the native coin. ``least``: the net
    profit that a tip leaves untouched, raw units.
    Rounding: gross and fees down, what is paid up.
    """
    paid = paid_in_native(
        size.profit, hops=len(hops), kind=lender.kind, costs=costs, rate=rate, least=least
    )
    return waterfall_of(Products.of(hops), size=size, paid=paid)


def waterfall_of(products: Products, *, size: Size, paid: Paid) -> Waterfall:
    """`explain` where the products of the ring and what is paid are known already."""
    out, into, kept, whole = products
    amounts, premium, _ = size
    amount = amounts[0]
    without_fees = amount * out // into
    without_impact = amount * out * kept // (into * whole)
    return Waterfall(
        amount=amount,
        gross_spread=without_fees - amount,
        swap_fees=without_impact - without_fees,
        price_impact=amounts[-1] - without_impact,
        flash_loan_premium=-premium,
        gas=paid.gas,
        relay_tip=paid.relay_tip,
        l1_data_fee=paid.l1_data_fee,
    )


def paid_in_native(
    profit: int,
    *,
    hops: int,
    kind: LenderKind,
    costs: Costs,
    rate: NativeRate | None,
    least: int,
) -> Paid:
    """What a trade that earns ``profit`` before gas pays in the native coin, rounded against us.

    None for what is not known: no gas estimate, no L1 fee, or no ``rate`` to value it by.
    ``profit`` and ``least``, the net profit that a tip leaves untouched: raw units.
    """
    gas_used = costs.gas.get((kind, hops))
    gas = None if gas_used is None else gas_used * costs.gas_price_wei
    if gas:
        gas = None if rate is None else -rate.tokens_ceil(gas)
    l1_data_fee: int | None = costs.l1_fee_wei
    if l1_data_fee:
        l1_data_fee = None if rate is None else -rate.tokens_ceil(l1_data_fee)
    if gas is None or l1_data_fee is None or not costs.tips.share_bps:
        return Paid(gas, 0, l1_data_fee, _NO_WEI)
    return tipped(profit, gas=gas, l1_data_fee=l1_data_fee, tips=costs.tips, rate=rate, least=least)


def tipped(
    profit: int, *, gas: int, l1_data_fee: int, tips: TipTerms, rate: NativeRate | None, least: int
) -> Paid:
    """`paid_in_native` where gas and L1 fee are known already, negative or zero."""
    if not tips.share_bps:
        return Paid(gas, 0, l1_data_fee, _NO_WEI)
    tip_wei = tips.offered(profit + gas + l1_data_fee, least=least, rate=rate)
    return Paid(gas, -rate.tokens_ceil(tip_wei) if rate else 0, l1_data_fee, tip_wei)


def depth(hops: Sequence[Hop]) -> int:
    """What the shallowest side of any pool of the path is worth, in the borrow token, rounded down.

    Each pool's input side is carried back to the start at the marginal prices of the hops before
    it, its output side to the end at those of the hops after it; the smaller counts.
    """
    least: int | None = None
    num = den = 1
    for reserve_in, reserve_out, _ in hops:
        worth = reserve_in * num // den
        least = worth if least is None else min(least, worth)
        num *= reserve_in
        den *= reserve_out
    num = den = 1
    for reserve_in, reserve_out, _ in reversed(hops):
        worth = reserve_out * num // den
        least = worth if least is None else min(least, worth)
        num *= reserve_out
        den *= reserve_in
    return least or 0


def first_gate(
    waterfall: Waterfall,
    *,
    hops: Sequence[Hop],
    stale: bool,
    token_risk: bool,
    token: int,
    rate: NativeRate | None,
    costs: Costs,
    policy: Policy,
) -> Reason | None:
    """The first economic reason not to, in MONEY's order, or None where the trade pays.

    ``token``: the borrow token's index. ``stale`` and ``token_risk``: of any pool or token in the
    path.
    """
    if stale:
        return Reason.STALE_POOL
    if token_risk:
        return Reason.TOKEN_RISK
    if (
        policy.min_pool_depth_wei
        and rate
        and rate.wei_floor(depth(hops)) < policy.min_pool_depth_wei
    ):
        return Reason.THIN_POOL
    amount, expected, net = waterfall.amount, waterfall.expected_profit, waterfall.net
    # Given away as a tip or not.
    if BPS_ONE * (net - waterfall.relay_tip) // amount > policy.implausible_bps:
        return Reason.IMPLAUSIBLE
    running = waterfall.gross_spread + waterfall.swap_fees
    if running <= 0:
        return Reason.FEES
    if running + waterfall.price_impact <= 0:
        return Reason.PRICE_IMPACT
    if expected <= 0:
        return Reason.PREMIUM
    if not waterfall.complete or rate is None or net <= 0:
        return Reason.GAS
    if net < policy.threshold(amount) or expected < policy.contract_min_profit.get(token, 0):
        return Reason.MIN_PROFIT
    if policy.max_gas_price_wei is not None and costs.gas_price_wei > policy.max_gas_price_wei:
        return Reason.MAX_GAS
    return None


_CLASSES = {
    Reason.STALE_POOL: SpreadClass.STALE,
    Reason.TOKEN_RISK: SpreadClass.TOKEN_RISK,
    Reason.THIN_POOL: SpreadClass.THIN,
    # A profit too good to be true is most often a token that lies to whoever sells it.
    Reason.IMPLAUSIBLE: SpreadClass.TOKEN_RISK,
    Reason.FEES: SpreadClass.FEE_BOUND,
    # Only rounding in dust pools makes impact the first step that kills.
    Reason.PRICE_IMPACT: SpreadClass.THIN,
    Reason.PREMIUM: SpreadClass.FEE_BOUND,
}


def spread_class(reason: Reason | None) -> SpreadClass:
    """What kind of spread it is: real where only size, gas price or limits stand against it."""
    return SpreadClass.REAL if reason is None else _CLASSES.get(reason, SpreadClass.REAL)


def on_chain_min_profit(
    waterfall: Waterfall, *, amount_out: int, max_slippage_bps: Bps, contract_min: int, floor: int
) -> TokenAmount:
    """The ``minProfit`` of a plan, raw units before gas: the largest of three floors.

    The contract's own minimum; all costs after the loan plus ``floor`` (`Policy.threshold`); the
    expected profit less the slippage allowed on the last output.
    """
    expected = waterfall.expected_profit
    costs = expected - waterfall.net
    slipped = expected - amount_out * max_slippage_bps // BPS_ONE
    return TokenAmount(max(contract_min, costs + floor, slipped, 1))


def net_profit_wei(waterfall: Waterfall, *, rate: NativeRate) -> Wei:
    """The net in the native coin, rounded down."""
    return rate.wei_floor(waterfall.net)
