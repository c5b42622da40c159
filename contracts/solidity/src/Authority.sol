// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IFlashLoanReceiver} from "./interfaces/IFlashLoanReceiver.sol";
import {IUniswapV2Factory, IUniswapV2Pair} from "./interfaces/IUniswapV2.sol";

/// @title What the receiver is allowed to do, and for whom.
/// @notice Who may do what, what may be called, and the one way out for money.
abstract contract Authority is
    IFlashLoanReceiver,
    Ownable2Step,
    Pausable,
    ReentrancyGuardTransient
{
    using SafeERC20 for IERC20;

    /// @inheritdoc IFlashLoanReceiver
    address public override treasury;
    /// @inheritdoc IFlashLoanReceiver
    address public override router;
    /// @inheritdoc IFlashLoanReceiver
    address public override tipRecipient;
    /// @inheritdoc IFlashLoanReceiver
    mapping(address => bool) public override isExecutor;
    /// @inheritdoc IFlashLoanReceiver
    mapping(address => bool) public override isFactory;
    /// @inheritdoc IFlashLoanReceiver
    mapping(address => bool) public override isRouter;
    /// @inheritdoc IFlashLoanReceiver
    mapping(address => bool) public override isLender;
    /// @inheritdoc IFlashLoanReceiver
    mapping(address => bool) public override isTipRecipient;
    /// @inheritdoc IFlashLoanReceiver
    mapping(address => bool) public override isPool;
    /// @inheritdoc IFlashLoanReceiver
    mapping(address => uint256) public override minProfit;

    modifier onlyExecutor() {
        if (!isExecutor[msg.sender]) revert NotExecutor();
        _;
    }

    modifier onlyExecutorOrOwner() {
        if (!isExecutor[msg.sender] && msg.sender != owner()) revert NotExecutor();
        _;
    }

    constructor(address owner_, address treasury_, address router_) Ownable(owner_) {
        _setTreasury(treasury_);
        _setRouter(router_, true);
    }

    /*//////////////////////////////////////////////////////////////
                           EXECUTORS AND OWNER
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc IFlashLoanReceiver
    function registerPools(address factory, address[] calldata pairs)
        external
        override
        onlyExecutorOrOwner
    {
        if (!isFactory[factory]) revert UnknownFactory(factory);
        for (uint256 i; i < pairs.length; ++i) {
            address pair = pairs[i];
            if (pair.code.length == 0) revert UnknownPool(pair);
            address token0 = IUniswapV2Pair(pair).token0();
            address token1 = IUniswapV2Pair(pair).token1();
            // The pair names its tokens, but only the factory's answer counts.
            if (IUniswapV2Factory(factory).getPair(token0, token1) != pair) {
                revert UnknownPool(pair);
            }
            isPool[pair] = true;
            emit PoolListed(pair, factory);
        }
    }

    /// @inheritdoc IFlashLoanReceiver
    function delistPools(address[] calldata pairs) external override onlyExecutorOrOwner {
        for (uint256 i; i < pairs.length; ++i) {
            isPool[pairs[i]] = false;
            emit PoolDelisted(pairs[i]);
        }
    }

    /// @inheritdoc IFlashLoanReceiver
    function sweep(address token) external override onlyExecutorOrOwner nonReentrant {
        uint256 amount;
        if (token == address(0)) {
            amount = address(this).balance;
            if (amount != 0) _pay(treasury, amount);
        } else {
            amount = IERC20(token).balanceOf(address(this));
            if (amount != 0) IERC20(token).safeTransfer(treasury, amount);
        }
        emit Swept(token, amount);
    }

    /// @inheritdoc IFlashLoanReceiver
    function pause() external override onlyExecutorOrOwner {
        _pause();
    }

    /*//////////////////////////////////////////////////////////////
                                  OWNER
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc IFlashLoanReceiver
    function unpause() external override onlyOwner {
        _unpause();
    }

    /// @inheritdoc IFlashLoanReceiver
    function setExecutor(address executor, bool allowed) external override onlyOwner {
        if (executor == address(0) || executor == address(this)) revert BadAddress(executor);
        isExecutor[executor] = allowed;
        emit ExecutorSet(executor, allowed);
    }

    /// @inheritdoc IFlashLoanReceiver
    function setFactory(address factory, bool allowed) external override onlyOwner {
        if (allowed) _requireCode(factory);
        isFactory[factory] = allowed;
        emit FactorySet(factory, allowed);
    }

    /// @inheritdoc IFlashLoanReceiver
    function setRouter(address router_, bool allowed) external override onlyOwner {
        _setRouter(router_, allowed);
    }

    /// @inheritdoc IFlashLoanReceiver
    function setLender(address lender, bool allowed) external override onlyOwner {
        if (allowed) _requireCode(lender);
        isLender[lender] = allowed;
        emit LenderSet(lender, allowed);
    }

    /// @inheritdoc IFlashLoanReceiver
    function setTipRecipient(address recipient, bool allowed) external override onlyOwner {
        if (recipient == address(0) || recipient == address(this)) revert BadAddress(recipient);
        isTipRecipient[recipient] = allowed;
        if (allowed) tipRecipient = recipient;
        else if (tipRecipient == recipient) tipRecipient = address(0);
        emit TipRecipientSet(recipient, allowed);
    }

    /// @inheritdoc IFlashLoanReceiver
    function setMinProfit(address token, uint256 raw) external override onlyOwner {
        if (raw == 0) revert MinProfitTooLow(0, 1);
        _requireCode(token);
        minProfit[token] = raw;
        emit MinProfitSet(token, raw);
    }

    /// @inheritdoc IFlashLoanReceiver
    function setTreasury(address treasury_) external override onlyOwner {
        _setTreasury(treasury_);
    }

    /// @notice Always reverts: without an owner nobody could unpause or move the treasury.
    function renounceOwnership() public view override onlyOwner {
        revert OwnershipNotRenounceable();
    }

    /*//////////////////////////////////////////////////////////////
                                 INSIDE
    //////////////////////////////////////////////////////////////*/

    function _setRouter(address router_, bool allowed) private {
        if (allowed) _requireCode(router_);
        isRouter[router_] = allowed;
        if (allowed) router = router_;
        else if (router == router_) router = address(0);
        emit RouterSet(router_, allowed);
    }

    function _setTreasury(address treasury_) private {
        if (treasury_ == address(0) || treasury_ == address(this)) revert BadAddress(treasury_);
        treasury = treasury_;
        emit TreasurySet(treasury_);
    }

    /// @dev Sends native coin, with all gas: recipients are the owner's choice and may be contracts.
    function _pay(address recipient, uint256 amountWei) internal {
        (bool ok,) = recipient.call{value: amountWei}("");
        if (!ok) revert PaymentRefused(recipient);
    }

    function _requireCode(address given) private view {
        if (given.code.length == 0) revert NoCode(given);
    }
}
