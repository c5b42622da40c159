"""A watcher with its writer: what both the engine's loop and the poller run, step by step."""

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.utils import timezone

from arbsite.base import alerts
from contracts.models import Chain, Pool
from prices import adapters, recorder, services
from prices.chain_state import MarketRead
from prices.kernel.book import PoolState
from prices.kernel.costs import NO_TIP, TipTerms
from prices.kernel.opportunity import Evaluation
from prices.kernel.scan import ScanResult
from prices.models import Monitor
from prices.recorder import Batch, Lives
from prices.state_check import CheckResult
from prices.watcher import Watcher

logger = logging.getLogger(__name__)
HANDOVER: Final = timedelta(seconds=30)


@dataclass(slots=True, kw_only=True)
class Limits:
    """What the executing side asks of an opportunity; monitoring alone uses the defaults."""

    min_profit_bps: int = 50
    max_gas_price_wei: int | None = None
    max_position_wei: int = 0
    tips: TipTerms = NO_TIP


class PriceSession:
    """One chain being watched, in one mode, from start to stop.

    Every method that touches the database says so; in an asyncio process those run in a thread.
    """

    def __init__(self, monitor: Monitor, *, mode: str, limits: Limits, idle_reason: str) -> None:
        self.chain: Chain = monitor.chain
        self.mode = mode
        self.revision = monitor.revision
        self.limits = limits
        self.idle_reason = idle_reason
        logger.info("search prepares", extra={"chain": self.chain.key})
        began = time.monotonic()
        self.watcher: Watcher = adapters.watcher(
            monitor,
            min_profit_bps=limits.min_profit_bps,
            max_gas_price_wei=limits.max_gas_price_wei,
            max_position_wei=limits.max_position_wei,
            tips=limits.tips,
        )
        logger.info(
            "search ready",
            extra={
                "chain": self.chain.key,
                "pools": len(self.watcher.registry.pools),
                "rings": self.watcher.scanner.search.graph.rings,
                "took_ms": int((time.monotonic() - began) * 1000),
            },
        )
        self.lives = Lives(at_once=2 * self.watcher.scanner.search.most)
        self.pending = Batch()
        self.dirty: set[int] = set()
        self._flagged: set[int] = set()
        self._unwritten: Batch | None = None
        self._written_head = ""
        self._loaded = False
        self._crowded = False

    def begin(self) -> None:
        """Write that monitoring runs. Database.

        Lives go on in their rows where a feeder of the same mode reported a moment ago: a worker
        that hands over, an engine that was restarted. Otherwise they are ended.
        """
        row = Monitor.objects.get(chain=self.chain)
        reported = row.heartbeat_at is not None and timezone.now() - row.heartbeat_at < HANDOVER
        started_at = timezone.now()
        if row.running == self.mode and reported:
            self.lives.inherited = recorder.lives_living(chain_key=self.chain.key)
            started_at = row.started_at or started_at
        inherited = self.lives.inherited.values()
        recorder.lives_end_all(chain_key=self.chain.key, but=list(inherited))
        self.lives.refill()
        services.monitor_report(
            chain_key=self.chain.key, running=self.mode, started_at=started_at, problem=""
        )

    def take_read(self, read: MarketRead) -> frozenset[int]:
        """A whole market was read: first load, poll, or a load afresh."""
        touched = self.watcher.load(read)
        # The first load writes every pool; later ones only what differs.
        self.dirty |= touched if self._loaded else set(read.reserves)
        self._loaded = True
        return touched

    def scan(self, touched: frozenset[int]) -> ScanResult | None:
        """Decide what changed and note it for the writer. Raises: NumbersSpent."""
        self.dirty |= touched
        flagged, self._flagged = self._flagged, set()
        result = self.watcher.scan(touched | flagged)
        if result is None:
            self._flagged = flagged
            return None
        if bool(result.left_out) != self._crowded:
            self._crowded = bool(result.left_out)
            logger.warning(
                "more spreads than are kept" if self._crowded else "every spread is kept again",
                extra={"chain": self.chain.key, "kept": result.alive, "left_out": result.left_out},
            )
        orphans = [each for each in self.watcher.take_orphans() if self.lives.knows(each)]
        self.pending.seen += recorder.seen_of(
            [*orphans, *result.records],
            lives=self.lives,
            usd=self.watcher.usd_rate(),
            idle_reason=self.idle_reason,
        )
        self.pending.gone += self.lives.take_gone()
        self.pending.updates += len(touched)
        return result

    def note(
        self, evaluation: Evaluation, *, verdict: str, reason: str, by_person: bool = False
    ) -> int | None:
        """What became of an executable opportunity; overrules what its row says. Returns its id.

        ``by_person``: somebody asked for it, so that what stopped it is not counted as ours.
        """
        pk = self.lives.by_identity.get(evaluation.identity)
        if pk is not None:
            self.pending.reasons[pk] = (verdict, reason)
            if not by_person:
                self.lives.reject(pk, reason)
        return pk

    @property
    def head_moved(self) -> bool:
        """Whether the book's head is not the one last written."""
        head = self.watcher.head
        return head is not None and head.hash != self._written_head

    def take_batch(self) -> Batch:
        """Everything since the last batch, with the pools' rows and the head.

        It counts as unwritten until `write` has written it, whoever asked.
        """
        batch, self.pending = self.pending, Batch()
        dirty, self.dirty = self.dirty, set()
        pools = self.watcher.registry.pools
        batch.pools = recorder.pool_states(self.watcher, dirty, at=timezone.now())
        batch.rejections = self.lives.take_rejections()
        batch.unknown = [pools[i].pk for i in dirty & self.watcher.book.unknown]
        batch.monitor = self._head_facts()
        self._unwritten = batch
        return batch

    def write(self, batch: Batch) -> None:
        """Write one batch and have numbers ready for the next births. Database; may be repeated."""
        recorder.write(
            batch, chain_key=self.chain.key, mode=self.mode, registry=self.watcher.registry
        )
        if batch is self._unwritten:
            self._unwritten = None
        self.lives.refill()

    def take_check(self, result: CheckResult) -> None:
        """Take a comparison of book and chain: quarantine what differs, raise one alert each."""
        self.watcher.take_lenders(result.read)
        self._take_unknown(result.read)
        for i, why in result.wrong.items():
            self.watcher.book.quarantine(i, why)
            self.dirty.add(i)
            self._flagged.add(i)
            pool = self.watcher.registry.pools[i].address
            logger.error("pool quarantined", extra={"pool": pool, "why": why})

    def _take_unknown(self, read: MarketRead) -> None:
        """Pools that an earlier read did not give join the book, if it still stands at this one."""
        book = self.watcher.book
        if book.head is None or book.head.hash != read.block.hash:
            return
        for i in book.unknown & read.reserves.keys():
            book.load_pool(PoolState(i, *read.reserves[i]), block_hash=read.block.hash)
            self.dirty.add(i)
            self._flagged.add(i)

    def write_quarantines(self, result: CheckResult) -> None:
        """Keep quarantines in the registry, with an alert for each. Database."""
        for i, why in result.wrong.items():
            row = self.watcher.registry.pools[i]
            Pool.objects.filter(pk=row.pk).update(
                quarantined=why[:200], quarantined_at=timezone.now()
            )
            alerts.alert_raise(
                key=f"quarantine:{row.address}",
                title=f"{row.pair} on {row.dex} is quarantined",
                detail=why,
                fix="Look at the pool, then clear its quarantine in the admin panel.",
                severity="critical",
            )

    def end(self, problem: str = "") -> None:
        """Write what is left, end every life, and write that monitoring stopped.

        Database; may be repeated. A feeder of another mode that took over meanwhile is left alone.
        """
        if self._unwritten is not None:
            self.write(self._unwritten)
        head = self.watcher.book.head
        if head is not None:
            ended = [*self.watcher.take_orphans(), *self.watcher.scanner.lives.end_all(head)]
            records = [record for record in ended if self.lives.knows(record)]
            self.pending.seen += recorder.seen_of(
                records, lives=self.lives, usd=None, idle_reason=self.idle_reason
            )
            self.write(self.take_batch())
        recorder.lives_end_all(chain_key=self.chain.key, mode=self.mode)
        services.monitor_ended(chain_key=self.chain.key, mode=self.mode, problem=problem[:200])

    def _head_facts(self) -> dict[str, Any]:
        head = self.watcher.head
        if head is None:
            return {}
        self._written_head = head.hash
        now = timezone.now()
        mined_at = datetime.fromtimestamp(head.timestamp_s, tz=UTC)
        return {
            "head_number": head.number,
            "head_hash": head.hash,
            "head_at": now,
            "problem": "",
            "lag_ms": max(0, int((now - mined_at).total_seconds() * 1000)),
        }
