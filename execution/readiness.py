"""Whether a chain may execute now: one small check each, with what to do where it does not hold."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection
from django.utils import timezone

from arbsite.base import formats
from arbsite.base.units import BlockNumber, Wei
from contracts.models import Chain, Deployment, RpcHealth
from contracts.selectors import endpoint_latency
from execution import fast_mode, limits, selectors
from execution.executors import turn_of
from execution.models import Execution, FastMode
from execution.standing import contract_of
from execution.tips import tips_now
from prices import render
from prices.models import Monitor, Opportunity
from wallets import gas_selectors, relay_book
from wallets import selectors as wallet_selectors
from wallets.models import Balance, NonceSequence, Wallet

HEAD_APART: Final = 3
EXECUTIONS_AHEAD: Final = 10
HEALTH_AGE: Final = timedelta(seconds=90)
RPC_SLOW_MS: Final = 2_000
RPC_WINDOW_S: Final = 120
RPC_SAMPLES: Final = 20  # of fewer the 95th percentile is the slowest
CLOCK_APART: Final = timedelta(milliseconds=250)
SIMULATIONS: Final = timedelta(minutes=5)
REFUSED_MOST: Final = 3  # one or two are a race that was lost while nothing else was sent
TITLES: Final[dict[str, str]] = {
    "signing_allowed": "Signing allowed",
    "wallet_configured": "Executor wallet",
    "contracts_deployed": "Contracts deployed",
    "contract_running": "Contract not paused",
    "executor_authorised": "Executor authorised",
    "gas_balance": "Gas balance",
    "nonce_clean": "Nonces clean",
    "feed_fresh": "Feed fresh",
    "rpcs_agree": "RPC endpoints agree",
    "rpc_fast": "RPC endpoint fast",
    "clock": "Clock",
    "private_relay": "Private endpoint",
    "tip": "Tip to builders",
    "loss_limits": "Loss limits",
    "simulation_passing": "Simulations pass",
    "test_transaction": "Last test transaction",
    "kill_clear": "Kill switch clear",
    "signer": "Signer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the readiness list."""

    key: str
    ok: bool
    detail: str
    fix: str = ""
    facts: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """In the contract's words."""
        shown = {"key": self.key, "ok": self.ok, "detail": self.detail, "fix": self.fix}
        return shown | (self.facts or {})


@dataclass(frozen=True, slots=True)
class _Scene:
    """What the checks look at, read once."""

    chain: Chain
    receiver: Deployment | None
    executor: Wallet | None
    balance: Balance | None
    cost_wei: Wei
    monitor: Monitor | None
    mode: FastMode
    may_sign: bool


def readiness(*, chain: Chain, may_sign: bool, signer_up: bool) -> list[Check]:
    """Every check in order of how a chain is set up."""
    receiver, executors = contract_of(chain)
    monitor = Monitor.objects.filter(chain=chain).first()
    balances = wallet_selectors.balances_latest(chain_key=chain.key)
    cost_wei = gas_selectors.execution_cost_wei(chain_key=chain.key) or Wei(0)
    # The one that would execute: a backup that takes over is readiness enough.
    executor, _ = turn_of(
        executors,
        balances={pk: Wei(row.balance_wei) for pk, row in balances.items()},
        gas_wei=cost_wei,
        head=BlockNumber(monitor.head_number) if monitor and monitor.head_number else None,
    )
    scene = _Scene(
        chain=chain,
        receiver=receiver,
        executor=executor,
        balance=balances.get(executor.pk) if executor else None,
        cost_wei=cost_wei,
        monitor=monitor,
        mode=fast_mode.fast_mode_ensure(chain=chain),
        may_sign=may_sign,
    )
    checks = [check(scene) for check in CHECKS]
    signer = Check(
        key="signer",
        ok=signer_up,
        detail="answers" if signer_up else "does not answer",
        fix="" if signer_up else "Start it: manage.py start signer",
    )
    return [*checks, signer]


def _signing(scene: _Scene) -> Check:
    key = scene.chain.key
    return Check(
        key="signing_allowed",
        ok=scene.may_sign,
        detail="allowed" if scene.may_sign else "simulate only",
        fix="" if scene.may_sign else f"Add {key} to ARB_LIVE and restart, if you mean it.",
    )


def _wallet(scene: _Scene) -> Check:
    found = wallet_selectors.wallets_that_send(chain_key=scene.chain.key, role="executor")
    fix = f"manage.py create_wallet --chain {scene.chain.key} --role executor"
    return Check(
        key="wallet_configured",
        ok=bool(found),
        detail=f"{len(found)} executors" if found else "no active executor",
        fix="" if found else fix,
    )


def _contracts(scene: _Scene) -> Check:
    receiver = scene.receiver
    fix = f"manage.py deploy_contracts --chain {scene.chain.key}"
    return Check(
        key="contracts_deployed",
        ok=receiver is not None,
        detail=receiver.address if receiver else "no FlashLoanReceiver",
        fix="" if receiver else fix,
    )


