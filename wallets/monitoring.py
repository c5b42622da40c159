"""Watching balances: wanted or not, how often, and one sweep. Asks the node, sends nothing."""

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from arbsite.base import audit
from arbsite.base.errors import ArbError, Rejected
from arbsite.base.models import User
from contracts.models import Chain
from contracts.rpc import HttpRpc
from wallets import balances, push, strangers
from wallets.models import BalanceMonitor, Wallet

logger = logging.getLogger(__name__)
INTERVAL_MIN_S: Final = 5
INTERVAL_MAX_S: Final = 86_400
JITTER: Final = timedelta(seconds=1)  # beat is never quite on time


class BadInterval(Rejected):
    """Balances cannot be read that often, or that seldom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringStatus:
    """What is wanted of a chain's balances, and how the last sweep went.

    ``last_sweep_at`` is ISO 8601 or None; ``problem`` is empty where the last sweep succeeded.
    """

    chain: str
    running: bool
    interval_s: int
    last_sweep_at: str | None
    last_sweep_block: int | None
    wallets: int
    problem: str

    def as_json(self) -> dict[str, Any]:
        """In the contract's words."""
        return {
            "chain": self.chain,
            "running": self.running,
            "intervalS": self.interval_s,
            "lastSweepAt": self.last_sweep_at,
            "lastSweepBlock": self.last_sweep_block,
            "wallets": self.wallets,
            "problem": self.problem,
        }


def monitor_ensure(*, chain: Chain) -> BalanceMonitor:
    """The chain's monitor, running by default. Queries: 1, or 2 the first time."""
    return BalanceMonitor.objects.get_or_create(chain=chain)[0]


def monitoring_start(
    chain: Chain, *, interval_s: int | None = None, by: User | None = None, via: str = "shell"
) -> MonitoringStatus:
    """Watch a chain's balances, from the next beat on; ``interval_s`` None keeps what was set.

    Raises: BadInterval outside 5 s to a day.
    """
    if interval_s is not None and not INTERVAL_MIN_S <= interval_s <= INTERVAL_MAX_S:
        raise BadInterval(
            f"an interval of {interval_s} s is outside {INTERVAL_MIN_S} to {INTERVAL_MAX_S} s"
        )
    changes: dict[str, Any] = {"running": True}
    if interval_s is not None:
        changes["interval_s"] = interval_s
    return _change(chain, verb="monitoring.start", changes=changes, by=by, via=via)


def monitoring_stop(
    chain: Chain, *, by: User | None = None, via: str = "shell"
) -> MonitoringStatus:
    """Sweep no more. Automatic funding, which follows a sweep, rests with it."""
    return _change(chain, verb="monitoring.stop", changes={"running": False}, by=by, via=via)


def monitoring_status(chain: Chain) -> MonitoringStatus:
    """What is wanted and what was done. Queries: 2."""
    row = BalanceMonitor.objects.filter(chain=chain).first() or BalanceMonitor(chain=chain)
    return _status(row)


def _change(
    chain: Chain, *, verb: str, changes: dict[str, Any], by: User | None, via: str
) -> MonitoringStatus:
    with transaction.atomic():
        monitor_ensure(chain=chain)
        row = BalanceMonitor.objects.select_for_update().get(chain=chain)
        before = {name: getattr(row, name) for name in changes}
        for name, value in changes.items():
            setattr(row, name, value)
        row.save(update_fields=[*changes, "changed_at"])
        audit.record(
            verb=verb, target=chain.key, actor=by, via=via, before=before, after=dict(changes)
        )
        transaction.on_commit(lambda: push.wallet_changed(0), robust=True)
    return _status(row)


def _status(row: BalanceMonitor) -> MonitoringStatus:
    return MonitoringStatus(
        chain=row.chain_id,
        running=row.running,
        interval_s=row.interval_s,
        last_sweep_at=row.swept_at.isoformat() if row.swept_at else None,
        last_sweep_block=row.swept_block,
        wallets=Wallet.objects.filter(chain_id=row.chain_id).exclude(state="retired").count(),
        problem=row.problem,
    )


def chains_due() -> list[str]:
    """Keys of chains with wallets whose balances are to be read now.

    A chain without a monitor is new, and due. Queries: 2.
    """
    rows = {row.chain_id: row for row in BalanceMonitor.objects.all()}
    keys = Wallet.objects.order_by("chain_id").values_list("chain_id", flat=True).distinct()
    return [key for key in keys if key not in rows or _is_due(rows[key])]


def _is_due(row: BalanceMonitor) -> bool:
    if not row.running:
        return False
    wait = timedelta(seconds=row.interval_s) - JITTER
    return row.swept_at is None or timezone.now() - row.swept_at >= wait


def sweep(*, chain: Chain, rpc: HttpRpc) -> int:
    """Read and record all balances of a chain; the monitor says how it went.

    An account that is seen for the first time has its nonce noted, so that a stranger's is known.

    Returns how many wallets were read. Raises: RpcUnavailable, RpcError, BadAnswer, after noting
    them.
    """
    monitor_ensure(chain=chain)
    rows = BalanceMonitor.objects.filter(chain=chain)
    try:
        read = balances.balances_refresh(chain=chain, rpc=rpc)
        strangers.accounts_open(chain=chain, rpc=rpc)
    except ArbError as error:
        rows.update(problem=str(error)[:200])
        raise
    rows.update(
        swept_at=timezone.now(),
        swept_block=read.block_number,
        swept_wallets=read.wallets,
        problem="",
    )
    return read.wallets
