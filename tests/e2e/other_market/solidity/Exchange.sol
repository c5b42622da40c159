// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

interface ICoin {
    function balanceOf(address owner) external view returns (uint256);
    function transfer(address to, uint256 value) external returns (bool);
    function transferFrom(address from, address to, uint256 value) external returns (bool);
}

/// @notice A constant-product pair with a fee of its own; reserves in two whole words, no shares.
contract Pair {
    uint256 private held1;
    uint256 private held0;
    uint256 private entered;
    address public immutable factory = msg.sender;
    address public immutable token1;
    address public immutable token0;
    uint256 public immutable feeBps;
    bytes4 private immutable CALLBACK;

    event Sync(uint112 reserve0, uint112 reserve1);
    event Swap(
        address indexed sender,
        uint256 amount0In,
        uint256 amount1In,
        uint256 amount0Out,
        uint256 amount1Out,
        address indexed to
    );

    constructor(address a, address b, uint256 feeBps_, bytes4 callback) {
        (token0, token1) = a < b ? (a, b) : (b, a);
        feeBps = feeBps_;
        CALLBACK = callback;
    }

    function getReserves() external view returns (uint112, uint112, uint32) {
        return (uint112(held0), uint112(held1), uint32(block.timestamp));
    }

    /// @notice Takes what lies here as the reserves.
    function sync() external {
        require(entered == 0, "entered");
        _keep(ICoin(token0).balanceOf(address(this)), ICoin(token1).balanceOf(address(this)));
    }

    function swap(uint256 out0, uint256 out1, address to, bytes calldata data) external {
        require(entered == 0, "entered");
        entered = 1;
        (uint256 r0, uint256 r1) = (held0, held1);
        require((out0 > 0 || out1 > 0) && out0 < r0 && out1 < r1, "out");
        require(to != token0 && to != token1, "to");
        if (out0 > 0) require(ICoin(token0).transfer(to, out0), "transfer");
        if (out1 > 0) require(ICoin(token1).transfer(to, out1), "transfer");
        if (data.length > 0) {
            (bool ok, bytes memory why) =
                to.call(abi.encodeWithSelector(CALLBACK, msg.sender, out0, out1, data));
            if (!ok) {
                assembly {
                    revert(add(why, 32), mload(why))
                }
            }
        }
        uint256 b0 = ICoin(token0).balanceOf(address(this));
        uint256 b1 = ICoin(token1).balanceOf(address(this));
        uint256 in0 = b0 > r0 - out0 ? b0 - (r0 - out0) : 0;
        uint256 in1 = b1 > r1 - out1 ? b1 - (r1 - out1) : 0;
        require(in0 > 0 || in1 > 0, "in");
        require(
            (b0 * 10_000 - in0 * feeBps) * (b1 * 10_000 - in1 * feeBps) >= r0 * r1 * 10_000 ** 2,
            "product"
        );
        _keep(b0, b1);
        emit Swap(msg.sender, in0, in1, out0, out1, to);
        entered = 0;
    }

    function _keep(uint256 b0, uint256 b1) private {
        require(b0 <= type(uint112).max && b1 <= type(uint112).max, "reserve");
        (held0, held1) = (b0, b1);
        emit Sync(uint112(b0), uint112(b1));
    }
}

/// @notice Makes pairs by CREATE, so no init-code hash leads to them.
contract Factory {
    address[] public allPairs;
    mapping(bytes32 => address) private pairOf;
    uint256 public immutable feeBps;
    bytes4 private immutable CALLBACK;

    event PairCreated(address indexed token0, address indexed token1, address pair, uint256 count);

    constructor(uint256 feeBps_, string memory callback) {
        feeBps = feeBps_;
        CALLBACK = bytes4(keccak256(bytes(callback)));
    }

    function getPair(address a, address b) public view returns (address) {
        return pairOf[_key(a, b)];
    }

    function createPair(address a, address b) external returns (address pair) {
        return _create(a, b, feeBps);
    }

    /// @notice A pair that lies about what its exchange takes.
    function createOddPair(address a, address b, uint256 oddFeeBps) external returns (address) {
        return _create(a, b, oddFeeBps);
    }

    function _create(address a, address b, uint256 fee) private returns (address pair) {
        require(a != b && getPair(a, b) == address(0), "pair");
        pair = address(new Pair(a, b, fee, CALLBACK));
        pairOf[_key(a, b)] = pair;
        allPairs.push(pair);
        emit PairCreated(a < b ? a : b, a < b ? b : a, pair, allPairs.length);
    }

    function _key(address a, address b) private pure returns (bytes32) {
        return a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
    }
}

/// @notice Quotes and trades through one factory's pairs.
contract Router {
    Factory private immutable FACTORY;

    constructor(Factory factory_) {
        FACTORY = factory_;
    }

    function factory() external view returns (address) {
        return address(FACTORY);
    }

    function getAmountsOut(uint256 amountIn, address[] memory path)
        public
        view
        returns (uint256[] memory amounts)
    {
        amounts = new uint256[](path.length);
        amounts[0] = amountIn;
        for (uint256 i; i + 1 < path.length; i++) {
            Pair pair = Pair(FACTORY.getPair(path[i], path[i + 1]));
            (uint256 r0, uint256 r1,) = pair.getReserves();
            (uint256 rIn, uint256 rOut) = path[i] < path[i + 1] ? (r0, r1) : (r1, r0);
            require(rIn > 0 && rOut > 0, "liquidity");
            uint256 taken = amounts[i] * (10_000 - FACTORY.feeBps());
            amounts[i + 1] = taken * rOut / (rIn * 10_000 + taken);
        }
    }

    function swapExactTokensForTokens(
        uint256 amountIn,
        uint256 amountOutMin,
        address[] calldata path,
        address to,
        uint256 deadline
    ) external returns (uint256[] memory amounts) {
        require(block.timestamp <= deadline, "deadline");
        amounts = getAmountsOut(amountIn, path);
        require(amounts[amounts.length - 1] >= amountOutMin, "output");
        address pair = FACTORY.getPair(path[0], path[1]);
        require(ICoin(path[0]).transferFrom(msg.sender, pair, amountIn), "from");
        for (uint256 i; i + 1 < path.length; i++) {
            pair = FACTORY.getPair(path[i], path[i + 1]);
            address next = i + 2 < path.length ? FACTORY.getPair(path[i + 1], path[i + 2]) : to;
            (uint256 out0, uint256 out1) =
                path[i] < path[i + 1] ? (uint256(0), amounts[i + 1]) : (amounts[i + 1], uint256(0));
            Pair(pair).swap(out0, out1, next, "");
        }
    }
}

/// @notice Aggregates view calls, failing ones included.
contract Aggregator {
    struct Call3 {
        address target;
        bool allowFailure;
        bytes callData;
    }

    struct Result {
        bool success;
        bytes returnData;
    }

    function aggregate3(Call3[] calldata calls) external payable returns (Result[] memory found) {
        found = new Result[](calls.length);
        for (uint256 i; i < calls.length; i++) {
            (found[i].success, found[i].returnData) = calls[i].target.call(calls[i].callData);
            require(found[i].success || calls[i].allowFailure, "call");
        }
    }

    function getEthBalance(address account) external view returns (uint256) {
        return account.balance;
    }
}
