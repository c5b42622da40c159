// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IFlashLoanReceiver} from "../src/interfaces/IFlashLoanReceiver.sol";
import {Fixture, ISyncing} from "./utils/Fixture.sol";
import {NoReturnToken, ZooToken} from "./utils/Tokens.sol";

/// @title C9: tokens that tax, lie, reenter, burn gas, answer nothing or refuse us.
/// @notice B is the intermediate token, A the borrowed one; the receiver holds some of each.
contract TokenZooTest is Fixture {
    uint256 private constant HELD = 500 * UNIT;

    function setUp() public override {
        super.setUp();
        a.mint(address(receiver), HELD);
        b.mint(address(receiver), HELD);
    }

    /// @dev Tries all three kinds of loan; whatever comes of it, no balance falls.
    function _tryAll() private returns (uint256 succeeded) {
        for (uint8 kind; kind < 3; ++kind) {
            uint256 heldA = a.balanceOf(address(receiver));
            uint256 heldB = b.balanceOf(address(receiver));
            IFlashLoanReceiver.Plan memory plan = planOf(kind, path2());
            vm.prank(executor);
            (bool ok,) =
                address(receiver).call{gas: 10_000_000}(abi.encodeCall(receiver.execute, (plan)));
            if (ok) ++succeeded;
            assertTrue(a.balanceOf(address(receiver)) >= heldA + (ok ? UNIT : 0), "C1 and C4 for A");
            assertTrue(b.balanceOf(address(receiver)) >= heldB, "C1 for B");
            assertEq(a.allowance(address(receiver), address(lender)), 0, "C3");
        }
    }

    /*//////////////////////////////////////////////////////////////
                                 TAXES
    //////////////////////////////////////////////////////////////*/

    function test_C9_aTaxedIntermediateTokenGivesLessAndNothingReverts() public {
        b.setTax(50);
        // Two taxes of 0.5 % at most, out of a spread of 5 %.
        assertEq(_tryAll(), 3, "all kinds still earn");
    }

    function test_C9_aTaxThatEatsTheSpreadIsRefused() public {
        b.setTax(600);
        for (uint8 kind; kind < 3; ++kind) {
            refused(
                planOf(kind, path2()),
                abi.encodeWithSelector(IFlashLoanReceiver.ProfitTooLow.selector, 0, UNIT)
            );
        }
    }

    function testFuzz_C9_noTaxOnAnyTokenLowersABalance(uint256 taxA, uint256 taxB, bool onSender)
        public
    {
        taxA = bound(taxA, 0, 10_000);
        taxB = bound(taxB, 0, 10_000);
        if (onSender) {
            a.setSenderTax(address(receiver), taxA);
            b.setSenderTax(address(receiver), taxB);
        } else {
            a.setTax(taxA % 500);
            b.setTax(taxB);
        }
        _tryAll();
    }

    function test_C9_aTaxOnTheSenderOfAnIntermediateTokenIsNotPaidFromWhatWasHeld() public {
        b.setSenderTax(address(receiver), 100);
        // The first pool's output passes through the receiver: its tax would fall on what it holds.
        IFlashLoanReceiver.Plan memory plan = planOf(FIRST, path2());
        refused(plan, IFlashLoanReceiver.BalanceFell.selector);
        assertEq(_tryAll(), 2, "the other lenders do not touch B");
    }

    /*//////////////////////////////////////////////////////////////
                                 LIARS
    //////////////////////////////////////////////////////////////*/

    function test_C9_aTokenThatAnswersFalseIsRefused() public {
        b.setAnswersFalse(true);
        assertEq(_tryAll(), 0, "B");
        b.setAnswersFalse(false);
        a.setAnswersFalse(true);
        assertEq(_tryAll(), 0, "A");
        // With an honest pool that only the receiver pays through, it is the receiver that notices.
        vm.expectRevert(
            abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(a))
        );
        vm.prank(executor);
        receiver.sweep(address(a));
    }

    function test_C9_aTokenThatMovesNothingEarnsNothing() public {
        b.setMovesNothing(true);
        assertEq(_tryAll(), 0, "B");
        b.setMovesNothing(false);
        a.setMovesNothing(true);
        assertEq(_tryAll(), 0, "A");
    }

    function test_C9_aTokenThatBurnsGasCostsGasOnly() public {
        b.setBurnsGas(true);
        assertEq(_tryAll(), 0, "no success");
    }

    function test_C9_aBlacklistedReceiverLosesNothing() public {
        b.setBlacklisted(address(receiver), true);
        // B goes from pair to pair and never touches the receiver, unless the first pool lends.
        assertEq(_tryAll(), 2, "Aave and outside pair");
        b.setBlacklisted(address(receiver), false);
        a.setBlacklisted(address(receiver), true);
        assertEq(_tryAll(), 0, "A");
    }

    /*//////////////////////////////////////////////////////////////
                               REENTRANCY
    //////////////////////////////////////////////////////////////*/

    function test_C9_aTokenCannotReenter() public {
        IFlashLoanReceiver.Plan memory plan = planOf(FIRST, path2());
        bytes[] memory calls = new bytes[](3);
        calls[0] = abi.encodeCall(receiver.execute, (plan));
        calls[1] = abi.encodeCall(receiver.sweep, (address(a)));
        calls[2] = abi.encodeCall(receiver.sweep, (address(b)));
        // The worst case: the token is an executor itself.
        vm.prank(owner);
        receiver.setExecutor(address(b), true);
        for (uint256 i; i < calls.length; ++i) {
            b.setHook(address(receiver), calls[i]);
            assertEq(_tryAll(), 3, "the trades themselves stand");
            assertTrue(!b.hookOk(), "refused");
            assertTrue(
                selectorOf(b.hookAnswer())
                    == ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector,
                "by the guard"
            );
        }
        assertEq(a.balanceOf(treasury), 0, "nothing was swept");
    }

    function test_C9_aTokenCannotCallBackInThePlaceOfALender() public {
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(
            receiver.executeOperation, (address(a), HELD, 0, address(receiver), abi.encode(path2()))
        );
        calls[1] = abi.encodeWithSignature(
            "pancakeCall(address,uint256,uint256,bytes)",
            address(receiver),
            HELD,
            0,
            abi.encode(path2())
        );
        for (uint256 i; i < calls.length; ++i) {
            b.setHook(address(receiver), calls[i]);
            assertEq(_tryAll(), 3, "the trades themselves stand");
            assertTrue(
                selectorOf(b.hookAnswer()) == IFlashLoanReceiver.BadCaller.selector, "refused"
            );
        }
    }

    function test_C9_aTokenCannotReenterThePairItPassesThrough() public {
        b.setHook(
            uniAB,
            abi.encodeWithSignature(
                "swap(uint256,uint256,address,bytes)", UNIT, 0, address(this), bytes("")
            )
        );
        _tryAll();
    }

    /*//////////////////////////////////////////////////////////////
                             OLD TOKENS
    //////////////////////////////////////////////////////////////*/

    function test_C9_tokensThatAnswerNothingWork() public {
        NoReturnToken old = new NoReturnToken();
        ZooToken asZoo = ZooToken(address(old));
        old.mint(address(lender), DEPTH);
        address cheap = makePool(fork, asZoo, b, DEPTH, DEPTH * 105 / 100);
        address dear = makePool(uni, asZoo, b, DEPTH, DEPTH);
        bytes32[] memory path = new bytes32[](2);
        path[0] = hop(cheap, FORK_BPS, address(old));
        path[1] = hop(dear, UNI_BPS, address(b));
        vm.prank(owner);
        receiver.setMinProfit(address(old), UNIT);
        IFlashLoanReceiver.Plan memory plan = planOf(FIRST, path);
        plan.token = address(old);

        uint256 profit = execute(plan);
        assertEq(old.balanceOf(address(receiver)), profit, "kept");
        vm.prank(executor);
        receiver.sweep(address(old));
        assertEq(old.balanceOf(treasury), profit, "swept");
    }

    function test_aRebaseInBetweenIsNotProfit() public {
        // A surplus that lay at a pair before is left there: quotes stay exact.
        b.mint(uniAB, 1_000 * UNIT);
        IFlashLoanReceiver.Plan memory plan = planOf(AAVE, path2());
        uint256 wanted =
            router.quote(path2(), plan.amount) - plan.amount - premiumOf(AAVE, plan.amount);
        assertEq(execute(plan), wanted, "as quoted");
        ISyncing(uniAB).sync();
    }
}
