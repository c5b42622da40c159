// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

import {Vm} from "./Vm.sol";

/// @title What every test contract inherits.
abstract contract Test {
    /// @dev forge takes a contract with this getter for a test contract.
    bool public constant IS_TEST = true;

    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    error NotEqual(string what, uint256 got, uint256 wanted);
    error NotTrue(string what);

    function assertEq(uint256 got, uint256 wanted, string memory what) internal pure {
        if (got != wanted) revert NotEqual(what, got, wanted);
    }

    function assertEq(address got, address wanted, string memory what) internal pure {
        assertEq(uint160(got), uint160(wanted), what);
    }

    function assertTrue(bool holds, string memory what) internal pure {
        if (!holds) revert NotTrue(what);
    }

    /// @dev Maps any input onto [low, high], edges included.
    function bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        if (value >= low && value <= high) return value;
        uint256 span = high - low + 1;
        return span == 0 ? value : low + value % span;
    }

    function makeAddr(string memory name) internal returns (address made) {
        made = address(uint160(uint256(keccak256(bytes(name)))));
        vm.label(made, name);
    }

    /// @dev What a failed low-level call answered, as an error's selector.
    function selectorOf(bytes memory answer) internal pure returns (bytes4) {
        return answer.length < 4 ? bytes4(0) : bytes4(answer);
    }
}
