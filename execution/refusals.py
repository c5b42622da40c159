"""What stood in the way, in the contract's words: an error's reason, a gate's reason."""

import logging
from typing import Final

from arbsite.base.errors import ArbError, Halt
from contracts.kernel.fees import FeeAboveCap
from contracts.rpc import RpcUnavailable
from execution.kernel import gate
from execution.kernel.gate import Candidate, GateState
from execution.simulator import StateGone
from execution.wanted import WORDS, Acted
from wallets.ledger import Killed, LeaderChanged, NotSendable
from wallets.signer_client import SignRefused

logger = logging.getLogger(__name__)
_REASONS: Final[tuple[tuple[type[ArbError], str], ...]] = (
    (StateGone, "superseded"),
    (LeaderChanged, "superseded"),
    (Killed, "killed"),
    (FeeAboveCap, "max_gas"),
    (RpcUnavailable, "simulation_failed"),
    (Halt, "not_armed"),
    (NotSendable, "not_armed"),  # it has no way, or its nonce none: no simulation said so
)
_SIGNER_CODES: Final = {
    "killed": "killed",
    "stale_epoch": "killed",
    "leader": "superseded",
    "policy": "limit",
}


def refusal(error: ArbError, *, chain_key: str) -> Acted:
    """An error as the reason that it is to the operator; his own words are in the detail."""
    if isinstance(error, SignRefused):
        reason = _SIGNER_CODES.get(error.code, "not_armed")
    else:
        reason = next((name for kind, name in _REASONS if isinstance(error, kind)), "")
    level = logging.ERROR if isinstance(error, Halt) else logging.WARNING
    logger.log(level, "not executed", extra={"chain": chain_key, "why": str(error)})
    # The state that it was decided on is gone, and so is that of all others at this head.
    return Acted(reason or "simulation_failed", str(error), stops_all=isinstance(error, StateGone))


def passed_over(
    state: GateState, candidate: Candidate, reason: gate.Reason, *, detail: str = ""
) -> Acted:
    """A gate's reason, and whether it stands in the way of any other at that head."""
    return Acted(
        reason.value,
        detail or WORDS[reason.value],
        stops_all=gate.stops_all(state, candidate, reason),
    )
