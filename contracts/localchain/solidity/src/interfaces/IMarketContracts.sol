// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

/// @notice The part of ERC-20 that the market's contracts call.
interface IToken {
    function balanceOf(address account) external view returns (uint256);
    function transfer(address to, uint256 amount) external returns (bool);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

/// @notice The wrapped native coin.
interface IWrappedNative is IToken {
    function deposit() external payable;
    function withdraw(uint256 amount) external;
}

/// @notice What any constant-product pair of the market offers, whoever wrote it.
interface IPair {
    function token0() external view returns (address);
    function token1() external view returns (address);
    function getReserves() external view returns (uint112 reserve0, uint112 reserve1, uint32 blockTimestampLast);
    function mint(address to) external returns (uint256 liquidity);
    function burn(address to) external returns (uint256 amount0, uint256 amount1);
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external;
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

/// @notice What any factory of the market offers.
interface IFactory {
    function getPair(address tokenA, address tokenB) external view returns (address pair);
    function createPair(address tokenA, address tokenB) external returns (address pair);
}

/// @notice What a pair asks of the factory that creates it.
interface IPairParameters {
    /// @return feeBps The swap fee taken from the input, in 1/10,000.
    /// @return callback The selector called on the receiver of a flash swap.
    function pairParameters() external view returns (uint16 feeBps, bytes4 callback);
}
