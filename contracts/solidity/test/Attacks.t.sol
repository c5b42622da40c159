// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

import {FlashLoanReceiver} from "../src/FlashLoanReceiver.sol";
import {IFlashLoanReceiver} from "../src/interfaces/IFlashLoanReceiver.sol";
import {Fixture} from "./utils/Fixture.sol";
import {ZooToken} from "./utils/Tokens.sol";

interface ILoanedPair {
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external;
}

/// @title A pair that nobody vouches for: claims the tokens of another and a factory of its own.
contract FakePair {
    address public token0;
    address public token1;
    address public factory = address(this);

    constructor(address token0_, address token1_) {
        (token0, token1) = (token0_, token1_);
    }

    function getPair(address, address) external view returns (address) {
        return address(this);
    }

    function getReserves() external pure returns (uint112, uint112, uint32) {
        return (1e24, 1e24, 0);
    }

    function swap(uint256, uint256, address to, bytes calldata data) external {
        if (data.length == 0) return;
        (bool ok,) = to.call(
            abi.encodeWithSignature("uniswapV2Call(address,uint256,uint256,bytes)", to, 1, 1, data)
        );
        require(ok, "callback");
    }
}

/// @title C2, C7 and C11: the attacks that emptied other people's arbitrage contracts.
contract AttacksTest is Fixture {
    uint256 private constant HELD = 500 * UNIT;

    function setUp() public override {
        super.setUp();
        a.mint(address(receiver), HELD);
        b.mint(address(receiver), HELD);
        c.mint(address(receiver), HELD);
    }

    function _nothingLost() private view {
        assertTrue(a.balanceOf(address(receiver)) >= HELD, "A");
        assertTrue(b.balanceOf(address(receiver)) >= HELD, "B");
        assertTrue(c.balanceOf(address(receiver)) >= HELD, "C");
    }

    /*//////////////////////////////////////////////////////////////
                      CALLBACKS FROM OUTSIDE (C2)
    //////////////////////////////////////////////////////////////*/

    function test_C11_unguardedExecuteOperation() public {
        address[4] memory callers = [stranger, executor, owner, address(lender)];
        bytes memory payload = abi.encode(path2());
        for (uint256 i; i < 4; ++i) {
            vm.prank(callers[i]);
            vm.expectRevert(
                abi.encodeWithSelector(IFlashLoanReceiver.BadCaller.selector, callers[i])
            );
            receiver.executeOperation(address(a), HELD, 0, address(receiver), payload);
        }
        _nothingLost();
    }

    function test_C11_unguardedPairCallbacks() public {
        string[4] memory names = ["uniswapV2Call", "pancakeCall", "BiswapCall", "anyOtherName"];
        address[4] memory callers = [stranger, executor, uniAB, forkAB];
        for (uint256 i; i < 4; ++i) {
            for (uint256 j; j < 4; ++j) {
                bytes memory data = abi.encodeWithSignature(
                    string.concat(names[i], "(address,uint256,uint256,bytes)"),
                    address(receiver),
                    HELD,
                    0,
                    abi.encode(path2())
                );
                vm.prank(callers[j]);
                (bool ok, bytes memory answer) = address(receiver).call(data);
                assertTrue(!ok, "refused");
                assertTrue(selectorOf(answer) == IFlashLoanReceiver.BadCaller.selector, "reason");
            }
        }
        _nothingLost();
    }

    function testFuzz_C2_noCalldataWorksOutsideAnExecution(address caller, bytes calldata data)
        public
    {
        vm.assume(caller != owner && caller != executor && caller != address(vm));
        uint256[3] memory held = _balances();
        vm.prank(caller);
        (bool ok,) = address(receiver).call(data);
        ok; // A view may well answer; nothing may move.
        _atLeast(held);
    }

    function test_C2_callbacksRevertAfterAnExecution() public {
        execute(planOf(FIRST, path2()));
        execute(planOf(AAVE, path2()));
        test_C11_unguardedExecuteOperation();
        test_C11_unguardedPairCallbacks();
    }

    /*//////////////////////////////////////////////////////////////
                    LOANS STARTED BY A THIRD PARTY
    //////////////////////////////////////////////////////////////*/

    function test_C11_loanByAThirdPartyWithUsAsReceiver_fromAave() public {
        bytes memory payload = abi.encode(path2());
        vm.prank(stranger);
        vm.expectRevert(
            abi.encodeWithSelector(IFlashLoanReceiver.BadCaller.selector, address(lender))
        );
        lender.flashLoanSimple(address(receiver), address(a), HELD, payload, 0);
    }

    function test_C11_loanByAThirdPartyWithUsAsReceiver_fromAPair() public {
        bytes memory payload = abi.encode(path2());
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IFlashLoanReceiver.BadCaller.selector, uniAB));
        ILoanedPair(uniAB).swap(UNIT, 0, address(receiver), payload);
    }

    function test_C11_loanByAThirdPartyInTheMiddleOfOurs_fromAave() public {
        // A is handed to us by the lender; A's hook then starts a loan of its own in our name.
        a.setHook(
            address(lender),
            abi.encodeCall(lender.flashLoanSimple, (address(receiver), address(a), HELD, "", 0))
        );
        execute(planOf(AAVE, path2()));
        assertTrue(a.hookCalls() > 0, "it was tried");
        assertTrue(!a.hookOk(), "and refused");
        _nothingLost();
    }

    function test_C2_aLoanThatSomeoneElseInitiatedIsRefusedWhileOursIsAwaited() public {
        Relayer relayer = new Relayer();
        vm.prank(owner);
        receiver.setLender(address(relayer), true);
        IFlashLoanReceiver.Plan memory plan = planOf(AAVE, path2());
        plan.lender = address(relayer);
        refused(plan, abi.encodeWithSelector(IFlashLoanReceiver.BadInitiator.selector, stranger));
    }

    /*//////////////////////////////////////////////////////////////
                          FAKE AND LYING PAIRS
    //////////////////////////////////////////////////////////////*/

    function test_C11_aFakePairIsNotListed() public {
        address fake = address(new FakePair(address(a), address(b)));
        vm.prank(executor);
        vm.expectRevert(abi.encodeWithSelector(IFlashLoanReceiver.UnknownPool.selector, fake));
        receiver.registerPools(address(uni), one(fake));
    }

    function test_C11_theFactoryIsNeverTakenFromThePair() public {
        address fake = address(new FakePair(address(a), address(b)));
        vm.prank(executor);
        vm.expectRevert(abi.encodeWithSelector(IFlashLoanReceiver.UnknownFactory.selector, fake));
        receiver.registerPools(fake, one(fake));
    }

    function test_C7_aFakePairIsNeverCalled() public {
        address fake = address(new FakePair(address(a), address(b)));
        bytes32[] memory path = path2();
        for (uint8 kind; kind < 3; ++kind) {
            for (uint256 at; at < 2; ++at) {
                bytes32[] memory hops = path2();
                hops[at] = hop(fake, 30, address(a));
                refused(
                    planOf(kind, hops),
                    abi.encodeWithSelector(IFlashLoanReceiver.UnknownPool.selector, fake)
                );
            }
        }
        IFlashLoanReceiver.Plan memory plan = planOf(OUTSIDE, path);
        plan.lender = fake;
        plan.hops[0] = hop(fake, 30, address(a));
        refused(plan, abi.encodeWithSelector(IFlashLoanReceiver.UnknownPool.selector, fake));
    }

    function test_C7_aDelistedPoolIsNotCalled() public {
        vm.prank(executor);
        receiver.delistPools(one(uniAB));
        refused(
            planOf(FIRST, path2()),
            abi.encodeWithSelector(IFlashLoanReceiver.UnknownPool.selector, uniAB)
        );
    }

    function test_C7_aDelistedLenderIsNotCalled() public {
        vm.prank(owner);
        receiver.setLender(address(lender), false);
        refused(
            planOf(AAVE, path2()),
            abi.encodeWithSelector(IFlashLoanReceiver.UnknownLender.selector, address(lender))
        );
    }

    /*//////////////////////////////////////////////////////////////
                            LYING LENDERS
    //////////////////////////////////////////////////////////////*/

    function test_aLenderThatForgetsToLendIsRefused() public {
        lender.set(true, false, false, false, 0);
        refused(
            planOf(AAVE, path2()),
            abi.encodeWithSelector(IFlashLoanReceiver.LoanNotGiven.selector, address(lender))
        );
    }

    function test_aLenderMayCallBackOnlyOnce() public {
        lender.set(false, true, false, false, 0);
        refused(
            planOf(AAVE, path2()),
            abi.encodeWithSelector(IFlashLoanReceiver.BadCaller.selector, address(lender))
        );
    }

    function test_aLenderCannotChangeThePayloadOrTheLoan() public {
        lender.set(false, false, false, true, 0);
        refused(planOf(AAVE, path2()), IFlashLoanReceiver.BadLoan.selector);
        lender.set(false, false, false, false, 1);
        refused(planOf(AAVE, path2()), IFlashLoanReceiver.BadLoan.selector);
    }

    function test_C3_noAllowanceStaysWhenTheLenderPullsLess() public {
        lender.set(false, false, true, false, 0);
        execute(planOf(AAVE, path2()));
        assertEq(a.allowance(address(receiver), address(lender)), 0, "allowance");
    }

    function test_C3_noAllowanceStaysAfterAnyKindOfTrade() public {
        for (uint8 kind; kind < 3; ++kind) {
            execute(planOf(kind, path2()));
        }
        address[5] memory spenders = [address(lender), address(router), uniAB, forkAB, uniAC];
        for (uint256 i; i < 5; ++i) {
            assertEq(a.allowance(address(receiver), spenders[i]), 0, "A");
            assertEq(b.allowance(address(receiver), spenders[i]), 0, "B");
        }
    }

    /*//////////////////////////////////////////////////////////////
                        FORWARDERS AND SETTERS
    //////////////////////////////////////////////////////////////*/

    /// @dev The classic: a "lender", "router" or "pool" that is a token, so that the call our
    /// contract makes is a transfer of its own money.
    function test_C11_noCallGoesWhereAnExecutorWants() public {
        address[3] memory targets = [address(a), address(b), address(receiver)];
        for (uint256 i; i < 3; ++i) {
            for (uint8 kind; kind < 3; ++kind) {
                IFlashLoanReceiver.Plan memory plan = planOf(kind, path2());
                plan.lender = targets[i];
                refused(
                    plan,
                    abi.encodeWithSelector(IFlashLoanReceiver.UnknownLender.selector, targets[i])
                );
                if (kind != AAVE) plan.hops[0] = bytes32(uint256(uint160(targets[i])));
                vm.prank(executor);
                (bool ok,) = address(receiver).call(abi.encodeCall(receiver.execute, (plan)));
                assertTrue(!ok, "refused");
            }
        }
        _nothingLost();
    }

    function test_C11_noSetterIsOpenToAll() public {
        vm.prank(stranger);
        vm.expectPartialRevert(bytes4(keccak256("OwnableUnauthorizedAccount(address)")));
        receiver.setExecutor(stranger, true);
        vm.prank(stranger);
        vm.expectRevert(IFlashLoanReceiver.NotExecutor.selector);
        receiver.sweep(address(a));
    }

    /*//////////////////////////////////////////////////////////////
                          EXECUTORS GONE BAD (C1)
    //////////////////////////////////////////////////////////////*/

    function test_C1_aFeeLieTooLowFailsAtThePair() public {
        for (uint256 at; at < 2; ++at) {
            bytes32[] memory path = path2();
            path[0] = hop(forkAB, at == 0 ? FORK_BPS - 1 : FORK_BPS, address(a));
            path[1] = hop(uniAB, at == 1 ? UNI_BPS - 1 : UNI_BPS, address(b));
            for (uint8 kind; kind < 3; ++kind) {
                IFlashLoanReceiver.Plan memory plan = planOf(kind, path);
                vm.expectRevert();
                execute(plan);
            }
        }
        IFlashLoanReceiver.Plan memory outside = planOf(OUTSIDE, path2());
        outside.hops[0] = hop(uniAC, UNI_BPS - 1, address(a));
        vm.expectRevert();
        execute(outside);
        _nothingLost();
    }

    function testFuzz_C1_aFeeLieTooHighOnlyLowersTheProfit(uint256 lie, uint8 kind) public {
        lie = bound(lie, UNI_BPS, 9_999);
        bytes32[] memory path = path2();
        path[1] = hop(uniAB, lie, address(b));
        IFlashLoanReceiver.Plan memory plan = planOf(kind % 3, path);
        vm.prank(executor);
        try receiver.execute(plan) returns (uint256 profit) {
            assertTrue(profit >= UNIT, "still the minimum");
        } catch {}
        _nothingLost();
    }

    function testFuzz_C1_anyPathOfListedPoolsLosesNothing(
        uint256[4] calldata picks,
        uint256 amount,
        uint8 kind,
        uint8 count,
        bool lie
    ) public {
        address[4] memory pools = [uniAB, forkAB, forkBC, uniAC];
        ZooToken[3] memory tokens = [a, b, c];
        bytes32[] memory path = new bytes32[](1 + count % 4);
        for (uint256 i; i < path.length; ++i) {
            address pool = pools[picks[i] % 4];
            path[i] = hop(
                pool,
                lie ? (picks[i] >> 8) % 10_000 : FORK_BPS,
                address(tokens[(picks[i] >> 24) % 3])
            );
        }
        IFlashLoanReceiver.Plan memory plan = planOf(kind % 3, path);
        plan.amount = bound(amount, 1, DEPTH);
        uint256[3] memory held = _balances();
        vm.prank(executor);
        (bool ok,) = address(receiver).call(abi.encodeCall(receiver.execute, (plan)));
        ok;
        _atLeast(held);
    }

    function test_C1_aFakeTokenInARealFactoryTakesNothing() public {
        ZooToken fake = new ZooToken();
        address fakeA = makePool(uni, a, fake, DEPTH, DEPTH);
        address fakeB = makePool(uni, b, fake, DEPTH, DEPTH);
        bytes32[] memory path = new bytes32[](3);
        path[0] = hop(fakeA, UNI_BPS, address(a));
        path[1] = hop(fakeB, UNI_BPS, address(fake));
        path[2] = hop(uniAB, UNI_BPS, address(b));
        for (uint8 kind; kind < 3; ++kind) {
            IFlashLoanReceiver.Plan memory plan = planOf(kind, path);
            vm.prank(executor);
            (bool ok,) = address(receiver).call(abi.encodeCall(receiver.execute, (plan)));
            assertTrue(!ok, "no profit in it");
        }
        _nothingLost();
    }

    function test_C1_theWrongDirectionAtTheLendingPairTakesNothing() public {
        // The pair lends C where A is owed: A held before would be walked, C would come for nothing.
        for (uint8 kind = OUTSIDE; kind <= FIRST; ++kind) {
            IFlashLoanReceiver.Plan memory plan = planOf(kind, path2());
            plan.hops[0] ^= bytes32(uint256(1) << 176);
            vm.prank(executor);
            (bool ok,) = address(receiver).call(abi.encodeCall(receiver.execute, (plan)));
            ok;
            _nothingLost();
        }
    }

    function test_C1_theSamePoolTwiceTakesNothing() public {
        bytes32[] memory path = new bytes32[](2);
        path[0] = hop(uniAB, UNI_BPS, address(a));
        path[1] = hop(uniAB, UNI_BPS, address(b));
        for (uint8 kind; kind < 2; ++kind) {
            IFlashLoanReceiver.Plan memory plan = planOf(kind, path);
            vm.prank(executor);
            (bool ok,) = address(receiver).call(abi.encodeCall(receiver.execute, (plan)));
            assertTrue(!ok, "no profit in it");
        }
        _nothingLost();
    }

    function test_C1_heldMoneyIsNeverWalked() public {
        bytes32[] memory losing = new bytes32[](2);
        losing[0] = hop(uniAB, UNI_BPS, address(a));
        losing[1] = hop(forkAB, FORK_BPS, address(b));
        for (uint8 kind; kind < 3; ++kind) {
            refused(
                planOf(kind, losing),
                abi.encodeWithSelector(IFlashLoanReceiver.ProfitTooLow.selector, 0, UNIT)
            );
        }
        _nothingLost();
    }

    function _balances() private view returns (uint256[3] memory) {
        return [
            a.balanceOf(address(receiver)),
            b.balanceOf(address(receiver)),
            c.balanceOf(address(receiver))
        ];
    }

    function _atLeast(uint256[3] memory held) private view {
        uint256[3] memory found = _balances();
        for (uint256 i; i < 3; ++i) {
            assertTrue(found[i] >= held[i], "no balance falls");
        }
    }
}

/// @title A listed lender whose loan, as it reports, was asked for by somebody else.
contract Relayer {
    function flashLoanSimple(address to, address asset, uint256 amount, bytes calldata data, uint16)
        external
    {
        address initiator = address(uint160(uint256(keccak256("stranger"))));
        FlashLoanReceiver(payable(to)).executeOperation(asset, amount, 0, initiator, data);
    }
}
