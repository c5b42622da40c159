// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IMultiDexRouter} from "./interfaces/IMultiDexRouter.sol";
import {IUniswapV2Pair} from "./interfaces/IUniswapV2.sol";
import {ConstantProduct} from "./libraries/ConstantProduct.sol";
import {Hops} from "./libraries/Hops.sol";

/// @title Walks constant-product pairs of any exchange, and reads them.
contract MultiDexRouter is IMultiDexRouter {
    using Hops for bytes32;

    /*//////////////////////////////////////////////////////////////
                                  WALK
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc IMultiDexRouter
    function walk(bytes32[] calldata hops, uint256 amountIn, address to)
        external
        returns (uint256 amountOut)
    {
        uint256 count = hops.length;
        if (count == 0) revert EmptyPath();
        amountOut = amountIn;
        for (uint256 i; i < count; ++i) {
            amountOut = _cross(hops[i], amountOut, i + 1 < count ? hops[i + 1].pairOf() : to);
        }
    }

    function _cross(bytes32 hop, uint256 expectedIn, address to)
        private
        returns (uint256 amountOut)
    {
        (address pair, uint256 feeBps, bool zeroForOne) = hop.unpack();
        (uint256 reserveIn, uint256 reserveOut) = _reservesOf(pair, zeroForOne);
        uint256 held = IERC20(_tokenOf(pair, zeroForOne)).balanceOf(pair);
        uint256 arrived = held > reserveIn ? held - reserveIn : 0;
        amountOut = ConstantProduct.amountOut(
            arrived < expectedIn ? arrived : expectedIn, reserveIn, reserveOut, feeBps
        );
        (uint256 amount0Out, uint256 amount1Out) =
            zeroForOne ? (uint256(0), amountOut) : (amountOut, uint256(0));
        IUniswapV2Pair(pair).swap(amount0Out, amount1Out, to, "");
    }

    /*//////////////////////////////////////////////////////////////
                                  LENS
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc IMultiDexRouter
    function quote(bytes32[] calldata hops, uint256 amountIn)
        external
        view
        returns (uint256 amountOut)
    {
        uint256 count = hops.length;
        if (count == 0) revert EmptyPath();
        amountOut = amountIn;
        address paidOut;
        for (uint256 i; i < count; ++i) {
            (address pair, uint256 feeBps, bool zeroForOne) = hops[i].unpack();
            if (i != 0 && _tokenOf(pair, zeroForOne) != paidOut) revert BrokenPath(i);
            paidOut = _tokenOf(pair, !zeroForOne);
            (uint256 reserveIn, uint256 reserveOut) = _reservesOf(pair, zeroForOne);
            amountOut = ConstantProduct.amountOut(amountOut, reserveIn, reserveOut, feeBps);
        }
    }

    /// @inheritdoc IMultiDexRouter
    function quoteMany(bytes32[][] calldata paths, uint256[] calldata amountsIn)
        external
        view
        returns (uint256[] memory amountsOut)
    {
        uint256 count = paths.length;
        if (count != amountsIn.length) revert LengthMismatch(count, amountsIn.length);
        amountsOut = new uint256[](count);
        for (uint256 i; i < count; ++i) {
            try this.quote(paths[i], amountsIn[i]) returns (uint256 amountOut) {
                amountsOut[i] = amountOut;
            } catch {
                // Zero says that the path cannot be crossed; one bad path must not hide the others.
            }
        }
    }

    /// @inheritdoc IMultiDexRouter
    function reserves(address[] calldata pairs) external view returns (Reserves[] memory found) {
        uint256 count = pairs.length;
        found = new Reserves[](count);
        for (uint256 i; i < count; ++i) {
            (bool ok, bytes memory answer) =
                pairs[i].staticcall(abi.encodeCall(IUniswapV2Pair.getReserves, ()));
            if (!ok || answer.length < 96) continue;
            (uint256 reserve0, uint256 reserve1, uint256 updated) =
                abi.decode(answer, (uint256, uint256, uint256));
            // What does not fit is no pair's answer; decoded as uint112 it would revert for all.
            if (
                reserve0 > type(uint112).max || reserve1 > type(uint112).max
                    || updated > type(uint32).max
            ) continue;
            found[i] = Reserves(uint112(reserve0), uint112(reserve1), uint32(updated));
        }
    }

    /*//////////////////////////////////////////////////////////////
                                  PAIR
    //////////////////////////////////////////////////////////////*/

    function _reservesOf(address pair, bool zeroForOne) private view returns (uint256, uint256) {
        (uint112 reserve0, uint112 reserve1,) = IUniswapV2Pair(pair).getReserves();
        return zeroForOne ? (reserve0, reserve1) : (reserve1, reserve0);
    }

    /// @dev The token that goes in when `zeroForOne`; of the opposite direction, what comes out.
    function _tokenOf(address pair, bool zeroForOne) private view returns (address) {
        return zeroForOne ? IUniswapV2Pair(pair).token0() : IUniswapV2Pair(pair).token1();
    }
}
