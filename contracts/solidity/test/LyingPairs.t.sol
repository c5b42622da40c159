// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

import {IFlashLoanReceiver} from "../src/interfaces/IFlashLoanReceiver.sol";
import {Fixture} from "./utils/Fixture.sol";

interface IPaying {
    function transfer(address to, uint256 amount) external returns (bool);
}

/// @title A pair, and its own factory, whose code is bad although a factory was listed for it.
contract LyingPair {
    address public token0;
    address public token1;
    address public initiator;
    bytes public payload;
    uint256 public callbacks = 1;

    bool private immutable aIsToken0;

    constructor(address a, address b) {
        (token0, token1) = a < b ? (a, b) : (b, a);
        aIsToken0 = a < b;
    }

    function tell(address initiator_, bytes calldata payload_, uint256 callbacks_) external {
        (initiator, payload, callbacks) = (initiator_, payload_, callbacks_);
    }

    function getPair(address, address) external view returns (address) {
        return address(this);
    }

    /// @dev Twice as many B as A.
    function getReserves() external view returns (uint112, uint112, uint32) {
        return aIsToken0 ? (uint112(1e24), uint112(2e24), 0) : (uint112(2e24), uint112(1e24), 0);
    }

    function swap(uint256 out0, uint256 out1, address to, bytes calldata data) external {
        if (out0 != 0) IPaying(token0).transfer(to, out0);
        if (out1 != 0) IPaying(token1).transfer(to, out1);
        address from = initiator == address(0) ? msg.sender : initiator;
        bytes memory back = payload;
        if (back.length == 0) back = data;
        for (uint256 i; i < (data.length == 0 ? 0 : callbacks); ++i) {
            (bool ok, bytes memory answer) = to.call(
                abi.encodeWithSignature(
                    "uniswapV2Call(address,uint256,uint256,bytes)", from, out0, out1, back
                )
            );
            if (!ok) {
                assembly {
                    revert(add(answer, 32), mload(answer))
                }
            }
        }
    }
}

/// @title C1 and C2 against a lending pair whose code lies: listed by mistake, not trusted by faith.
contract LyingPairsTest is Fixture {
    LyingPair private liar;

    function setUp() public override {
        super.setUp();
        liar = new LyingPair(address(a), address(b));
        a.mint(address(liar), DEPTH);
        b.mint(address(liar), 2 * DEPTH);
        a.mint(address(receiver), 500 * UNIT);
        b.mint(address(receiver), 500 * UNIT);
        vm.prank(owner);
        receiver.setFactory(address(liar), true);
        register(address(liar), address(liar));
    }

    function _plan(uint8 kind) private view returns (IFlashLoanReceiver.Plan memory plan) {
        bytes32 lending = hop(address(liar), 0, address(a));
        bytes32[] memory path = path2();
        if (kind == FIRST) {
            path[0] = lending;
            return planOf(FIRST, path);
        }
        plan = planOf(OUTSIDE, path);
        plan.lender = address(liar);
        plan.hops[0] = lending;
    }

    function test_anHonestAnswerIsAccepted() public {
        assertTrue(execute(_plan(OUTSIDE)) > 0, "the fixture itself works");
    }

    function test_C2_aPairNamingAnotherInitiatorIsRefused() public {
        liar.tell(stranger, "", 1);
        bytes memory reason =
            abi.encodeWithSelector(IFlashLoanReceiver.BadInitiator.selector, stranger);
        refused(_plan(OUTSIDE), reason);
        refused(_plan(FIRST), reason);
    }

    function test_C2_aPairCannotExchangeThePayload() public {
        // A path that would carry the borrowed money through a pool of the liar's choice.
        bytes32[] memory elsewhere = new bytes32[](1);
        elsewhere[0] = hop(address(liar), 0, address(a));
        liar.tell(address(0), abi.encode(elsewhere), 1);
        refused(_plan(OUTSIDE), IFlashLoanReceiver.BadLoan.selector);
        refused(_plan(FIRST), IFlashLoanReceiver.BadLoan.selector);
    }

    function test_C2_aPairMayCallBackOnlyOnce() public {
        liar.tell(address(0), "", 2);
        bytes memory reason =
            abi.encodeWithSelector(IFlashLoanReceiver.BadCaller.selector, address(liar));
        refused(_plan(OUTSIDE), reason);
        refused(_plan(FIRST), reason);
    }

    function test_aPairThatNeverCallsBackIsRefused() public {
        liar.tell(address(0), "", 0);
        bytes memory reason =
            abi.encodeWithSelector(IFlashLoanReceiver.LoanNotGiven.selector, address(liar));
        refused(_plan(OUTSIDE), reason);
        refused(_plan(FIRST), reason);
    }

    function test_C2_aPairThatWasNotAwaitedCannotCallBackFromWithinTheWalk() public {
        // The liar is walked, not borrowed from: its callback has nobody waiting for it.
        bytes32[] memory path = path2();
        path[0] = hop(address(liar), 0, address(a));
        b.setHook(
            address(receiver),
            abi.encodeWithSignature(
                "uniswapV2Call(address,uint256,uint256,bytes)",
                address(receiver),
                1,
                1,
                abi.encode(path)
            )
        );
        execute(planOf(AAVE, path));
        assertTrue(!b.hookOk(), "refused");
    }
}
