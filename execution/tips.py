"""What a chain offers builders now: the operator's share, where a bundle carries it to who is paid.

One payload goes to every builder, so one tip is one address: that which our contract pays.
"""

from collections.abc import Set
from dataclasses import dataclass, replace
from typing import Final

from arbsite.base.units import Bps, Wei
from contracts.kernel.relay_entry import tip_recipients
from contracts.models import Chain, Deployment
from execution.models import FastModeConfig
from prices.kernel.costs import NO_TIP, TipTerms
from wallets import relay_book
from wallets.kernel import policy

NOT_ASKED: Final = "not asked for"
PUBLIC: Final = "none: executions go a public way, and only a bundle carries a tip"


@dataclass(frozen=True, slots=True, kw_only=True)
class TipStanding:
    """``terms``: what is offered. ``why``: in words, whom or why nobody. ``ok``: False where a
    share is set, executions go to builders, and none of them would be paid."""

    terms: TipTerms
    why: str
    ok: bool = True
    fix: str = ""


def tips_now(
    *,
    chain: Chain,
    config: FastModeConfig,
    receiver: Deployment | None,
    named: Set[str] | None = None,
) -> TipStanding:
    """What is offered under these limits.

    ``named``: whom the builders of the private way favour, in lower case; None: those of the relays
    that may be used now. Queries: 1 where ``named`` is None and a share is asked for, else 0.
    """
    if not config.tip_share_bps:
        return TipStanding(terms=NO_TIP, why=NOT_ASKED)
    if not config.use_private_mempool:
        return TipStanding(terms=NO_TIP, why=PUBLIC)
    if named is None:
        named = tip_recipients(relay_book.relays_usable(chain=chain))
    if not named:
        return TipStanding(
            terms=NO_TIP,
            why="none: no builder that may be used names a tip recipient",
            ok=False,
            fix="Set the share to 0, or add a builder with tipRecipient and run `probe_relays`.",
        )
    paid = str(receiver.observed.get("tipRecipient", "")) if receiver else ""
    if paid.lower() not in named:
        return TipStanding(
            terms=NO_TIP,
            why=f"none: the contract pays {paid or 'nobody'}, builders name {_listed(named)}",
            ok=False,
            fix="Have its owner list one of them as tip recipient, under Contracts; or set the "
            "share to 0.",
        )
    most = policy.limits_of(
        is_local=chain.is_local, min_gas_price_wei=Wei(chain.min_gas_price_wei)
    ).tip_wei
    return TipStanding(
        terms=TipTerms(share_bps=Bps(config.tip_share_bps), most_wei=most),
        why=f"{config.tip_share_bps} bps of the net profit to {paid}",
    )


def affordable(terms: TipTerms, *, balance_wei: Wei | None, gas_wei: Wei) -> TipTerms:
    """The same, never more than the executor holds beside its gas: a tip is the call's value.

    ``balance_wei``: as last read; None where it was not, and then it bounds nothing.
    """
    if balance_wei is None or not terms.share_bps:
        return terms
    return replace(terms, most_wei=Wei(min(terms.most_wei, max(0, balance_wei - gas_wei))))


def _listed(named: Set[str]) -> str:
    return ", ".join(sorted(named))
