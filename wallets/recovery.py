"""After a restore: nothing is signed until the chain was compared and a human let it go on.

A restored record is older than the chain. Every account is held, the kill switch is engaged, and
the first settlement compares nonces: where the chain is ahead, transactions were sent after the
backup was made, and only `unfreeze` takes up its nonce (I6).
"""

import logging
from typing import Final

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from arbsite.base import alerts, audit
from contracts.kernel.jsonrpc import RpcError, hex_int
from contracts.models import Chain
from contracts.rpc import HttpRpc
from wallets import kill, selectors
from wallets.freezing import account_freeze
from wallets.models import KillState, NonceSequence

logger = logging.getLogger(__name__)
HELD: Final = "restored from a backup"  # how the reason of a held account begins


def recovery_begin(*, made_at: str) -> int:
    """Hold every account and engage the switch everywhere. Returns how many accounts are held.

    Sends no message to pages: nothing runs yet. One database transaction.
    """
    reason = f"{HELD} of {made_at}"
    with transaction.atomic():
        scopes = KillState.objects.filter(scope=kill.EVERYWHERE)
        if not scopes.update(
            engaged=True,
            epoch=F("epoch") + 1,
            reason=reason[:200],
            changed_by="restore",
            changed_at=timezone.now(),
        ):
            KillState.objects.create(scope=kill.EVERYWHERE, reason=reason, changed_by="restore")
        held = NonceSequence.objects.update(frozen=reason[:200])
        alerts.alert_raise(
            key=kill.RESTORED,
            severity="critical",
            title="Restored from a backup",
            detail=(
                f"The record is of {made_at}: what was sent since is not in it. Everything is "
                "stopped, and each account waits until its nonce was compared with its chain."
            ),
            fix="Look at the alerts of frozen accounts, `unfreeze` each, then `kill_release`.",
        )
        audit.record(verb="restore", via="restore", after={"madeAt": made_at, "accounts": held})
    return held


def accounts_compare(*, chain: Chain, rpc: HttpRpc) -> bool:
    """Compare each held account of a chain with the chain. Whether any of them waits still.

    Ahead, or with transactions pending that we do not know: frozen for a human. The same: free.
    Behind: ours are out and not mined; free once the kill switch was released. One query, and one
    batch where accounts are held. Raises: RpcError, RpcUnavailable.
    """
    held = list(NonceSequence.objects.filter(chain=chain, frozen__startswith=HELD))
    if not held:
        return False
    answers = rpc.batch(
        [
            ("eth_getTransactionCount", [sequence.address, tag])
            for sequence in held
            for tag in ("latest", "pending")
        ]
    )
    for answer in answers:
        if isinstance(answer, RpcError):
            raise answer
    counts = [hex_int(answer) for answer in answers]
    killed, waits = selectors.kill_engaged(chain_key=chain.key), False
    for sequence, mined, pending in zip(held, counts[::2], counts[1::2], strict=True):
        if max(mined, pending) > sequence.next_nonce:
            _freeze(sequence, mined=mined, pending=pending)
        elif mined == sequence.next_nonce or not killed:
            NonceSequence.objects.filter(pk=sequence.pk, frozen=sequence.frozen).update(frozen="")
            logger.info("account compared", extra={"chain": chain.key, "nonce": mined})
        else:
            waits = True
    return waits


def _freeze(sequence: NonceSequence, *, mined: int, pending: int) -> None:
    key, address = sequence.chain_id, sequence.address
    found = f"{mined}" if mined == pending else f"{mined} ({pending} with what is pending)"
    why = f"the chain's nonce is {found}, the restored record's {sequence.next_nonce}"
    if account_freeze(
        chain_key=key,
        address=address,
        why=why,
        held=sequence.frozen,
        meaning="It sent after the backup was made, and the record does not know what.",
        look="See on the chain what it sent",
    ):
        logger.warning("account frozen", extra={"chain": key, "account": address, "why": why})
