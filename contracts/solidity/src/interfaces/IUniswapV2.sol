// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

/// @title The part of a Uniswap V2 pair, or of its forks, that is used here.
interface IUniswapV2Pair {
    function token0() external view returns (address);

    function token1() external view returns (address);

    /// @return reserve0 Raw units of token0 at the last update.
    /// @return reserve1 Raw units of token1 at the last update.
    /// @return blockTimestampLast Seconds, modulo 2**32, of the block of the last update.
    function getReserves()
        external
        view
        returns (uint112 reserve0, uint112 reserve1, uint32 blockTimestampLast);

    /// @dev With `data` not empty the pair pays first and then calls `to` back.
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external;
}

/// @title The part of a Uniswap V2 factory that is used here.
interface IUniswapV2Factory {
    /// @return The pair of the two tokens in either order; zero where there is none.
    function getPair(address tokenA, address tokenB) external view returns (address);
}
