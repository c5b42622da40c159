"""Fees of a second payload on one nonce: enough to replace every earlier one, within the cap."""

from collections.abc import Sequence

from arbsite.base.units import Wei, bump_floor_ten_percent
from contracts.kernel.fees import GasFees, check_cap


def replacement_fees(earlier: Sequence[GasFees], *, fresh: GasFees | None, cap_wei: Wei) -> GasFees:
    """The fields that replace all of ``earlier``: 10 % and 1 wei above the largest of each.

    ``fresh`` is what a first payload would offer now; it raises the fields as far as the cap
    lets it. Units: wei per gas. Rounding: up.

    Raises: FeeAboveCap where even the least replacement passes ``cap_wei``; ValueError without
        an earlier payload, or when models differ.
    """
    if not earlier:
        raise ValueError("a replacement replaces at least one payload")
    model = earlier[0].model
    if any(fees.model is not model for fees in [*earlier, *([fresh] if fresh else [])]):
        raise ValueError("a replacement keeps the fee model of what it replaces")
    max_fee = bump_floor_ten_percent(Wei(max(fees.max_fee_wei for fees in earlier)))
    tip = bump_floor_ten_percent(Wei(max(fees.max_priority_fee_wei for fees in earlier)))
    least = check_cap(
        GasFees(model=model, max_fee_wei=max_fee, max_priority_fee_wei=tip), cap_wei=cap_wei
    )
    if fresh is None:
        return least
    wanted_fee = Wei(max(max_fee, min(fresh.max_fee_wei, cap_wei)))
    wanted_tip = Wei(min(max(tip, fresh.max_priority_fee_wei), wanted_fee))
    return GasFees(model=model, max_fee_wei=wanted_fee, max_priority_fee_wei=wanted_tip)


def distinct_fees(earlier: Sequence[GasFees], *, wanted: GasFees, cap_wei: Wei) -> GasFees:
    """``wanted``, or the least above it that none of ``earlier`` has: two payloads, two hashes.

    Units: wei per gas. Raises: FeeAboveCap.
    """
    while wanted in earlier:
        wanted = GasFees(
            model=wanted.model,
            max_fee_wei=Wei(wanted.max_fee_wei + 1),
            max_priority_fee_wei=Wei(wanted.max_priority_fee_wei + 1),
        )
    return check_cap(wanted, cap_wei=cap_wei)


def replaces(*, earlier: GasFees, later: GasFees) -> bool:
    """Whether every pool's rule lets ``later`` take the place of ``earlier``."""
    return later.max_fee_wei >= bump_floor_ten_percent(
        earlier.max_fee_wei
    ) and later.max_priority_fee_wei >= bump_floor_ten_percent(earlier.max_priority_fee_wei)
