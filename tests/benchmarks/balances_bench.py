"""One sweep of 500 wallets on the local chain, into PostgreSQL, and the plan that follows it.

Run it alone with ``python -m tests.benchmarks.balances_bench``.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

Entry = dict[str, object]
NAME = "balances of 500 wallets"
WALLETS = 500
TARGET_MS = 1_000.0
ROUNDS = 10


def measure() -> dict[str, Entry]:
    """``{NAME: ...}``: median milliseconds of a sweep, beside as many single calls."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from django.test.utils import setup_databases, teardown_databases

    from arbsite.stack import postgres
    from contracts.localchain.harness import local_market
    from tests.settings import FOLDER

    with postgres.running(Path(FOLDER.name)), local_market(traders=False, rival=False) as market:
        made = setup_databases(verbosity=0, interactive=False, aliases=["default"])
        try:
            return {NAME: _entry(market)}
        finally:
            teardown_databases(made, verbosity=0)


def _entry(market: Any) -> Entry:
    from django.conf import settings
    from django.db import connections

    from wallets import funding, gas_watch, monitoring
    from wallets.models import Balance

    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    chain, addresses = _rows(market)
    swept, planned, watched = [], [], []
    for _ in range(ROUNDS):
        market.driver.step()  # a new block, or there is nothing to write
        swept.append(_ms(lambda: monitoring.sweep(chain=chain, rpc=market.rpc)))
        planned.append(_ms(lambda: funding.funding_plan(chain)))
        watched.append(_ms(lambda: gas_watch.gas_watch(chain=chain, may_sign=True)))
    assert Balance.objects.count() == ROUNDS * WALLETS

    def one_by_one() -> None:
        for address in addresses:
            market.rpc.call("eth_getBalance", [address, "latest"])

    single = _ms(one_by_one)
    connections.close_all()
    value = median(swept)
    return {
        "value": round(value, 1),
        "unit": "ms for one sweep: one eth_call, written to PostgreSQL",
        "target": f"<= {TARGET_MS:g} ms",
        "reference": {
            "single_calls_ms": round(single, 1),
            "plan_ms": round(median(planned), 1),
            "alerts_ms": round(median(watched), 1),
        },
        "ok": value <= TARGET_MS,
    }


def _rows(market: Any) -> tuple[Any, list[str]]:
    """The local chain's row with 499 executors and one reserve that holds something."""
    from contracts import probe, services
    from contracts.kernel import market_file
    from contracts.models import Chain
    from wallets import kill
    from wallets.models import Wallet

    parsed = market_file.parse(market.file)
    services.market_import(
        market=parsed, facts=probe.probe_market(parsed, market.rpc, progress=lambda line: None)
    )
    chain = Chain.objects.get(key=market.file["chain"]["key"])
    kill.kill_rows_ensure(chain_keys=[chain.key])
    Wallet.objects.bulk_create(
        Wallet(
            chain=chain,
            role="executor" if i else "gas_reserve",
            address=f"0x{i + 1:040x}",
            source="derived",
            seed="local",
            derivation_path=f"m/{i}",
            threshold_wei=1,
        )
        for i in range(WALLETS)
    )
    addresses = list(Wallet.objects.values_list("address", flat=True))
    for address in addresses:
        market.rpc.call("anvil_setBalance", [address, hex(10**18)])
    return chain, addresses


def _ms(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return (time.perf_counter() - started) * 1_000


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(), indent=1) + "\n")
