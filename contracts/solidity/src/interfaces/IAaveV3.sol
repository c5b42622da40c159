// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

/// @title The part of Aave V3's pool that is used here.
interface IAaveV3Pool {
    /// @notice Lends `amount` of `asset` to `receiver`, calls its `executeOperation`, then pulls
    /// amount and premium by allowance.
    function flashLoanSimple(
        address receiver,
        address asset,
        uint256 amount,
        bytes calldata params,
        uint16 referralCode
    ) external;
}

/// @title What Aave V3 calls on whoever takes a simple flash loan.
interface IAaveV3SimpleReceiver {
    /// @param premium The lender's fee, raw units of `asset`, rounded by the lender.
    /// @param initiator Who asked the pool for the loan.
    /// @return True when the allowance for amount and premium stands.
    function executeOperation(
        address asset,
        uint256 amount,
        uint256 premium,
        address initiator,
        bytes calldata params
    ) external returns (bool);
}
