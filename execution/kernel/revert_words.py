"""What each known revert means in plain words, and what to do about it; data only.

Sources: the receiver's and router's interfaces, OpenZeppelin's ERC-6093 errors, Uniswap V2's pair,
library and router with their forks' prefixes, Aave V3's Errors library (first numbers, then names).
"""

from typing import Final, NamedTuple


class Words(NamedTuple):
    """``meaning``: what happened. ``next_action``: what the operator, or the engine, does now."""

    meaning: str
    next_action: str


_PASSED = "Nothing to do: the opportunity was gone. If it happens often, lower the latency."
_DEPLOY = "Compare the contract's lists with the Contracts page and send what differs."
_REPORT = "This points at a fault of ours: stop Fast Mode and report it with the transaction hash."
_LENDER = "The engine takes another lender; look at the lender's market before forcing it."
_DENY = "Deny the token or its pools until it passes a simulated buy and sell."

# Custom errors of our contracts and of what they stand on, by name.
ERRORS: Final[dict[str, Words]] = {
    "NotExecutor": Words(
        "The sender is not an executor of this contract.",
        "Authorise the wallet: authorize_executor --chain KEY --wallet ID.",
    ),
    "Expired": Words("The plan's last block or its deadline had passed.", _PASSED),
    "UnknownLender": Words("The contract does not list this lender.", _DEPLOY),
    "UnknownPool": Words("A pair of the path is not listed in the contract.", _DEPLOY),
    "UnknownFactory": Words("The contract does not list this exchange's factory.", _DEPLOY),
    "BadCaller": Words("A callback came from an address that had not been called.", _REPORT),
    "BadInitiator": Words("A loan was started by someone else in our name.", _REPORT),
    "BadLoan": Words("The lender gave another loan than was asked for.", _REPORT),
    "LoanNotGiven": Words("The lender returned without giving the loan.", _LENDER),
    "LenderInPath": Words("The lending pair is also crossed by the path.", _REPORT),
    "PathTooShort": Words("The plan has no path to walk.", _REPORT),
    "MinProfitTooLow": Words(
        "The plan's minimum profit is below the owner's for this token.",
        "Raise minProfitThresholdBps, or let the owner lower the token's minimum.",
    ),
    "MinProfitNotSet": Words(
        "The owner has set no minimum profit for this token.",
        "Set the token's minimum on the Contracts page.",
    ),
    "ProfitTooLow": Words("The trade would earn less than its minimum profit.", _PASSED),
    "BalanceFell": Words("The trade would cost the contract tokens that it held before.", _DENY),
    "NoRouter": Words("The contract lists no router.", _DEPLOY),
    "NoTipRecipient": Words("The call pays a tip and no recipient is listed.", _DEPLOY),
    "PaymentRefused": Words(
        "The tip's recipient did not take it.", "List another tip recipient, or send no tip."
    ),
    "BadAddress": Words("An address argument is zero or the contract itself.", _REPORT),
    "NoCode": Words("What was to be listed has no code.", "Correct the address."),
    "OwnershipNotRenounceable": Words("Ownership cannot be dropped.", "Hand it over in two steps."),
    "BadHop": Words("A hop has bits set that no hop has, or a fee of 100 %.", _REPORT),
    "EmptyPath": Words("The path has no hop.", _REPORT),
    "BrokenPath": Words("A hop does not take in what the one before pays out.", _REPORT),
    "LengthMismatch": Words("Paths and amounts differ in number.", _REPORT),
    "EnforcedPause": Words(
        "The contract is paused.", "The owner unpauses it when the reason for it is gone."
    ),
    "ExpectedPause": Words("The contract is not paused.", "Nothing to do."),
    "OwnableUnauthorizedAccount": Words(
        "Only the owner may do this.", "Send it from the wallet that owns the contract."
    ),
    "OwnableInvalidOwner": Words("The new owner is no valid address.", "Correct the address."),
    "ReentrancyGuardReentrantCall": Words("A token or pair called back into the trade.", _DENY),
    "SafeERC20FailedOperation": Words("The token refused a transfer or approval.", _DENY),
    "ERC20InsufficientBalance": Words("A transfer of more than was there.", _DENY),
    "ERC20InsufficientAllowance": Words("A transfer of more than was allowed.", _REPORT),
    "ERC20InvalidReceiver": Words("The token refused the receiver.", _DENY),
    "ERC20InvalidSender": Words("The token refused the sender.", _DENY),
    "ProductShrank": Words("The pair would lose: its fee is higher than we believe.", _DENY),
    "CallbackFailed": Words(
        "A pair's call back to the receiver failed, and the pair kept the reason to itself.",
        "Read the trace of the transaction; most often the profit was gone.",
    ),
    "Locked": Words("The pair is in use by its own flash loan.", _LENDER),
    "ReserveInactive": Words("Aave's reserve of this token is not active.", _LENDER),
    "ReserveFrozen": Words("Aave's reserve of this token is frozen.", _LENDER),
    "ReservePaused": Words("Aave's reserve of this token is paused.", _LENDER),
    "FlashloanDisabled": Words("Aave does not flash-lend this token.", _LENDER),
    "InvalidAmount": Words("Aave does not lend this amount.", _LENDER),
    "InvalidFlashloanExecutorReturn": Words("Our callback did not satisfy Aave.", _REPORT),
    "NotEnoughAvailableUserBalance": Words("Aave holds less than was asked for.", _LENDER),
}

