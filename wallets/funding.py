"""Keeping executors in gas: what would be given, giving it once, taking up what was left.

For whoever shows or asks for it:

- `funding_plan(chain)`: one `Decision` an executor, from the record alone; writes nothing.
- `funding_check(wallet=, amount_wei=)`: the decision on an amount that a person names.
- `funding_run(office)`: fund whoever is low. `office.by` is who asked; None for the schedule.
- `funding_manual(office, wallet=, amount_wei=, key=)`: one amount to one wallet; the same ``key``
  is one funding, however often it is asked.
- `funding_policy_set(chain=, changes=, by=, via=)`, and `kernel.funding.loosened` for what of it
  needs the second factor; `threshold_set(wallet=, threshold_wei=, by=, via=)`.

The two that give ask the node and the signer: a worker's or a shell's work, never the web's. They
need an `Office` (`office_open(chain, by=user, via="web")`).

Order of commits: the ledger's row, reserved under the row locks of the chain's reserves with every
cap counted there; its transaction, whose key follows from the row; then `Sender`'s own. A crash
between two leaves a row that the next run takes up, with the same key.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import transaction

from arbsite.base import audit
from arbsite.base.errors import ArbError, Rejected
from arbsite.base.models import User
from arbsite.base.units import UINT256_MAX, Wei, mul_div_ceil
from contracts.kernel.fees import GasFees
from contracts.models import Chain
from wallets import funding_facts, monitoring, push, services, strangers
from wallets.administration.office import Office
from wallets.funding_facts import FundingFacts, facts_read, policy_of
from wallets.funding_sending import (
    ABANDONED_S,
    carry_out,
    fundings_close,
    fundings_left,
    take_up,
)
from wallets.kernel import funding as kernel
from wallets.kernel import policy as signing
from wallets.kernel.funding import Decision, Reason
from wallets.models import Attempt, Funding, FundingPolicy, Wallet

COOLDOWN_MAX_S: Final = 30 * 86_400
_PLAIN_GAS: Final = 21_000
_LIMITS: Final = (
    "threshold_wei", "target_wei", "min_transfer_wei", "cap_transfer_wei", "cap_wallet_day_wei",
    "cap_chain_day_wei", "reserve_floor_wei", "cooldown_s",
)  # fmt: skip


class FundingRefused(Rejected):
    """That funding is not given; ``decision`` says why."""

    def __init__(self, wallet: Wallet, decision: Decision) -> None:
        self.decision = decision
        super().__init__(f"{wallet.address} is not funded ({decision.reason}): {decision.detail}")


class FundingKeyReused(Rejected):
    """A key came back with another wallet or amount."""


class BadPolicy(Rejected):
    """Limits that contradict themselves."""


@dataclass(slots=True)
class FundingReport:
    """What one run did. ``fundings``: rows made or taken up, as they stand after it."""

    decisions: tuple[Decision, ...] = ()
    fundings: list[Funding] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def note(self, row: Funding, trouble: ArbError | None) -> None:
        """One row carried out, and what kept it from being sent."""
        self.fundings.append(row)
        if trouble is not None:
            self.problems.append(str(trouble))


def funding_plan(chain: Chain, *, may_sign: bool = True) -> tuple[Decision, ...]:
    """What a run would do now, by the newest balances on record. Queries: at most 14.

    The gas it reckons with is a guess, as no node is asked.
    """
    return facts_and_plan(chain, may_sign=may_sign)[1]


def facts_and_plan(chain: Chain, *, may_sign: bool) -> tuple[FundingFacts, tuple[Decision, ...]]:
    """`funding_plan` with what it is made of."""
    facts = facts_read(chain=chain, may_sign=may_sign, gas_cost_wei=_gas_cost_guess(chain))
    return facts, _plan(facts)


def funding_check(*, wallet: Wallet, amount_wei: Wei, may_sign: bool = True) -> Decision:
    """Whether a person may give that wallet that amount now. As `funding_plan`.

    Raises: ValueError unless the amount is positive.
    """
    guess = _gas_cost_guess(wallet.chain)
    facts = facts_read(chain=wallet.chain, may_sign=may_sign, gas_cost_wei=guess)
    return _decide_manual(facts, wallet=wallet, amount_wei=amount_wei)


def funding_run(office: Office, *, older_than_s: float = ABANDONED_S) -> FundingReport:
    """Read balances, take up what an earlier run left, and fund every executor that is low.

    The schedule (no ``office.by``) gives nothing new where the chain's policy is not automatic.
    Where the chain may not sign, fundings are simulated and recorded only. Safe to run any number
    of times at once. Raises: RpcUnavailable, RpcError before anything is reserved; one funding's
    trouble is in the report.
    """
    chain, report = office.chain, FundingReport()
    fundings_close(chain=chain)
    for row, trouble in take_up(office, older_than_s=older_than_s):
        report.note(row, trouble)
    if office.by is None and not policy_of(chain=chain).automatic:
        return report
    _look(office)
    fees = office.sender.fees_now()

    def reserve(facts: FundingFacts, epoch: int) -> list[Funding]:
        report.decisions = _plan(facts)
        chosen = [decision for decision in report.decisions if decision.funds]
        if chosen and office.by is not None:
            audit.record(
                verb="funding.run",
                target=chain.key,
                actor=office.by,
                via=office.via,
                after={str(facts.rows[d.wallet_id].address): str(d.amount_wei) for d in chosen},
            )
        return [_reserve(office, d, facts=facts, epoch=epoch, automatic=True) for d in chosen]

    for row in _under_lock(office, fees=fees, reserve=reserve):
        report.note(row, carry_out(office, row, fees=fees))
    return report


def funding_manual(
    office: Office, *, wallet: Wallet, amount_wei: Wei, key: str | None = None
) -> Funding:
    """Give one wallet one amount from the chain's gas reserve, once for a ``key``.

    Caps, the floor and an open funding stand in its way as they do in a run's; being low does not.
    Raises: FundingRefused, FundingKeyReused before anything is reserved; RpcUnavailable, RpcError,
    SignerUnavailable, after which the next run takes it up; what `Sender.send` raises.
    """
    if (held := _of_key(key, wallet=wallet, amount_wei=amount_wei)) is not None:
        return held
    fundings_close(chain=office.chain)
    _look(office)
    fees = office.sender.fees_now()
    taken: list[Funding] = []

    def reserve(facts: FundingFacts, epoch: int) -> list[Funding]:
        if (held := _of_key(key, wallet=wallet, amount_wei=amount_wei)) is not None:
            taken.append(held)
            return []
        decision = _decide_manual(facts, wallet=wallet, amount_wei=amount_wei)
        if not decision.funds:
            raise FundingRefused(wallet, decision)
        audit.record(
            verb="funding.manual",
            target=wallet.address,
            actor=office.by,
            via=office.via,
            after={"chain": office.chain.key, "amountWei": str(amount_wei)},
        )
        return [_reserve(office, decision, facts=facts, epoch=epoch, automatic=False, key=key)]

    made = _under_lock(office, fees=fees, reserve=reserve)
    if not made:
        return taken[0]
    trouble = carry_out(office, made[0], fees=fees)
    if trouble is not None:
        raise trouble
    return made[0]


def funding_policy_set(
    *, chain: Chain, changes: Mapping[str, int | bool], by: User | None = None, via: str = "shell"
) -> FundingPolicy:
    """Change a chain's limits, named as the columns are. Raises: BadPolicy, nothing kept."""
    unknown = set(changes) - {*_LIMITS, "automatic"}
    if unknown:
        raise BadPolicy(f"{', '.join(sorted(unknown))}: no such limit")
    with transaction.atomic():
        FundingPolicy.objects.get_or_create(chain=chain)
        row = FundingPolicy.objects.select_for_update().get(chain=chain)
        before = {name: _shown(getattr(row, name)) for name in changes}
        for name, value in changes.items():
            setattr(row, name, value)
        _check_policy(row)
        row.save(update_fields=[*changes, "updated_at"])
        audit.record(
            verb="funding.policy",
            target=chain.key,
            actor=by,
            via=via,
            before=before,
            after={name: _shown(value) for name, value in changes.items()},
        )
    return row


