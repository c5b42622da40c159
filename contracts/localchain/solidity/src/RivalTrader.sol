// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

import {IPair, IToken} from "./interfaces/IMarketContracts.sol";

/// @title The rival's own contract: walks a cycle of pairs with its own capital, or reverts.
contract RivalTrader {
    struct Hop {
        address pair;
        uint256 feeBps;
        bool zeroForOne;
    }

    error NotOwner(address caller);
    error TransferFailed(address token);
    /// @notice Thrown when the walk ends with less gain than asked, raw units of the token.
    error GainTooLow(uint256 balance, uint256 required);

    event Taken(address indexed token, uint256 amountIn, uint256 gain);

    uint256 private constant BPS_ONE = 10_000;
    address public immutable owner;

    constructor() {
        owner = msg.sender;
    }

    /// @notice Walks the cycle with outputs computed from the reserves as they stand now.
    /// @param amountIn Raw units of `token`, from this contract's own balance.
    /// @param minGain The least rise of this contract's balance, raw units of `token`.
    function take(Hop[] calldata hops, address token, uint256 amountIn, uint256 minGain) external {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        uint256 held = IToken(token).balanceOf(address(this));
        if (!IToken(token).transfer(hops[0].pair, amountIn)) revert TransferFailed(token);
        uint256 amount = amountIn;
        for (uint256 i = 0; i < hops.length; ++i) {
            address to = i + 1 < hops.length ? hops[i + 1].pair : address(this);
            amount = _cross(hops[i], amount, to);
        }
        uint256 balance = IToken(token).balanceOf(address(this));
        if (balance < held + minGain) revert GainTooLow(balance, held + minGain);
        emit Taken(token, amountIn, balance - held);
    }

    function _cross(Hop calldata hop, uint256 amountIn, address to) private returns (uint256 amountOut) {
        (uint256 reserveIn, uint256 reserveOut, ) = IPair(hop.pair).getReserves();
        if (!hop.zeroForOne) (reserveIn, reserveOut) = (reserveOut, reserveIn);
        uint256 afterFee = amountIn * (BPS_ONE - hop.feeBps);
        amountOut = afterFee * reserveOut / (reserveIn * BPS_ONE + afterFee);
        (uint256 out0, uint256 out1) = hop.zeroForOne ? (uint256(0), amountOut) : (amountOut, uint256(0));
        IPair(hop.pair).swap(out0, out1, to, "");
    }
}
