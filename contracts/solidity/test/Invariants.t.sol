// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

import {FlashLoanReceiver} from "../src/FlashLoanReceiver.sol";
import {IFlashLoanReceiver} from "../src/interfaces/IFlashLoanReceiver.sol";
import {Fixture} from "./utils/Fixture.sol";
import {Test} from "./utils/Test.sol";
import {ZooToken} from "./utils/Tokens.sol";

interface IHopMaker {
    function pools(uint256 index) external view returns (address);
    function tokens(uint256 index) external view returns (ZooToken);
    function word(uint256 pool, uint256 feeBps, uint256 tokenIn) external view returns (bytes32);
}

/// @title Does anything anybody may do, in any order, and notes each balance that fell.
contract Handler is Test {
    FlashLoanReceiver private immutable receiver;
    IHopMaker private immutable market;
    address private immutable owner;
    address private immutable executor;
    address private immutable stranger;
    address private immutable lender;
    address private immutable treasury;

    uint256 private constant TOKENS = 4;
    uint256 private constant POOLS = 6;

    uint256 public falls;
    uint256 public broken;
    uint256 public successes;
    mapping(address => uint256) public swept;

    constructor(
        FlashLoanReceiver receiver_,
        IHopMaker market_,
        address[5] memory people // owner, executor, stranger, lender, treasury
    ) {
        (receiver, market) = (receiver_, market_);
        (owner, executor, stranger, lender, treasury) =
        (people[0], people[1], people[2], people[3], people[4]);
    }

    /// @dev Only `sweep` may lower a balance, and only towards the treasury.
    modifier nothingFalls() {
        uint256[TOKENS] memory before = _balances();
        _;
        uint256[TOKENS] memory afterwards = _balances();
        for (uint256 i; i < TOKENS; ++i) {
            if (afterwards[i] < before[i]) ++falls;
        }
    }

    /*//////////////////////////////////////////////////////////////
                               EXECUTORS
    //////////////////////////////////////////////////////////////*/

    function executeAnything(
        uint256[4] calldata picks,
        uint8 kind,
        uint8 count,
        uint256 amount,
        uint256 wanted
    ) external nothingFalls {
        bytes32[] memory hops = new bytes32[](1 + count % 4);
        for (uint256 i; i < hops.length; ++i) {
            hops[i] = market.word(picks[i] % POOLS, (picks[i] >> 8) % 10_000, picks[i] >> 32);
        }
        _execute(kind, hops, amount, wanted, address(market.tokens((wanted >> 128) % TOKENS)));
    }

    /// @dev A path that may well pay: honest fees, connected, A to A over two A/B pools.
    function executeSense(uint8 kind, bool turned, uint256 amount, uint256 wanted)
        external
        nothingFalls
    {
        bytes32[] memory path = new bytes32[](2);
        (uint256 first, uint256 second) = turned ? (0, 1) : (1, 0);
        path[0] = market.word(first, first == 0 ? 30 : 25, 0);
        path[1] = market.word(second, second == 0 ? 30 : 25, 1);
        _execute(kind, path, amount, wanted % 100e18, address(market.tokens(0)));
    }

    function _execute(
        uint8 kind,
        bytes32[] memory hops,
        uint256 amount,
        uint256 wanted,
        address token
    ) private {
        kind = kind % 4;
        IFlashLoanReceiver.Plan memory plan;
        if (kind == 1) {
            bytes32[] memory longer = new bytes32[](hops.length + 1);
            longer[0] = market.word(3, 30, 0);
            for (uint256 i; i < hops.length; ++i) {
                longer[i + 1] = hops[i];
            }
            hops = longer;
        }
        plan.lenderKind = kind;
        plan.lender = kind == 0 ? lender : address(uint160(uint256(hops[0])));
        plan.token = token;
        plan.amount = bound(amount, 1, 10_000e18);
        plan.minProfit = bound(wanted, 0, 1_000e18);
        plan.deadline = type(uint64).max;
        plan.lastBlock = type(uint64).max;
        plan.hops = hops;
        uint256 before = ZooToken(token).balanceOf(address(receiver));
        vm.prank(executor);
        try receiver.execute(plan) returns (uint256 profit) {
            ++successes;
            uint256 gained = ZooToken(token).balanceOf(address(receiver)) - before;
            if (gained != profit || profit < plan.minProfit || plan.minProfit == 0) ++broken;
        } catch {}
    }

    function listAndDelist(uint256 pick, bool delist) external nothingFalls {
        address[] memory pairs = new address[](1);
        pairs[0] = market.pools(pick % POOLS);
        vm.startPrank(executor);
        // Delisted for good would leave nothing to trade on.
        if (delist) receiver.delistPools(pairs);
        try receiver.registerPools(address(uint160(pick)), pairs) {} catch {}
        vm.stopPrank();
        if (delist) IRelister(address(market)).relist(pick % POOLS);
    }

    function sweep(uint256 pick) external {
        address token = address(market.tokens(pick % TOKENS));
        uint256[TOKENS] memory before = _balances();
        uint256 treasuryBefore = ZooToken(token).balanceOf(treasury);
        vm.prank(executor);
        try receiver.sweep(token) {
            uint256 got = ZooToken(token).balanceOf(treasury) - treasuryBefore;
            uint256[TOKENS] memory afterwards = _balances();
            for (uint256 i; i < TOKENS; ++i) {
                if (address(market.tokens(i)) == token) {
                    uint256 left = before[i] - afterwards[i];
                    uint256 taxes = left * ZooToken(token).taxBps() / 10_000;
                    if (left - taxes != got) ++broken;
                } else if (afterwards[i] < before[i]) {
                    ++falls;
                }
            }
            swept[token] += got;
        } catch {}
    }

    /*//////////////////////////////////////////////////////////////
                               STRANGERS
    //////////////////////////////////////////////////////////////*/

    function callAnything(bytes calldata data, uint256 who) external nothingFalls {
        address[4] memory callers = [stranger, lender, market.pools(0), market.pools(1)];
        vm.prank(callers[who % 4]);
        (bool ok,) = address(receiver).call(data);
        ok;
    }

    function callBack(bytes4 name, uint256 amount, uint256 who, bytes calldata data)
        external
        nothingFalls
    {
        address[4] memory callers = [stranger, lender, market.pools(0), market.pools(1)];
        vm.prank(callers[who % 4]);
        (bool ok,) = address(receiver)
            .call(abi.encodeWithSelector(name, address(receiver), amount, amount, data));
        ok;
        vm.prank(callers[who % 4]);
        try receiver.executeOperation(
            address(market.tokens(0)), amount, 0, address(receiver), data
        ) {
            ++broken;
        } catch {}
    }

    function donate(uint256 pick, uint256 amount) external nothingFalls {
        market.tokens(pick % TOKENS).mint(address(receiver), bound(amount, 0, 1_000e18));
    }

    function movePrice(uint256 pick, bool turned, uint256 amount) external nothingFalls {
        IRelister(address(market)).trade(pick % POOLS, turned, bound(amount, 1e18, 50_000e18));
    }

    function pauseAndUnpause() external nothingFalls {
        vm.prank(executor);
        receiver.pause();
        vm.prank(owner);
        receiver.unpause();
    }

    function _balances() private view returns (uint256[TOKENS] memory found) {
        for (uint256 i; i < TOKENS; ++i) {
            found[i] = market.tokens(i).balanceOf(address(receiver));
        }
    }
}