def _authorised(scene: _Scene) -> Check:
    executor = scene.executor
    fix = f"manage.py authorize_executor --chain {scene.chain.key} --wallet ID"
    return Check(
        key="executor_authorised",
        ok=executor is not None,
        detail=executor.address if executor else "no executor is authorised",
        fix="" if executor else fix,
    )


def _gas(scene: _Scene) -> Check:
    """It can pay: being under its threshold is what funding is for, and no reason to stop."""
    executor, balance = scene.executor, scene.balance
    if executor is None or balance is None:
        return Check(
            key="gas_balance", ok=False, detail="not read yet", fix="Wait for the balance schedule."
        )
    needs_wei = executor.threshold_wei
    if scene.cost_wei:
        needs_wei = min(needs_wei, EXECUTIONS_AHEAD * scene.cost_wei)
    enough = balance.balance_wei >= needs_wei
    return Check(
        key="gas_balance",
        ok=enough,
        detail=f"{_coins(scene, balance.balance_wei)} at block {balance.block_number}",
        fix=""
        if enough
        else f"Send {scene.chain.native_symbol} to {executor.address}: "
        f"it needs {_coins(scene, needs_wei)}.",
    )


def _coins(scene: _Scene, wei: int) -> str:
    return f"{formats.short_units(int(wei), 18)} {scene.chain.native_symbol}"


def _running(scene: _Scene) -> Check:
    """The receiver as last read is not paused; one that was never read says nothing."""
    paused = bool(scene.receiver and scene.receiver.observed.get("paused"))
    return Check(
        key="contract_running",
        ok=not paused,
        detail="paused" if paused else "not paused as last read",
        fix="Let its owner unpause it, under Contracts." if paused else "",
    )


def _feed(scene: _Scene) -> Check:
    monitor = scene.monitor
    if monitor is None or not monitor.running or monitor.head_at is None:
        return Check(
            key="feed_fresh",
            ok=False,
            detail="monitoring is stopped",
            fix="Start monitoring, and the engine: manage.py ps",
        )
    age_ms = max(0, int((timezone.now() - monitor.head_at).total_seconds() * 1000))
    limit = render.stale_after_ms(monitor, block_time_ms=scene.chain.block_time_ms)
    fresh = age_ms <= limit and not monitor.problem
    return Check(
        key="feed_fresh",
        ok=fresh,
        detail=monitor.problem or f"block {monitor.head_number}, {age_ms} ms old",
        fix="" if fresh else "Look at the engine's log and the RPC endpoints.",
    )


def _rpcs(scene: _Scene) -> Check:
    rows = list(
        RpcHealth.objects.filter(chain=scene.chain, checked_at__gte=timezone.now() - HEALTH_AGE)
    )
    heights = [row.block_number for row in rows if row.block_number is not None]
    agree = bool(heights) and all(row.ok for row in rows)
    agree = agree and max(heights) - min(heights) <= HEAD_APART
    return Check(
        key="rpcs_agree",
        ok=agree,
        detail=f"{len(heights)} of {len(rows)} endpoints answer" if rows else "not measured yet",
        fix="" if agree else "Replace the endpoint that lags or refuses, or wait a minute.",
    )


def _rpc_speed(scene: _Scene) -> Check:
    """The endpoints that are asked first answer soon enough to act within a block or two: the
    95th percentile of what was kept, the last measurement where that is too little."""
    first = RpcHealth.objects.filter(
        chain=scene.chain, position=0, checked_at__gte=timezone.now() - HEALTH_AGE
    )
    kept = {
        (one.use, one.endpoint): one.p95_us
        for one in endpoint_latency(scene.chain, RPC_WINDOW_S, first_only=True)
        if one.count >= RPC_SAMPLES
    }
    took = {row: kept.get((row.kind, row.endpoint), row.latency_us or 0) for row in first}
    slowest = max(took, key=lambda row: took[row], default=None)
    took_ms = took[slowest] // 1000 if slowest else 0
    slow = took_ms > RPC_SLOW_MS
    return Check(
        key="rpc_fast",
        ok=slowest is not None and not slow,
        detail=f"{took_ms} ms at {slowest.endpoint}" if slowest else "not measured yet",
        fix=f"Put an endpoint first that answers within {RPC_SLOW_MS} ms."
        if slow
        else ("" if slowest else "Wait a minute; then look at the workers: manage.py ps"),
    )


def _clock(scene: _Scene) -> Check:
    """This host and the record's go by one time: limits by the hour are decided on both."""
    before = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        row = cursor.fetchone()
    apart = _apart(row[0] if row else None, before=before, after=timezone.now())
    good = apart <= CLOCK_APART
    return Check(
        key="clock",
        ok=good,
        detail=f"{apart // timedelta(milliseconds=1)} ms from the database's",
        fix="" if good else "Have both hosts follow one time server (NTP).",
    )


