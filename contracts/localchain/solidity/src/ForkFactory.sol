// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

import {ForkPair} from "./ForkPair.sol";
import {IPairParameters} from "./interfaces/IMarketContracts.sol";

/// @title The factory of one fork: its fee and its callback's name, once for all its pairs.
contract ForkFactory is IPairParameters {
    error IdenticalTokens(address token);
    error ZeroToken();
    error PairExists(address pair);
    error FeeTooHigh(uint16 feeBps);

    event PairCreated(address indexed token0, address indexed token1, address pair, uint256 count);

    uint16 private immutable feeBps;
    bytes4 private immutable callback;
    mapping(address => mapping(address => address)) public getPair;
    address[] public allPairs;

    /// @param feeBps_ The swap fee taken from the input, in 1/10,000, below one half.
    /// @param callback_ The signature called on the receiver of a flash swap, such as
    ///        `pancakeCall(address,uint256,uint256,bytes)`.
    constructor(uint16 feeBps_, string memory callback_) {
        if (feeBps_ >= 5_000) revert FeeTooHigh(feeBps_);
        feeBps = feeBps_;
        callback = bytes4(keccak256(bytes(callback_)));
    }

    /// @inheritdoc IPairParameters
    function pairParameters() external view returns (uint16, bytes4) {
        return (feeBps, callback);
    }

    function feeTo() external pure returns (address) {
        return address(0);
    }

    function allPairsLength() external view returns (uint256) {
        return allPairs.length;
    }

    function INIT_CODE_PAIR_HASH() external pure returns (bytes32) {
        return keccak256(type(ForkPair).creationCode);
    }

    /// @notice Creates the pair of two tokens, at an address that follows from them alone.
    function createPair(address tokenA, address tokenB) external returns (address pair) {
        if (tokenA == tokenB) revert IdenticalTokens(tokenA);
        (address token0, address token1) = tokenA < tokenB ? (tokenA, tokenB) : (tokenB, tokenA);
        if (token0 == address(0)) revert ZeroToken();
        if (getPair[token0][token1] != address(0)) revert PairExists(getPair[token0][token1]);
        ForkPair created = new ForkPair{salt: keccak256(abi.encodePacked(token0, token1))}();
        created.initialize(token0, token1);
        pair = address(created);
        getPair[token0][token1] = pair;
        getPair[token1][token0] = pair;
        allPairs.push(pair);
        emit PairCreated(token0, token1, pair, allPairs.length);
    }
}
