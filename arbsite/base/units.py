"""Units of money, fees and heights, and arithmetic whose rounding is in its name.

Imports nothing of ours and no framework: kernels and services alike stand on it.
"""

import re
from typing import Final, NewType

Wei = NewType("Wei", int)  # native coin, 1e-18; may be negative in PnL
TokenAmount = NewType("TokenAmount", int)  # raw ERC-20 units; decimals live on Token
Bps = NewType("Bps", int)  # 1/10_000
Pips = NewType("Pips", int)  # 1/1_000_000
BlockNumber = NewType("BlockNumber", int)
Eip155Id = NewType("Eip155Id", int)  # the chain id a signature covers
Gas = NewType("Gas", int)

BPS_ONE: Final = 10_000
WEI_PER_GWEI: Final = 10**9
UINT256_MAX: Final = 2**256 - 1
_DECIMAL: Final = re.compile(r"([0-9]{1,78})(?:\.([0-9]{1,78}))?")


def mul_div_floor(value: int, numerator: int, denominator: int) -> int:
    """``value * numerator / denominator`` rounded toward minus infinity, exactly.

    Raises: ValueError if ``denominator`` is not positive.
    """
    if denominator <= 0:
        raise ValueError(f"{denominator=} must be positive")
    return value * numerator // denominator


def mul_div_ceil(value: int, numerator: int, denominator: int) -> int:
    """``value * numerator / denominator`` rounded toward plus infinity, exactly.

    Raises: ValueError if ``denominator`` is not positive.
    """
    if denominator <= 0:
        raise ValueError(f"{denominator=} must be positive")
    return -(-value * numerator // denominator)


def mul_bps_floor(value: int, bps: Bps) -> int:
    """The given share of ``value``, rounded down."""
    return mul_div_floor(value, bps, BPS_ONE)


def mul_bps_ceil(value: int, bps: Bps) -> int:
    """The given share of ``value``, rounded up."""
    return mul_div_ceil(value, bps, BPS_ONE)


def gwei(value: str | int) -> Wei:
    """Parse gwei such as ``"1.5"`` to wei.

    Raises: ValueError for anything that is not a plain decimal, is negative, or has a part
        below 1 wei.
    """
    plain = _DECIMAL.fullmatch(str(value))
    if plain is None:
        raise ValueError(f"{value!r} is not a decimal number of gwei, such as 1.5")
    below = (plain[2] or "").rstrip("0")
    if len(below) > 9:
        raise ValueError(f"{value!r} gwei is not a whole number of wei")
    return Wei(int(plain[1]) * WEI_PER_GWEI + int(below.ljust(9, "0")))


def bump_floor_ten_percent(fee: Wei) -> Wei:
    """The least fee of a replacement: 10 % more, and at least 1 wei more, rounded up."""
    return Wei(max(fee + 1, mul_div_ceil(fee, 11, 10)))
