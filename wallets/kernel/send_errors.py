"""What a node's refusal of a raw transaction means, by its words; no I/O.

Error codes differ by client and -32603 means anything, so the text decides; what no rule knows is
ambiguous, and ambiguous is looked up, never believed. Sources: the clients' own error tables
(geth and bsc core/txpool, bor, erigon txpoolcfg, nethermind AcceptTxResult, besu
TransactionInvalidReason, reth RpcPoolError, anvil PoolError and BlockchainError).
"""

import re
from enum import StrEnum
from typing import Final


class Verdict(StrEnum):
    """What a refusal proves."""

    ALREADY_KNOWN = "already_known"  # these bytes are in the pool, or mined
    NONCE_TOO_LOW = "nonce_too_low"  # the nonce is spent, by us or by someone else
    REPLACEMENT_UNDERPRICED = "replacement_underpriced"  # the nonce is pending with other bytes
    UNDERPRICED = "underpriced"  # not taken: the fee is below what the node accepts
    INSUFFICIENT = "insufficient"  # not taken: the account cannot pay
    REJECTED = "rejected"  # not taken for another stated reason
    AMBIGUOUS = "ambiguous"  # nothing is proven


# Order matters: the first pattern that fits decides, so the narrower stand first.
_RULES: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), verdict)
    for pattern, verdict in (
        # Some versions of bsc have pools behind the pool: what is in one of those may be mined.
        (r"either in pool2 or pool3", Verdict.AMBIGUOUS),
        (
            r"already known|already imported|alreadyknown|already_known|known transaction"
            r"|existing tx with same hash|already exists|already in the pool"
            r"|transaction is already|same hash was already",
            Verdict.ALREADY_KNOWN,
        ),
        (
            r"replacement.{0,20}underpriced|replacement_underpriced|could not replace existing"
            r"|replacementnotallowed|replacement not allowed|another transaction with same nonce"
            r"|future transaction tries to replace|gas price too low to replace"
            r"|fee too low to replace|feetoolowtocompete",
            Verdict.REPLACEMENT_UNDERPRICED,
        ),
        (r"nonce.{0,12}too low|oldnonce|old nonce|nonce_too_low", Verdict.NONCE_TOO_LOW),
        (
            r"insufficient ?funds|insufficient balance|doesn't have enough funds"
            r"|upfront cost exceeds|upfront_cost_exceeds|overshot|balance too low",
            Verdict.INSUFFICIENT,
        ),
        (
            r"underpriced|fee ?too ?low|gas price.{0,40}too low|below.{0,20}minimum"
            r"|less than block base fee|fee cap less than|base fee exceeds"
            r"|tip (cap )?.{0,40}needed",
            Verdict.UNDERPRICED,
        ),
        (
            r"intrinsic gas|exceeds block gas limit|gas limit too (big|high)|gaslimitexceeded"
            r"|exceeds the configured cap|exceeds.{0,20}gas cap|higher than max fee"
            r"|invalid sender|invalid signature|invalid chain|replay.protected|chain id"
            r"|oversized|rlp|nonce.{0,12}too high|noncegap"
            r"|nonce is (too )?distant|too far in (the )?future"
            r"|type not supported|txtypenotsupported|sender is contract"
            r"|senderiscontract|sender not an eoa|max initcode|initcode size|not authorized"
            r"|black ?list|not on the whitelist|not accepting transactions|already reserved"
            r"|floor data gas|nonce has max value|another chain|gas limit is greater"
            r"|maximum per-transaction gas limit|cost exceeds current gas limit|negative value"
            r"|pool is full|account limit exceeded|in-flight transaction limit",
            Verdict.REJECTED,
        ),
    )
)
NOT_TAKEN: Final = frozenset({Verdict.UNDERPRICED, Verdict.INSUFFICIENT, Verdict.REJECTED})


def classify(message: str) -> Verdict:
    """What the text of a node's error proves. Never raises."""
    for pattern, verdict in _RULES:
        if pattern.search(message):
            return verdict
    return Verdict.AMBIGUOUS
