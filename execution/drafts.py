"""What an execution writes before it is sent, as statements for one round trip."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from arbsite.base.rows import KeysAhead, Statement, insert_of, update_of
from contracts.models import Chain, Deployment
from execution.kernel.plan import encode_execute
from execution.models import Execution
from execution.recorded import facts_of
from execution.simulator import Simulated
from execution.standing import Standing
from execution.trial import proof_of, simulated_facts
from execution.wanted import Wanted
from wallets.models import Transaction, Wallet
from wallets.planning import Planned, transaction_planned


class Draft(NamedTuple):
    """An execution that is not written yet: its row, its transaction, and what writes both."""

    row: Execution
    planned: Planned
    rows: Sequence[Statement]


def simulated_otherwise(draft: Draft, simulated: Simulated) -> Sequence[Statement]:
    """What mends a draft's row that was written as if it had been simulated another way."""
    facts = simulated_facts(simulated)
    if all(getattr(draft.row, name) == value for name, value in facts.items()):
        return ()
    for name, value in facts.items():
        setattr(draft.row, name, value)
    return (update_of(draft.row, facts, where="true"),)


class Drafts:
    """Of one chain and lead. ``epoch``: the lead's."""

    def __init__(self, *, chain: Chain, may_sign: bool, epoch: int) -> None:
        self._chain = chain
        self._may_sign = may_sign
        self._epoch = epoch
        self._transactions = KeysAhead(Transaction)
        self._executions = KeysAhead(Execution)

    def fill(self) -> None:
        """Take keys, so that nobody waits for them later. Two queries, or none."""
        self._transactions.fill()
        self._executions.fill()

    def arbitrage(self, wanted: Wanted, standing: Standing, simulated: Simulated) -> Draft:
        """Of an opportunity, as simulated; a person's request takes its facts over."""
        assert standing.wallet is not None  # noqa: S101  the caller looked
        assert standing.deployment is not None  # noqa: S101  the caller looked
        planned = transaction_planned(
            pk=self._transactions.take(),
            wallet=standing.wallet,
            kind="execution",
            to=standing.deployment.address,
            data=encode_execute(wanted.plan),
            value_wei=wanted.evaluation.tip_wei,
            key=wanted.candidate.key,
            proof=proof_of(simulated),
            last_block=wanted.plan.last_block,
            leader_epoch=self._epoch,
            private_only=standing.mode.config.use_private_mempool,
            epoch=standing.kill_epoch,
            simulated_only=not self._may_sign,
        )
        facts = {**facts_of(wanted, standing), **simulated_facts(simulated)}
        if wanted.request_pk is not None:
            return _taken_over(wanted.request_pk, planned, facts)
        row = Execution(
            pk=self._executions.take(),
            chain=self._chain,
            key=wanted.candidate.key,
            transaction=planned.row,
            **facts,
        )
        return Draft(row, planned, [*planned.statements, insert_of(row)])

    def test(
        self,
        request: Execution,
        *,
        wallet: Wallet,
        deployment: Deployment | None,
        simulated: Simulated,
        kill_epoch: int,
    ) -> Draft:
        """Of someone's request that a wallet sends 0 to itself."""
        planned = transaction_planned(
            pk=self._transactions.take(),
            wallet=wallet,
            kind="test",
            to=wallet.address,
            data=b"",
            key=request.key,
            proof=proof_of(simulated),
            leader_epoch=self._epoch,
            epoch=kill_epoch,
            simulated_only=not self._may_sign,
        )
        return _taken_over(request.pk, planned, {"wallet": wallet, "deployment": deployment})


def _taken_over(pk: int, planned: Planned, facts: dict[str, Any]) -> Draft:
    """A request is tied to what carries it out once: the record refuses a second."""
    row = Execution(pk=pk, transaction=planned.row, **facts)
    tied = update_of(row, ["transaction", *facts], where="transaction_id IS NULL")
    return Draft(row, planned, [*planned.statements, tied])
