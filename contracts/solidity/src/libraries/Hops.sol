// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

/// @title One crossing of one pair in one word: `pair | feeBps << 160 | zeroForOne << 176`.
/// @dev `feeBps` fills bits 160 to 175, the direction bit 176; every higher bit must be zero, so
/// that one crossing has one spelling.
library Hops {
    /// @notice Thrown for a hop with a bit set above 176 or a fee of 10,000 bps or more.
    error BadHop(bytes32 hop);

    uint256 internal constant BPS_ONE = 10_000;

    /// @notice The pair of `hop`, unchecked: for a hop that is or will be unpacked elsewhere.
    function pairOf(bytes32 hop) internal pure returns (address) {
        return address(uint160(uint256(hop)));
    }

    /// @return pair The pair crossed.
    /// @return feeBps The pair's fee, 1/10,000 of the input, below 10,000.
    /// @return zeroForOne Whether token0 goes in and token1 comes out.
    function unpack(bytes32 hop)
        internal
        pure
        returns (address pair, uint256 feeBps, bool zeroForOne)
    {
        uint256 word = uint256(hop);
        pair = address(uint160(word));
        feeBps = uint16(word >> 160);
        uint256 direction = word >> 176;
        if (direction > 1 || feeBps >= BPS_ONE) revert BadHop(hop);
        zeroForOne = direction == 1;
    }
}
