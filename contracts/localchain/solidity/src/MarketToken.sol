// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

/// @title A plain ERC-20 of the local market.
/// @notice The deployer may mint; the market has no other issuer.
contract MarketToken {
    // ------------------------------------------------------------------ errors and events

    /// @notice Thrown when someone other than the issuer mints.
    error NotIssuer(address caller);
    /// @notice Thrown when `account` holds less than it is asked to give, raw units.
    error InsufficientBalance(address account, uint256 balance, uint256 wanted);
    /// @notice Thrown when `spender` was allowed less than it takes, raw units.
    error InsufficientAllowance(address spender, uint256 allowed, uint256 wanted);

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    // ------------------------------------------------------------------ state

    string public name;
    string public symbol;
    uint8 public immutable decimals;
    address public immutable issuer;
    uint256 public totalSupply;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    constructor(string memory name_, string memory symbol_, uint8 decimals_, address issuer_) {
        name = name_;
        symbol = symbol_;
        decimals = decimals_;
        issuer = issuer_;
    }

    // ------------------------------------------------------------------ calls

    /// @notice Creates `amount` raw units for each of `holders`.
    function mint(address[] calldata holders, uint256 amount) external {
        if (msg.sender != issuer) revert NotIssuer(msg.sender);
        for (uint256 i = 0; i < holders.length; ++i) {
            totalSupply += amount;
            balanceOf[holders[i]] += amount;
            emit Transfer(address(0), holders[i], amount);
        }
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        emit Approval(msg.sender, spender, amount);
        return true;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    /// @dev An allowance of the largest number is never used up, as in the wrapped native coin.
    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        uint256 allowed = allowance[from][msg.sender];
        if (allowed != type(uint256).max) {
            if (allowed < amount) revert InsufficientAllowance(msg.sender, allowed, amount);
            unchecked {
                allowance[from][msg.sender] = allowed - amount; // allowed >= amount, checked above
            }
        }
        _move(from, to, amount);
        return true;
    }

    function _move(address from, address to, uint256 amount) private {
        uint256 held = balanceOf[from];
        if (held < amount) revert InsufficientBalance(from, held, amount);
        unchecked {
            balanceOf[from] = held - amount; // held >= amount, checked above
            balanceOf[to] += amount; // the supply is a sum that fits
        }
        emit Transfer(from, to, amount);
    }
}
