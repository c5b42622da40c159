// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

import {FlashLoanReceiver} from "../src/FlashLoanReceiver.sol";
import {IFlashLoanReceiver} from "../src/interfaces/IFlashLoanReceiver.sol";
import {Hops} from "../src/libraries/Hops.sol";
import {Fixture} from "./utils/Fixture.sol";

/// @title Trades that work, and the plans that are refused.
contract TradesTest is Fixture {
    uint8[3] private kinds = [AAVE, OUTSIDE, FIRST];

    /*//////////////////////////////////////////////////////////////
                                SUCCESS
    //////////////////////////////////////////////////////////////*/

    function test_execute_earnsWhatTheRouterQuotes_twoHops() public {
        for (uint8 i; i < 3; ++i) {
            _earnsTheQuote(kinds[i], path2());
        }
    }

    function test_execute_earnsWhatTheRouterQuotes_threeHops() public {
        bytes32[] memory hops = path3();
        for (uint8 i; i < 3; ++i) {
            if (kinds[i] != OUTSIDE) _earnsTheQuote(kinds[i], hops);
        }
    }

    function _earnsTheQuote(uint8 kind, bytes32[] memory path) private {
        IFlashLoanReceiver.Plan memory plan = planOf(kind, path);
        uint256 premium = premiumOf(kind, plan.amount);
        uint256 wanted = router.quote(path, plan.amount) - plan.amount - premium;
        uint256 before = a.balanceOf(address(receiver));

        vm.expectEmit(address(receiver));
        emit IFlashLoanReceiver.Settled(address(a), plan.lender, plan.amount, premium, wanted);
        uint256 profit = execute(plan);

        assertEq(profit, wanted, "profit");
        assertEq(a.balanceOf(address(receiver)) - before, profit, "balance difference");
        assertEq(b.balanceOf(address(receiver)), 0, "intermediate token");
    }

    function test_execute_takesALoanFromAUniswapPairAsFirstPool() public {
        bytes32[] memory path = new bytes32[](2);
        path[0] = hop(uniAB, UNI_BPS, address(b));
        path[1] = hop(forkAB, FORK_BPS, address(a));
        vm.prank(owner);
        receiver.setMinProfit(address(b), 1);
        IFlashLoanReceiver.Plan memory plan = planOf(FIRST, path);
        plan.token = address(b);

        assertTrue(execute(plan) > UNIT, "profit in B");
    }

    function test_execute_runsTwiceInOneTransaction() public {
        uint256 first = execute(planOf(FIRST, path2()));
        uint256 second = execute(planOf(AAVE, path2()));
        uint256 third = execute(planOf(OUTSIDE, path2()));
        assertEq(a.balanceOf(address(receiver)), first + second + third, "all three kept");
    }

    function testFuzz_execute_neverEarnsLessThanAsked(uint256 amount, uint256 wanted, uint8 kind)
        public
    {
        IFlashLoanReceiver.Plan memory plan = planOf(kind % 3, path2());
        plan.amount = bound(amount, UNIT, DEPTH / 10);
        plan.minProfit = bound(wanted, UNIT, 30_000 * UNIT);
        uint256 before = a.balanceOf(address(receiver));
        vm.prank(executor);
        try receiver.execute(plan) returns (uint256 profit) {
            assertTrue(profit >= plan.minProfit, "C4");
            assertEq(a.balanceOf(address(receiver)) - before, profit, "difference");
        } catch (bytes memory answer) {
            assertTrue(
                selectorOf(answer) == IFlashLoanReceiver.ProfitTooLow.selector, "only this reason"
            );
            assertEq(a.balanceOf(address(receiver)), before, "nothing moved");
        }
    }

    function testFuzz_execute_repaysAnOutsidePairToTheUnit(uint256 amount) public {
        IFlashLoanReceiver.Plan memory plan = planOf(OUTSIDE, path2());
        plan.amount = bound(amount, 1_000 * UNIT, 20_000 * UNIT);
        uint256 before = a.balanceOf(uniAC);
        execute(plan);
        assertEq(
            a.balanceOf(uniAC) - before, premiumOf(OUTSIDE, plan.amount), "premium at the pair"
        );
    }

    /*//////////////////////////////////////////////////////////////
                            PLANS REFUSED
    //////////////////////////////////////////////////////////////*/

    function test_execute_revertsAfterTheDeadline() public {
        IFlashLoanReceiver.Plan memory plan = planOf(FIRST, path2());
        plan.deadline = uint64(block.timestamp - 1);
        refused(plan, IFlashLoanReceiver.Expired.selector);
    }

    function test_execute_revertsAfterTheLastBlock() public {
        IFlashLoanReceiver.Plan memory plan = planOf(FIRST, path2());
        plan.lastBlock = uint64(block.number - 1);
        refused(plan, IFlashLoanReceiver.Expired.selector);
    }

    function test_execute_revertsWithoutBounds() public {
        IFlashLoanReceiver.Plan memory plan = planOf(FIRST, path2());
        (plan.deadline, plan.lastBlock) = (0, uint64(block.number));
        refused(plan, IFlashLoanReceiver.Expired.selector);
        (plan.deadline, plan.lastBlock) = (uint64(block.timestamp), 0);
        refused(plan, IFlashLoanReceiver.Expired.selector);
    }

    function test_execute_revertsBelowTheOwnersMinimum() public {
        IFlashLoanReceiver.Plan memory plan = planOf(FIRST, path2());
        plan.minProfit = UNIT - 1;
        refused(
            plan,
            abi.encodeWithSelector(IFlashLoanReceiver.MinProfitTooLow.selector, UNIT - 1, UNIT)
        );
    }

    function test_execute_revertsForATokenWithoutAMinimum() public {
        IFlashLoanReceiver.Plan memory plan = planOf(FIRST, path2());
        plan.token = address(b);
        refused(
            plan, abi.encodeWithSelector(IFlashLoanReceiver.MinProfitNotSet.selector, address(b))
        );
    }

    function test_execute_revertsWithTheProfitThatWouldHaveBeen() public {
        for (uint8 i; i < 3; ++i) {
            IFlashLoanReceiver.Plan memory plan = planOf(kinds[i], path2());
            uint256 debt = plan.amount + premiumOf(kinds[i], plan.amount);
            uint256 would = router.quote(path2(), plan.amount) - debt;
            plan.minProfit = would + 1;
            refused(
                plan,
                abi.encodeWithSelector(IFlashLoanReceiver.ProfitTooLow.selector, would, would + 1)
            );
        }
    }

    function test_execute_revertsWithZeroProfitWhenTheDebtIsNotCovered() public {
        bytes32[] memory losing = new bytes32[](2);
        losing[0] = hop(uniAB, UNI_BPS, address(a));
        losing[1] = hop(forkAB, FORK_BPS, address(b));
        for (uint8 i; i < 3; ++i) {
            refused(
                planOf(kinds[i], losing),
                abi.encodeWithSelector(IFlashLoanReceiver.ProfitTooLow.selector, 0, UNIT)
            );
        }
    }

    function test_execute_revertsForUnknownLenders() public {
        IFlashLoanReceiver.Plan memory plan = planOf(AAVE, path2());
        plan.lender = stranger;
        refused(plan, _unknownLender(stranger));
        plan = planOf(FIRST, path2());
        plan.lenderKind = 3;
        refused(plan, _unknownLender(plan.lender));
        plan = planOf(FIRST, path2());
        plan.lender = uniAB;
        refused(plan, _unknownLender(uniAB));
        plan = planOf(OUTSIDE, path2());
        plan.lender = address(lender);
        refused(plan, _unknownLender(address(lender)));
    }

    function test_execute_revertsWhenTheLendingPairIsInThePath() public {
        bytes32[] memory path = path3();
        IFlashLoanReceiver.Plan memory plan = planOf(OUTSIDE, path);
        refused(plan, abi.encodeWithSelector(IFlashLoanReceiver.LenderInPath.selector, uniAC));
        path[2] = path[0];
        plan = planOf(FIRST, path);
        refused(plan, abi.encodeWithSelector(IFlashLoanReceiver.LenderInPath.selector, forkAB));
    }

    function test_execute_revertsForPathsWithoutAHop() public {
        IFlashLoanReceiver.Plan memory plan = planOf(AAVE, path2());
        plan.hops = new bytes32[](0);
        refused(plan, IFlashLoanReceiver.PathTooShort.selector);
        bytes32[] memory single = new bytes32[](1);
        single[0] = path2()[0];
        refused(planOf(FIRST, single), IFlashLoanReceiver.PathTooShort.selector);
    }

    function test_execute_revertsForStrayBitsAndImpossibleFees() public {
        for (uint8 i; i < 3; ++i) {
            bytes32[] memory path = path2();
            bytes32 stray = path[1] | bytes32(uint256(1) << 177);
            path[1] = stray;
            refused(planOf(kinds[i], path), abi.encodeWithSelector(Hops.BadHop.selector, stray));
        }
        bytes32[] memory free = path2();
        free[0] = hop(forkAB, 10_000, address(a));
        refused(planOf(FIRST, free), abi.encodeWithSelector(Hops.BadHop.selector, free[0]));
    }

    function test_execute_revertsWithoutARouter() public {
        vm.prank(owner);
        receiver.setRouter(address(router), false);
        refused(planOf(FIRST, path2()), IFlashLoanReceiver.NoRouter.selector);
    }

    function test_execute_revertsForAPathThatIsNotACycle() public {
        bytes32[] memory open = new bytes32[](1);
        open[0] = path2()[0];
        refused(
            planOf(AAVE, open),
            abi.encodeWithSelector(IFlashLoanReceiver.ProfitTooLow.selector, 0, UNIT)
        );
    }

    function _unknownLender(address given) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IFlashLoanReceiver.UnknownLender.selector, given);
    }

    /*//////////////////////////////////////////////////////////////
                                  TIP
    //////////////////////////////////////////////////////////////*/

    function test_tip_goesToTheListedRecipientAfterSuccess() public {
        address builder = makeAddr("builder");
        vm.prank(owner);
        receiver.setTipRecipient(builder, true);
        vm.deal(executor, 3 ether);
        vm.deal(address(receiver), 5 ether);
        IFlashLoanReceiver.Plan memory plan = planOf(FIRST, path2());

        vm.prank(executor);
        receiver.execute{value: 1 ether}(plan);

        assertEq(builder.balance, 1 ether, "tip");
        assertEq(address(receiver).balance, 5 ether, "what was held before");
    }

    function test_tip_staysWithTheExecutorWhenTheTradeFails() public {
        address builder = makeAddr("builder");
        vm.prank(owner);
        receiver.setTipRecipient(builder, true);
        vm.deal(executor, 1 ether);
        IFlashLoanReceiver.Plan memory plan = planOf(FIRST, path2());
        plan.minProfit = DEPTH;

        vm.prank(executor);
        vm.expectPartialRevert(IFlashLoanReceiver.ProfitTooLow.selector);
        receiver.execute{value: 1 ether}(plan);

        assertEq(executor.balance, 1 ether, "executor");
        assertEq(builder.balance, 0, "builder");
    }

    function test_tip_revertsWithoutAListedRecipient() public {
        IFlashLoanReceiver.Plan memory plan = planOf(FIRST, path2());
        vm.deal(executor, 2 ether);
        vm.prank(executor);
        vm.expectRevert(IFlashLoanReceiver.NoTipRecipient.selector);
        receiver.execute{value: 1}(plan);

        address builder = makeAddr("builder");
        vm.startPrank(owner);
        receiver.setTipRecipient(builder, true);
        receiver.setTipRecipient(builder, false);
        vm.stopPrank();
        vm.prank(executor);
        vm.expectRevert(IFlashLoanReceiver.NoTipRecipient.selector);
        receiver.execute{value: 1}(plan);
    }

    function test_tip_revertsWhenTheRecipientRefusesIt() public {
        vm.prank(owner);
        receiver.setTipRecipient(address(a), true);
        vm.deal(executor, 1);
        IFlashLoanReceiver.Plan memory plan = planOf(FIRST, path2());
        vm.prank(executor);
        vm.expectRevert(
            abi.encodeWithSelector(IFlashLoanReceiver.PaymentRefused.selector, address(a))
        );
        receiver.execute{value: 1}(plan);
    }

    function test_receiver_takesNoCoinOtherwise() public {
        vm.deal(executor, 1 ether);
        vm.prank(executor);
        (bool ok,) = address(receiver).call{value: 1}("");
        assertTrue(!ok, "plain transfer");
        vm.prank(executor);
        (ok,) = address(receiver).call{value: 1}(abi.encodeCall(receiver.sweep, (address(a))));
        assertTrue(!ok, "with a call");
    }

    function test_constructor_wantsRealAddresses() public {
        vm.expectRevert(abi.encodeWithSelector(IFlashLoanReceiver.BadAddress.selector, address(0)));
        new FlashLoanReceiver(owner, address(0), address(router));
        vm.expectRevert(abi.encodeWithSelector(IFlashLoanReceiver.NoCode.selector, stranger));
        new FlashLoanReceiver(owner, treasury, stranger);
    }
}
