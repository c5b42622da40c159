"""An intent with its proof, as statements for one round trip: what somebody waits for.

`wallets.services` does the same step by step, for whoever plans first and proves later.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from arbsite.base.rows import Statement, insert_of, joined
from arbsite.base.units import BlockNumber, Wei
from wallets.beginning import Intent
from wallets.kernel.lifecycle import Status
from wallets.models import Transaction, Wallet
from wallets.services import KINDS, check_gas_limit
from wallets.simulation import Proof

_HISTORY: Final = """
INSERT INTO wallets_statuschange (transaction_id, old, new, reason, at)
VALUES (%s, '', 'planned', '', clock_timestamp()),
       (%s, 'planned', 'simulated', '', clock_timestamp())
"""


class Planned(NamedTuple):
    """A transaction that is new: its row, what the sender needs of it, and what writes it."""

    row: Transaction
    intent: Intent
    statements: Sequence[Statement]


def transaction_planned(
    *,
    pk: int,
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
) -> Planned:
    """`transaction_plan` and `transaction_simulated` at once, to be written by `Sender.begin`.

    ``pk``: a key that nobody else has. Queries: 0. Raises: ValueError.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is not a kind of transaction")
    check_gas_limit(proof.gas_limit)
    row = Transaction(
        pk=pk,
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
    intent = Intent(
        transaction_id=pk,
        chain_key=str(wallet.chain_id),
        account=wallet.address,
        kind=kind,
        to=to,
        value_wei=value_wei,
        data=data,
        gas_limit=proof.gas_limit,
        last_block=last_block,
        kill_epoch=epoch,
        leader_epoch=leader_epoch,
        private_only=private_only,
        simulated_only=simulated_only,
    )
    return Planned(
        row, intent, [joined([insert_of(row), Statement(_HISTORY, [pk, pk], touches=2)])]
    )
