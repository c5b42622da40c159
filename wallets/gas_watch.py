"""After each sweep: who is low, which reserve runs dry, who only burns gas; alerts with a cooldown.

Writes alerts alone; the plan it is made of is `funding`'s.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from arbsite.base import alerts
from arbsite.base.formats import decimal_text
from arbsite.base.models import Alert
from arbsite.base.units import Wei
from contracts.models import Chain
from wallets import funding
from wallets.funding_facts import FundingFacts, policy_of
from wallets.kernel import funding as kernel
from wallets.kernel.funding import Decision, Reason

COOLDOWN: Final = timedelta(minutes=15)
_DECIMALS: Final = 18


def gas_watch(*, chain: Chain, may_sign: bool) -> bool:
    """Raise and resolve a chain's alerts about gas; whether a run by the schedule would fund now.

    Queries: at most 16, and three for each alert that is raised.
    """
    facts, decisions = funding.facts_and_plan(chain, may_sign=may_sign)
    raised = {
        *_low(chain, facts),
        *_dry(chain, facts),
        *_burning(chain, facts, decisions),
    }
    _resolve_others(chain, raised=raised)
    return policy_of(chain=chain).automatic and any(decision.funds for decision in decisions)


def _low(chain: Chain, facts: FundingFacts) -> Iterable[str]:
    for one in facts.wallets:
        threshold = kernel.threshold_of(one, policy=facts.policy)
        if not one.ours or one.balance_wei is None or one.balance_wei >= threshold:
            continue
        target = kernel.target_of(one, policy=facts.policy)
        wallet = facts.rows[one.wallet_id]
        missing = _coins(target - one.balance_wei, chain)
        yield _raise(
            f"low:{chain.key}:{wallet.address}",
            title=f"{wallet} is low on gas",
            detail=(
                f"{wallet.address} on {chain.name} holds {_coins(one.balance_wei, chain)} at block "
                f"{one.balance_block}, under {_coins(threshold, chain)}; {missing} bring it to its "
                "target."
            ),
            fix=f"Automatic funding tops it up; else send {missing} to {wallet.address}.",
        )


def _dry(chain: Chain, facts: FundingFacts) -> Iterable[str]:
    for one in facts.reserves:
        wallet = facts.rows[one.wallet_id]
        floor = facts.policy.reserve_floor_wei
        wanted = max(floor, wallet.threshold_wei)
        if one.balance_wei is None or one.balance_wei - one.committed_wei >= wanted:
            continue
        free = Wei(one.balance_wei - one.committed_wei)
        missing = _coins(wanted - free, chain)
        stops = free < floor
        yield _raise(
            f"reserve:{chain.key}:{wallet.address}",
            severity="critical" if stops else "warning",
            title=f"Gas reserve {wallet} is {'under its floor' if stops else 'low'}",
            detail=(
                f"{wallet.address} on {chain.name} has {_coins(free, chain)} free; its floor is "
                f"{_coins(floor, chain)}, its threshold {_coins(wallet.threshold_wei, chain)}. "
                + ("Nothing is funded from it any more." if stops else "")
            ).strip(),
            fix=f"Send {missing} or more to {wallet.address} on {chain.name}.",
        )


def _burning(chain: Chain, facts: FundingFacts, decisions: Iterable[Decision]) -> Iterable[str]:
    for decision in decisions:
        if decision.reason is not Reason.BURNING:
            continue
        wallet = facts.rows[decision.wallet_id]
        yield _raise(
            f"burning:{chain.key}:{wallet.address}",
            severity="critical",
            title=f"{wallet} burns gas without success",
            detail=(
                f"{wallet.address} on {chain.name} was funded {kernel.FRUITLESS_MAX} times or more "
                "and executed nothing successfully in between: it is not funded any more."
            ),
            fix="See under Executions why they fail; then fund it by hand once.",
        )


def _raise(key: str, *, title: str, detail: str, fix: str, severity: str = "warning") -> str:
    alerts.alert_raise(
        key=key, title=title, detail=detail, fix=fix, severity=severity, cooldown=COOLDOWN
    )
    return key


def _resolve_others(chain: Chain, *, raised: set[str]) -> None:
    """Close what is no longer so. One query, and one for each that ends."""
    for kind in ("low", "reserve", "burning"):
        rows = Alert.objects.filter(
            key__startswith=f"{kind}:{chain.key}:", resolved_at__isnull=True
        )
        for key in rows.exclude(key__in=raised).values_list("key", flat=True):
            alerts.alert_resolve(key=key)


def _coins(wei: int, chain: Chain) -> str:
    return f"{decimal_text(wei, _DECIMALS)} {chain.native_symbol}"
