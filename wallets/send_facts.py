"""What a sender is told of its chain, and what it tells of a call."""

from dataclasses import dataclass

from arbsite.base.units import Wei
from contracts.kernel.fees import FeeModel
from wallets.jobs import Job
from wallets.kernel.lifecycle import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainFacts:
    """What of a chain the sender must know."""

    key: str
    eip155_id: int
    fee_model: FeeModel
    min_gas_price_wei: Wei
    fee_cap_wei: Wei


@dataclass(frozen=True, slots=True, kw_only=True)
class SendOutcome:
    """Where a transaction stands after a call. ``stages_us``: sign, persist, submit."""

    transaction_id: int
    attempt_id: int
    nonce: int
    hash: str
    status: Status
    detail: str
    stages_us: dict[str, int]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """How signer and hand-over refused what was stopped; "" where one did not."""

    signer: str
    hand_over: str


def outcome_of(of: Job, status: Status, detail: str, stages: dict[str, int]) -> SendOutcome:
    """An attempt's standing as a call reports it."""
    return SendOutcome(
        transaction_id=of.transaction_id,
        attempt_id=of.attempt_id,
        nonce=of.nonce,
        hash=of.hash,
        status=status,
        detail=detail,
        stages_us=stages,
    )
