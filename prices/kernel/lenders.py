"""Sources of flash loans: what they charge, to the unit, and how much they can lend."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from arbsite.base.units import BPS_ONE, Bps, TokenAmount

_NONE: Final = Bps(0)
_ACTIVE_BIT: Final = 56
_PAUSED_BIT: Final = 60
_FLASH_LOAN_BIT: Final = 63


class LenderKind(StrEnum):
    """In the order of MONEY: the cheapest first."""

    FIRST_POOL = "first_pool"
    AAVE_V3 = "aave_v3"
    PAIR = "pair"


class PremiumRounding(StrEnum):
    """How Aave rounds its premium: 3.0.2 half up, later versions up."""

    HALF_UP = "half_up"
    CEIL = "ceil"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lender:
    """One source of one token, as last read from the chain.

    ``premium_bps``: Aave's premium, a pair's swap fee, 0 for the path's own first pool.
    ``cap``: the most it can lend, raw token units; None where only the maximum position binds.
    ``address``: lower case; empty for `FIRST_POOL`, whose address is that of the path's first pool.
    """

    kind: LenderKind
    address: str = ""
    premium_bps: Bps = _NONE
    rounding: PremiumRounding = PremiumRounding.HALF_UP
    cap: TokenAmount | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.premium_bps < BPS_ONE:
            raise ValueError(f"premium_bps={self.premium_bps} must be in [0, {BPS_ONE})")
        if self.kind is LenderKind.FIRST_POOL and self.premium_bps:
            raise ValueError("the path's own first pool takes no premium")
        if (self.kind is LenderKind.FIRST_POOL) == bool(self.address):
            raise ValueError("every lender but the path's own first pool has an address")

    @property
    def owed_rate(self) -> tuple[int, int]:
        """(numerator, denominator) of what is owed per borrowed unit, without rounding."""
        if self.kind is LenderKind.PAIR:
            return BPS_ONE, BPS_ONE - self.premium_bps
        return BPS_ONE + self.premium_bps, BPS_ONE

    def premium(self, amount: int) -> TokenAmount:
        """What a loan of ``amount`` costs, raw token units, rounded as this lender rounds.

        Source: Aave V3 percentMul (half up) or percentMulCeil; Uniswap V2's K check for a pair.
        """
        bps = self.premium_bps
        if not bps:
            return TokenAmount(0)
        if self.kind is LenderKind.PAIR:
            return TokenAmount(-(-BPS_ONE * amount // (BPS_ONE - bps)) - amount)
        if self.rounding is PremiumRounding.HALF_UP:
            return TokenAmount((BPS_ONE // 2 + amount * bps) // BPS_ONE)
        return TokenAmount(-(-amount * bps // BPS_ONE))


FIRST_POOL = Lender(kind=LenderKind.FIRST_POOL)


def pair_lender(*, address: str, fee_bps: Bps, reserve: TokenAmount) -> Lender:
    """A pair outside the path: its fee on what it lends, and its reserve less 1 as the cap."""
    return Lender(
        kind=LenderKind.PAIR,
        address=address,
        premium_bps=fee_bps,
        cap=TokenAmount(max(reserve - 1, 0)),
    )


def lends_for_a_flash(configuration: int) -> bool:
    """Whether Aave's reserve gives flash loans: active, not paused, and enabled for them.

    ``configuration``: the reserve's word of flags. Source: ReserveConfiguration and
    ValidationLogic.validateFlashloanSimple of Aave 3.0.2.
    """
    active = configuration >> _ACTIVE_BIT & 1
    paused = configuration >> _PAUSED_BIT & 1
    enabled = configuration >> _FLASH_LOAN_BIT & 1
    return bool(active and enabled and not paused)
