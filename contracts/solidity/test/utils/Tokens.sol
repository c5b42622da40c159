// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

/// @title An honest token, and by its switches every dishonest one.
contract ZooToken {
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    /// @dev Taken from what the recipient gets.
    uint256 public taxBps;
    /// @dev Taken from the sender's balance on top of what it sends.
    mapping(address => uint256) public senderTaxBps;
    bool public answersFalse;
    bool public movesNothing;
    bool public burnsGas;
    mapping(address => bool) public blacklisted;
    address public hookTarget;
    bytes public hookData;
    bool public hookOk;
    bytes public hookAnswer;
    uint256 public hookCalls;
    bool private inHook;

    event Transfer(address indexed from, address indexed to, uint256 value);

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
        emit Transfer(address(0), to, amount);
    }

    function setTax(uint256 bps) external {
        taxBps = bps;
    }

    function setSenderTax(address sender, uint256 bps) external {
        senderTaxBps[sender] = bps;
    }

    function setAnswersFalse(bool on) external {
        answersFalse = on;
    }

    function setMovesNothing(bool on) external {
        movesNothing = on;
    }

    function setBurnsGas(bool on) external {
        burnsGas = on;
    }

    function setBlacklisted(address account, bool on) external {
        blacklisted[account] = on;
    }

    /// @dev Calls `target` with `data` in each transfer, and keeps what came of the last one.
    function setHook(address target, bytes calldata data) external {
        hookTarget = target;
        hookData = data;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        return _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        if (!movesNothing && !answersFalse) allowance[from][msg.sender] -= amount;
        return _move(from, to, amount);
    }

    function _move(address from, address to, uint256 amount) private returns (bool) {
        require(!blacklisted[from] && !blacklisted[to], "blacklisted");
        while (burnsGas) {}
        if (answersFalse) return false;
        if (movesNothing) return true;
        uint256 delivered = amount - amount * taxBps / 10_000;
        balanceOf[from] -= amount + amount * senderTaxBps[from] / 10_000;
        balanceOf[to] += delivered;
        emit Transfer(from, to, delivered);
        if (hookTarget != address(0) && !inHook) {
            inHook = true;
            ++hookCalls;
            (hookOk, hookAnswer) = hookTarget.call(hookData);
            inHook = false;
        }
        return true;
    }
}

/// @title A token whose functions answer nothing, as old ones do.
contract NoReturnToken {
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    /// @dev Refuses to change an allowance that is not zero, as Tether does.
    function approve(address spender, uint256 amount) external {
        require(amount == 0 || allowance[msg.sender][spender] == 0, "reset the allowance first");
        allowance[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}
