"""What `GET /api/status`, the channel `status` and the header of every page say: one reading."""

import socket
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import redis
from django.conf import settings
from django.utils import timezone

from arbsite.base.models import Alert
from arbsite.stack import paths
from contracts.kernel.networks import network_of
from contracts.models import Chain, RpcHealth
from execution.models import FastMode
from prices.models import Monitor
from wallets import gas_selectors
from wallets.models import ChainLeader, KillState

PING_S: Final = 0.3
# Beat has a worker measure every endpoint at least this often; older says the worker is away.
WORKER_SILENCE_MS: Final = 90_000
STALE_BLOCKS: Final = 3
LEAST_STALE_MS: Final = 3_000
_RUNNING: Final = {"word": "RUNNING", "tone": "green"}


def status(*, shown: str = "") -> dict[str, Any]:
    """Health of every part, as JSON. Eight queries, one Redis ping, one connect to the signer.

    ``chains``: those that were ever watched or armed, and the one that is ``shown``.
    """
    now = timezone.now()
    modes = {mode.chain_id: mode for mode in FastMode.objects.select_related("config")}
    monitors = {each.chain_id: each for each in Monitor.objects.all()}
    leaders = {each.chain_id: each for each in ChainLeader.objects.all()}
    rpc: dict[str, list[dict[str, Any]]] = {}
    for each in RpcHealth.objects.order_by("chain", "kind", "position"):
        rpc.setdefault(each.chain_id, []).append(_endpoint(each))
    kills = {each.scope: each for each in KillState.objects.all()}
    chains = [
        _chain(
            chain,
            monitor=monitors.get(chain.key),
            mode=modes.get(chain.key),
            leader=leaders.get(chain.key),
            kills=kills,
            rpc=rpc.get(chain.key, []),
            now=now,
        )
        for chain in Chain.objects.all()
        if chain.key in monitors or chain.key in modes or chain.key == shown
    ]
    parts = {
        "database": {"ok": True, "detail": "answers"},
        "redis": _redis(),
        "workers": _workers(now),
        "signer": _signer(),
    }
    return {
        "ready": all(part["ok"] for part in parts.values())
        and bool(monitors or modes)
        and all(chain["ready"] for chain in chains if chain["monitoring"]),
        **parts,
        "chains": chains,
        "killed": _engaged(kills, "*"),
        "alerts": Alert.objects.filter(resolved_at__isnull=True).count(),
        "lowGas": gas_selectors.wallets_low().count(),
        "at": iso(now),
    }


def iso(at: datetime | None) -> str | None:
    """ISO 8601 UTC with milliseconds, or None."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None


def _engaged(kills: Mapping[str, KillState], scope: str) -> bool:
    """Whether a stop is on; one that is missing counts as engaged."""
    return scope not in kills or kills[scope].engaged


def _chain(
    chain: Chain,
    *,
    monitor: Monitor | None,
    mode: FastMode | None,
    leader: ChainLeader | None,
    kills: Mapping[str, KillState],
    rpc: list[dict[str, Any]],
    now: datetime,
) -> dict[str, Any]:
    stop = next((kills[s] for s in ("*", chain.key) if s in kills and kills[s].engaged), None)
    killed = _engaged(kills, "*") or _engaged(kills, chain.key)
    head_age = _ms(now, monitor.head_at) if monitor and monitor.head_at else None
    stale_after = max(STALE_BLOCKS * chain.block_time_ms, LEAST_STALE_MS)
    wanted = bool(monitor and monitor.wanted)
    running = monitor.running if monitor and wanted else ""
    fresh = head_age is not None and head_age <= stale_after
    ready = bool(running) and fresh and not killed
    state = "killed" if killed else (mode.state if mode else "off")
    automatic = bool(mode and mode.config.auto_execute)
    return {
        "chain": chain.key,
        "name": chain.name,
        "nativeSymbol": chain.native_symbol,
        "network": network_of(eip155_id=chain.eip155_id, local=chain.is_local),
        "mode": signing_mode(chain),
        "ready": ready,
        "engine": engine_word(state=state, automatic=automatic, monitoring=wanted, ready=ready),
        "blockNumber": monitor.head_number if monitor else None,
        "headAt": iso(monitor.head_at) if monitor else None,
        "headAgeMs": head_age,
        "staleAfterMs": stale_after,
        "stale": not fresh,
        "monitoring": wanted,
        "feedMode": running or "stopped",
        "feedLagMs": monitor.lag_ms if monitor else None,
        "problem": monitor.problem if monitor else "",
        "engineLeader": leader.holder if leader and leader.holder else None,
        "fastMode": state,
        "autoExecute": automatic,
        "killed": killed,
        "reason": stop.reason if stop else (mode.reason if mode else ""),
        "since": iso(stop.changed_at if stop else (mode.since if mode else None)),
        "by": stop.changed_by if stop else (mode.changed_by if mode else ""),
        "rpc": rpc,
    }


def engine_word(*, state: str, automatic: bool, monitoring: bool, ready: bool) -> dict[str, Any]:
    """The chip that says whether the machine may act, its tone, and whether it is armed."""
    word = _engine_word(state, automatic, monitoring, ready)
    return {**word, "armed": state == "armed"}


def _engine_word(state: str, automatic: bool, monitoring: bool, ready: bool) -> dict[str, str]:
    if state == "killed":
        return {"word": "KILLED", "tone": "red"}
    if not monitoring:
        return {"word": "STOPPED", "tone": "mute"}
    if not ready:
        return {"word": "NOT READY", "tone": "amber"}
    if state == "armed":
        return {"word": "FAST MODE ARMED" if automatic else "ARMED, ASKS FIRST", "tone": "red"}
    return {"word": "PAUSED", "tone": "amber"} if state == "paused" else _RUNNING


def signing_mode(chain: Chain) -> str:
    """`local`, `live`, or `simulate`: where nothing is ever signed."""
    if chain.is_local:
        return "local"
    return "live" if chain.key in settings.ARB.live_chains else "simulate"


def _endpoint(each: RpcHealth) -> dict[str, Any]:
    return {
        "endpoint": each.endpoint,  # stored masked
        "kind": each.kind,
        "ok": each.ok,
        "latencyMs": each.latency_us / 1000 if each.latency_us is not None else None,
        "blockNumber": each.block_number,
        "error": each.error,
        "checkedAt": iso(each.checked_at),
    }


def _ms(now: datetime, then: datetime) -> int:
    return max(0, int((now - then).total_seconds() * 1000))


def _redis() -> dict[str, Any]:
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=PING_S, socket_connect_timeout=PING_S
        ) as client:
            client.ping()
    except (redis.RedisError, OSError):
        return {"ok": False, "detail": "does not answer: pages poll, and queued work waits"}
    return {"ok": True, "detail": "answers"}


def _workers(now: datetime) -> dict[str, Any]:
    last = RpcHealth.objects.order_by("-checked_at").values_list("checked_at", flat=True).first()
    if last is None:
        return {"ok": False, "detail": "no worker has measured an endpoint yet"}
    age = _ms(now, last)
    ok = age <= WORKER_SILENCE_MS
    return {"ok": ok, "detail": "works" if ok else f"nothing done for {age // 1000} s"}


def _signer() -> dict[str, Any]:
    path = str(paths.signer_socket(settings.ARB.data_dir))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PING_S)
        try:
            probe.connect(path)
        except OSError:
            return {"ok": False, "detail": "does not listen: nothing can be signed"}
    return {"ok": True, "detail": "listens"}
