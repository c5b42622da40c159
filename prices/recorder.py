"""The one writer of what a watcher saw: opportunities, pool states and the monitor, in batches."""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from uuid import UUID, uuid4

from django.db import connection, transaction
from django.db.models import F
from django.db.models.expressions import RawSQL
from django.utils import timezone

from arbsite.base.errors import Retryable
from prices import opportunity_rows as rows
from prices import push
from prices.kernel.lives import LifeEvent, LifeRecord
from prices.kernel.waterfall import Verdict
from prices.models import Monitor, Opportunity, PoolState, Sighting
from prices.registry import Registry
from prices.watcher import UsdRate, Watcher

IDS_AT_ONCE: Final = 5_000
IDS_MOST: Final = 200_000
_REJECTIONS_ADDED: Final = """
SELECT jsonb_object_agg(reason, many)
  FROM (SELECT reason, sum(said.many::bigint) AS many
          FROM (SELECT * FROM jsonb_each_text(rejections)
                UNION ALL SELECT * FROM jsonb_each_text(%s::jsonb)) AS said (reason, many)
         GROUP BY reason) AS added
"""
_iso: Final = lru_cache(maxsize=64)(datetime.isoformat)  # one time for all of a scan


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What happened to one life: its row's id, and the record; ``verdict`` may be overruled."""

    pk: int
    record: LifeRecord
    at: datetime
    usd: UsdRate | None
    verdict: str
    reason: str
    born: bool = False


@dataclass(slots=True)
class Batch:
    """What is to be written at once."""

    seen: list[Seen] = field(default_factory=list)
    reasons: dict[int, tuple[str, str]] = field(default_factory=dict)  # pk -> (verdict, reason)
    pools: dict[int, PoolState] = field(default_factory=dict)
    monitor: dict[str, Any] = field(default_factory=dict)
    unknown: list[int] = field(default_factory=list)  # pools whose state could not be read
    gone: list[int] = field(default_factory=list)  # lives taken over that did not go on
    rejections: Mapping[str, int] = field(default_factory=dict)  # reason -> how many lives
    updates: int = 0
    token: UUID = field(default_factory=uuid4)

    @property
    def births(self) -> int:
        """How many lives began."""
        return sum(1 for each in self.seen if each.born)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        kept = (self.seen, self.reasons, self.pools, self.monitor, self.unknown, self.gone)
        return not any(kept)


class NumbersSpent(Retryable):
    """More births than numbers at hand; the session begins anew."""


class Lives:
    """Row ids of living cycles, handed out before their rows are written.

    ``at_once``: how many numbers are taken together, enough for every cycle to be born twice.
    ``inherited``: rows of lives that the feeder before left running; a cycle that still stands at
    the first scan goes on in its row.
    """

    def __init__(self, *, at_once: int = IDS_AT_ONCE) -> None:
        self._at_once = min(max(at_once, IDS_AT_ONCE), IDS_MOST)
        self._free: list[int] = []
        self._of: dict[int, int] = {}
        self.by_identity: dict[str, int] = {}
        self.inherited: dict[str, int] = {}
        self._rejected_for: dict[int, tuple[str, ...]] = {}
        self._rejections: Counter[str] = Counter()

    def refill(self) -> None:
        """Take numbers from the database; call it where waiting is allowed."""
        if len(self._free) < self._at_once // 2:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT nextval('prices_opportunity_number') FROM generate_series(1, %s)",
                    [self._at_once],
                )
                numbers = sorted((row[0] for row in cursor.fetchall()), reverse=True)
            # Put in place at once: the loop pops from the end meanwhile.
            self._free[:0] = numbers

    def place(self, record: LifeRecord) -> tuple[int, bool]:
        """The row of a record's life, and whether the row is new.

        Raises: NumbersSpent, and then nothing was placed.
        """
        born = False
        if record.event is LifeEvent.BIRTH:
            pk = self.inherited.pop(record.identity, None)
            if pk is None:
                if not self._free:
                    raise NumbersSpent(f"{self._at_once} births came before a batch was written")
                pk, born = self._free.pop(), True
            self._of[record.life] = self.by_identity[record.identity] = pk
        pk = self._of[record.life]
        if record.event is LifeEvent.END:
            del self._of[record.life]
            self._rejected_for.pop(pk, None)
            if self.by_identity.get(record.identity) == pk:
                del self.by_identity[record.identity]
        return pk, born

    def knows(self, record: LifeRecord) -> bool:
        """Whether the record can be placed: a birth always, else a life that was numbered."""
        return record.event is LifeEvent.BIRTH or record.life in self._of

    def reject(self, pk: int, reason: str) -> None:
        """Count that a reason stopped the life in this row: each reason once a life."""
        known = self._rejected_for.get(pk, ())
        if reason and reason not in known:
            self._rejected_for[pk] = (*known, reason)
            self._rejections[reason] += 1

    def take_rejections(self) -> Mapping[str, int]:
        """How many lives each reason stopped since this was asked."""
        rejections, self._rejections = self._rejections, Counter()
        return rejections

    def take_gone(self) -> list[int]:
        """Inherited rows that no cycle went on in; none are inherited afterwards."""
        gone = list(self.inherited.values())
        self.inherited = {}
        return gone