# Errors that no ABI of ours declares.
FOREIGN_ERRORS: Final = (
    "ERC20InsufficientBalance(address,uint256,uint256)",
    "ERC20InsufficientAllowance(address,uint256,uint256)",
    "ERC20InvalidReceiver(address)",
    "ERC20InvalidSender(address)",
    "ProductShrank(uint256,uint256)",
    "CallbackFailed()",
    "Locked()",
    "ReserveInactive()",
    "ReserveFrozen()",
    "ReservePaused()",
    "FlashloanDisabled()",
    "InvalidAmount()",
    "InvalidFlashloanExecutorReturn()",
    "NotEnoughAvailableUserBalance()",
)

# Aave V3's numbers, given as a string; those that a flash loan can meet.
AAVE_CODES: Final[dict[str, tuple[str, Words]]] = {
    "13": ("INVALID_FLASHLOAN_EXECUTOR_RETURN", ERRORS["InvalidFlashloanExecutorReturn"]),
    "26": ("INVALID_AMOUNT", ERRORS["InvalidAmount"]),
    "27": ("RESERVE_INACTIVE", ERRORS["ReserveInactive"]),
    "28": ("RESERVE_FROZEN", ERRORS["ReserveFrozen"]),
    "29": ("RESERVE_PAUSED", ERRORS["ReservePaused"]),
    "30": ("BORROWING_NOT_ENABLED", Words("Aave lends this token to nobody.", _LENDER)),
    "32": ("NOT_ENOUGH_AVAILABLE_USER_BALANCE", ERRORS["NotEnoughAvailableUserBalance"]),
    "49": ("INCONSISTENT_FLASHLOAN_PARAMS", Words("Aave was asked inconsistently.", _REPORT)),
    "82": ("ASSET_NOT_LISTED", Words("Aave does not know this token.", _LENDER)),
    "91": ("FLASHLOAN_DISABLED", ERRORS["FlashloanDisabled"]),
}

