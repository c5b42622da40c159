"""Stage times of a sample of blocks: what a block costs when nothing is executed, too."""

import time
from datetime import timedelta
from typing import Final

from django.utils import timezone

from contracts.models import Chain
from execution import services
from execution.kernel.latency import Timeline
from execution.models import LatencySample

EVERY_NS: Final = 5 * 10**9
WAITING_MOST: Final = 60  # so many are kept while the record is away
KEPT: Final = timedelta(days=7)
PRUNE_S: Final = 3_600.0


class Ticks:
    """Notes at most one block in five seconds; noting touches no database, writing does."""

    def __init__(self, *, every_ns: int = EVERY_NS) -> None:
        self._every_ns = every_ns
        self._noted_ns: int | None = None
        self._waiting: list[dict[str, int]] = []
        self._pruned_at: float | None = None

    def note(self, timeline: Timeline) -> None:
        """Take a block's times, unless one was taken a moment ago."""
        at = timeline.event_ns
        if self._noted_ns is not None and at - self._noted_ns < self._every_ns:
            return
        self._noted_ns = at
        if len(self._waiting) < WAITING_MOST:
            self._waiting.append(timeline.microseconds())

    def write(self, *, chain: Chain) -> None:
        """Write what was noted; once an hour drop samples that nobody looks at any more.

        From one thread at a time, which need not be the one that notes.
        """
        while self._waiting:
            services.latency_record(chain=chain, execution_pk=None, stages_us=self._waiting[0])
            del self._waiting[0]
        now = time.monotonic()
        if self._pruned_at is None or now - self._pruned_at > PRUNE_S:
            self._pruned_at = now
            LatencySample.objects.filter(chain=chain, at__lt=timezone.now() - KEPT).delete()
