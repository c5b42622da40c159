"""One arbitrage from the shell: found anew on the whole market, then simulated, or acted on once.

While an engine leads the chain it alone acts: the command asks it. Without one the command leads
for the moment it needs.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction

from arbsite.base import audit
from arbsite.base.errors import Rejected
from contracts import adapters as contracts_adapters
from contracts.models import Chain, Deployment
from execution import accounting, adapters, fast_mode, selectors, services
from execution.desk import Desk
from execution.kernel.latency import Timeline
from execution.kernel.plan import encode_execute
from execution.leader import Leadership
from execution.models import Execution, FastModeConfig
from execution.simulator import Simulated
from execution.tips import tips_now
from execution.wanted import Acted, Wanted, wanted_from
from prices import adapters as prices_adapters
from prices import services as prices_services
from prices.chain_state import read_head, read_market
from prices.kernel.opportunity import Evaluation
from prices.kernel.waterfall import Verdict
from prices.models import Opportunity
from prices.watcher import Watcher
from wallets import adapters as wallet_adapters
from wallets import receipts
from wallets import selectors as wallet_selectors

PATIENCE_S: Final = 60.0
_LOOK_S: Final = 0.2
_OPEN: Final = frozenset({"planned", "simulated", "signed", "submitted", "unknown"})


class NothingPays(Rejected):
    """Nothing can be executed at this block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One opportunity, evaluated on the market as it is now, with the market it stands in."""

    chain: Chain
    watcher: Watcher
    evaluation: Evaluation
    opportunity_pk: int | None
    config: FastModeConfig

    @property
    def symbol(self) -> str:
        """The borrowed token's symbol."""
        return self.watcher.registry.tokens[self.evaluation.borrow_token].symbol

    @property
    def decimals(self) -> int:
        """The borrowed token's decimals."""
        return self.watcher.registry.tokens[self.evaluation.borrow_token].decimals

    def wanted(self, *, request_pk: int | None = None) -> Wanted:
        """What the desk acts on."""
        return wanted_from(
            self.watcher,
            self.evaluation,
            chain=self.chain,
            timeline=Timeline(event_ns=time.perf_counter_ns()),
            opportunity_pk=self.opportunity_pk,
            config=self.config,
            request_pk=request_pk,
        )


class Market:
    """A chain's market in memory, read anew for each search."""

    def __init__(self, chain: Chain) -> None:
        monitor = prices_services.monitor_ensure(chain=chain)
        config = fast_mode.fast_mode_ensure(chain=chain).config
        receiver = Deployment.objects.filter(chain=chain, kind="receiver", active=True).first()
        self.chain = chain
        self.config = config
        self.watcher = prices_adapters.watcher(
            monitor,
            min_profit_bps=config.min_profit_threshold_bps,
            max_gas_price_wei=config.max_gas_price_wei,
            max_position_wei=int(config.max_position_wei),
            tips=tips_now(chain=chain, config=config, receiver=receiver).terms,
        )

    def find(self, *, opportunity_pk: int | None) -> Found:
        """The named opportunity evaluated anew, or the best that is executable now.

        Raises: NothingPays with the first reason against the best; RpcUnavailable.
        """
        chain, watcher = self.chain, self.watcher
        watcher.load(read_market(contracts_adapters.rpc(chain), watcher.registry, quotes=False))
        result = watcher.scan(range(len(watcher.registry.pools)))
        decided = list(result.evaluated) if result else []
        if opportunity_pk is None:
            evaluation = _best(chain, decided)
        else:
            evaluation = _named(chain, decided, pk=opportunity_pk)
        return Found(
            chain=chain,
            watcher=watcher,
            evaluation=evaluation,
            opportunity_pk=opportunity_pk,
            config=self.config,
        )


def _best(chain: Chain, decided: list[Evaluation]) -> Evaluation:
    def worth(each: Evaluation) -> tuple[bool, bool, int]:
        known = each.net_wei is not None
        return each.verdict is Verdict.EXECUTABLE, known, each.net_wei or 0

    if not decided:
        raise NothingPays(f"{chain.key} shows no spread at this block: try again in a moment")
    best = max(decided, key=worth)
    if best.verdict is not Verdict.EXECUTABLE:
        raise NothingPays(
            f"none of {len(decided)} spreads on {chain.key} at block {best.block.number} can be "
            f"executed; the best one ends at {best.reason}: try again in a moment"
        )
    return best


def _named(chain: Chain, decided: list[Evaluation], *, pk: int) -> Evaluation:
    row = Opportunity.objects.filter(pk=pk, chain=chain).first()
    if row is None:
        raise NothingPays(f"{chain.key} has no opportunity {pk}; old ones are pruned")
    found = next((each for each in decided if each.identity == row.cycle), None)
    if found is None:
        raise NothingPays(f"the spread of opportunity {pk} is gone")
    return found


