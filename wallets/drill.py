"""A drill of the kill switch on one chain: the real switch, a real nonce, nothing sent.

It stops the chain for about as long as it takes to read this line, and lets go again only what it
stopped itself.
"""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from django.http import HttpRequest
from django.utils import timezone

from arbsite.base import audit
from arbsite.base.errors import ArbError, Rejected, Retryable
from arbsite.base.models import User
from arbsite.base.units import BlockNumber
from contracts.kernel.jsonrpc import RpcError, hex_int
from contracts.models import Chain
from contracts.rpc import HttpRpc
from wallets import kill, selectors, services
from wallets.kill import KillProof
from wallets.models import Transaction
from wallets.sender import Sender

KIND: Final = "test"


class NotDrilled(Rejected):
    """There is nothing to drill with, or the switch is engaged for good reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """What a drill showed. ``passed``: the proof is complete, and signer and sender refused."""

    scope: str
    at: datetime
    took_ms: float
    proof: KillProof
    signer: str  # how it refused; "" where it signed
    hand_over: str  # how it was refused; "" where it was let through
    released: bool  # False: somebody else used the switch meanwhile, and it stays engaged

    @property
    def passed(self) -> bool:
        return bool(self.proof.complete and self.signer and self.hand_over)

    def as_json(self) -> dict[str, Any]:
        """The answer of API and shell."""
        return {
            "scope": self.scope,
            "at": self.at.isoformat(),
            "tookMs": round(self.took_ms, 3),
            "passed": self.passed,
            "signer": self.signer,
            "handOver": self.hand_over,
            "released": self.released,
            "proof": self.proof.as_json(),
        }


def kill_drill(
    *,
    chain: Chain,
    rpc: HttpRpc,
    sender: Sender,
    by: User | None = None,
    via: str = "shell",
    request: HttpRequest | None = None,
) -> Drill:
    """Engage the chain's switch under a prepared payload, see it refused, release again.

    For an admin: it releases. Work planned before it has to be planned anew. Must not run inside a
    database transaction.

    Raises: NotDrilled where the switch is engaged, no executor can prepare anything, or nothing was
        proven once it was stopped (it is released then too); what `Sender.rehearse_stop` raises
        before a nonce is taken; OperationalError.
    """
    if selectors.kill_engaged(chain_key=chain.key):
        raise NotDrilled(f"the kill switch is engaged on {chain.key}: release it first")
    started, at = time.monotonic(), timezone.now()
    planned = _plan(chain=chain, rpc=rpc, sender=sender)
    reason = f"drill {uuid4()}"
    proofs: list[KillProof] = []

    def stop() -> None:
        proofs.append(
            kill.kill_engage(reason=reason, scope=chain.key, by=by, via=via, request=request)
        )

    try:
        seen = sender.rehearse_stop(planned.pk, fees=sender.fees_now(), stop=stop)
    except Retryable as error:
        if not proofs:
            raise
        raise NotDrilled(f"it was stopped, and nothing is proven: {error}") from error  # not again
    finally:
        released = bool(proofs) and _release(chain, reason, by=by, via=via, request=request)
        _drop(planned)
    drill = Drill(
        scope=chain.key, at=at, took_ms=(time.monotonic() - started) * 1e3, proof=proofs[0],
        signer=seen.signer, hand_over=seen.hand_over, released=released,
    )  # fmt: skip
    audit.record(
        verb="kill.drill", target=chain.key, actor=by, via=via, request=request,
        after=drill.as_json(),
    )  # fmt: skip
    return drill


def _plan(*, chain: Chain, rpc: HttpRpc, sender: Sender) -> Transaction:
    able = selectors.wallets_that_send(chain_key=chain.key, role="executor")
    if not able:
        raise NotDrilled(f"{chain.key} has no active executor with a key to drill with")
    head = rpc.call("eth_getBlockByNumber", ["latest", False])
    if not isinstance(head, dict):
        raise RpcError(0, "the node gave no latest block")
    planned = services.transaction_plan(
        wallet=able[0], kind=KIND, to=able[0].address, data=b"", key=f"drill:{uuid4()}"
    )
    services.transaction_simulated(
        transaction_=planned,
        block_number=BlockNumber(hex_int(head["number"])),
        block_hash=str(head["hash"]),
        gas_limit=sender.self_send_gas(),
    )
    return planned


def _release(
    chain: Chain, reason: str, *, by: User | None, via: str, request: HttpRequest | None
) -> bool:
    try:
        kill.kill_release(
            reason=f"{reason} is over", scope=chain.key, by=by, via=via, request=request,
            engaged_for=reason,
        )  # fmt: skip
    except kill.SwitchMoved:
        return False
    return True


def _drop(planned: Transaction) -> None:
    """It ended with its nonce; where it never took one, it ends here."""
    planned.refresh_from_db()
    try:
        services.transaction_rejected(transaction_=planned, reason="only a drill")
    except ArbError:
        return
