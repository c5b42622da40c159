// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

interface IERC20Prover {
    function transfer(address to, uint256 amount) external returns (bool);
    function balanceOf(address account) external view returns (uint256);
}

interface IPairProver {
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external;
}

interface IAaveProver {
    function flashLoanSimple(
        address receiver,
        address asset,
        uint256 amount,
        bytes calldata params,
        uint16 referralCode
    ) external;
}

/// @title Proves by one simulated swap or loan what a pair enforces, a token delivers, a lender takes.
/// @notice Never deployed: `eth_call` puts this code, by state override, at an address that really
/// holds the input token, so no balance has to be forged and every storage layout works.
contract SwapProver {
    /// @notice Thrown when the token refuses the approval.
    error TokenCallFailed();

    /// @dev Transient, because the storage here is the overridden contract's own.
    uint256 private transient premiumSeen;

    /// @notice Pays `amountIn` of `tokenIn` into `pair`, takes `amountOut` of `tokenOut` out of it.
    /// @dev Never reverts for what token or pair refuse, so that a tax and a fee can be told apart.
    /// Amounts are raw token units.
    /// @return paid What of the input arrived at the pair; 0 where the token refused the transfer.
    /// @return received What of the output arrived here; 0 where the pair refused the swap.
    /// @return swapped Whether the pair let `amountOut` go.
    function prove(
        address pair,
        address tokenIn,
        address tokenOut,
        uint256 amountIn,
        uint256 amountOut,
        bool zeroForOne
    ) external returns (uint256 paid, uint256 received, bool swapped) {
        uint256 pairBefore = IERC20Prover(tokenIn).balanceOf(pair);
        uint256 ownBefore = IERC20Prover(tokenOut).balanceOf(address(this));
        if (!_pay(tokenIn, pair, amountIn)) return (0, 0, false);
        paid = IERC20Prover(tokenIn).balanceOf(pair) - pairBefore;
        try IPairProver(pair).swap(
            zeroForOne ? 0 : amountOut, zeroForOne ? amountOut : 0, address(this), ""
        ) {
            swapped = true;
            received = IERC20Prover(tokenOut).balanceOf(address(this)) - ownBefore;
        } catch {}
    }

    /// @notice The premium `pool` asks for a flash loan of `amount`, raw token units.
    function premiumOf(address pool, address token, uint256 amount) external returns (uint256) {
        IAaveProver(pool).flashLoanSimple(address(this), token, amount, "", 0);
        return premiumSeen;
    }

    /// @notice Aave's callback: notes the premium and lets the pool take back loan and premium.
    function executeOperation(
        address asset,
        uint256 amount,
        uint256 premium,
        address,
        bytes calldata
    ) external returns (bool) {
        premiumSeen = premium;
        (bool ok,) = asset.call(
            abi.encodeWithSignature("approve(address,uint256)", msg.sender, amount + premium)
        );
        if (!ok) revert TokenCallFailed();
        return true;
    }

    /// @dev A low-level call, since USDT-like tokens return nothing.
    function _pay(address token, address to, uint256 amount) private returns (bool ok) {
        (ok,) = token.call(abi.encodeCall(IERC20Prover.transfer, (to, amount)));
    }
}
