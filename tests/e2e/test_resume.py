"""Starting again: what was there is there, and the market goes on from where it stood."""

import os
import signal
import subprocess

import pytest

from tests.e2e.product import Client, Product, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]


@pytest.fixture
def own(tmp_path):
    it = Product(tmp_path / "data", more={"ARB_LOCAL_SEED": "777"})
    yield it
    it.kill()


def signed_in(product, password):
    client = Client(product.url)
    client.sign_in("admin", password)
    return client


def executed(client):
    rows = client.get("/api/executions?kind=arbitrage&limit=200")["results"]
    return {row["id"]: row for row in rows if int(row["realizedProfit"] or 0) > 0}


def left_over(product):
    """Processes that still name this stack's data folder."""
    found = subprocess.run(
        ["pgrep", "-f", str(product.data_dir)], capture_output=True, text=True, check=False
    )
    return [pid for pid in found.stdout.split() if int(pid) != os.getpid()]


def test_ctrl_c_stops_all_and_a_second_start_goes_on_with_the_same_data(own):
    own.start()
    password = own.password
    client = signed_in(own, password)
    before = wait_for("a first execution", lambda: executed(client), within_s=90)

    assert own.stop() == 0
    assert left_over(own) == []
    own.start()

    client = signed_in(own, password)
    assert set(before) <= set(executed(client))
    wait_for("a new one", lambda: set(executed(client)) - set(before), within_s=120)


def test_after_kill_9_of_everything_a_start_settles_what_was_open(own):
    own.start()
    password = own.password
    client = signed_in(own, password)
    wait_for("a first execution", lambda: executed(client), within_s=90)

    assert own.process is not None
    os.kill(own.process.pid, signal.SIGKILL)
    own.process.wait(10)
    wait_for("every child to die with it", lambda: not left_over(own), within_s=45)
    own.start()

    client = signed_in(own, password)

    def settled():
        rows = client.get("/api/executions?limit=200")["results"]
        return not [
            row["id"]
            for row in rows[1:]  # the newest may have been sent this moment
            if row["status"] in ("signed", "submitted", "unknown", "simulated", "planned")
            and not row["simulated"]
        ]

    known = set(executed(client))
    wait_for("open executions to settle", settled, within_s=45)
    wait_for("a new execution", lambda: set(executed(client)) - known, within_s=120)
