// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

/// @notice A token whose balances lie in a struct, and which may keep a part of each transfer.
contract Coin {
    struct Account {
        uint64 moves;
        mapping(address => uint256) allowed;
        uint256 held;
    }

    string public symbol;
    uint256 public totalSupply;
    mapping(address => Account) private accounts;
    address private immutable MINTER = msg.sender;
    uint8 public immutable decimals;
    uint16 public taxBps;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    constructor(string memory symbol_, uint8 decimals_, uint16 taxBps_) {
        symbol = symbol_;
        decimals = decimals_;
        taxBps = taxBps_;
    }

    function name() external view returns (string memory) {
        return string.concat("Other ", symbol);
    }

    function balanceOf(address owner) external view returns (uint256) {
        return accounts[owner].held;
    }

    function allowance(address owner, address spender) external view returns (uint256) {
        return accounts[owner].allowed[spender];
    }

    function mint(address to, uint256 value) external {
        require(msg.sender == MINTER, "minter");
        totalSupply += value;
        accounts[to].held += value;
        emit Transfer(address(0), to, value);
    }

    function setTax(uint16 bps) external {
        require(msg.sender == MINTER, "minter");
        taxBps = bps;
    }

    function approve(address spender, uint256 value) external returns (bool) {
        accounts[msg.sender].allowed[spender] = value;
        emit Approval(msg.sender, spender, value);
        return true;
    }

    function transfer(address to, uint256 value) external returns (bool) {
        _move(msg.sender, to, value);
        return true;
    }

    function transferFrom(address from, address to, uint256 value) external returns (bool) {
        accounts[from].allowed[msg.sender] -= value;
        _move(from, to, value);
        return true;
    }

    function _move(address from, address to, uint256 value) private {
        uint256 tax = value * taxBps / 10_000;
        accounts[from].moves++;
        accounts[from].held -= value;
        accounts[to].held += value - tax;
        totalSupply -= tax;
        emit Transfer(from, to, value - tax);
    }
}

/// @notice The native coin as a token.
contract WrappedCoin {
    string public constant name = "Other wrapped coin";
    string public constant symbol = "WBNB";
    uint8 public constant decimals = 18;
    mapping(address => mapping(address => uint256)) public allowance;
    mapping(address => uint256) public balanceOf;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    function totalSupply() external view returns (uint256) {
        return address(this).balance;
    }

    function deposit() external payable {
        balanceOf[msg.sender] += msg.value;
        emit Transfer(address(0), msg.sender, msg.value);
    }

    function withdraw(uint256 value) external {
        balanceOf[msg.sender] -= value;
        emit Transfer(msg.sender, address(0), value);
        (bool ok,) = msg.sender.call{value: value}("");
        require(ok, "native");
    }

    function approve(address spender, uint256 value) external returns (bool) {
        allowance[msg.sender][spender] = value;
        emit Approval(msg.sender, spender, value);
        return true;
    }

    function transfer(address to, uint256 value) external returns (bool) {
        return _move(msg.sender, to, value);
    }

    function transferFrom(address from, address to, uint256 value) external returns (bool) {
        allowance[from][msg.sender] -= value;
        return _move(from, to, value);
    }

    function _move(address from, address to, uint256 value) private returns (bool) {
        balanceOf[from] -= value;
        balanceOf[to] += value;
        emit Transfer(from, to, value);
        return true;
    }
}
