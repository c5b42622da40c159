// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

import {IAaveV3SimpleReceiver} from "../../src/interfaces/IAaveV3.sol";

interface ILent {
    function transfer(address to, uint256 amount) external returns (bool);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

/// @title Lends as Aave V3's simple flash loan does, premium rounded half up; lies when told to.
contract LendingPool {
    uint256 public premiumBps = 9;
    /// @dev Returns without lending.
    bool public forgets;
    /// @dev Calls back twice for one loan.
    bool public repeats;
    /// @dev Pulls one unit less than it may.
    bool public pullsLess;
    /// @dev Hands back another payload than it was given.
    bool public swapsPayload;
    /// @dev Reports a loan larger by this.
    uint256 public overstates;

    function set(bool forgets_, bool repeats_, bool pullsLess_, bool swapsPayload_, uint256 over)
        external
    {
        (forgets, repeats, pullsLess) = (forgets_, repeats_, pullsLess_);
        (swapsPayload, overstates) = (swapsPayload_, over);
    }

    function flashLoanSimple(
        address receiver,
        address asset,
        uint256 amount,
        bytes calldata params,
        uint16
    ) external {
        if (forgets) return;
        uint256 premium = (amount * premiumBps + 5_000) / 10_000;
        ILent(asset).transfer(receiver, amount);
        bytes memory payload = swapsPayload ? abi.encode(new bytes32[](1)) : params;
        for (uint256 i; i < (repeats ? 2 : 1); ++i) {
            require(
                IAaveV3SimpleReceiver(receiver)
                    .executeOperation(asset, amount + overstates, premium, msg.sender, payload)
            );
        }
        ILent(asset).transferFrom(receiver, address(this), amount + premium - (pullsLess ? 1 : 0));
    }
}
