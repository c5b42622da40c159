// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.28;

/// @title Borrows, walks a cycle of pairs, repays, keeps the profit for the treasury.
/// @notice Whoever calls, whatever path, fee or token is chosen: no balance of the contract falls
/// but by `sweep`, which pays the treasury only.
/// @dev Amounts are raw token units. The owner lists what may be called (lenders, routers,
/// factories, tip recipients) and by whom; executors choose the trades, list pools of listed
/// factories, and may pause. A listed factory vouches for the code of its pairs, never for tokens.
interface IFlashLoanReceiver {
    /*//////////////////////////////////////////////////////////////
                                  PLAN
    //////////////////////////////////////////////////////////////*/

    /// @notice One trade.
    /// @dev A hop is `pair | feeBps << 160 | zeroForOne << 176`; other bits must be zero.
    /// lenderKind 0, Aave V3: `lender` is a listed pool, `hops` the path.
    /// lenderKind 1, a pair outside the path: `lender` is a listed pair, `hops[0]` is that pair with
    /// its fee (what is repaid is computed from it) and with zeroForOne set when `token` is its
    /// token0; the path is `hops[1:]`.
    /// lenderKind 2, the path's own first pool: `lender` is the pair of `hops[0]`, which pays its
    /// output first and gets its input, `amount`, at the end; `hops` is the path, of two or more.
    /// @param lenderKind 0, 1 or 2.
    /// @param lender Where the loan comes from.
    /// @param token What is borrowed, repaid and earned; the owner must have set a minimum for it.
    /// @param amount What is borrowed; for lenderKind 2 the input owed to the first pool.
    /// @param minProfit The least balance difference that is not a revert; at least the owner's.
    /// @param deadline The last acceptable block timestamp, seconds; zero is long past.
    /// @param lastBlock The last acceptable block number; zero is long past. On Arbitrum the L2's.
    /// @param hops The crossings, in order.
    struct Plan {
        uint8 lenderKind;
        address lender;
        address token;
        uint256 amount;
        uint256 minProfit;
        uint64 deadline;
        uint64 lastBlock;
        bytes32[] hops;
    }

    /*//////////////////////////////////////////////////////////////
                                 EVENTS
    //////////////////////////////////////////////////////////////*/

    /// @notice A trade succeeded.
    /// @param profit By how much the contract's balance of `token` rose, after the premium.
    event Settled(
        address indexed token,
        address indexed lender,
        uint256 amount,
        uint256 premium,
        uint256 profit
    );
    /// @notice `amount` of `token` left for the treasury; token zero is the native coin.
    event Swept(address indexed token, uint256 amount);
    event PoolListed(address indexed pair, address indexed factory);
    event PoolDelisted(address indexed pair);
    event ExecutorSet(address indexed executor, bool allowed);
    event FactorySet(address indexed factory, bool allowed);
    event RouterSet(address indexed router, bool allowed);
    event LenderSet(address indexed lender, bool allowed);
    event TipRecipientSet(address indexed recipient, bool allowed);
    event MinProfitSet(address indexed token, uint256 raw);
    event TreasurySet(address indexed treasury);

    /*//////////////////////////////////////////////////////////////
                                 ERRORS
    //////////////////////////////////////////////////////////////*/