def threshold_set(
    *, wallet: Wallet, threshold_wei: Wei, by: User | None = None, via: str = "shell"
) -> None:
    """Under which balance a wallet is low; 0 leaves that to the chain's policy.

    Raises: BadPolicy above the wallet's daily cap, which no funding could reach.
    """
    most_wei = policy_of(chain=wallet.chain).cap_wallet_day_wei
    if not 0 <= threshold_wei <= max(most_wei, wallet.threshold_wei):
        raise BadPolicy(
            f"a threshold of {threshold_wei} wei is outside 0 to {most_wei}, a wallet's daily cap"
        )
    with transaction.atomic():
        audit.record(
            verb="wallet.threshold",
            target=wallet.address,
            actor=by,
            via=via,
            before={"thresholdWei": str(wallet.threshold_wei)},
            after={"thresholdWei": str(threshold_wei)},
        )
        Wallet.objects.filter(pk=wallet.pk).update(threshold_wei=threshold_wei)
        transaction.on_commit(lambda: push.wallet_changed(wallet.pk), robust=True)
    wallet.threshold_wei = threshold_wei


def _check_policy(row: FundingPolicy) -> None:
    chain = row.chain
    ceiling = signing.limits_of(
        is_local=chain.is_local, min_gas_price_wei=Wei(chain.min_gas_price_wei)
    ).funding_wei
    try:
        limits = funding_facts.limits_of(row, interval_s=0)
    except ValueError as error:
        raise BadPolicy(str(error)) from None
    if limits.cap_transfer_wei > ceiling:
        raise BadPolicy(
            f"cap_transfer_wei {limits.cap_transfer_wei} is above the signer's own cap {ceiling}"
        )
    if max(getattr(limits, name) for name in _LIMITS) > UINT256_MAX:
        raise BadPolicy("a limit is beyond 256 bits")
    if limits.cooldown_s > COOLDOWN_MAX_S:
        raise BadPolicy(f"cooldown_s {limits.cooldown_s} is above {COOLDOWN_MAX_S}")


