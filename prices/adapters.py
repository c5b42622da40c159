"""Building a watcher for one chain from the registry, settings and what gas was measured."""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from django.conf import settings

from arbsite.base.units import Bps, Gas, TokenAmount, Wei
from contracts.kernel.fees import FeeModel
from contracts.models import Chain, Deployment
from prices.kernel.costs import NO_TIP, Policy, TipTerms
from prices.kernel.lenders import LenderKind
from prices.models import GasUse, Monitor
from prices.registry import Registry, registry_load
from prices.watcher import ChainCosts, Watcher

GAS_MEASURED: Final = Path(__file__).resolve().parent / "gas_measured.json"


@cache
def gas_measured_at_build() -> dict[tuple[LenderKind, int], Gas]:
    """Gas used by our contracts in the committed measurement on real bytecode.

    Only for explaining an opportunity before this chain has figures of its own; nothing is sent
    with it, since a gas limit always comes from an estimate or a receipt.
    """
    rows = json.loads(GAS_MEASURED.read_text())["gas"]
    return {(LenderKind(row["lender"]), row["hops"]): Gas(row["gas"]) for row in rows}


def gas_expected(rows: Iterable[GasUse]) -> dict[tuple[LenderKind, int], Gas]:
    """What a trade of each kind uses: as one chain's rows say, else as it was at build."""
    gas = dict(gas_measured_at_build())
    for row in rows:
        # Expected use is the mean, rounded up: a cost is never guessed too low by rounding.
        gas[LenderKind(row.lender_kind), row.hops] = Gas(-(-row.total_gas // row.samples))
    return gas


def chain_costs(chain: Chain, *, tips: TipTerms = NO_TIP) -> ChainCosts:
    """What the chain charges, with gas from receipts where there are any. One query."""
    return ChainCosts(
        tips=tips,
        fee_model=FeeModel(chain.fee_model),
        min_gas_price_wei=Wei(chain.min_gas_price_wei),
        gas=gas_expected(GasUse.objects.filter(chain=chain)),
        l1_fee_wei=Wei(0) if chain.l1_fee == "none" else None,
        forced_lender=settings.ARB.force_lender,
    )


def policy(
    monitor: Monitor,
    *,
    min_profit_bps: int,
    max_gas_price_wei: int | None,
    contract_min_profit: Mapping[int, TokenAmount],
    max_position_wei: int = 0,
) -> Policy:
    """What an opportunity must meet, from the monitor, the chain's limits and our contract."""
    return Policy(
        contract_min_profit=contract_min_profit,
        min_spread_bps=Bps(monitor.min_spread_bps),
        min_profit_threshold_bps=Bps(min_profit_bps),
        max_gas_price_wei=None if max_gas_price_wei is None else Wei(max_gas_price_wei),
        max_position_wei=Wei(max_position_wei),
    )


def contract_minimums(chain: Chain, registry: Registry) -> dict[int, TokenAmount]:
    """The least profit our contract takes, raw units by token index, as last read. One query."""
    receiver = Deployment.objects.filter(chain=chain, kind="receiver", active=True).first()
    held = receiver.observed.get("minProfit", {}) if receiver else {}
    by_address = {address.lower(): int(raw) for address, raw in held.items()}
    return {
        i: TokenAmount(by_address[token.address.lower()])
        for i, token in enumerate(registry.tokens)
        if token.address.lower() in by_address
    }


def watcher(
    monitor: Monitor,
    *,
    min_profit_bps: int,
    max_gas_price_wei: int | None,
    max_position_wei: int = 0,
    tips: TipTerms = NO_TIP,
) -> Watcher:
    """A watcher on the registry as it is now; it still has to be loaded from the chain."""
    registry = registry_load(monitor.chain)
    limits = policy(
        monitor,
        min_profit_bps=min_profit_bps,
        max_gas_price_wei=max_gas_price_wei,
        max_position_wei=max_position_wei,
        contract_min_profit=contract_minimums(monitor.chain, registry),
    )
    return Watcher(
        registry,
        costs=chain_costs(monitor.chain, tips=tips),
        policy=limits,
        max_hops=settings.ARB.max_hops,
    )
