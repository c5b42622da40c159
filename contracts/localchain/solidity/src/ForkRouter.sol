// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

import {IFactory, IPair, IToken, IWrappedNative} from "./interfaces/IMarketContracts.sol";

/// @title The router of one fork, with the calls of Uniswap V2's that people use.
contract ForkRouter {
    error Expired(uint256 deadline, uint256 timestamp);
    error InvalidPath();
    error NoPair(address tokenA, address tokenB);
    error InsufficientAmount();
    error InsufficientLiquidity();
    /// @notice Thrown when a swap would give `got` where at least `wanted` was asked, raw units.
    error InsufficientOutputAmount(uint256 got, uint256 wanted);
    /// @notice Thrown when a swap would take `needed` where at most `allowed` was offered, raw units.
    error ExcessiveInputAmount(uint256 needed, uint256 allowed);
    error TransferFailed(address token);
    error NotWrappedNative(address caller);

    uint256 private constant BPS_ONE = 10_000;

    address public immutable factory;
    address public immutable WETH;
    uint256 public immutable feeBps;

    modifier before(uint256 deadline) {
        if (block.timestamp > deadline) revert Expired(deadline, block.timestamp);
        _;
    }

    constructor(address factory_, address wrappedNative, uint256 feeBps_) {
        factory = factory_;
        WETH = wrappedNative;
        feeBps = feeBps_;
    }

    /// @dev Native coin comes from unwrapping alone.
    receive() external payable {
        if (msg.sender != WETH) revert NotWrappedNative(msg.sender);
    }

    // ------------------------------------------------------------------ liquidity

    function addLiquidity(
        address tokenA,
        address tokenB,
        uint256 amountADesired,
        uint256 amountBDesired,
        uint256 amountAMin,
        uint256 amountBMin,
        address to,
        uint256 deadline
    ) external before(deadline) returns (uint256 amountA, uint256 amountB, uint256 liquidity) {
        address pair = IFactory(factory).getPair(tokenA, tokenB);
        if (pair == address(0)) pair = IFactory(factory).createPair(tokenA, tokenB);
        (amountA, amountB) = _balanced(tokenA, tokenB, amountADesired, amountBDesired);
        if (amountA < amountAMin) revert InsufficientOutputAmount(amountA, amountAMin);
        if (amountB < amountBMin) revert InsufficientOutputAmount(amountB, amountBMin);
        _pull(tokenA, pair, amountA);
        _pull(tokenB, pair, amountB);
        liquidity = IPair(pair).mint(to);
    }

    function removeLiquidity(
        address tokenA,
        address tokenB,
        uint256 liquidity,
        uint256 amountAMin,
        uint256 amountBMin,
        address to,
        uint256 deadline
    ) external before(deadline) returns (uint256 amountA, uint256 amountB) {
        address pair = _pair(tokenA, tokenB);
        if (!IPair(pair).transferFrom(msg.sender, pair, liquidity)) revert TransferFailed(pair);
        (uint256 amount0, uint256 amount1) = IPair(pair).burn(to);
        (amountA, amountB) = tokenA < tokenB ? (amount0, amount1) : (amount1, amount0);
        if (amountA < amountAMin) revert InsufficientOutputAmount(amountA, amountAMin);
        if (amountB < amountBMin) revert InsufficientOutputAmount(amountB, amountBMin);
    }

    // ------------------------------------------------------------------ swaps

    function swapExactTokensForTokens(
        uint256 amountIn,
        uint256 amountOutMin,
        address[] calldata path,
        address to,
        uint256 deadline
    ) external before(deadline) returns (uint256[] memory amounts) {
        amounts = getAmountsOut(amountIn, path);
        _checkOutput(amounts, amountOutMin);
        _pull(path[0], _pair(path[0], path[1]), amountIn);
        _swap(amounts, path, to);
    }

    function swapTokensForExactTokens(
        uint256 amountOut,
        uint256 amountInMax,
        address[] calldata path,
        address to,
        uint256 deadline
    ) external before(deadline) returns (uint256[] memory amounts) {
        amounts = getAmountsIn(amountOut, path);
        if (amounts[0] > amountInMax) revert ExcessiveInputAmount(amounts[0], amountInMax);
        _pull(path[0], _pair(path[0], path[1]), amounts[0]);
        _swap(amounts, path, to);
    }

    function swapExactETHForTokens(uint256 amountOutMin, address[] calldata path, address to, uint256 deadline)
        external
        payable
        before(deadline)
        returns (uint256[] memory amounts)
    {
        if (path[0] != WETH) revert InvalidPath();
        amounts = getAmountsOut(msg.value, path);
        _checkOutput(amounts, amountOutMin);
        IWrappedNative(WETH).deposit{value: msg.value}();
        if (!IToken(WETH).transfer(_pair(path[0], path[1]), msg.value)) revert TransferFailed(WETH);
        _swap(amounts, path, to);
    }

    function swapExactTokensForETH(
        uint256 amountIn,
        uint256 amountOutMin,
        address[] calldata path,
        address to,
        uint256 deadline
    ) external before(deadline) returns (uint256[] memory amounts) {
        if (path[path.length - 1] != WETH) revert InvalidPath();
        amounts = getAmountsOut(amountIn, path);
        _checkOutput(amounts, amountOutMin);
        _pull(path[0], _pair(path[0], path[1]), amountIn);
        _swap(amounts, path, address(this));
        uint256 paid = amounts[amounts.length - 1];
        IWrappedNative(WETH).withdraw(paid);
        (bool ok, ) = to.call{value: paid}("");
        if (!ok) revert TransferFailed(address(0));
    }

    // ------------------------------------------------------------------ quotes

    /// @notice The amount of B worth `amountA` at the reserves' ratio, without fee, rounded down.
    function quote(uint256 amountA, uint256 reserveA, uint256 reserveB) public pure returns (uint256) {
        if (amountA == 0) revert InsufficientAmount();
        if (reserveA == 0 || reserveB == 0) revert InsufficientLiquidity();
        return amountA * reserveB / reserveA;
    }

    /// @notice Output of an exact input after the fee, rounded down, raw units.
    function getAmountOut(uint256 amountIn, uint256 reserveIn, uint256 reserveOut) public view returns (uint256) {
        if (amountIn == 0) revert InsufficientAmount();
        if (reserveIn == 0 || reserveOut == 0) revert InsufficientLiquidity();
        uint256 afterFee = amountIn * (BPS_ONE - feeBps);
        return afterFee * reserveOut / (reserveIn * BPS_ONE + afterFee);
    }

    /// @notice Input for an exact output, fee included, rounded up, raw units.
    function getAmountIn(uint256 amountOut, uint256 reserveIn, uint256 reserveOut) public view returns (uint256) {
        if (amountOut == 0) revert InsufficientAmount();
        if (reserveIn == 0 || reserveOut <= amountOut) revert InsufficientLiquidity();
        return reserveIn * amountOut * BPS_ONE / ((reserveOut - amountOut) * (BPS_ONE - feeBps)) + 1;
    }

    function getAmountsOut(uint256 amountIn, address[] calldata path) public view returns (uint256[] memory amounts) {
        if (path.length < 2) revert InvalidPath();
        amounts = new uint256[](path.length);
        amounts[0] = amountIn;
        for (uint256 i = 0; i + 1 < path.length; ++i) {
            (uint256 reserveIn, uint256 reserveOut) = _reserves(path[i], path[i + 1]);
            amounts[i + 1] = getAmountOut(amounts[i], reserveIn, reserveOut);
        }
    }

    function getAmountsIn(uint256 amountOut, address[] calldata path) public view returns (uint256[] memory amounts) {
        if (path.length < 2) revert InvalidPath();
        amounts = new uint256[](path.length);
        amounts[path.length - 1] = amountOut;
        for (uint256 i = path.length - 1; i > 0; --i) {
            (uint256 reserveIn, uint256 reserveOut) = _reserves(path[i - 1], path[i]);
            amounts[i - 1] = getAmountIn(amounts[i], reserveIn, reserveOut);
        }
    }

    // ------------------------------------------------------------------ inside

    function _swap(uint256[] memory amounts, address[] calldata path, address to) private {
        for (uint256 i = 0; i + 1 < path.length; ++i) {
            (address input, address output) = (path[i], path[i + 1]);
            (uint256 out0, uint256 out1) =
                input < output ? (uint256(0), amounts[i + 1]) : (amounts[i + 1], uint256(0));
            address next = i + 2 < path.length ? _pair(output, path[i + 2]) : to;
            IPair(_pair(input, output)).swap(out0, out1, next, "");
        }
    }

    function _balanced(address tokenA, address tokenB, uint256 wantedA, uint256 wantedB)
        private
        view
        returns (uint256, uint256)
    {
        (uint256 reserveA, uint256 reserveB) = _reserves(tokenA, tokenB);
        if (reserveA == 0 && reserveB == 0) return (wantedA, wantedB);
        uint256 fittingB = quote(wantedA, reserveA, reserveB);
        if (fittingB <= wantedB) return (wantedA, fittingB);
        return (quote(wantedB, reserveB, reserveA), wantedB);
    }

    function _reserves(address tokenA, address tokenB) private view returns (uint256, uint256) {
        (uint112 reserve0, uint112 reserve1, ) = IPair(_pair(tokenA, tokenB)).getReserves();
        return tokenA < tokenB ? (uint256(reserve0), uint256(reserve1)) : (uint256(reserve1), uint256(reserve0));
    }

    function _pair(address tokenA, address tokenB) private view returns (address pair) {
        pair = IFactory(factory).getPair(tokenA, tokenB);
        if (pair == address(0)) revert NoPair(tokenA, tokenB);
    }

    function _checkOutput(uint256[] memory amounts, uint256 wanted) private pure {
        uint256 got = amounts[amounts.length - 1];
        if (got < wanted) revert InsufficientOutputAmount(got, wanted);
    }

    function _pull(address token, address to, uint256 amount) private {
        if (!IToken(token).transferFrom(msg.sender, to, amount)) revert TransferFailed(token);
    }
}
