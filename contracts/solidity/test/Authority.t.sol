// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";

import {IFlashLoanReceiver} from "../src/interfaces/IFlashLoanReceiver.sol";
import {Fixture} from "./utils/Fixture.sol";

/// @title Who may do what.
contract AuthorityTest is Fixture {
    /*//////////////////////////////////////////////////////////////
                                 ROLES
    //////////////////////////////////////////////////////////////*/

    function test_everyOwnerFunction_revertsForExecutorsAndStrangers() public {
        bytes[] memory calls = _ownersCalls();
        address[2] memory others = [executor, stranger];
        for (uint256 i; i < calls.length; ++i) {
            for (uint256 j; j < 2; ++j) {
                vm.prank(others[j]);
                (bool ok, bytes memory answer) = address(receiver).call(calls[i]);
                assertTrue(!ok, "refused");
                assertTrue(
                    selectorOf(answer) == Ownable.OwnableUnauthorizedAccount.selector, "reason"
                );
            }
        }
    }

    function test_everyOwnerFunction_worksForTheOwner() public {
        vm.prank(executor);
        receiver.pause();
        bytes[] memory calls = _ownersCalls();
        for (uint256 i; i + 2 < calls.length; ++i) {
            vm.prank(owner);
            (bool ok,) = address(receiver).call(calls[i]);
            assertTrue(ok, "allowed");
        }
    }

    function _ownersCalls() private view returns (bytes[] memory calls) {
        calls = new bytes[](10);
        calls[0] = abi.encodeCall(receiver.unpause, ());
        calls[1] = abi.encodeCall(receiver.setExecutor, (stranger, true));
        calls[2] = abi.encodeCall(receiver.setFactory, (address(uni), true));
        calls[3] = abi.encodeCall(receiver.setRouter, (address(router), true));
        calls[4] = abi.encodeCall(receiver.setLender, (address(lender), true));
        calls[5] = abi.encodeCall(receiver.setTipRecipient, (stranger, true));
        calls[6] = abi.encodeCall(receiver.setMinProfit, (address(b), 1));
        calls[7] = abi.encodeCall(receiver.setTreasury, (stranger));
        calls[8] = abi.encodeCall(receiver.transferOwnership, (stranger));
        calls[9] = abi.encodeCall(receiver.renounceOwnership, ());
    }

    function test_everySharedFunction_worksForOwnerAndExecutorOnly() public {
        bytes[] memory calls = new bytes[](4);
        calls[0] = abi.encodeCall(receiver.registerPools, (address(uni), one(uniAB)));
        calls[1] = abi.encodeCall(receiver.delistPools, (one(uniAB)));
        calls[2] = abi.encodeCall(receiver.sweep, (address(a)));
        calls[3] = abi.encodeCall(receiver.pause, ());
        for (uint256 i; i < calls.length; ++i) {
            vm.prank(stranger);
            (bool ok, bytes memory answer) = address(receiver).call(calls[i]);
            assertTrue(!ok, "stranger");
            assertTrue(selectorOf(answer) == IFlashLoanReceiver.NotExecutor.selector, "reason");
            vm.prank(owner);
            (ok,) = address(receiver).call(calls[i]);
            assertTrue(ok, "owner");
            if (receiver.paused()) {
                vm.prank(owner);
                receiver.unpause();
            }
            vm.prank(executor);
            (ok,) = address(receiver).call(calls[i]);
            assertTrue(ok, "executor");
        }
    }

    function test_execute_revertsForEveryoneButExecutors() public {
        IFlashLoanReceiver.Plan memory plan = planOf(FIRST, path2());
        address[2] memory others = [owner, stranger];
        for (uint256 i; i < 2; ++i) {
            vm.prank(others[i]);
            vm.expectRevert(IFlashLoanReceiver.NotExecutor.selector);
            receiver.execute(plan);
        }
        vm.prank(owner);
        receiver.setExecutor(executor, false);
        refused(plan, IFlashLoanReceiver.NotExecutor.selector);
    }

    function test_C6_ownershipMovesInTwoSteps() public {
        vm.prank(owner);
        receiver.transferOwnership(stranger);
        assertEq(receiver.owner(), owner, "still the owner");
        assertEq(receiver.pendingOwner(), stranger, "pending");
        vm.prank(executor);
        vm.expectPartialRevert(Ownable.OwnableUnauthorizedAccount.selector);
        receiver.acceptOwnership();
        vm.prank(stranger);
        receiver.acceptOwnership();
        assertEq(receiver.owner(), stranger, "taken over");
        vm.prank(owner);
        vm.expectPartialRevert(Ownable.OwnableUnauthorizedAccount.selector);
        receiver.unpause();
    }

    function test_C6_ownershipCannotBeDropped() public {
        vm.prank(owner);
        vm.expectRevert(IFlashLoanReceiver.OwnershipNotRenounceable.selector);
        receiver.renounceOwnership();
    }

    /*//////////////////////////////////////////////////////////////
                                 LISTS
    //////////////////////////////////////////////////////////////*/

    function test_setters_tellAndRemember() public {
        vm.startPrank(owner);
        vm.expectEmit(address(receiver));
        emit IFlashLoanReceiver.ExecutorSet(stranger, true);
        receiver.setExecutor(stranger, true);
        assertTrue(receiver.isExecutor(stranger), "executor");
        vm.expectEmit(address(receiver));
        emit IFlashLoanReceiver.FactorySet(address(uni), false);
        receiver.setFactory(address(uni), false);
        assertTrue(!receiver.isFactory(address(uni)), "factory");
        vm.expectEmit(address(receiver));
        emit IFlashLoanReceiver.LenderSet(address(lender), false);
        receiver.setLender(address(lender), false);
        assertTrue(!receiver.isLender(address(lender)), "lender");
        vm.expectEmit(address(receiver));
        emit IFlashLoanReceiver.MinProfitSet(address(b), 7);
        receiver.setMinProfit(address(b), 7);
        assertEq(receiver.minProfit(address(b)), 7, "minimum");
        vm.expectEmit(address(receiver));
        emit IFlashLoanReceiver.TreasurySet(stranger);
        receiver.setTreasury(stranger);
        assertEq(receiver.treasury(), stranger, "treasury");
        vm.stopPrank();
    }

    function test_setRouter_usesTheOneListedLast() public {
        vm.startPrank(owner);
        vm.expectEmit(address(receiver));
        emit IFlashLoanReceiver.RouterSet(address(lender), true);
        receiver.setRouter(address(lender), true);
        assertEq(receiver.router(), address(lender), "the last");
        assertTrue(receiver.isRouter(address(router)), "both listed");
        receiver.setRouter(address(router), false);
        assertEq(receiver.router(), address(lender), "another was delisted");
        receiver.setRouter(address(lender), false);
        assertEq(receiver.router(), address(0), "none left");
        vm.stopPrank();
    }

    function test_setTipRecipient_usesTheOneListedLast() public {
        vm.startPrank(owner);
        vm.expectEmit(address(receiver));
        emit IFlashLoanReceiver.TipRecipientSet(stranger, true);
        receiver.setTipRecipient(stranger, true);
        receiver.setTipRecipient(executor, true);
        assertEq(receiver.tipRecipient(), executor, "the last");
        assertTrue(receiver.isTipRecipient(stranger), "both listed");
        receiver.setTipRecipient(executor, false);
        assertEq(receiver.tipRecipient(), address(0), "none in use");
        vm.stopPrank();
    }

    function test_setters_refuseNonsense() public {
        vm.startPrank(owner);
        bytes[] memory calls = new bytes[](9);
        calls[0] = abi.encodeCall(receiver.setExecutor, (address(0), true));
        calls[1] = abi.encodeCall(receiver.setExecutor, (address(receiver), true));
        calls[2] = abi.encodeCall(receiver.setTipRecipient, (address(0), true));
        calls[3] = abi.encodeCall(receiver.setTreasury, (address(0)));
        calls[4] = abi.encodeCall(receiver.setTreasury, (address(receiver)));
        calls[5] = abi.encodeCall(receiver.setFactory, (stranger, true));
        calls[6] = abi.encodeCall(receiver.setRouter, (stranger, true));
        calls[7] = abi.encodeCall(receiver.setLender, (stranger, true));
        calls[8] = abi.encodeCall(receiver.setMinProfit, (stranger, 1));
        for (uint256 i; i < calls.length; ++i) {
            (bool ok, bytes memory answer) = address(receiver).call(calls[i]);
            assertTrue(!ok, "refused");
            bytes4 wanted =
                i < 5 ? IFlashLoanReceiver.BadAddress.selector : IFlashLoanReceiver.NoCode.selector;
            assertTrue(selectorOf(answer) == wanted, "reason");
        }
        vm.stopPrank();
    }

    function test_C10_aMinimumOfZeroIsRefused() public {
        vm.prank(owner);
        vm.expectRevert(abi.encodeWithSelector(IFlashLoanReceiver.MinProfitTooLow.selector, 0, 1));
        receiver.setMinProfit(address(a), 0);

        IFlashLoanReceiver.Plan memory plan = planOf(FIRST, path2());
        plan.minProfit = 0;
        refused(plan, abi.encodeWithSelector(IFlashLoanReceiver.MinProfitTooLow.selector, 0, UNIT));
    }

    function test_C10_aTokenIsRetiredByTheLargestMinimum() public {
        vm.prank(owner);
        receiver.setMinProfit(address(a), type(uint256).max);
        IFlashLoanReceiver.Plan memory plan = planOf(AAVE, path2());
        plan.minProfit = type(uint256).max;
        refused(plan, IFlashLoanReceiver.ProfitTooLow.selector);
    }

    /*//////////////////////////////////////////////////////////////
                                 POOLS
    //////////////////////////////////////////////////////////////*/

    function test_registerPools_listsWhatTheFactoryKnows() public {
        vm.startPrank(executor);
        receiver.delistPools(one(uniAB));
        assertTrue(!receiver.isPool(uniAB), "delisted");
        vm.expectEmit(address(receiver));
        emit IFlashLoanReceiver.PoolListed(uniAB, address(uni));
        receiver.registerPools(address(uni), one(uniAB));
        assertTrue(receiver.isPool(uniAB), "listed");
        vm.expectEmit(address(receiver));
        emit IFlashLoanReceiver.PoolDelisted(uniAB);
        receiver.delistPools(one(uniAB));
        vm.stopPrank();
    }

    function test_registerPools_refusesAnotherFactorysPair() public {
        vm.prank(executor);
        vm.expectRevert(abi.encodeWithSelector(IFlashLoanReceiver.UnknownPool.selector, forkAB));
        receiver.registerPools(address(uni), one(forkAB));
    }

    function test_registerPools_refusesAnAddressWithoutCode() public {
        vm.prank(executor);
        vm.expectRevert(abi.encodeWithSelector(IFlashLoanReceiver.UnknownPool.selector, stranger));
        receiver.registerPools(address(uni), one(stranger));
    }

    function test_registerPools_refusesAFactoryThatIsNotListed() public {
        vm.prank(owner);
        receiver.setFactory(address(uni), false);
        vm.prank(executor);
        vm.expectRevert(
            abi.encodeWithSelector(IFlashLoanReceiver.UnknownFactory.selector, address(uni))
        );
        receiver.registerPools(address(uni), one(uniAB));
    }

    /*//////////////////////////////////////////////////////////////
                            SWEEP AND PAUSE
    //////////////////////////////////////////////////////////////*/

    function test_sweep_paysTheTreasuryAlone() public {
        a.mint(address(receiver), 5 * UNIT);
        vm.expectEmit(address(receiver));
        emit IFlashLoanReceiver.Swept(address(a), 5 * UNIT);
        vm.prank(executor);
        receiver.sweep(address(a));
        assertEq(a.balanceOf(treasury), 5 * UNIT, "treasury");
        assertEq(a.balanceOf(address(receiver)), 0, "receiver");
        vm.prank(owner);
        receiver.sweep(address(a));
        assertEq(a.balanceOf(treasury), 5 * UNIT, "nothing more");
    }

    function test_sweep_takesStrayCoinAndWorksWhilePaused() public {
        vm.deal(address(receiver), 2 ether);
        vm.startPrank(executor);
        receiver.pause();
        receiver.sweep(address(0));
        vm.stopPrank();
        assertEq(treasury.balance, 2 ether, "treasury");
    }

    function test_C5_pauseStopsExecutionAndUnpauseAllowsIt() public {
        vm.prank(executor);
        receiver.pause();
        refused(planOf(FIRST, path2()), Pausable.EnforcedPause.selector);
        // Before anything else is looked at: this plan would be refused anyway.
        IFlashLoanReceiver.Plan memory expired = planOf(FIRST, path2());
        expired.deadline = 0;
        refused(expired, Pausable.EnforcedPause.selector);
        vm.prank(owner);
        receiver.unpause();
        assertTrue(execute(planOf(FIRST, path2())) >= UNIT, "works again");
    }

    function test_C5_pauseStopsEveryCallback() public {
        vm.prank(owner);
        receiver.pause();
        vm.prank(address(lender));
        vm.expectRevert(Pausable.EnforcedPause.selector);
        receiver.executeOperation(address(a), 1, 1, address(receiver), "");
        vm.prank(forkAB);
        (bool ok, bytes memory answer) = address(receiver)
            .call(
                abi.encodeWithSignature(
                    "pancakeCall(address,uint256,uint256,bytes)",
                    address(receiver),
                    1,
                    1,
                    bytes("x")
                )
            );
        assertTrue(!ok && selectorOf(answer) == Pausable.EnforcedPause.selector, "fallback");
    }

    function test_C5_aPauseInTheMiddleOfATradeEndsIt() public {
        b.setHook(address(receiver), abi.encodeCall(receiver.pause, ()));
        vm.prank(owner);
        receiver.setExecutor(address(b), true);
        refused(planOf(FIRST, path2()), Pausable.EnforcedPause.selector);
        assertTrue(!receiver.paused(), "the whole call was undone");
    }
}
