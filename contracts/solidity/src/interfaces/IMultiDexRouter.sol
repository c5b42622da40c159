// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

/// @title Walks constant-product pairs of any exchange, and reads them.
/// @notice Holds nothing, owns nothing, remembers nothing, trusts nobody.
/// @dev A hop is `pair | feeBps << 160 | zeroForOne << 176`; other bits must be zero. All amounts
/// are raw token units.
interface IMultiDexRouter {
    /// @notice One pair's reserves; all zero for an address that does not answer as a pair.
    /// @param blockTimestampLast Seconds, modulo 2**32, of the last update.
    struct Reserves {
        uint112 reserve0;
        uint112 reserve1;
        uint32 blockTimestampLast;
    }

    /// @notice Thrown for a path without a hop.
    error EmptyPath();
    /// @notice Thrown by `quote` when hop `index` does not take in what the hop before pays out.
    error BrokenPath(uint256 index);
    /// @notice Thrown by `quoteMany` when its two arrays differ in length.
    error LengthMismatch(uint256 paths, uint256 amounts);

    /// @notice Crosses `hops` one after the other; tokens go from pair to pair, the last to `to`.
    /// @dev The input must already be at the first pair, sent in the same transaction: what lies
    /// there belongs to whoever comes first. Each output is computed from the pair's reserves at
    /// that moment and from what really arrived there, at most the amount expected, so a token that
    /// taxes transfers gives less and never makes a pair revert, and stray tokens at a pair change
    /// nothing. Does not check that the path is connected: a pair that received nothing reverts.
    /// A fee below the pair's own makes the pair revert; one above it leaves the difference there.
    /// @param amountIn The most of the first pair's input to use.
    /// @return amountOut What the last pair was asked to pay; a taxing token delivers less.
    function walk(bytes32[] calldata hops, uint256 amountIn, address to)
        external
        returns (uint256 amountOut);

    /// @notice What `walk` would be paid for `amountIn` at the current reserves, rounded down at
    /// each hop, transfers taken as free of tax.
    /// @dev A pair that occurs twice is quoted at the same reserves twice.
    function quote(bytes32[] calldata hops, uint256 amountIn)
        external
        view
        returns (uint256 amountOut);

    /// @notice `quote` for many paths; zero for a path whose quote reverts.
    function quoteMany(bytes32[][] calldata paths, uint256[] calldata amountsIn)
        external
        view
        returns (uint256[] memory amountsOut);

    /// @notice The reserves of many pairs in one call, in the order asked for.
    function reserves(address[] calldata pairs) external view returns (Reserves[] memory);
}
