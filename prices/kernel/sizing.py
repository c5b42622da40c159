"""The exact integer size of a cycle: what to borrow, and what every hop then gives.

A chain of constant-product pools composes to one rational function out(x) = N x / (D + E x). Its
best input is closed form; integers then decide among the few inputs around the coarsest hop, and
every amount and profit is an integer's.
"""

from collections.abc import Iterable, Iterator, Sequence
from math import isqrt, prod, sqrt
from typing import Final, NamedTuple, cast

import numpy as np

from arbsite.base.units import BPS_ONE, TokenAmount
from prices.kernel.lenders import Lender

# Beyond this the rounding of the coarsest hop cannot cost more than 1e-9 of the profit.
_ROUNDING_IS_SMALL: Final = 10**9
# Below this profit one raw unit is more than 1e-4 of it: the wider look is for dust alone, since it
# costs ten times as much.
_EVERY_UNIT_COUNTS: Final = 20_000
_STEPS: Final = 4
_WIDE: Final = 64  # outputs either way that the coarse hops of a cycle are looked at
# From a margin of this on, float64 gives the best input to 1e-9 of itself.
_NEAR: Final = 1e-6
_NOTHING: Final = TokenAmount(0)


class Hop(NamedTuple):
    """One pool crossing at one state: reserves in raw token units, fee in bps of the input."""

    reserve_in: int
    reserve_out: int
    fee_bps: int


class Products(NamedTuple):
    """Of a ring of hops, whichever comes first: reserves out and in, and what its fees leave of
    ``whole``. ``out / into`` is the marginal rate, times ``kept / whole`` the one after fees."""

    out: int
    into: int
    kept: int
    whole: int

    @classmethod
    def of(cls, hops: Iterable[Hop]) -> "Products":
        out = into = kept = whole = 1
        for reserve_in, reserve_out, fee_bps in hops:
            out *= reserve_out
            into *= reserve_in
            kept *= BPS_ONE - fee_bps
            whole *= BPS_ONE
        return cls(out, into, kept, whole)


class Size(NamedTuple):
    """``amounts`` is a_0 = x to a_n; ``profit`` is a_n - x - premium. Raw token units."""

    amounts: tuple[TokenAmount, ...]
    premium: TokenAmount
    profit: int

    @property
    def amount(self) -> TokenAmount:
        return self.amounts[0]


def walk(hops: Sequence[Hop], amount: int) -> tuple[TokenAmount, ...]:
    """a_0 to a_n of MONEY's waterfall: every hop's exact output, rounded down as the pair does.

    Units: raw token units of each hop's token. ``amount`` must not be negative.
    """
    amounts = [amount]
    for reserve_in, reserve_out, fee_bps in hops:
        after_fee = amount * (BPS_ONE - fee_bps)
        amount = after_fee * reserve_out // (reserve_in * BPS_ONE + after_fee)
        amounts.append(amount)
    return cast("tuple[TokenAmount, ...]", tuple(amounts))


def marginal_products(hops: Sequence[Hop]) -> tuple[int, int]:
    """(prod S, prod R): the marginal rate of the cycle without fees, exactly."""
    return prod(hop[1] for hop in hops), prod(hop[0] for hop in hops)


def spread_bps(hops: Sequence[Hop]) -> int:
    """floor(10^4 (prod S / prod R - 1)). Raises: ValueError if a reserve is zero."""
    rate, parity = marginal_products(hops)
    if not rate or not parity:
        raise ValueError(f"an empty pool has no price: {hops}")
    return BPS_ONE * rate // parity - BPS_ONE


