// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

import {Hops} from "./Hops.sol";

/// @title The arithmetic of a constant-product pair, in raw token units.
library ConstantProduct {
    /// @notice What a pair pays for `amountIn`, rounded down as every pair's K check demands.
    /// @dev Zero where a reserve is zero. Reverts on overflow: real pairs hold below 2**112.
    /// @param feeBps Taken from the input; below 10,000.
    function amountOut(uint256 amountIn, uint256 reserveIn, uint256 reserveOut, uint256 feeBps)
        internal
        pure
        returns (uint256)
    {
        uint256 keptIn = amountIn * (Hops.BPS_ONE - feeBps);
        uint256 denominator = reserveIn * Hops.BPS_ONE + keptIn;
        return denominator == 0 ? 0 : keptIn * reserveOut / denominator;
    }

    /// @notice The least that satisfies a pair which lent `amount` and is repaid in the same token.
    /// @dev Rounded up: amount * 10,000 / (10,000 - feeBps).
    function repayment(uint256 amount, uint256 feeBps) internal pure returns (uint256) {
        uint256 kept = Hops.BPS_ONE - feeBps;
        return (amount * Hops.BPS_ONE + kept - 1) / kept;
    }
}