    /// @notice The caller is not an executor; where an executor or the owner may call, neither.
    error NotExecutor();
    /// @notice The block is past the plan's `lastBlock`, or its timestamp past `deadline`.
    error Expired();
    /// @notice No loan may be taken from `lender` in the way the plan says.
    error UnknownLender(address lender);
    /// @notice `pair` is not listed, or is not what the factory knows as the pair of its tokens.
    error UnknownPool(address pair);
    /// @notice `factory` is not listed.
    error UnknownFactory(address factory);
    /// @notice A callback came from an address that was not called for it just now.
    error BadCaller(address caller);
    /// @notice A callback belongs to a loan that `initiator`, not this contract, asked for.
    error BadInitiator(address initiator);
    /// @notice A lender handed back another loan or another payload than it was asked for.
    error BadLoan();
    /// @notice `lender` returned without calling back.
    error LoanNotGiven(address lender);
    /// @notice The lending pair occurs in the path that its own loan is to walk.
    error LenderInPath(address pair);
    /// @notice The plan has no path, or only the lending pair.
    error PathTooShort();
    /// @notice The plan's minimum is below the owner's for the token.
    error MinProfitTooLow(uint256 given, uint256 required);
    /// @notice The owner has set no minimum for `token`, so it cannot be borrowed.
    error MinProfitNotSet(address token);
    /// @notice The trade earns less than the plan's minimum.
    /// @param got What would stay after loan and premium; zero where they are not even covered.
    error ProfitTooLow(uint256 got, uint256 wanted);
    /// @notice The trade would cost the contract some of an intermediate token that it held before.
    error BalanceFell(address token, uint256 before, uint256 afterwards);
    /// @notice No router is listed, so nothing can be walked.
    error NoRouter();
    /// @notice The call carries value and no tip recipient is listed.
    error NoTipRecipient();
    /// @notice `recipient` did not take the coin sent to it.
    error PaymentRefused(address recipient);
    /// @notice An address argument is zero, or this contract where that makes no sense.
    error BadAddress(address given);
    /// @notice What was to be listed as a contract has no code.
    error NoCode(address given);
    /// @notice Ownership is handed over in two steps, never dropped.
    error OwnershipNotRenounceable();

    /*//////////////////////////////////////////////////////////////
                                 TRADES
    //////////////////////////////////////////////////////////////*/

    /// @notice Borrows, walks, repays. Executors only, not while paused.
    /// @dev Value is a tip: with none, nothing more happens; otherwise all of it goes to
    /// `tipRecipient` after the trade succeeded, and the call reverts at once where none is listed.
    /// @return profit The rise of the contract's balance of the plan's token, at least `minProfit`.
    function execute(Plan calldata plan) external payable returns (uint256 profit);

    /*//////////////////////////////////////////////////////////////
                           EXECUTORS AND OWNER
    //////////////////////////////////////////////////////////////*/

    /// @notice Lists pairs of a listed factory; each must be the factory's pair of its two tokens.
    function registerPools(address factory, address[] calldata pairs) external;

    /// @notice Takes pairs off the list, whether or not they are on it. Delisting a factory leaves
    /// its listed pairs listed: delist them here.
    function delistPools(address[] calldata pairs) external;

    /// @notice Sends the whole balance of `token`, or of the native coin for token zero, to the
    /// treasury. Works while paused.
    function sweep(address token) external;

    /// @notice Stops `execute` and every callback.
    function pause() external;

    /*//////////////////////////////////////////////////////////////
                                  OWNER
    //////////////////////////////////////////////////////////////*/

    function unpause() external;

    function setExecutor(address executor, bool allowed) external;

    function setFactory(address factory, bool allowed) external;

    /// @dev The router listed last is the one in use; delisting that one leaves none in use.
    function setRouter(address router_, bool allowed) external;

    function setLender(address lender, bool allowed) external;

    /// @dev The recipient listed last is the one tipped; delisting that one leaves none.
    function setTipRecipient(address recipient, bool allowed) external;

    /// @notice Sets the least profit for loans of `token`, raw units; zero is refused.
    /// @dev A token that must not be borrowed any more gets the largest uint256.
    function setMinProfit(address token, uint256 raw) external;

    function setTreasury(address treasury_) external;

    /*//////////////////////////////////////////////////////////////
                                  VIEWS
    //////////////////////////////////////////////////////////////*/

    /// @notice The only address that `sweep` pays.
    function treasury() external view returns (address);

    /// @notice The router in use; zero where none is.
    function router() external view returns (address);

    /// @notice Who gets the value of `execute`; zero where nobody does.
    function tipRecipient() external view returns (address);

    function isExecutor(address account) external view returns (bool);

    function isFactory(address factory) external view returns (bool);

    function isRouter(address router_) external view returns (bool);

    function isLender(address lender) external view returns (bool);

    function isTipRecipient(address recipient) external view returns (bool);

    function isPool(address pair) external view returns (bool);

    /// @notice The owner's least profit for `token`, raw units; zero where it may not be borrowed.
    function minProfit(address token) external view returns (uint256);
}
