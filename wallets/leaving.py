"""Taking a wallet out of use. Its row, history and key stay; its money is moved before."""

from django.db import transaction
from django.http import HttpRequest

from arbsite.base import audit
from arbsite.base.models import User
from arbsite.base.problems import Conflict
from wallets import push, selectors
from wallets.models import Transaction, Wallet


def wallet_retire(
    *, wallet: Wallet, reason: str, by: User, request: HttpRequest | None = None
) -> None:
    """Nothing is planned for it any more, and the signer refuses it but for moving money away.

    Raises: Conflict while it may execute somewhere, something of it is open, or it is the only
        gas reserve that sends.
    """
    with transaction.atomic():
        row = Wallet.objects.select_for_update().get(pk=wallet.pk)
        if row.state == "retired":
            raise Conflict("It is retired already.", reason="refused")
        if row.assignments.filter(authorized_at__isnull=False, deployment__active=True).exists():
            raise Conflict(
                "It may still execute on a contract: revoke that first.", reason="refused"
            )
        if Transaction.objects.filter(
            wallet=row, status__in=selectors.OPEN, simulated_only=False
        ).exists():
            raise Conflict("A transaction of it is still open: wait for it.", reason="in_flight")
        others = selectors.wallets_that_send(chain_key=row.chain_id, role="gas_reserve")
        if row.role == "gas_reserve" and [one.pk for one in others] == [row.pk]:
            raise Conflict(
                "It is the chain's only gas reserve: make another one first.", reason="refused"
            )
        before = row.state
        row.assignments.update(desired=False)
        Wallet.objects.filter(pk=row.pk).update(state="retired", state_reason=reason[:200])
        audit.record(
            verb="wallet.retire",
            target=row.address,
            actor=by,
            via="api",
            request=request,
            before={"state": before},
            after={"state": "retired", "reason": reason[:200]},
        )
        transaction.on_commit(lambda: push.wallet_changed(row.pk), robust=True)
