"""Keys' addresses, money for gas, and everything that is sent: facts and constraints only."""

from wallets.models.accounts import Assignment, Balance, ChainLeader, NonceSequence, Wallet
from wallets.models.gas_money import BalanceMonitor, Funding, FundingPolicy, ReserveBook
from wallets.models.requests import Request
from wallets.models.sending import (
    STATUSES,
    Attempt,
    KillState,
    RelayProbe,
    StatusChange,
    Submission,
    Transaction,
)

__all__ = [
    "STATUSES",
    "Assignment",
    "Attempt",
    "Balance",
    "BalanceMonitor",
    "ChainLeader",
    "Funding",
    "FundingPolicy",
    "KillState",
    "NonceSequence",
    "RelayProbe",
    "Request",
    "ReserveBook",
    "StatusChange",
    "Submission",
    "Transaction",
    "Wallet",
]