def pool_states(watcher: Watcher, pools: Iterable[int], *, at: datetime) -> dict[int, PoolState]:
    """Rows of the pools given, at the book's head, by the pools' row ids."""
    head = watcher.book.head
    if head is None:
        return {}
    states = {}
    for i in pools:
        if i in watcher.book.unknown:
            continue
        quote = watcher.quote(i)
        pk = watcher.registry.pools[i].pk
        states[pk] = PoolState(
            pool_id=pk,
            reserve0=watcher.book.reserve0[i],
            reserve1=watcher.book.reserve1[i],
            block_number=head.number,
            block_hash=head.hash,
            quote_in=quote[0] if quote else None,
            quote_out=quote[1] if quote else None,
            quote_block_number=head.number if quote else None,
            updated_at=at,
        )
    return states


def write(batch: Batch, *, chain_key: str, mode: str, registry: Registry) -> None:
    """Write a batch in one transaction; tell the pages after commit.

    Idempotent: a batch whose commit was not heard of may be given again.
    """
    with transaction.atomic():
        if not _claim(batch, chain_key=chain_key):
            return
        _write_lives(batch, chain_key=chain_key, mode=mode, registry=registry)
        if batch.pools:
            PoolState.objects.bulk_create(
                batch.pools.values(),
                update_conflicts=True,
                unique_fields=["pool"],
                update_fields=[
                    "reserve0", "reserve1", "block_number", "block_hash", "quote_in",
                    "quote_out", "quote_block_number", "updated_at",
                ],
            )  # fmt: skip
        if batch.unknown:
            PoolState.objects.filter(pool_id__in=batch.unknown).delete()
    push.wrote(
        chain_key=chain_key,
        pools=[*batch.pools, *batch.unknown],
        opportunities=[s.pk for s in batch.seen] + list(batch.reasons) + batch.gone,
    )


def _claim(batch: Batch, *, chain_key: str) -> bool:
    """Note the batch and the head in the monitor; False where it was written before."""
    fresh = Monitor.objects.filter(chain_id=chain_key).exclude(last_batch=batch.token)
    facts = dict(batch.monitor)
    if batch.rejections:
        added = [json.dumps(batch.rejections)]
        facts["rejections"] = RawSQL(_REJECTIONS_ADDED, added)  # noqa: S611  a constant
    claimed = fresh.update(
        last_batch=batch.token,
        heartbeat_at=timezone.now(),
        updates=F("updates") + batch.updates,
        opportunities_detected=F("opportunities_detected") + batch.births,
        **facts,
    )
    return bool(claimed)