interface IRelister {
    function relist(uint256 pick) external;
    function trade(uint256 pick, bool turned, uint256 amount) external;
}

/// @title What holds after any sequence of calls; with a taxing token among those traded.
contract InvariantsTest is Fixture {
    Handler private handler;
    ZooToken private taxed;
    address[6] private listed;

    function setUp() public override {
        super.setUp();
        taxed = new ZooToken();
        taxed.setTax(100);
        address uniTaxed = makePool(uni, a, taxed, DEPTH, DEPTH);
        address forkTaxed = makePool(fork, b, taxed, DEPTH, DEPTH);
        listed = [uniAB, forkAB, forkBC, uniAC, uniTaxed, forkTaxed];
        vm.startPrank(owner);
        receiver.setMinProfit(address(b), UNIT);
        receiver.setMinProfit(address(c), UNIT);
        vm.stopPrank();
        handler = new Handler(
            receiver,
            IHopMaker(address(this)),
            [owner, executor, stranger, address(lender), treasury]
        );
    }

    /// @dev forge asks for the contracts to call by this name.
    function targetContracts() external view returns (address[] memory) {
        return one(address(handler));
    }

    function invariant_C1_noBalanceFallsButBySweep() external view {
        assertEq(handler.falls(), 0, "falls");
    }

    function invariant_C4_successMeansAtLeastTheMinimum() external view {
        assertEq(handler.broken(), 0, "broken");
    }

    function invariant_C3_noAllowanceStays() external view {
        address[5] memory spenders = [address(lender), address(router), uniAB, forkAB, uniAC];
        for (uint256 i; i < spenders.length; ++i) {
            assertEq(a.allowance(address(receiver), spenders[i]), 0, "A");
            assertEq(b.allowance(address(receiver), spenders[i]), 0, "B");
        }
    }

    function invariant_theTreasuryGotWhatWasSwept() external view {
        for (uint256 i; i < 4; ++i) {
            address token = address(tokens(i));
            assertEq(ZooToken(token).balanceOf(treasury), handler.swept(token), "swept");
        }
    }

    function invariant_theRouterHoldsNothing() external view {
        for (uint256 i; i < 4; ++i) {
            assertEq(tokens(i).balanceOf(address(router)), 0, "router");
        }
    }

    /// @dev The runs mean something only if trades can succeed in them.
    function test_theHandlersTradesCanSucceed() public {
        for (uint8 kind; kind < 3; ++kind) {
            handler.executeSense(kind, false, 1_000 * UNIT, UNIT);
        }
        assertEq(handler.successes(), 3, "one of each kind");
        handler.sweep(0);
        assertTrue(handler.swept(address(a)) > 0, "swept");
        assertEq(handler.falls() + handler.broken(), 0, "clean");
    }

    /*//////////////////////////////////////////////////////////////
                       WHAT THE HANDLER ASKS FOR
    //////////////////////////////////////////////////////////////*/

    function pools(uint256 index) public view returns (address) {
        return listed[index % 6];
    }

    function tokens(uint256 index) public view returns (ZooToken) {
        return [a, b, c, taxed][index % 4];
    }

    function word(uint256 pool, uint256 feeBps, uint256 tokenIn) external view returns (bytes32) {
        return hop(pools(pool), feeBps, address(tokens(tokenIn)));
    }

    function relist(uint256 pick) external {
        address pair = pools(pick);
        register(
            pair == forkAB || pair == forkBC || pair == listed[5] ? address(fork) : address(uni),
            pair
        );
    }

    function trade(uint256 pick, bool turned, uint256 amount) external {
        address pair = pools(pick % 2);
        ZooToken tokenIn = turned ? b : a;
        bytes32[] memory path = new bytes32[](1);
        path[0] = hop(pair, pick % 2 == 0 ? UNI_BPS : FORK_BPS, address(tokenIn));
        tokenIn.mint(pair, amount);
        router.walk(path, amount, stranger);
    }
}