# Text after a pair's or router's own prefix ("UniswapV2: ", "Pancake: ", "Biswap: ", ...).
PAIR_TEXTS: Final[dict[str, Words]] = {
    "K": Words(
        "The pair would lose: its fee is higher than we believe, or the token takes a tax.", _DENY
    ),
    "LOCKED": ERRORS["Locked"],
    "INSUFFICIENT_LIQUIDITY": Words("The pair holds less than was asked for.", _PASSED),
    "INSUFFICIENT_OUTPUT_AMOUNT": Words("The swap gives less than was asked for.", _PASSED),
    "INSUFFICIENT_INPUT_AMOUNT": Words("Nothing arrived at the pair.", _DENY),
    "TRANSFER_FAILED": Words("The pair could not pay out: the token refused.", _DENY),
    "TRANSFER_FROM_FAILED": Words("The token refused a transfer.", _DENY),
    "OVERFLOW": Words("The pair's reserves would pass 112 bits.", _DENY),
    "INVALID_TO": Words("The pair does not pay to one of its own tokens.", _REPORT),
    "FORBIDDEN": Words("Only the exchange's factory may do this.", _REPORT),
    "EXPIRED": Words("The router's deadline had passed.", _PASSED),
    "EXCESSIVE_INPUT_AMOUNT": Words("The swap costs more than was allowed.", _PASSED),
}

# Parts of other known texts, lower case.
TEXT_PARTS: Final[tuple[tuple[str, Words], ...]] = (
    ("transfer amount exceeds balance", ERRORS["ERC20InsufficientBalance"]),
    ("exceeds allowance", ERRORS["ERC20InsufficientAllowance"]),
    ("ds-math-sub-underflow", Words("A pair or router subtracted below zero.", _PASSED)),
    ("subtraction overflow", Words("A transfer or payment of more than was there.", _DENY)),
    ("transfer_from_failed", Words("The token refused a transfer.", _DENY)),
    ("transferfrom failed", Words("The token refused a transfer.", _DENY)),
    ("transfer failed", Words("The token refused a transfer.", _DENY)),
    ("failed transfer", Words("The lender or token could not pay out.", _LENDER)),
    ("blacklist", Words("The token has blacklisted an address of the trade.", _DENY)),
    ("paused", Words("A contract of the path is paused.", _DENY)),
)

PANICS: Final[dict[str, str]] = {
    "0x0": "A contract failed for a reason its compiler gives no name.",
    "0x1": "A contract's own assertion failed.",
    "0x11": "A sum or product overflowed, or a difference fell below zero.",
    "0x12": "A division by zero: most often an empty pair.",
    "0x21": "A value outside its enumeration.",
    "0x22": "A storage array is encoded wrongly.",
    "0x31": "Something was popped from an empty array.",
    "0x32": "An index outside its array.",
    "0x41": "Too much memory was asked for.",
    "0x51": "A function without code was called.",
}
PANIC_ACTION: Final = _REPORT

NO_REASON: Final = Words(
    "The call failed without saying why: out of gas, an assertion of an old contract, or no code.",
    "Compare gas used with the gas limit, then trace the transaction.",
)
UNKNOWN: Final = Words(
    "A contract on the path failed in words that are not known here.",
    "Trace the transaction; deny the token or pool if it was the cause.",
)

# Names that say that something further down failed; a trace may know better.
VAGUE: Final = frozenset({"CallbackFailed", "no reason given", "unknown error"})

# A node's own refusal to simulate, by parts of its text, lower case.
CANNOT_PAY: Final = Words(
    "The sender cannot pay for gas limit times price plus value.",
    "Fund the executor, or lower maxGasGwei.",
)
REFUSALS: Final[tuple[tuple[str, Words], ...]] = (
    ("insufficient funds", CANNOT_PAY),
    ("insufficient balance", CANNOT_PAY),
    ("out of gas", Words("The gas limit does not suffice.", "Measure the gas of this path anew.")),
    ("outofgas", Words("The gas limit does not suffice.", "Measure the gas of this path anew.")),
    (
        "gas required exceeds allowance",
        Words("The gas limit does not suffice, or the sender cannot pay.", "Fund the executor."),
    ),
    (
        "intrinsic gas",
        Words("The gas limit is below what any transaction needs.", "Measure the gas anew."),
    ),
    (
        "less than block base fee",
        Words("The gas price is below the block's base fee.", "Wait, or raise maxGasGwei."),
    ),
)
REFUSED: Final = Words(
    "The node refused to simulate the call.", "Look at the RPC endpoint; doctor names it."
)