def _look(office: Office) -> None:
    """Read balances and nonces: whose key another uses is frozen, not given more to take.

    Raises: RpcUnavailable, RpcError.
    """
    monitoring.sweep(chain=office.chain, rpc=office.rpc)
    strangers.strangers_look(chain=office.chain, rpc=office.rpc)


def _plan(facts: FundingFacts) -> tuple[Decision, ...]:
    return kernel.plan(
        facts.wallets, reserves=facts.reserves, policy=facts.policy, moment=facts.moment
    )


def _decide_manual(facts: FundingFacts, *, wallet: Wallet, amount_wei: Wei) -> Decision:
    found = next((one for one in facts.wallets if one.wallet_id == wallet.pk), None)
    if found is None:
        why = f"a {wallet.role} of {wallet.chain_id} is not funded from a reserve"
        return Decision(wallet_id=wallet.pk, reason=Reason.NOT_OURS, detail=why)
    return kernel.decide_manual(
        found,
        amount_wei=amount_wei,
        reserves=facts.reserves,
        policy=facts.policy,
        moment=facts.moment,
    )


def _under_lock(
    office: Office, *, fees: GasFees, reserve: Callable[[FundingFacts, int], list[Funding]]
) -> list[Funding]:
    """Decide and reserve while nobody else can: in one commit, under the reserves' row locks.

    All of the chain's are locked, oldest first, as the chain's day is one sum over them. Not for
    key updates: a new transaction of a reserve only refers to it.
    """
    gas_cost = _gas_cost(office, fees)
    with transaction.atomic():
        rows = Wallet.objects.filter(chain=office.chain, role="gas_reserve").order_by("id")
        list(rows.select_for_update(no_key=True).values_list("pk", flat=True))
        # Read first: whatever kills after it raises the epoch, and the sender refuses the old one.
        epoch = services.kill_epoch(office.chain.key)
        facts = facts_read(chain=office.chain, may_sign=office.may_sign, gas_cost_wei=gas_cost)
        made = reserve(facts, epoch)
        for row in made:
            transaction.on_commit(lambda pk=row.wallet_id: push.wallet_changed(pk), robust=True)  # type: ignore[misc]
    return made


def _reserve(
    office: Office,
    decision: Decision,
    *,
    facts: FundingFacts,
    epoch: int,
    automatic: bool,
    key: str | None = None,
) -> Funding:
    assert decision.reserve_id is not None  # noqa: S101  it funds
    balance = facts.balances[decision.wallet_id]
    return Funding.objects.create(
        wallet_id=decision.wallet_id,
        reserve_id=decision.reserve_id,
        amount_wei=decision.amount_wei,
        gas_wei=facts.moment.gas_cost_wei,
        automatic=automatic,
        requested_by=office.by,
        key=key,
        decided_balance_wei=balance.balance_wei,
        decided_block=balance.block_number,
        decided_block_hash=balance.block_hash,
        kill_epoch=epoch,
    )


def _of_key(key: str | None, *, wallet: Wallet, amount_wei: Wei) -> Funding | None:
    """The funding that a key stands for already. Raises: FundingKeyReused."""
    if key is None:
        return None
    held = Funding.objects.select_related("transaction").filter(key=key).first()
    if held is not None and (held.wallet_id, held.amount_wei) != (wallet.pk, amount_wei):
        raise FundingKeyReused(f"{key!r} stands for another funding")
    return held


def _gas_cost(office: Office, fees: GasFees) -> Wei:
    """The most that one transfer's gas may cost: as the proof will find it, with its quarter."""
    return Wei(mul_div_ceil(office.sender.self_send_gas(), 5, 4) * fees.max_fee_wei)


def _gas_cost_guess(chain: Chain) -> Wei:
    """As the last funding's payload offered, else twice the chain's floor. One query."""
    newest = (
        Attempt.objects.filter(transaction__chain=chain, transaction__kind="funding")
        .order_by("-id")
        .values_list("max_fee_wei", flat=True)
        .first()
    )
    price = newest if newest is not None else 2 * chain.min_gas_price_wei
    return Wei(mul_div_ceil(_PLAIN_GAS, 5, 4) * int(price))


def _shown(value: Any) -> Any:
    return value if isinstance(value, bool) else str(value)


__all__ = [
    "BadPolicy", "Decision", "FundingKeyReused", "FundingRefused", "FundingReport", "Reason",
    "funding_check", "funding_manual", "funding_plan", "funding_policy_set",
    "funding_run", "fundings_close", "fundings_left", "threshold_set",
]  # fmt: skip