def simulate(found: Found) -> Simulated | None:
    """The exact call at the block it was found at. None: no contract or no executor yet."""
    chain = found.chain
    receiver = Deployment.objects.filter(chain=chain, kind="receiver", active=True).first()
    executors = wallet_selectors.executors_in_order(deployment_id=receiver.pk) if receiver else []
    if receiver is None or not executors:
        return None
    return adapters.simulator(chain).simulate(
        sender=executors[0].address,
        to=receiver.address,
        data=encode_execute(found.wanted().plan),
        value_wei=found.evaluation.tip_wei,
        gas_price_wei=found.evaluation.gas_price_wei,
        block_hash=found.evaluation.block.hash,
    )


@contextmanager
def lead(chain: Chain) -> Iterator[int | None]:
    """The chain's lead for the block, or None while an engine holds it."""
    leadership = Leadership(chain.key)
    try:
        yield leadership.acquire()
    finally:
        leadership.release()


def ask_engine(chain: Chain, *, opportunity_pk: int | None) -> Execution:
    """Have the leading engine execute one opportunity; waits as the API does.

    Raises: NothingPays; Conflict with the engine's reason.
    """
    if opportunity_pk is None:
        rows = Opportunity.objects.filter(
            chain=chain, verdict="executable", ended_at__isnull=True, net_profit__gt=0
        )
        row = max(rows, key=_net_wei, default=None)
        if row is None:
            raise NothingPays(f"nothing on {chain.key} is executable now: try again in a moment")
        opportunity_pk = row.pk
    outcome = services.execution_request(
        opportunity_id=opportunity_pk,
        by=None,  # type: ignore[arg-type]  # a shell has no user
        request=None,  # type: ignore[arg-type]
        wait_s=PATIENCE_S,
    )
    return outcome.execution


def _net_wei(row: Opportunity) -> int:
    if not row.native_rate_num or row.net_profit is None or row.native_rate_den is None:
        return 0
    return int(row.net_profit * row.native_rate_den // row.native_rate_num)


def request_open(chain: Chain, *, opportunity_pk: int | None) -> Execution:
    """Record that someone at a shell asks for an execution, and of what."""
    with transaction.atomic():
        made = Execution.objects.create(
            chain=chain,
            kind="arbitrage",
            key=f"shell:{uuid.uuid4()}",
            opportunity_id=opportunity_pk,
        )
        audit.record(
            verb="execute",
            target=f"execution {made.pk}",
            via="shell",
            after={"chain": chain.key, "opportunity": opportunity_pk},
        )
    return made


def desk_open(chain: Chain, *, epoch: int) -> Desk:
    """What acts for the chain while this process leads it."""
    rpc = contracts_adapters.rpc(chain)
    desk = Desk(
        chain=chain,
        may_sign=adapters.may_sign(chain),
        simulator=adapters.simulator(chain),
        sender=wallet_adapters.sender(chain),
        epoch=epoch,
        head=lambda: read_head(rpc),
    )
    desk.refresh()
    desk.look(rpc)
    return desk


def act(market: Market, *, request: Execution, epoch: int, say: Callable[[str], None]) -> Execution:
    """Gate, simulate, send and settle as this chain's leader, once; anew while blocks overtake it
    or an execution is in the way, as long as a request from the console would wait.

    Raises: NothingPays with the gate's reason; nothing was sent then, and the request says so.
    """
    chain, desk = market.chain, desk_open(market.chain, epoch=epoch)
    until = time.monotonic() + services.REQUEST_LIVES.total_seconds()
    while True:
        try:
            found = market.find(opportunity_pk=request.opportunity_id)
        except NothingPays as error:
            services.execution_refused(pk=request.pk, reason="superseded", detail=str(error))
            raise
        acted = desk.act(found.wanted(request_pk=request.pk), waits=True)
        if not acted.passes or time.monotonic() > until:
            break
    if acted.reason:
        services.execution_refused(pk=request.pk, reason=acted.reason, detail=acted.detail)
        raise NothingPays(f"not executed: {acted.reason}: {acted.detail}")
    if desk.may_sign:
        _settle(chain, acted=acted, say=say)
    return selectors.executions().get(pk=request.pk)


def _settle(chain: Chain, *, acted: Acted, say: Callable[[str], None]) -> None:
    """Follow it to its receipt and book it; what takes longer is followed by the next engine."""
    rpc, sender = contracts_adapters.rpc(chain), wallet_adapters.sender(chain)
    until = time.monotonic() + PATIENCE_S
    said = ""
    while time.monotonic() < until:
        receipts.settle(chain=chain, rpc=rpc, sender=sender)
        accounting.executions_settle(chain=chain)
        row = selectors.executions().get(pk=acted.execution_pk or 0)
        status = row.transaction.status if row.transaction else "planned"
        if status != said:
            said = status
            say(status)
        if status not in _OPEN:
            return
        time.sleep(_LOOK_S)


def waterfall(found: Found) -> list[dict[str, Any]]:
    """The steps of what was found, raw units as strings."""
    return [
        {"step": row.step.value, "amount": None if row.amount is None else str(row.amount)}
        for row in found.evaluation.waterfall.rows()
    ]