def _apart(said: datetime | None, *, before: datetime, after: datetime) -> timedelta:
    """How far a clock is off at least, when it was asked between two readings of ours."""
    if said is None:
        return timedelta.max
    return max(before - said, said - after, timedelta(0))


def _relay(scene: _Scene) -> Check:
    """Where executions go to private endpoints alone, one of them may be used now."""
    if not scene.mode.config.use_private_mempool:
        return Check(key="private_relay", ok=True, detail="not asked for")
    usable = [entry.name for entry in relay_book.relays_usable(chain=scene.chain)]
    if usable:
        return Check(key="private_relay", ok=True, detail=", ".join(usable))
    shown = relay_book.relays_shown(chain=scene.chain)
    found = "; ".join(f"{relay['name']}: {relay['detail']}" for relay in shown)
    probe = f"run manage.py probe_relays --chain {scene.chain.key}"
    return Check(
        key="private_relay",
        ok=False,
        detail=found or f"{scene.chain.name} has no private endpoint",
        fix=f"Switch it off, or mend what it says and {probe}."
        if found
        else f"Switch it off, or add a relay to the chain's market file, import it and {probe}.",
    )


def _tip(scene: _Scene) -> Check:
    """Where a share of profits is to be offered to builders, the contract pays one of them."""
    found = tips_now(chain=scene.chain, config=scene.mode.config, receiver=scene.receiver)
    return Check(key="tip", ok=found.ok, detail=found.why, fix=found.fix)


def _losses(scene: _Scene) -> Check:
    """What was lost within an hour and a day is below the limits: arming anew forgives nothing."""
    held = limits.limits_of(scene.mode.config, is_local=scene.chain.is_local)
    hour_wei, day_wei = selectors.net_of_hour_and_day(chain=scene.chain)
    over = [
        f"{_coins(scene, -net)} lost within {span}, the limit is {_coins(scene, int(held[name]))}"
        for net, span, name in (
            (hour_wei, "an hour", "maxLossPerHourWei"),
            (day_wei, "a day", "maxLossPerDayWei"),
        )
        if -net >= held[name]
    ]
    return Check(
        key="loss_limits",
        ok=not over,
        detail="; ".join(over) or "below the limits of hour and day",
        fix="Read why under Executions; then wait until it is past, or raise the limit."
        if over
        else "",
    )


def _nonce(scene: _Scene) -> Check:
    executor = scene.executor
    address = executor.address if executor else ""
    frozen = NonceSequence.objects.filter(chain=scene.chain, address=address).exclude(frozen="")
    row = frozen.first()
    fix = f"manage.py unfreeze --chain {scene.chain.key} --wallet ID REASON"
    return Check(
        key="nonce_clean",
        ok=row is None,
        detail=row.frozen if row else "clean",
        fix=fix if row else "",
    )


def _kill(scene: _Scene) -> Check:
    engaged = wallet_selectors.kill_engaged(chain_key=scene.chain.key)
    return Check(
        key="kill_clear",
        ok=not engaged,
        detail="engaged" if engaged else "clear",
        fix="Release it with a reason." if engaged else "",
    )


def _simulation(scene: _Scene) -> Check:
    """Of what was to be executed lately, simulation refused no more than a race or two."""
    since = timezone.now() - SIMULATIONS
    refused = Opportunity.objects.filter(
        chain=scene.chain, reason="simulation_failed", changed_at__gte=since
    ).count()
    sent = Execution.objects.filter(
        chain=scene.chain, transaction__isnull=False, created_at__gte=since
    )
    fine = refused < REFUSED_MOST or sent.exists()
    return Check(
        key="simulation_passing",
        ok=fine,
        detail=f"{refused} refused by simulation in 5 minutes",
        fix="" if fine else "Read the decoded reverts under Opportunities.",
    )


def _last_test(scene: _Scene) -> Check:
    row = (
        Execution.objects.select_related("transaction")
        .filter(chain=scene.chain, kind="test", transaction__status__in=["included", "confirmed"])
        .order_by("-pk")
        .first()
    )
    sent = row.transaction if row is not None else None
    aged = timezone.now() - row.created_at if row is not None else None
    return Check(
        key="test_transaction",
        ok=True,
        detail=f"block {sent.block_number}" if sent else "none sent yet (not required)",
        facts={
            "txHash": sent.tx_hash if sent else None,
            "blockNumber": sent.block_number if sent else None,
            "ageMs": None if aged is None else int(aged.total_seconds() * 1000),
        },
    )


CHECKS: Final[tuple[Callable[[_Scene], Check], ...]] = (
    _signing,
    _wallet,
    _contracts,
    _running,
    _authorised,
    _gas,
    _nonce,
    _feed,
    _rpcs,
    _rpc_speed,
    _clock,
    _relay,
    _tip,
    _losses,
    _simulation,
    _last_test,
    _kill,
)
