// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

interface IErc20 {
    function balanceOf(address account) external view returns (uint256);
    function transfer(address to, uint256 amount) external;
}

/// @title A V2 pair with any fee and any name for its callback; tokens may answer nothing.
contract ForkPair {
    address public immutable token0;
    address public immutable token1;
    uint256 public immutable feeBps;
    bytes4 public immutable callback;

    uint112 private reserve0;
    uint112 private reserve1;
    bool private locked;

    constructor(address token0_, address token1_, uint256 feeBps_, bytes4 callback_) {
        (token0, token1, feeBps, callback) = (token0_, token1_, feeBps_, callback_);
    }

    function getReserves() external view returns (uint112, uint112, uint32) {
        return (reserve0, reserve1, uint32(block.timestamp));
    }

    function sync() external {
        reserve0 = uint112(IErc20(token0).balanceOf(address(this)));
        reserve1 = uint112(IErc20(token1).balanceOf(address(this)));
    }

    function swap(uint256 out0, uint256 out1, address to, bytes calldata data) external {
        require(!locked, "LOCKED");
        locked = true;
        require(out0 > 0 || out1 > 0, "INSUFFICIENT_OUTPUT_AMOUNT");
        require(out0 < reserve0 && out1 < reserve1, "INSUFFICIENT_LIQUIDITY");
        if (out0 > 0) IErc20(token0).transfer(to, out0);
        if (out1 > 0) IErc20(token1).transfer(to, out1);
        if (data.length > 0) {
            (bool ok, bytes memory answer) =
                to.call(abi.encodeWithSelector(callback, msg.sender, out0, out1, data));
            if (!ok) {
                assembly {
                    revert(add(answer, 32), mload(answer))
                }
            }
        }
        _settle(out0, out1);
        locked = false;
    }

    function _settle(uint256 out0, uint256 out1) private {
        uint256 balance0 = IErc20(token0).balanceOf(address(this));
        uint256 balance1 = IErc20(token1).balanceOf(address(this));
        uint256 in0 = balance0 + out0 > reserve0 ? balance0 + out0 - reserve0 : 0;
        uint256 in1 = balance1 + out1 > reserve1 ? balance1 + out1 - reserve1 : 0;
        require(in0 > 0 || in1 > 0, "INSUFFICIENT_INPUT_AMOUNT");
        uint256 adjusted0 = balance0 * 10_000 - in0 * feeBps;
        uint256 adjusted1 = balance1 * 10_000 - in1 * feeBps;
        require(adjusted0 * adjusted1 >= uint256(reserve0) * reserve1 * 10_000 ** 2, "K");
        (reserve0, reserve1) = (uint112(balance0), uint112(balance1));
    }
}

/// @title Makes pairs of one fee and one callback name.
contract ForkFactory {
    mapping(address => mapping(address => address)) public getPair;
    uint256 public immutable feeBps;
    bytes4 public immutable callback;

    constructor(uint256 feeBps_, bytes4 callback_) {
        (feeBps, callback) = (feeBps_, callback_);
    }

    function createPair(address a, address b) external returns (address pair) {
        (address token0, address token1) = a < b ? (a, b) : (b, a);
        pair = address(new ForkPair(token0, token1, feeBps, callback));
        getPair[token0][token1] = pair;
        getPair[token1][token0] = pair;
    }
}
