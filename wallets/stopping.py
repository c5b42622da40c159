"""What an engaged kill switch ends: every nonce that a stopped payload may still land on.

The switch itself sends nothing (`wallets.kill`); whoever settles does this, in any process that has
a sender: an engine at each block, a worker every few seconds, or the shell.
"""

import logging
from collections.abc import Sequence

from arbsite.base.errors import ArbError
from wallets import missed
from wallets.chain_view import View
from wallets.kernel import lifecycle
from wallets.kernel.lifecycle import Status
from wallets.models import Attempt, Transaction
from wallets.sender import Sender

logger = logging.getLogger(__name__)
REASON = "stopped by the kill switch"


def end_stopped(waiting: Sequence[Transaction], *, view: View, sender: Sender) -> set[int]:
    """Take back bundles and cancel nonces of what the engaged switch stops. Their keys.

    Left alone: what is mined, what a cancel stands for already, and a bundle whose last block is
    past, which costs nothing to wait for. One that cannot be ended now is tried at the next round.
    """
    ended = set()
    for one in sorted(waiting, key=_nonce_of):
        if not _may_land(one, view=view):
            continue
        try:
            taken_back = sender.take_back(one.pk)
            sender.cancel(one.pk, reason=REASON)
        except ArbError as error:
            logger.warning("not ended", extra={"transaction": one.pk, "error": str(error)})
            continue
        ended.add(one.pk)
        logger.info(
            "ended by the kill switch",
            extra={
                "transaction": one.pk,
                "nonce": _nonce_of(one),
                "taken_back": [f"{answer.relay}: {answer.outcome}" for answer in taken_back],
            },
        )
    return ended


def _may_land(one: Transaction, *, view: View) -> bool:
    held = _held(one)
    if not held or one.status == Status.INCLUDED or not lifecycle.is_stopped_by_kill(kind=one.kind):
        return False
    if any(attempt.purpose == "cancel" or view.mined_in(attempt.hash or "") for attempt in held):
        return False
    if view.mined_nonce.get(one.wallet.address, 0) > held[0].nonce:
        return False
    past = one.last_block is not None and view.head >= one.last_block
    return not (past and missed.is_bundles_only(one))


def _held(one: Transaction) -> list[Attempt]:
    return [attempt for attempt in one.attempts.all() if attempt.hash and not attempt.released]


def _nonce_of(one: Transaction) -> int:
    return min((attempt.nonce for attempt in _held(one)), default=0)
