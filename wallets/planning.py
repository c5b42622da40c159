"""An intent recorded with its proof, in two statements: what somebody waits for.

`wallets.services` does the same step by step, for whoever plans first and proves later.
"""

from functools import partial

from django.db import transaction

from arbsite.base.rows import rows_insert
from arbsite.base.units import BlockNumber, Wei
from wallets import push
from wallets.kernel.lifecycle import Status
from wallets.models import StatusChange, Transaction, Wallet
from wallets.services import KINDS, check_gas_limit
from wallets.simulation import Proof


def transaction_plan_proven(
    *,
    wallet: Wallet,
    kind: str,
    to: str,
    data: bytes,
    key: str,
    proof: Proof,
    value_wei: Wei = Wei(0),  # noqa: B008  an int
    last_block: BlockNumber | None = None,
    leader_epoch: int | None = None,
    private_only: bool = False,
    epoch: int,
    simulated_only: bool = False,
) -> Transaction:
    """`transaction_plan` and `transaction_simulated` at once, of an intent that is new: for who is
    in a hurry. Joins the caller's transaction. Queries: 2.

    Raises: IntegrityError where the key stands already; ValueError.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is not a kind of transaction")
    check_gas_limit(proof.gas_limit)
    planned = Transaction(
        chain_id=wallet.chain_id,
        wallet=wallet,
        kind=kind,
        idempotency_key=key,
        to=to,
        value_wei=value_wei,
        data=data,
        last_block=last_block,
        leader_epoch=leader_epoch,
        kill_epoch=epoch,
        private_only=private_only,
        simulated_only=simulated_only,
        gas_limit=proof.gas_limit,
        simulated_block=proof.block_number,
        simulated_block_hash=proof.block_hash,
        status=Status.SIMULATED.value,
    )
    rows_insert(planned)
    rows_insert(
        StatusChange(transaction=planned, old="", new=Status.PLANNED.value),
        StatusChange(transaction=planned, old=Status.PLANNED.value, new=Status.SIMULATED.value),
    )
    transaction.on_commit(partial(push.transaction_changed, planned.pk), robust=True)
    return planned


def transaction_reproven(*, transaction_: Transaction, proof: Proof) -> None:
    """Correct the proof of a transaction that nobody else has seen yet: for who made it, inside
    the database transaction that makes it. Raises: ValueError."""
    check_gas_limit(proof.gas_limit)
    facts = {
        "gas_limit": proof.gas_limit,
        "simulated_block": proof.block_number,
        "simulated_block_hash": proof.block_hash,
    }
    Transaction.objects.filter(pk=transaction_.pk).update(**facts)
    for name, value in facts.items():
        setattr(transaction_, name, value)
