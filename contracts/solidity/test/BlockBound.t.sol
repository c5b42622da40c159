// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

import {IFlashLoanReceiver} from "../src/interfaces/IFlashLoanReceiver.sol";
import {Fixture} from "./utils/Fixture.sol";

/// @title Stands in for Arbitrum's precompile.
contract ArbSys {
    function arbBlockNumber() external pure returns (uint256) {
        return 300_000_000;
    }
}

/// @title C8: the last block and the deadline, on Arbitrum by the L2's own number.
contract BlockBoundTest is Fixture {
    function setUp() public override {
        super.setUp();
        vm.etch(address(0x64), address(new ArbSys()).code);
    }

    function test_C8_theLastBlockAndSecondAreStillGood() public {
        assertTrue(execute(planOf(FIRST, path2())) > 0, "both bounds met exactly");
    }

    function testFuzz_C8_afterEitherBoundNothingHappens(uint64 blocks, uint64 secondsLate) public {
        IFlashLoanReceiver.Plan memory plan = planOf(FIRST, path2());
        blocks = uint64(bound(blocks, 0, 1e9));
        secondsLate = uint64(bound(secondsLate, 0, 1e9));
        vm.roll(block.number + blocks);
        vm.warp(block.timestamp + secondsLate);
        if (blocks != 0 || secondsLate != 0) {
            refused(plan, IFlashLoanReceiver.Expired.selector);
        } else {
            execute(plan);
        }
    }

    function test_C8_onArbitrumTheL2sNumberCounts() public {
        uint256[2] memory chains = [uint256(42161), 421614];
        for (uint256 i; i < 2; ++i) {
            vm.chainId(chains[i]);
            IFlashLoanReceiver.Plan memory plan = planOf(FIRST, path2());
            plan.lastBlock = 299_999_999;
            refused(plan, IFlashLoanReceiver.Expired.selector);
            plan.lastBlock = 300_000_000;
            execute(plan);
        }
    }

    function test_C8_elsewhereThePrecompileIsNotAsked() public {
        vm.chainId(56);
        IFlashLoanReceiver.Plan memory plan = planOf(FIRST, path2());
        plan.lastBlock = 299_999_999;
        assertTrue(execute(plan) > 0, "block.number counts");
    }
}