def _write_lives(batch: Batch, *, chain_key: str, mode: str, registry: Registry) -> None:
    born = [seen for seen in batch.seen if seen.born]
    ended = [seen for seen in batch.seen if not seen.born and _ends(seen)]
    # Of several changes of one row the last one stands.
    changed = {s.pk: s for s in batch.seen if not s.born and not _ends(s)}
    facts = _lines(registry)
    if born:
        rows.insert(
            f"{seen.pk}\t{chain_key}\t{seen.record.identity}\t{mode}\t{seen.record.block.number}\t"
            f"{seen.record.block.hash}\t{_iso(seen.at)}\t{facts(seen)}"
            for seen in born
        )
    if changed:
        rows.change(f"{pk}\t{facts(seen)}" for pk, seen in changed.items())
    Sighting.objects.bulk_create(
        [
            _sighting(seen, chain_key=chain_key, registry=registry)
            for seen in batch.seen
            if not _ends(seen) and seen.record.evaluation.verdict is Verdict.EXECUTABLE
        ]
    )
    rows.end([(seen.pk, seen.at, seen.record.block.number) for seen in ended])
    rows.reason([(pk, verdict, reason) for pk, (verdict, reason) in batch.reasons.items()])
    if batch.gone:
        Opportunity.objects.filter(pk__in=batch.gone).update(ended_at=timezone.now())


def _sighting(seen: Seen, *, chain_key: str, registry: Registry) -> Sighting:
    """What looking at an executable opportunity again needs; its costs and its rate are known."""
    each = seen.record.evaluation
    flow, rate = each.waterfall, each.native_rate
    return Sighting(
        chain_id=chain_key,
        opportunity_id=seen.pk,
        cycle=each.identity,
        block_number=each.block.number,
        block_hash=each.block.hash,
        reason=seen.reason,
        pools=[registry.pools[hop.pool].pk for hop in each.hops],
        zero_for_one=[not hop.edge & 1 for hop in each.hops],
        reserves=[r for hop in each.hops for r in (hop.reserve_in, hop.reserve_out)],
        borrow_token_id=registry.tokens[each.borrow_token].pk,
        lender_kind=each.lender.kind.value,
        lender_address=each.lender_address,
        premium_bps=each.lender.premium_bps,
        premium_rounding=each.lender.rounding.value,
        expected_profit=flow.expected_profit,
        costs=flow.net - flow.expected_profit,
        native_rate_num=rate.num if rate else 0,
        native_rate_den=rate.den if rate else 1,
        at=seen.at,
    )


def _ends(seen: Seen) -> bool:
    return seen.record.event is LifeEvent.END


def _lines(registry: Registry) -> Callable[[Seen], str]:
    """What of a life is written again with each change, as a line."""
    pools = [pool.pk for pool in registry.pools]
    tokens = [token.pk for token in registry.tokens]

    def line(seen: Seen) -> str:
        each = seen.record.evaluation
        usd = None
        if seen.usd and each.net_wei is not None:
            usd = each.net_wei * seen.usd.micro_usd_per_native // 10**18
        return rows.facts_line(
            each,
            pool_pk=pools.__getitem__,
            token_pk=tokens.__getitem__,
            usd_e6=usd,
            usd_source=seen.usd.source if seen.usd and usd is not None else "",
            verdict=seen.verdict,
            reason=seen.reason,
            at=_iso(seen.at),
        )

    return line


def lives_living(*, chain_key: str) -> dict[str, int]:
    """Rows of lives that have not ended, by cycle; the newest where a cycle has several."""
    living = Opportunity.objects.filter(chain_id=chain_key, ended_at__isnull=True)
    return dict(living.order_by("id").values_list("cycle", "id"))


def lives_end_all(*, chain_key: str, mode: str = "", but: Collection[int] = ()) -> int:
    """End what is left alive: of one mode's feeder, or of all. Returns how many."""
    living = Opportunity.objects.filter(chain_id=chain_key, ended_at__isnull=True)
    if mode:
        living = living.filter(mode=mode)
    return living.exclude(pk__in=but).update(ended_at=timezone.now())


def seen_of(
    records: Sequence[LifeRecord], *, lives: Lives, usd: UsdRate | None, idle_reason: str
) -> list[Seen]:
    """Records with their row ids; an executable one says ``idle_reason`` until it is acted on."""
    at = timezone.now()
    seen = []
    for record in records:
        each = record.evaluation
        executable = each.verdict is Verdict.EXECUTABLE
        reason = idle_reason if executable else (each.reason.value if each.reason else "")
        pk, born = lives.place(record)
        if born:
            lives.reject(pk, reason)
        seen.append(
            Seen(
                pk=pk,
                born=born,
                record=record,
                at=at,
                usd=usd,
                verdict=each.verdict.value,
                reason=reason,
            )
        )
    return seen
