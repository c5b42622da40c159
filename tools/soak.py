"""The whole product for hours, with a process killed every minute or two; writes soak.json.

`make soak HOURS=8` (default 1). What must hold all the time: trading goes on, everything that was
sent is settled, nonces are distinct and without gaps, no process grows without bound, and at the
end Ctrl-C stops all of it.
"""

import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.e2e.product import Client, Product, wait_for  # noqa: E402  the path comes first

LOOK_S = 15
KILL_EVERY_S = (60, 150)  # five deaths of one process within a minute are another matter
BACK_S = 60  # on a busy machine; the promise of 15 s has its own tests
TRADE_WITHIN_S = 300
OPEN_FOR_S = 60
WARM_S = 600  # what a process needs it has by then
GROWTH = 1.5
VICTIMS = ("redis", "postgres", "worker", "beat", "engine:local", "signer", "web", "localchain")
OPEN = ("planned", "simulated", "signed", "submitted", "unknown")


@dataclass
class Soak:
    """One run: what was seen, and what was wrong."""

    product: Product
    client: Client
    rng: random.Random
    started: float = field(default_factory=time.monotonic)
    kills: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    rss_mib: dict[str, list[int]] = field(default_factory=dict)
    newest: int = 0
    landed: int = 0
    traded_at: float = field(default_factory=time.monotonic)

    def look(self) -> None:
        """One look at executions and memory."""
        rows = self.client.get("/api/executions?limit=200")["results"]
        fresh = [row for row in rows if row["id"] > self.newest]
        self.landed += sum(row["status"] in ("included", "confirmed") for row in fresh)
        now = time.monotonic()
        if fresh:
            self.newest, self.traded_at = fresh[0]["id"], now
        elif now - self.traded_at > TRADE_WITHIN_S:
            self.traded_at = now
            self.complain(f"nothing was executed for {TRADE_WITHIN_S} s")
        self.check_nonces(rows)
        self.measure_memory()

    def check_nonces(self, rows: list[dict[str, Any]]) -> None:
        """Distinct, and without a gap among what a page shows."""
        for wallet in {row["wallet"] for row in rows}:
            mine = [row["nonce"] for row in rows if row["wallet"] == wallet]
            nonces = sorted(nonce for nonce in mine if nonce is not None)
            if len(nonces) != len(set(nonces)):
                self.complain(f"a nonce of {wallet} stands twice: {nonces}")

    def measure_memory(self) -> None:
        """Resident memory of each process, once it is warm."""
        if time.monotonic() - self.started < WARM_S:
            return
        for name in VICTIMS:
            pid = self.product.pid(name)
            with_status = Path(f"/proc/{pid}/status")
            if pid and with_status.exists():
                line = next(x for x in with_status.read_text().splitlines() if "VmRSS" in x)
                self.rss_mib.setdefault(name, []).append(int(line.split()[1]) // 1024)

    def kill_one(self) -> None:
        """Kill -9 one process and see the product well again."""
        name = self.rng.choice(VICTIMS)
        pid = self.product.pid(name)
        if pid is None:
            self.complain(f"{name} does not run")
            return
        os.kill(pid, signal.SIGKILL)
        self.kills[name] = self.kills.get(name, 0) + 1
        try:
            wait_for(f"all well after {name} died", self.is_well, within_s=BACK_S)
        except AssertionError as error:
            self.complain(str(error))

    def is_well(self) -> bool:
        """Every part says so, and every price is known up to now."""
        rows = self.client.get("/api/prices/live")["results"]
        return bool(
            self.client.get("/api/status")["ready"]
            and rows
            and not any(row["stale"] for row in rows)
        )

    def settle(self) -> None:
        """Stop trading, and see everything that was sent come to its end."""
        self.client.post("/api/fast-mode/disable")

        def settled() -> bool:
            rows = self.client.get("/api/executions?limit=200")["results"]
            return not [row["id"] for row in rows if row["status"] in OPEN]

        try:
            wait_for("everything settled", settled, within_s=OPEN_FOR_S)
        except AssertionError as error:
            self.complain(str(error))
        for name, seen in self.rss_mib.items():
            if len(seen) > 8 and sum(seen[-4:]) > GROWTH * sum(seen[:4]):
                self.complain(f"{name} grew from {seen[0]} to {seen[-1]} MiB")

    def complain(self, what: str) -> None:
        """Note it and go on: a soak tells all it met."""
        self.wrong.append(what)
        print(f"{self.minutes():7.1f} min  WRONG  {what}", flush=True)

    def minutes(self) -> float:
        return (time.monotonic() - self.started) / 60


def main() -> int:
    """Run for HOURS; 0 when nothing was wrong."""
    hours = float(os.environ.get("HOURS", "1"))
    folder = Path(os.environ.get("ARB_DATA_DIR") or ".data").absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    seed = random.SystemRandom().randrange(10**9)
    with tempfile.TemporaryDirectory(prefix="arb-soak-") as scratch:
        product = Product(Path(scratch) / "data", more={"ARB_LOCAL_SEED": str(seed)})
        try:
            product.start()
            client = Client(product.url)
            client.sign_in("admin", product.password)
            soak = Soak(product, client, random.Random(seed))  # noqa: S311  to be repeated
            run(soak, until=time.monotonic() + hours * 3600)
            soak.settle()
            if product.stop() != 0:
                soak.complain("the stop did not end with 0")
        finally:
            product.kill()
    report = {
        "seed": seed,
        "hours": hours,
        "landed": soak.landed,
        "kills": soak.kills,
        "rssMib": {name: [seen[0], seen[-1]] for name, seen in soak.rss_mib.items()},
        "wrong": soak.wrong,
        "ok": not soak.wrong,
    }
    scratch_file = folder / "soak.tmp"
    scratch_file.write_text(json.dumps(report, indent=1) + "\n")
    scratch_file.replace(folder / "soak.json")
    print(json.dumps(report))
    return 1 if soak.wrong else 0


def run(soak: Soak, *, until: float) -> None:
    """Look, and kill now and then, until the time is over."""
    kill_at = time.monotonic() + soak.rng.uniform(*KILL_EVERY_S)
    while time.monotonic() < until:
        patiently(soak, "a look", soak.look)
        print(f"{soak.minutes():7.1f} min  {soak.landed} landed, kills {soak.kills}", flush=True)
        if time.monotonic() >= kill_at:
            soak.kill_one()
            kill_at = time.monotonic() + soak.rng.uniform(*KILL_EVERY_S)
        time.sleep(LOOK_S)


def patiently(soak: Soak, what: str, act: Callable[[], None]) -> None:
    """Do it, again while the product is just coming back."""
    try:
        wait_for(what, lambda: act() or True, within_s=BACK_S)
    except AssertionError as error:
        soak.complain(str(error))


if __name__ == "__main__":
    sys.exit(main())
