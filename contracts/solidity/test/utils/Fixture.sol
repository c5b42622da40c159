// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

import {FlashLoanReceiver} from "../../src/FlashLoanReceiver.sol";
import {MultiDexRouter} from "../../src/MultiDexRouter.sol";
import {IFlashLoanReceiver} from "../../src/interfaces/IFlashLoanReceiver.sol";
import {IUniswapV2Pair} from "../../src/interfaces/IUniswapV2.sol";
import {ForkFactory} from "./ForkExchange.sol";
import {LendingPool} from "./Lenders.sol";
import {Test} from "./Test.sol";
import {ZooToken} from "./Tokens.sol";

interface IExchange {
    function createPair(address a, address b) external returns (address);
    function getPair(address a, address b) external view returns (address);
}

interface ISyncing {
    function sync() external;
}

/// @title Two exchanges, three tokens, a lender: enough for cycles of two and three hops.
/// @notice `uni` is the real Uniswap V2 at 30 bps, `fork` takes 25 and calls back `pancakeCall`.
/// Borrow A, buy B on the fork (5 % more of it), sell on Uniswap; or A, B, C and back.
abstract contract Fixture is Test {
    uint256 internal constant UNIT = 1e18;
    uint256 internal constant DEPTH = 1_000_000 * UNIT;
    uint256 internal constant UNI_BPS = 30;
    uint256 internal constant FORK_BPS = 25;
    uint8 internal constant AAVE = 0;
    uint8 internal constant OUTSIDE = 1;
    uint8 internal constant FIRST = 2;

    address internal owner = makeAddr("owner");
    address internal executor = makeAddr("executor");
    address internal treasury = makeAddr("treasury");
    address internal stranger = makeAddr("stranger");

    ZooToken internal a = new ZooToken();
    ZooToken internal b = new ZooToken();
    ZooToken internal c = new ZooToken();
    IExchange internal uni;
    IExchange internal fork;
    LendingPool internal lender = new LendingPool();
    MultiDexRouter internal router = new MultiDexRouter();
    FlashLoanReceiver internal receiver;

    address internal uniAB;
    address internal uniAC;
    address internal forkAB;
    address internal forkBC;

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        vm.roll(1_000);
        uni = IExchange(_deployUniswap());
        fork = IExchange(
            address(
                new ForkFactory(
                    FORK_BPS, bytes4(keccak256("pancakeCall(address,uint256,uint256,bytes)"))
                )
            )
        );
        receiver = new FlashLoanReceiver(owner, treasury, address(router));
        vm.startPrank(owner);
        receiver.setExecutor(executor, true);
        receiver.setFactory(address(uni), true);
        receiver.setFactory(address(fork), true);
        receiver.setLender(address(lender), true);
        receiver.setMinProfit(address(a), UNIT);
        vm.stopPrank();

        uniAB = makePool(uni, a, b, DEPTH, DEPTH);
        forkAB = makePool(fork, a, b, DEPTH, DEPTH * 105 / 100);
        forkBC = makePool(fork, b, c, DEPTH, DEPTH);
        uniAC = makePool(uni, a, c, DEPTH, DEPTH);
        a.mint(address(lender), 100 * DEPTH);
    }

    /*//////////////////////////////////////////////////////////////
                                MARKET
    //////////////////////////////////////////////////////////////*/

    function _deployUniswap() private returns (address made) {
        string memory json =
            vm.readFile("../../node_modules/@uniswap/v2-core/build/UniswapV2Factory.json");
        bytes memory code = abi.encodePacked(
            vm.parseBytes(string.concat("0x", vm.parseJsonString(json, ".bytecode"))),
            abi.encode(address(this))
        );
        assembly {
            made := create(0, add(code, 32), mload(code))
        }
        require(made != address(0), "Uniswap V2 did not deploy");
    }

    /// @dev Makes, fills and lists a pool; amounts in the order of the tokens given.
    function makePool(IExchange on, ZooToken x, ZooToken y, uint256 amountX, uint256 amountY)
        internal
        returns (address pair)
    {
        pair = on.createPair(address(x), address(y));
        x.mint(pair, amountX);
        y.mint(pair, amountY);
        ISyncing(pair).sync();
        register(address(on), pair);
    }

    function register(address factory, address pair) internal {
        vm.prank(executor);
        receiver.registerPools(factory, one(pair));
    }

    function one(address item) internal pure returns (address[] memory list) {
        list = new address[](1);
        list[0] = item;
    }

    /*//////////////////////////////////////////////////////////////
                                 PLANS
    //////////////////////////////////////////////////////////////*/

    function hop(address pair, uint256 feeBps, address tokenIn) internal view returns (bytes32) {
        uint256 direction = IUniswapV2Pair(pair).token0() == tokenIn ? 1 : 0;
        return bytes32(uint256(uint160(pair)) | feeBps << 160 | direction << 176);
    }

    function path2() internal view returns (bytes32[] memory hops) {
        hops = new bytes32[](2);
        hops[0] = hop(forkAB, FORK_BPS, address(a));
        hops[1] = hop(uniAB, UNI_BPS, address(b));
    }

    function path3() internal view returns (bytes32[] memory hops) {
        hops = new bytes32[](3);
        hops[0] = hop(forkAB, FORK_BPS, address(a));
        hops[1] = hop(forkBC, FORK_BPS, address(b));
        hops[2] = hop(uniAC, UNI_BPS, address(c));
    }

    function withLender(bytes32 lendingHop, bytes32[] memory path)
        internal
        pure
        returns (bytes32[] memory hops)
    {
        hops = new bytes32[](path.length + 1);
        hops[0] = lendingHop;
        for (uint256 i; i < path.length; ++i) {
            hops[i + 1] = path[i];
        }
    }

    /// @dev A plan of `path` that may be executed now: 1,000 A, the owner's minimum.
    function planOf(uint8 kind, bytes32[] memory path)
        internal
        view
        returns (IFlashLoanReceiver.Plan memory plan)
    {
        plan.lenderKind = kind;
        plan.lender = kind == AAVE ? address(lender) : address(uint160(uint256(path[0])));
        plan.hops = path;
        if (kind == OUTSIDE) {
            plan.lender = uniAC;
            plan.hops = withLender(hop(uniAC, UNI_BPS, address(a)), path);
        }
        plan.token = address(a);
        plan.amount = 1_000 * UNIT;
        plan.minProfit = UNIT;
        plan.deadline = uint64(block.timestamp);
        plan.lastBlock = uint64(block.number);
    }

    function execute(IFlashLoanReceiver.Plan memory plan) internal returns (uint256) {
        vm.prank(executor);
        return receiver.execute(plan);
    }

    /// @dev The plan comes in evaluated: building one asks pairs, which an expectation would meet.
    function refused(IFlashLoanReceiver.Plan memory plan, bytes memory reason) internal {
        vm.expectRevert(reason);
        execute(plan);
    }

    function refused(IFlashLoanReceiver.Plan memory plan, bytes4 reason) internal {
        vm.expectPartialRevert(reason);
        execute(plan);
    }

    function premiumOf(uint8 kind, uint256 amount) internal pure returns (uint256) {
        if (kind == AAVE) return (amount * 9 + 5_000) / 10_000;
        uint256 kept = 10_000 - UNI_BPS;
        return kind == OUTSIDE ? (amount * 10_000 + kept - 1) / kept - amount : 0;
    }
}
