// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

import {IMultiDexRouter} from "../src/interfaces/IMultiDexRouter.sol";
import {ConstantProduct} from "../src/libraries/ConstantProduct.sol";
import {Hops} from "../src/libraries/Hops.sol";
import {Fixture} from "./utils/Fixture.sol";

interface ISwapping {
    function getReserves() external view returns (uint112, uint112, uint32);
    function token0() external view returns (address);
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external;
}

/// @title The walk, the lens and their arithmetic.
contract RouterTest is Fixture {
    /*//////////////////////////////////////////////////////////////
                                  WALK
    //////////////////////////////////////////////////////////////*/

    function testFuzz_walk_paysExactlyTheQuote(uint256 amount, bool three) public {
        amount = bound(amount, 1_000, DEPTH);
        bytes32[] memory path = three ? path3() : path2();
        uint256 quoted = router.quote(path, amount);
        a.mint(forkAB, amount);
        uint256 walked = router.walk(path, amount, stranger);
        assertEq(walked, quoted, "what it says");
        assertEq(a.balanceOf(stranger), quoted, "what it pays");
        assertEq(a.balanceOf(address(router)) + b.balanceOf(address(router)), 0, "holds nothing");
    }

    function testFuzz_walk_takesAllThatThePairWouldPay(uint256 amount) public {
        amount = bound(amount, 1e6, DEPTH);
        bytes32[] memory path = new bytes32[](1);
        path[0] = hop(uniAB, UNI_BPS, address(a));
        uint256 most = router.quote(path, amount);
        a.mint(uniAB, amount);
        bool aIsToken0 = ISwapping(uniAB).token0() == address(a);
        vm.expectRevert("UniswapV2: K");
        ISwapping(uniAB).swap(aIsToken0 ? 0 : most + 1, aIsToken0 ? most + 1 : 0, stranger, "");
        router.walk(path, amount, stranger);
        assertEq(b.balanceOf(stranger), most, "to the unit");
    }

    function test_walk_usesNoMoreThanTold() public {
        a.mint(forkAB, 2_000 * UNIT);
        uint256 quoted = router.quote(path2(), 1_000 * UNIT);
        assertEq(router.walk(path2(), 1_000 * UNIT, stranger), quoted, "capped");
    }

    function test_walk_usesWhatArrived() public {
        a.mint(forkAB, 900 * UNIT);
        uint256 quoted = router.quote(path2(), 900 * UNIT);
        assertEq(router.walk(path2(), 1_000 * UNIT, stranger), quoted, "measured");
    }

    function test_walk_revertsWithoutInputOrPath() public {
        bytes32[] memory path = path2();
        vm.expectRevert("INSUFFICIENT_OUTPUT_AMOUNT");
        router.walk(path, UNIT, stranger);
        vm.expectRevert(IMultiDexRouter.EmptyPath.selector);
        router.walk(new bytes32[](0), UNIT, stranger);
    }

    function test_walk_revertsForABadHop() public {
        bytes32[] memory path = path2();
        path[1] |= bytes32(uint256(1) << 255);
        a.mint(forkAB, UNIT);
        vm.expectRevert(abi.encodeWithSelector(Hops.BadHop.selector, path[1]));
        router.walk(path, UNIT, stranger);
    }

    /*//////////////////////////////////////////////////////////////
                                  LENS
    //////////////////////////////////////////////////////////////*/

    function test_quote_revertsForABrokenPath() public {
        bytes32[] memory path = path2();
        path[1] = hop(uniAB, UNI_BPS, address(a));
        vm.expectRevert(abi.encodeWithSelector(IMultiDexRouter.BrokenPath.selector, 1));
        router.quote(path, UNIT);
        vm.expectRevert(IMultiDexRouter.EmptyPath.selector);
        router.quote(new bytes32[](0), UNIT);
    }

    function test_quoteMany_answersZeroForABadPathAlone() public view {
        bytes32[][] memory paths = new bytes32[][](3);
        paths[0] = path2();
        paths[1] = new bytes32[](1);
        paths[1][0] = bytes32(uint256(uint160(stranger)));
        paths[2] = path3();
        uint256[] memory amounts = new uint256[](3);
        (amounts[0], amounts[1], amounts[2]) = (UNIT, UNIT, 2 * UNIT);
        uint256[] memory found = router.quoteMany(paths, amounts);
        assertEq(found[0], router.quote(path2(), UNIT), "first");
        assertEq(found[1], 0, "no pair");
        assertEq(found[2], router.quote(path3(), 2 * UNIT), "third");
    }

    function test_quoteMany_revertsWhenLengthsDiffer() public {
        vm.expectRevert(abi.encodeWithSelector(IMultiDexRouter.LengthMismatch.selector, 2, 1));
        router.quoteMany(new bytes32[][](2), new uint256[](1));
    }

    function test_reserves_answersZeroForWhatIsNoPair() public view {
        address[] memory pairs = new address[](4);
        (pairs[0], pairs[1], pairs[2], pairs[3]) = (uniAB, stranger, address(a), forkBC);
        IMultiDexRouter.Reserves[] memory found = router.reserves(pairs);
        (uint112 reserve0, uint112 reserve1, uint32 updated) = ISwapping(uniAB).getReserves();
        assertEq(found[0].reserve0, reserve0, "reserve0");
        assertEq(found[0].reserve1, reserve1, "reserve1");
        assertEq(found[0].blockTimestampLast, updated, "updated");
        assertEq(found[1].reserve0 + found[2].reserve1, 0, "no pairs");
        assertEq(found[3].reserve0, DEPTH, "the rest is read");
    }

    /*//////////////////////////////////////////////////////////////
                               ARITHMETIC
    //////////////////////////////////////////////////////////////*/

    function testFuzz_amountOut_neverShrinksTheInvariant(
        uint256 amountIn,
        uint256 reserveIn,
        uint256 reserveOut,
        uint256 feeBps
    ) public pure {
        amountIn = bound(amountIn, 0, type(uint112).max);
        reserveIn = bound(reserveIn, 1, type(uint112).max);
        reserveOut = bound(reserveOut, 1, type(uint112).max);
        uint256 kept = 10_000 - bound(feeBps, 0, 9_999);
        uint256 out = ConstantProduct.amountOut(amountIn, reserveIn, reserveOut, 10_000 - kept);
        assertTrue(out < reserveOut, "some stays");
        uint256 scaledIn = reserveIn * 10_000 + amountIn * kept;
        assertTrue(scaledIn * (reserveOut - out) >= reserveIn * 10_000 * reserveOut, "K");
        if (out + 1 < reserveOut) {
            assertTrue(
                scaledIn * (reserveOut - out - 1) < reserveIn * 10_000 * reserveOut, "the most"
            );
        }
    }

    function testFuzz_repayment_isTheLeastThatCovers(uint256 amount, uint256 feeBps) public pure {
        amount = bound(amount, 1, type(uint112).max);
        feeBps = bound(feeBps, 0, 9_999);
        uint256 paid = ConstantProduct.repayment(amount, feeBps);
        assertTrue(paid * (10_000 - feeBps) >= amount * 10_000, "covers");
        assertTrue((paid - 1) * (10_000 - feeBps) < amount * 10_000, "the least");
    }

    function test_amountOut_isZeroForAnEmptyPool() public pure {
        assertEq(ConstantProduct.amountOut(0, 0, 0, 0), 0, "nothing in nothing");
        assertEq(ConstantProduct.amountOut(1, 0, 0, 0), 0, "something in nothing");
    }

    function testFuzz_unpack_acceptsExactlyOneSpelling(bytes32 word) public view {
        uint256 value = uint256(word);
        bool fine = value >> 177 == 0 && uint16(value >> 160) < 10_000;
        try this.unpack(word) returns (address pair, uint256 feeBps, bool zeroForOne) {
            assertTrue(fine, "should have been refused");
            uint256 again =
                uint256(uint160(pair)) | feeBps << 160 | uint256(zeroForOne ? 1 : 0) << 176;
            assertEq(again, value, "round trip");
        } catch {
            assertTrue(!fine, "should have been accepted");
        }
    }

    function testFuzz_unpack_roundTrips(address pair, uint256 feeBps, bool zeroForOne) public pure {
        feeBps = bound(feeBps, 0, 9_999);
        bytes32 word =
            bytes32(uint256(uint160(pair)) | feeBps << 160 | uint256(zeroForOne ? 1 : 0) << 176);
        (address gotPair, uint256 gotFee, bool gotDirection) = Hops.unpack(word);
        assertEq(gotPair, pair, "pair");
        assertEq(gotFee, feeBps, "fee");
        assertTrue(gotDirection == zeroForOne, "direction");
    }

    function unpack(bytes32 word) external pure returns (address, uint256, bool) {
        return Hops.unpack(word);
    }
}
