// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

/// @title Arbitrum's precompile at 0x64.
interface IArbSys {
    /// @return The number of the L2 block; `block.number` is an estimate of the L1's there.
    function arbBlockNumber() external view returns (uint256);
}
