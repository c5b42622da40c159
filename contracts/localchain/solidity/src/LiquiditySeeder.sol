// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

import {IFactory, IPair, IToken} from "./interfaces/IMarketContracts.sol";

/// @title Opens pools in batches when the local market is built.
/// @notice Holds the tokens that go into the pools; its owner keeps the shares.
contract LiquiditySeeder {
    struct Lot {
        address factory;
        address tokenA;
        address tokenB;
        uint256 amountA;
        uint256 amountB;
    }

    error NotOwner(address caller);
    error TransferFailed(address token);

    address public immutable owner;

    constructor() {
        owner = msg.sender;
    }

    /// @notice Creates each pair and funds it with both amounts, raw units.
    function seed(Lot[] calldata lots) external {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        for (uint256 i = 0; i < lots.length; ++i) {
            Lot calldata lot = lots[i];
            address pair = IFactory(lot.factory).createPair(lot.tokenA, lot.tokenB);
            _pay(lot.tokenA, pair, lot.amountA);
            _pay(lot.tokenB, pair, lot.amountB);
            IPair(pair).mint(owner);
        }
    }

    function _pay(address token, address to, uint256 amount) private {
        if (!IToken(token).transfer(to, amount)) revert TransferFailed(token);
    }
}
