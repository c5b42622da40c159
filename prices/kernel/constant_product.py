"""Exact swaps of a constant-product (V2) pair in raw token units; integers only, no I/O."""

from arbsite.base.errors import Rejected
from arbsite.base.units import BPS_ONE, Bps, TokenAmount


class InsufficientLiquidity(Rejected):
    """The pool cannot give that: it is empty, or the output is all it has or more."""

    def __init__(self, *, reserve_in: int, reserve_out: int, amount_out: int | None = None) -> None:
        self.reserve_in = reserve_in
        self.reserve_out = reserve_out
        self.amount_out = amount_out
        wanted = "" if amount_out is None else f"; {amount_out} was asked for"
        super().__init__(f"the pool holds {reserve_in} in and {reserve_out} out{wanted}")


def amount_out(
    amount_in: TokenAmount, reserve_in: TokenAmount, reserve_out: TokenAmount, fee: Bps
) -> TokenAmount:
    """Output of an exact-in swap, after the pool fee and price impact.

    Units: all amounts raw token units; ``fee`` in bps taken from the input.
    Rounding: floor, as the pair does, so the result is never optimistic.
    Raises: InsufficientLiquidity if either reserve is zero;
        ValueError if ``amount_in`` is not positive or ``fee`` is outside [0, 10_000).
    Source: v2-periphery UniswapV2Library.getAmountOut.
    """
    _check(amount_in, reserve_in, reserve_out, fee)
    after_fee = amount_in * (BPS_ONE - fee)
    return TokenAmount(after_fee * reserve_out // (reserve_in * BPS_ONE + after_fee))


def amount_in(
    amount_out: TokenAmount, reserve_in: TokenAmount, reserve_out: TokenAmount, fee: Bps
) -> TokenAmount:
    """The least input for which `amount_out` gives at least that much.

    Units: all amounts raw token units; ``fee`` in bps taken from the input.
    Rounding: ceiling. The router's getAmountIn adds 1 always, so it may ask one unit more.
    Raises: InsufficientLiquidity if either reserve is zero or does not cover the output;
        ValueError if ``amount_out`` is not positive or ``fee`` is outside [0, 10_000).
    """
    _check(amount_out, reserve_in, reserve_out, fee)
    if amount_out >= reserve_out:
        raise InsufficientLiquidity(
            reserve_in=reserve_in, reserve_out=reserve_out, amount_out=amount_out
        )
    return TokenAmount(
        -(-reserve_in * amount_out * BPS_ONE // ((reserve_out - amount_out) * (BPS_ONE - fee)))
    )


def _check(amount: int, reserve_in: int, reserve_out: int, fee: int) -> None:
    if amount <= 0:
        raise ValueError(f"{amount=} must be positive")
    if not 0 <= fee < BPS_ONE:
        raise ValueError(f"{fee=} must be in [0, {BPS_ONE})")
    if reserve_in <= 0 or reserve_out <= 0:
        raise InsufficientLiquidity(reserve_in=reserve_in, reserve_out=reserve_out)
