"""P12: from Ready to the first executed arbitrage, a page's answer, and the stop."""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.e2e.product import Client, Product, wait_for

PAGES = ("/", "/prices/", "/opportunities/", "/executions/")


def measure() -> dict[str, dict[str, Any]]:
    """Start the whole stack in a folder of its own, watch it, stop it."""
    with tempfile.TemporaryDirectory(prefix="arb-bench-") as folder:
        product = Product(Path(folder) / "data")
        product.start()
        ready_at = time.monotonic()
        try:
            client = Client(product.url)
            client.sign_in("admin", product.password)
            wait_for("the first arbitrage", lambda: _executed(client), within_s=300)
            first_s = time.monotonic() - ready_at
            page_ms = max(_page_ms(client, path) for path in PAGES)
            started = time.monotonic()
            product.stop(within_s=30)
            stop_s = time.monotonic() - started
        finally:
            product.kill()
    return {
        "P12 first": _entry(first_s, "s from Ready to executed", 60),
        "P12 page": _entry(page_ms, "ms, slowest page, median of 9", 150),
        "P12 stop": _entry(stop_s, "s from Ctrl-C", 10),
    }


def _executed(client: Client) -> bool:
    rows = client.get("/api/executions?kind=arbitrage")["results"]
    return any(int(row["realizedProfit"] or 0) > 0 for row in rows)


def _page_ms(client: Client, path: str) -> float:
    samples = []
    for _ in range(9):
        started = time.perf_counter()
        client.opener.open(client.url + path, timeout=20).read()
        samples.append((time.perf_counter() - started) * 1000)
    return statistics.median(samples)


def _entry(value: float, unit: str, target: float) -> dict[str, Any]:
    return {
        "value": round(value, 1),
        "unit": unit,
        "target": target,
        "reference": "",
        "ok": value <= target,
    }
