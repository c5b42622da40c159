"""Freezing an account, so that it sends nothing, and letting it go on once a human looked (I6)."""

from typing import Final

from django.db import transaction
from django.db.models import Max

from arbsite.base import alerts, audit
from arbsite.base.errors import Rejected
from arbsite.base.models import User
from wallets import push
from wallets.models import Attempt, NonceSequence, Wallet

_EITHER: Final = "Either someone else uses its key, or the record is not of this chain."
_FIND_OUT: Final = "Find out which"


class StaysFrozen(Rejected):
    """The account cannot go on yet."""


def account_freeze(
    *,
    chain_key: str,
    address: str,
    why: str,
    meaning: str = _EITHER,
    look: str = _FIND_OUT,
    held: str = "",
) -> bool:
    """Let an account send nothing until a human looked; ``look`` tells at what.

    ``held``: the reason it is held for already, "" for one that is not held. False where that has
    changed meanwhile: another process froze it, or a human took it up.
    """
    with transaction.atomic():
        sequences = NonceSequence.objects.filter(chain_id=chain_key, address=address, frozen=held)
        if not sequences.update(frozen=why[:200]):
            return False
        rows = Wallet.objects.filter(chain_id=chain_key, address=address)
        rows.filter(state="active").update(state="frozen", state_reason=why[:200])
        alerts.alert_raise(
            key=_key(chain_key, address),
            severity="critical",
            title=f"{address} is frozen",
            detail=f"{why}. {meaning}",
            fix=f"{look}; then `unfreeze --chain {chain_key} --wallet {address} REASON`.",
        )
        for pk in rows.values_list("pk", flat=True):
            transaction.on_commit(lambda pk=pk: push.wallet_changed(pk), robust=True)  # type: ignore[misc]
    return True


def wallet_unfreeze(
    *,
    wallet: Wallet,
    chain_nonce: int,
    reason: str,
    pending_nonce: int = 0,
    by: User | None = None,
    via: str = "shell",
) -> None:
    """Let a frozen account send again from the chain's nonce, after a human looked (I6).

    ``chain_nonce`` is the mined count, read just before, ``pending_nonce`` the one with what is
    pending. Transactions of ours on nonces below it end by what was mined.

    An attempt of ours at or above it keeps its nonce: the next one comes after.

    Raises: StaysFrozen without a reason, or while something pends that the record does not know.
    """
    if not reason.strip():
        raise StaysFrozen("unfreezing needs a reason, which is kept")
    with transaction.atomic():
        sequence = NonceSequence.objects.select_for_update().get(
            chain_id=wallet.chain_id, address=wallet.address
        )
        kept = Attempt.objects.filter(sequence=sequence, released=False, nonce__gte=chain_nonce)
        highest = kept.aggregate(highest=Max("nonce"))["highest"]
        next_nonce = chain_nonce if highest is None else max(chain_nonce, highest + 1)
        if pending_nonce > next_nonce:
            raise StaysFrozen(
                f"{wallet.address} has {pending_nonce - next_nonce} transactions pending that the "
                "record does not know: wait until they are mined, then run `unfreeze` again"
            )
        before = {"nextNonce": sequence.next_nonce, "frozen": sequence.frozen}
        sequence.next_nonce, sequence.frozen = next_nonce, ""
        sequence.save(update_fields=["next_nonce", "frozen"])
        Wallet.objects.filter(pk=wallet.pk, state="frozen").update(
            state="active", state_reason=reason[:200]
        )
        alerts.alert_resolve(key=_key(wallet.chain_id, wallet.address))
        audit.record(
            verb="wallet.unfreeze",
            target=wallet.address,
            actor=by,
            via=via,
            before=before,
            after={"nextNonce": next_nonce, "reason": reason},
        )
        transaction.on_commit(lambda: push.wallet_changed(wallet.pk), robust=True)


def _key(chain_key: str, address: str) -> str:
    return f"frozen:{chain_key}:{address}"
