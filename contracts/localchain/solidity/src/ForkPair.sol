// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

import {IPairParameters, IToken} from "./interfaces/IMarketContracts.sol";

/// @title A constant-product pair whose fee and callback name are its factory's.
/// @notice Behaves as a Uniswap V2 pair does, with another fee and another callback.
/// @dev Variables stand in the slots of the original (reserves in slot 8), so that whoever knows
///      that layout reads this pair too. There is no protocol fee: `kLast` stays 0.
contract ForkPair {
    // ------------------------------------------------------------------ errors and events

    error Locked();
    error NotFactory(address caller);
    error InsufficientOutputAmount();
    error InsufficientInputAmount();
    /// @notice Thrown when more is asked than the reserves hold, raw units.
    error InsufficientLiquidity(uint256 reserve0, uint256 reserve1);
    error InsufficientLiquidityMinted();
    error InsufficientLiquidityBurned();
    error InvalidReceiver(address to);
    error TransferFailed(address token);
    error ReserveOverflow(uint256 balance0, uint256 balance1);
    /// @notice Thrown when the product of the reserves, less the fee on the input, would shrink.
    error ProductShrank(uint256 product, uint256 required);

    event Mint(address indexed sender, uint256 amount0, uint256 amount1);
    event Burn(address indexed sender, uint256 amount0, uint256 amount1, address indexed to);
    event Swap(
        address indexed sender,
        uint256 amount0In,
        uint256 amount1In,
        uint256 amount0Out,
        uint256 amount1Out,
        address indexed to
    );
    event Sync(uint112 reserve0, uint112 reserve1);
    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    // ------------------------------------------------------------------ state

    string public constant name = "Fork LPs";
    string public constant symbol = "Fork-LP";
    uint8 public constant decimals = 18;
    uint256 public constant MINIMUM_LIQUIDITY = 1_000;
    uint256 private constant BPS_ONE = 10_000;

    uint16 public immutable feeBps;
    bytes4 public immutable callback;

    uint256 public totalSupply; // slot 0
    mapping(address => uint256) public balanceOf; // 1
    mapping(address => mapping(address => uint256)) public allowance; // 2
    bytes32 private domainSeparatorSlot; // 3, permit is not offered
    mapping(address => uint256) private noncesSlot; // 4
    address public factory; // 5
    address public token0; // 6
    address public token1; // 7
    uint112 private reserve0; // 8
    uint112 private reserve1;
    uint32 private blockTimestampLast;
    uint256 public price0CumulativeLast; // 9
    uint256 public price1CumulativeLast; // 10
    uint256 public kLast; // 11
    uint256 private unlocked = 1; // 12

    modifier lock() {
        if (unlocked != 1) revert Locked();
        unlocked = 0;
        _;
        unlocked = 1;
    }

    constructor() {
        factory = msg.sender;
        (feeBps, callback) = IPairParameters(msg.sender).pairParameters();
    }

    /// @notice Called once, by the factory, in the transaction that creates the pair.
    function initialize(address token0_, address token1_) external {
        if (msg.sender != factory) revert NotFactory(msg.sender);
        token0 = token0_;
        token1 = token1_;
    }

    // ------------------------------------------------------------------ liquidity shares

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        emit Approval(msg.sender, spender, amount);
        return true;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        _moveShares(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        if (allowance[from][msg.sender] != type(uint256).max) allowance[from][msg.sender] -= amount;
        _moveShares(from, to, amount);
        return true;
    }

    // ------------------------------------------------------------------ the pair

    function getReserves() public view returns (uint112, uint112, uint32) {
        return (reserve0, reserve1, blockTimestampLast);
    }

    /// @notice Mints shares for what was transferred in beforehand.
    function mint(address to) external lock returns (uint256 liquidity) {
        (uint256 held0, uint256 held1) = (reserve0, reserve1);
        (uint256 balance0, uint256 balance1) = _balances();
        (uint256 amount0, uint256 amount1) = (balance0 - held0, balance1 - held1);
        uint256 supply = totalSupply;
        if (supply == 0) {
            liquidity = _sqrt(amount0 * amount1) - MINIMUM_LIQUIDITY;
            _mintShares(address(0), MINIMUM_LIQUIDITY); // locked for ever: the supply never returns to 0
        } else {
            uint256 share0 = amount0 * supply / held0;
            uint256 share1 = amount1 * supply / held1;
            liquidity = share0 < share1 ? share0 : share1;
        }
        if (liquidity == 0) revert InsufficientLiquidityMinted();
        _mintShares(to, liquidity);
        _update(balance0, balance1);
        emit Mint(msg.sender, amount0, amount1);
    }

    /// @notice Pays out for the shares that were transferred in beforehand.
    function burn(address to) external lock returns (uint256 amount0, uint256 amount1) {
        (uint256 balance0, uint256 balance1) = _balances();
        uint256 liquidity = balanceOf[address(this)];
        uint256 supply = totalSupply;
        amount0 = liquidity * balance0 / supply;
        amount1 = liquidity * balance1 / supply;
        if (amount0 == 0 || amount1 == 0) revert InsufficientLiquidityBurned();
        balanceOf[address(this)] = 0;
        totalSupply = supply - liquidity;
        emit Transfer(address(this), address(0), liquidity);
        _pay(token0, to, amount0);
        _pay(token1, to, amount1);
        (balance0, balance1) = _balances();
        _update(balance0, balance1);
        emit Burn(msg.sender, amount0, amount1, to);
    }

    /// @notice Pays out first, calls the receiver when `data` is not empty, then checks the product.
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external lock {
        if (amount0Out == 0 && amount1Out == 0) revert InsufficientOutputAmount();
        (uint256 held0, uint256 held1) = (reserve0, reserve1);
        if (amount0Out >= held0 || amount1Out >= held1) revert InsufficientLiquidity(held0, held1);
        _payOut(amount0Out, amount1Out, to, data);

        (uint256 balance0, uint256 balance1) = _balances();
        uint256 amount0In = _above(balance0, held0 - amount0Out);
        uint256 amount1In = _above(balance1, held1 - amount1Out);
        if (amount0In == 0 && amount1In == 0) revert InsufficientInputAmount();
        _checkProduct(balance0, balance1, amount0In, amount1In);
        _update(balance0, balance1);
        emit Swap(msg.sender, amount0In, amount1In, amount0Out, amount1Out, to);
    }

    /// @notice Pays what stands above the reserves to `to`.
    function skim(address to) external lock {
        (uint256 balance0, uint256 balance1) = _balances();
        _pay(token0, to, balance0 - reserve0);
        _pay(token1, to, balance1 - reserve1);
    }

    /// @notice Takes the balances as the reserves.
    function sync() external lock {
        (uint256 balance0, uint256 balance1) = _balances();
        _update(balance0, balance1);
    }

    // ------------------------------------------------------------------ inside

    function _payOut(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) private {
        (address first, address second) = (token0, token1);
        if (to == first || to == second) revert InvalidReceiver(to);
        if (amount0Out > 0) _pay(first, to, amount0Out);
        if (amount1Out > 0) _pay(second, to, amount1Out);
        if (data.length > 0) {
            (bool ok, bytes memory reason) =
                to.call(abi.encodeWithSelector(callback, msg.sender, amount0Out, amount1Out, data));
            // As the compiler does for a call by name, which the name's being variable rules out.
            if (!ok) assembly ("memory-safe") { revert(add(reason, 32), mload(reason)) }
        }
    }

    /// @dev Units: both sides raw units of each token times 10,000. Exact, nothing is rounded.
    function _checkProduct(uint256 balance0, uint256 balance1, uint256 amount0In, uint256 amount1In)
        private
        view
    {
        uint256 product =
            (balance0 * BPS_ONE - amount0In * feeBps) * (balance1 * BPS_ONE - amount1In * feeBps);
        uint256 required = uint256(reserve0) * reserve1 * (BPS_ONE * BPS_ONE);
        if (product < required) revert ProductShrank(product, required);
    }

    /// @dev The cumulative prices and the time wrap around on purpose, as in the original.
    function _update(uint256 balance0, uint256 balance1) private {
        if (balance0 > type(uint112).max || balance1 > type(uint112).max) revert ReserveOverflow(balance0, balance1);
        uint32 now32 = uint32(block.timestamp);
        (uint256 held0, uint256 held1) = (reserve0, reserve1);
        unchecked {
            uint32 elapsed = now32 - blockTimestampLast;
            if (elapsed > 0 && held0 != 0 && held1 != 0) {
                price0CumulativeLast += (held1 << 112) / held0 * elapsed;
                price1CumulativeLast += (held0 << 112) / held1 * elapsed;
            }
        }
        reserve0 = uint112(balance0);
        reserve1 = uint112(balance1);
        blockTimestampLast = now32;
        emit Sync(uint112(balance0), uint112(balance1));
    }

    function _balances() private view returns (uint256, uint256) {
        return (IToken(token0).balanceOf(address(this)), IToken(token1).balanceOf(address(this)));
    }

    function _above(uint256 balance, uint256 expected) private pure returns (uint256) {
        return balance > expected ? balance - expected : 0;
    }

    function _pay(address token, address to, uint256 amount) private {
        if (!IToken(token).transfer(to, amount)) revert TransferFailed(token);
    }

    function _mintShares(address to, uint256 amount) private {
        totalSupply += amount;
        balanceOf[to] += amount;
        emit Transfer(address(0), to, amount);
    }

    function _moveShares(address from, address to, uint256 amount) private {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
        emit Transfer(from, to, amount);
    }

    /// @dev Largest whole number whose square is at most `value` (Newton's method from above).
    function _sqrt(uint256 value) private pure returns (uint256 root) {
        if (value < 2) return value;
        root = value;
        uint256 next = value / 2 + 1;
        while (next < root) {
            root = next;
            next = (value / next + next) / 2;
        }
    }
}
