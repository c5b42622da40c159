// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {Authority} from "./Authority.sol";
import {IAaveV3Pool, IAaveV3SimpleReceiver} from "./interfaces/IAaveV3.sol";
import {IFlashLoanReceiver} from "./interfaces/IFlashLoanReceiver.sol";
import {IArbSys} from "./interfaces/IArbSys.sol";
import {IMultiDexRouter} from "./interfaces/IMultiDexRouter.sol";
import {IUniswapV2Pair} from "./interfaces/IUniswapV2.sol";
import {ConstantProduct} from "./libraries/ConstantProduct.sol";
import {Hops} from "./libraries/Hops.sol";

/// @title The receiver of flash loans.
/// @notice Borrows, walks a cycle of pairs, repays, keeps the profit for the treasury.
/// @dev Why no balance falls: the contract itself moves only two tokens, the plan's token and, where
/// the first pool lends, that pool's output. Both are compared with their balance before the loan.
/// Everything between goes from pair to pair. A lender is believed only while it is awaited, once,
/// and only with the payload whose hash was kept; what is awaited lies in transient storage.
contract FlashLoanReceiver is Authority, IAaveV3SimpleReceiver {
    using SafeERC20 for IERC20;
    using Hops for bytes32;

    uint8 private constant AAVE_V3 = 0;
    uint8 private constant OUTSIDE_PAIR = 1;
    uint8 private constant FIRST_POOL = 2;

    IArbSys private constant ARB_SYS = IArbSys(address(0x64));

    /*//////////////////////////////////////////////////////////////
                         THE TRADE UNDER WAY
    //////////////////////////////////////////////////////////////*/

    /// @dev The Aave pool that may call `executeOperation`; zero but between call and callback.
    address private transient _awaitedPool;
    /// @dev The pair that may call back; zero but between call and callback.
    address private transient _awaitedPair;
    /// @dev Hash of what the lender was given to hand back.
    bytes32 private transient _payloadHash;
    /// @dev The plan's token, amount and minimum, and its balance before the loan.
    address private transient _token;
    uint256 private transient _amount;
    uint256 private transient _minProfit;
    uint256 private transient _before;
    /// @dev What goes back to the lender, premium included.
    uint256 private transient _owed;
    /// @dev Where the first pool lends: what it pays out, and the balance of that before the loan.
    /// The token is zero for other lenders.
    address private transient _paidOut;
    uint256 private transient _paidOutBefore;

    /// @param owner_ Who lists, sets limits, unpauses; handed over in two steps.
    /// @param treasury_ The only address that `sweep` pays.
    /// @param router_ The MultiDexRouter to list; `setRouter` changes it.
    constructor(address owner_, address treasury_, address router_)
        Authority(owner_, treasury_, router_)
    {}

    /*//////////////////////////////////////////////////////////////
                                 TRADES
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc IFlashLoanReceiver
    function execute(Plan calldata plan)
        external
        payable
        override
        onlyExecutor
        nonReentrant
        whenNotPaused
        returns (uint256 profit)
    {
        _admit(plan);
        uint256 before = IERC20(plan.token).balanceOf(address(this));
        _token = plan.token;
        _amount = plan.amount;
        _minProfit = plan.minProfit;
        _before = before;
        if (plan.lenderKind == AAVE_V3) _borrowFromPool(plan);
        else _borrowFromPair(plan);

        uint256 balance = IERC20(plan.token).balanceOf(address(this));
        profit = balance > before ? balance - before : 0;
        if (profit < plan.minProfit) revert ProfitTooLow(profit, plan.minProfit);
        emit Settled(plan.token, plan.lender, plan.amount, _owed - plan.amount, profit);
        if (msg.value != 0) _pay(tipRecipient, msg.value);
    }

    /// @dev Every reason not to trade that is known before money moves.
    function _admit(Plan calldata plan) private view {
        if (block.timestamp > plan.deadline || _blockNumber() > plan.lastBlock) revert Expired();
        uint256 required = minProfit[plan.token];
        if (required == 0) revert MinProfitNotSet(plan.token);
        if (plan.minProfit < required) revert MinProfitTooLow(plan.minProfit, required);
        if (msg.value != 0 && tipRecipient == address(0)) revert NoTipRecipient();

        bool pairLends = plan.lenderKind != AAVE_V3;
        uint256 count = plan.hops.length;
        if (count < (pairLends ? 2 : 1)) revert PathTooShort();
        if (pairLends) {
            if (plan.lenderKind > FIRST_POOL || plan.hops[0].pairOf() != plan.lender) {
                revert UnknownLender(plan.lender);
            }
        } else if (!isLender[plan.lender]) {
            revert UnknownLender(plan.lender);
        }
        for (uint256 i; i < count; ++i) {
            address pair = plan.hops[i].pairOf();
            if (!isPool[pair]) revert UnknownPool(pair);
            if (pairLends && i != 0 && pair == plan.lender) revert LenderInPath(pair);
        }
    }

    /// @dev On Arbitrum `block.number` is an estimate of the L1's, far too slow to bound a quote.
    function _blockNumber() private view returns (uint256) {
        if (block.chainid == 42161 || block.chainid == 421614) return ARB_SYS.arbBlockNumber();
        return block.number;
    }

    function _borrowFromPool(Plan calldata plan) private {
        bytes memory payload = abi.encode(plan.hops);
        _payloadHash = keccak256(payload);
        _awaitedPool = plan.lender;
        IAaveV3Pool(plan.lender).flashLoanSimple(address(this), plan.token, plan.amount, payload, 0);
        if (_awaitedPool != address(0)) revert LoanNotGiven(plan.lender);
        // The pool pulled exactly what it was allowed; if one ever pulls less, nothing stays open.
        if (IERC20(plan.token).allowance(address(this), plan.lender) != 0) {
            IERC20(plan.token).forceApprove(plan.lender, 0);
        }
    }

    function _borrowFromPair(Plan calldata plan) private {
        (address pair, uint256 feeBps, bool zeroForOne) = plan.hops[0].unpack();
        uint256 lent = plan.amount;
        bool lentIsToken0 = zeroForOne;
        if (plan.lenderKind == FIRST_POOL) {
            lent = _firstOutput(pair, plan.amount, feeBps, zeroForOne);
            lentIsToken0 = !zeroForOne;
            _owed = plan.amount;
            address paidOut =
                zeroForOne ? IUniswapV2Pair(pair).token1() : IUniswapV2Pair(pair).token0();
            _paidOut = paidOut;
            _paidOutBefore = IERC20(paidOut).balanceOf(address(this));
        } else {
            _owed = ConstantProduct.repayment(plan.amount, feeBps);
            _paidOut = address(0);
        }
        bytes memory payload = abi.encode(plan.hops[1:]);
        _payloadHash = keccak256(payload);
        _awaitedPair = pair;
        (uint256 amount0Out, uint256 amount1Out) =
            lentIsToken0 ? (lent, uint256(0)) : (uint256(0), lent);
        IUniswapV2Pair(pair).swap(amount0Out, amount1Out, address(this), payload);
        if (_awaitedPair != address(0)) revert LoanNotGiven(pair);
        _requirePaidOutKept();
    }

    function _firstOutput(address pair, uint256 amountIn, uint256 feeBps, bool zeroForOne)
        private
        view
        returns (uint256)
    {
        (uint256 reserve0, uint256 reserve1,) = IUniswapV2Pair(pair).getReserves();
        return zeroForOne
            ? ConstantProduct.amountOut(amountIn, reserve0, reserve1, feeBps)
            : ConstantProduct.amountOut(amountIn, reserve1, reserve0, feeBps);
    }

    /// @dev The first pool's output passed through here; a token that takes more than it delivers
    /// must not be paid for with what was held before.
    function _requirePaidOutKept() private view {
        uint256 before = _paidOutBefore;
        if (_paidOut == address(0) || before == 0) return;
        uint256 afterwards = IERC20(_paidOut).balanceOf(address(this));
        if (afterwards < before) revert BalanceFell(_paidOut, before, afterwards);
    }

    /*//////////////////////////////////////////////////////////////
                                CALLBACKS
    //////////////////////////////////////////////////////////////*/

    /// @notice Aave's callback. Reverts but from the pool that this contract called, for the loan
    /// that it asked for, once.
    /// @inheritdoc IAaveV3SimpleReceiver
    function executeOperation(
        address asset,
        uint256 amount,
        uint256 premium,
        address initiator,
        bytes calldata params
    ) external override whenNotPaused returns (bool) {
        if (msg.sender != _awaitedPool) revert BadCaller(msg.sender);
        if (initiator != address(this)) revert BadInitiator(initiator);
        _awaitedPool = address(0);
        if (asset != _token || amount != _amount || keccak256(params) != _payloadHash) {
            revert BadLoan();
        }
        uint256 owed = amount + premium;
        _owed = owed;
        _walk(asset, amount, abi.decode(params, (bytes32[])));
        _requireProfit(owed);
        IERC20(asset).forceApprove(msg.sender, owed);
        return true;
    }

    /// @notice A lending pair's callback, whatever its exchange calls it: any selector with
    /// (address initiator, uint256, uint256, bytes payload). Reverts but from the pair that this
    /// contract called, for the loan that it asked for, once.
    fallback() external {
        _requireNotPaused();
        if (msg.sender != _awaitedPair) revert BadCaller(msg.sender);
        (address initiator,,, bytes memory payload) =
            abi.decode(msg.data[4:], (address, uint256, uint256, bytes));
        if (initiator != address(this)) revert BadInitiator(initiator);
        _awaitedPair = address(0);
        if (keccak256(payload) != _payloadHash) revert BadLoan();

        address token = _token;
        address paidOut = _paidOut;
        uint256 owed = _owed;
        if (paidOut == address(0)) {
            _walk(token, _amount, abi.decode(payload, (bytes32[])));
        } else {
            // What arrived, not what was asked for: the difference may be a tax.
            uint256 arrived = IERC20(paidOut).balanceOf(address(this)) - _paidOutBefore;
            _walk(paidOut, arrived, abi.decode(payload, (bytes32[])));
        }
        _requireProfit(owed);
        IERC20(token).safeTransfer(msg.sender, owed);
    }

    function _walk(address token, uint256 amount, bytes32[] memory hops) private {
        address router_ = router;
        if (router_ == address(0)) revert NoRouter();
        IERC20(token).safeTransfer(hops[0].pairOf(), amount);
        IMultiDexRouter(router_).walk(hops, amount, address(this));
    }

    /// @dev Asked before repaying, so that a bad trade says by how much it fails instead of running
    /// into the token's own error; `execute` measures again when all is paid.
    function _requireProfit(uint256 owed) private view {
        uint256 debt = _before + owed;
        uint256 balance = IERC20(_token).balanceOf(address(this));
        uint256 got = balance > debt ? balance - debt : 0;
        if (got < _minProfit) revert ProfitTooLow(got, _minProfit);
    }
}
