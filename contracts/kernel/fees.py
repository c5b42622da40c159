"""What a transaction offers for its gas, by the chain's fee model; integers in wei, no I/O."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from arbsite.base.errors import Rejected
from arbsite.base.units import Gas, Wei, bump_floor_ten_percent

_BASE_FEE_CHANGE_DENOMINATOR: Final = 8
_ELASTICITY: Final = 2


class FeeModel(StrEnum):
    LEGACY = "legacy"
    EIP1559 = "eip1559"


class FeeAboveCap(Rejected):
    """The fee that would be offered passes the cap of the wallet or the chain."""

    def __init__(self, *, fee_wei: Wei, cap_wei: Wei) -> None:
        self.fee_wei = fee_wei
        self.cap_wei = cap_wei
        super().__init__(
            f"the fee of {fee_wei} wei per gas passes the cap of {cap_wei}: "
            "raise maxGasGwei or wait for cheaper blocks"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GasFees:
    """Fee fields in wei per gas. A legacy transaction has both equal to its gas price."""

    model: FeeModel
    max_fee_wei: Wei
    max_priority_fee_wei: Wei

    def price_at(self, *, base_fee_wei: Wei) -> Wei:
        """The effective price per gas in a block of that base fee."""
        if self.model is FeeModel.LEGACY:
            return self.max_fee_wei
        return Wei(min(self.max_fee_wei, base_fee_wei + self.max_priority_fee_wei))


def fees_offered(
    *, model: FeeModel, base_fee_wei: Wei | None, min_gas_price_wei: Wei, bid_wei: Wei
) -> GasFees:
    """The fields of a first payload.

    ``legacy``: the larger of floor and bid. ``eip1559``: that is the tip, over twice the base
    fee; with a base fee of 0 both fields equal the tip. Never 0: at least 1 wei.

    Raises: ValueError for a negative figure, or where an EIP-1559 chain gives no base fee.
    """
    if min_gas_price_wei < 0 or bid_wei < 0:
        raise ValueError(f"{min_gas_price_wei=} and {bid_wei=} must not be negative")
    tip = Wei(max(min_gas_price_wei, bid_wei, 1))
    if model is FeeModel.LEGACY:
        return GasFees(model=model, max_fee_wei=tip, max_priority_fee_wei=tip)
    if base_fee_wei is None or base_fee_wei < 0:
        raise ValueError(f"{base_fee_wei=}: an eip1559 chain has a base fee in every header")
    return GasFees(model=model, max_fee_wei=Wei(2 * base_fee_wei + tip), max_priority_fee_wei=tip)


def fees_bumped(previous: GasFees, *, fresh: GasFees | None = None) -> GasFees:
    """The fields of a replacement: at least 10 % and 1 wei more on both, and no less than fresh.

    Rounding: up. Raises: ValueError if the two are of different models.
    """
    if fresh is not None and fresh.model is not previous.model:
        raise ValueError(f"cannot bump {previous.model} fees to {fresh.model} ones")
    max_fee = bump_floor_ten_percent(previous.max_fee_wei)
    priority = bump_floor_ten_percent(previous.max_priority_fee_wei)
    if fresh is not None:
        max_fee = max(max_fee, fresh.max_fee_wei)
        priority = max(priority, fresh.max_priority_fee_wei)
    return GasFees(model=previous.model, max_fee_wei=max_fee, max_priority_fee_wei=priority)


def check_cap(fees: GasFees, *, cap_wei: Wei) -> GasFees:
    """The same fees. Raises: FeeAboveCap if the largest field passes the cap."""
    if fees.max_fee_wei > cap_wei:
        raise FeeAboveCap(fee_wei=fees.max_fee_wei, cap_wei=cap_wei)
    return fees


def next_base_fee(*, base_fee_wei: Wei, gas_used: int, gas_limit: int) -> Wei:
    """The base fee of the block after this one. Source: EIP-1559. Raises: ValueError."""
    if base_fee_wei < 0 or gas_used < 0 or gas_limit < 0:
        raise ValueError(f"{base_fee_wei=}, {gas_used=}, {gas_limit=} must not be negative")
    target = gas_limit // _ELASTICITY
    if target == 0 or gas_used == target:
        return base_fee_wei
    step = base_fee_wei * abs(gas_used - target) // target // _BASE_FEE_CHANGE_DENOMINATOR
    if gas_used > target:
        # A chain that fixes its base fee at 0 keeps it there: 0.45 s blocks of BSC are such.
        return Wei(base_fee_wei + max(step, 1)) if base_fee_wei else Wei(0)
    return Wei(base_fee_wei - step)


def base_fee_to_cost(*, base_fee_wei: Wei, gas_used: int, gas_limit: int) -> Wei:
    """The base fee that the next block's gas is costed at: Ethereum's rule, but never a fall.

    Other chains fall more slowly (Polygon by 1/64 at most, the OP stack by 1/250) or by rules of
    their own, and a cost is not guessed too low. Raises: ValueError.
    """
    return Wei(
        max(
            base_fee_wei,
            next_base_fee(base_fee_wei=base_fee_wei, gas_used=gas_used, gas_limit=gas_limit),
        )
    )


def arbitrum_gas_split(*, gas_used: Gas, gas_used_for_l1: Gas, price_wei: Wei) -> tuple[Wei, Wei]:
    """(gas cost, L1 fee) in wei: Arbitrum counts the L1 part inside ``gasUsed``.

    Raises: ValueError when the part is larger than the whole.
    """
    if not 0 <= gas_used_for_l1 <= gas_used:
        raise ValueError(f"{gas_used_for_l1=} is not a part of {gas_used=}")
    return Wei((gas_used - gas_used_for_l1) * price_wei), Wei(gas_used_for_l1 * price_wei)