def closed_form(hops: Sequence[Hop], *, owed_num: int = 1, owed_den: int = 1) -> int:
    """The real-valued best input, rounded down but at least 1; 0 where the margin already loses.

    ``owed_num / owed_den`` is what must be paid back per unit borrowed (`Lender.owed_rate`).
    """
    n = d = 1
    e = 0
    for reserve_in, reserve_out, fee_bps in hops:
        keep = BPS_ONE - fee_bps
        whole = reserve_in * BPS_ONE
        e = whole * e + keep * n
        n *= keep * reserve_out
        d *= whole
    if n * owed_den <= d * owed_num:
        return 0
    return max((isqrt(n * d * owed_den // owed_num) - d) // e, 1)


def _real_best(hops: Sequence[Hop], lender: Lender) -> int:
    """`closed_form` for a lender, in float64 where that is exact enough.

    The profit is flat at its best: an input off by 1e-9 of itself costs 1e-18 of the profit. Near
    break-even the difference of two square roots says little, and integers find the input.
    """
    rate = 1.0
    flat = 0.0  # 1 / depth of the whole path, seen from its start
    for reserve_in, reserve_out, fee_bps in hops:
        kept = (BPS_ONE - fee_bps) * rate / (BPS_ONE * reserve_in)
        flat += kept
        rate = kept * reserve_out
    if lender.premium_bps:
        num, den = lender.owed_rate
        rate *= den / num
    if rate > 1.0 + _NEAR:
        return int((sqrt(rate) - 1.0) / flat) or 1
    if rate < 1.0 - _NEAR:
        return 0
    num, den = lender.owed_rate
    return closed_form(hops, owed_num=num, owed_den=den)


def best_size(hops: Sequence[Hop], *, lender: Lender, cap: int | None = None) -> Size | None:
    """The size with the largest a_n - x - premium(x) over integers up to the caps.

    From the best real input take the hop with the smallest raw output y, and try the least inputs
    that yield y - 1, y and y + 1 there: plus or minus a few units of the input is not enough
    where an intermediate token is coarse. Where the whole profit is few units, look wider.

    At least 99.99 % of the integer optimum, or short of it by at most one unit of each
    intermediate token valued in the borrow token; below 10,000 units of profit also by the one
    unit that the lender rounds its premium up by.

    Units: raw token units. ``cap`` is the maximum position; the lender's own cap applies too.
    Returns: None where no size earns a single unit.
    """
    amount = _real_best(hops, lender)
    limit = lender.cap
    if limit is None or (cap is not None and cap < limit):
        limit = None if cap is None else TokenAmount(cap)
    if limit is not None and amount > limit:
        amount = limit
    if amount <= 0:
        return None
    amounts = walk(hops, amount)
    premium = lender.premium(amount) if lender.premium_bps else _NOTHING
    profit = amounts[-1] - amount - premium
    best = Size(amounts, premium, profit)
    smallest = min(amounts[1:])
    if profit > 0 and smallest * profit > amount * _ROUNDING_IS_SMALL:
        return best
    at = amounts.index(smallest, 1)
    tries = [
        least_input(hops, hop=at, output=output)
        for output in (smallest, smallest - 1, smallest + 1)
    ]
    if sum(each * profit <= amount * _ROUNDING_IS_SMALL for each in amounts[1:]) > 1:
        tries.append(_wider(hops, amount, lender=lender, limit=limit))
    best = _best_of(hops, best, tries=tries, lender=lender, limit=limit)
    if -_EVERY_UNIT_COUNTS < best.profit < _EVERY_UNIT_COUNTS:
        best = _best_of(hops, best, tries=_around(hops, amounts), lender=lender, limit=limit)
    return best if best.profit > 0 else None


def _wider(hops: Sequence[Hop], amount: int, *, lender: Lender, limit: int | None) -> int | None:
    """The input that float64 likes best where the rounding of one coarse hop hides another's.

    Which of some hundred outputs leaves least to the rounding of the others is found in float64;
    the input for it is exact, and whoever asked compares profits in integers.
    """
    from prices.kernel.compiled import best_output  # see `Scanner` for why not at the top

    rows = np.array(
        [(r_in, r_out, (BPS_ONE - fee) / BPS_ONE) for r_in, r_out, fee in hops], dtype=np.float64
    )
    num, den = lender.owed_rate
    most = float("inf") if limit is None else float(limit)
    hop, output = best_output(rows, float(amount), num / den, most, _WIDE)
    return least_input(hops, hop=hop, output=int(output)) if hop else None


def _sized(hops: Sequence[Hop], amount: int, lender: Lender) -> Size:
    amounts = walk(hops, amount)
    premium = lender.premium(amount) if lender.premium_bps else _NOTHING
    return Size(amounts, premium, amounts[-1] - amount - premium)


def _best_of(
    hops: Sequence[Hop],
    best: Size,
    *,
    tries: Iterable[int | None],
    lender: Lender,
    limit: int | None,
) -> Size:
    for amount in tries:
        if amount is None or amount <= 0 or (limit is not None and amount > limit):
            continue
        size = _sized(hops, amount, lender)
        if size.profit > best.profit:
            best = size
    return best


def _around(hops: Sequence[Hop], amounts: Sequence[int]) -> Iterator[int | None]:
    """Inputs beside the first, and the least inputs that step each hop's output a little."""
    for step in range(-_STEPS, _STEPS + 1):
        yield amounts[0] + step
        for hop in range(1, len(amounts)):
            yield least_input(hops, hop=hop, output=amounts[hop] + step)


def least_input(hops: Sequence[Hop], *, hop: int, output: int) -> int | None:
    """The least x for which a_hop is at least ``output``; None where no input gives it."""
    if output <= 0:
        return None
    need = output
    for reserve_in, reserve_out, fee_bps in reversed(hops[:hop]):
        if need >= reserve_out:
            return None
        need = -(-reserve_in * need * BPS_ONE // ((reserve_out - need) * (BPS_ONE - fee_bps)))
    return need


def without_fees(hops: Sequence[Hop]) -> tuple[Hop, ...]:
    """The same pools as if they took nothing."""
    return tuple(Hop(hop.reserve_in, hop.reserve_out, 0) for hop in hops)
