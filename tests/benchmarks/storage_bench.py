"""P11: opportunities stored a second, off the hot path, beside saving them row by row.

Run it alone with ``python -m tests.benchmarks.storage_bench``.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

Entry = dict[str, object]
TARGET = 50_000
ROWS = 40_000
ROUNDS = 5
SAVED = 400  # row by row is slow; its rate needs no more
POOLS = 250


def measure() -> dict[str, Entry]:
    """``{"P11": ...}``: rows a second of the best round, from decisions to the commit."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from django.test.utils import setup_databases, teardown_databases

    from arbsite.stack import postgres
    from tests.settings import FOLDER

    with postgres.running(Path(FOLDER.name)):
        made = setup_databases(verbosity=0, interactive=False, aliases=["default"])
        try:
            return {"P11": _entry()}
        finally:
            teardown_databases(made, verbosity=0)


def _entry() -> Entry:
    from django.conf import settings
    from django.db import connection

    from prices.models import Opportunity

    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    batches = _Batches()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    stored = max(_rate(batches.write, batches.next(ROWS)) for _ in range(ROUNDS))
    kept = list(Opportunity.objects.order_by("-id")[:SAVED])
    saved = max(_rate(batches.save, batches.copies(kept)) for _ in range(3))
    assert Opportunity.objects.count() == ROUNDS * ROWS + 3 * SAVED
    return {
        "value": round(stored),
        "unit": "opportunities stored a second, decided to committed, array columns",
        "target": f">= {TARGET}",
        "reference": f"save() row by row: {saved:.0f}; {stored / saved:.0f} times it",
        "ok": stored >= TARGET,
    }


def _rate(work: Callable[[list[Any]], None], rows: list[Any]) -> float:
    started = time.perf_counter()
    work(rows)
    return len(rows) / (time.perf_counter() - started)


class _Batches:
    """Births of real cycles, decided over a made market, under numbers that were never used."""

    def __init__(self) -> None:
        from contracts.models import Chain
        from prices.kernel.costs import Policy
        from prices.kernel.scan import Market, Scanner
        from prices.models import Monitor
        from tests.prices.kernel.builders import make_market

        market = make_market(3, tokens=30, pools=POOLS)
        costs = Market(lenders=market.lenders(), costs=market.costs(), policy=Policy())
        scanner = Scanner(market.book, lendable=market.lendable)
        found = scanner.scan(market=costs, touched=range(POOLS))
        assert found is not None
        self._records = found.records
        self._registry = SimpleNamespace(
            pools=[SimpleNamespace(pk=i) for i in range(POOLS)],
            tokens=[SimpleNamespace(pk=i) for i in range(30)],
        )
        self._number = 0
        chain = Chain.objects.create(
            key="bench",
            name="Bench",
            eip155_id=1,
            native_symbol="B",
            is_local=True,
            block_time_ms=1000,
            confirmations=1,
            min_gas_price_wei=1,
            wrapped_native="0x" + "0" * 39 + "1",
        )
        Monitor.objects.create(chain=chain)

    def next(self, count: int) -> list[Any]:
        from django.utils import timezone

        from prices.recorder import Seen

        at = timezone.now()
        first, self._number = self._number, self._number + count
        return [
            Seen(
                pk=first + i,
                record=self._records[i % len(self._records)],
                at=at,
                usd=None,
                verdict="rejected",
                reason="fees",
                born=True,
            )
            for i in range(count)
        ]

    def copies(self, rows: list[Any]) -> list[Any]:
        for row in rows:
            row.pk, self._number = self._number, self._number + 1
        return rows

    def write(self, seen: list[Any]) -> None:
        from prices import recorder

        batch = recorder.Batch(seen=seen)
        recorder.write(batch, chain_key="bench", mode="stream", registry=self._registry)  # type: ignore[arg-type]

    def save(self, rows: list[Any]) -> None:
        for row in rows:
            row.save(force_insert=True)


if __name__ == "__main__":
    json.dump(measure(), sys.stdout, indent=1)
    sys.stdout.write("\n")
