"""Pulling cables: what dies is back, one clear line says so, and trading goes on by itself."""

import json
import os
import signal

import pytest

from tests.e2e.product import rpc, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
MINED = ("included", "confirmed")


def killed(product, name):
    """Kill one process of the stack with -9; its old pid."""
    pid = product.pid(name)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


def back(product, name, old, *, within_s=5):
    return wait_for(
        f"{name} to be back",
        lambda: (pid := product.pid(name)) not in (None, old) and pid,
        within_s=within_s + 5,  # the question itself starts a process, which takes seconds here
    )


def fresh(client):
    status = client.get("/api/prices/status")
    rows = client.get("/api/prices/live")["results"]
    return status["running"] and rows and not any(row["stale"] for row in rows)


def landed_after(client, newest):
    """Executions younger than ``newest`` that are mined; by id, since a page holds 200 at most."""
    rows = client.get("/api/executions?limit=50")["results"]
    return [row for row in rows if row["id"] > newest and row["status"] in MINED]


@pytest.mark.parametrize("name", ["redis", "worker", "beat", "engine:local", "signer", "web"])
def test_a_killed_process_is_back_and_prices_are_fresh_again(product, client, name):
    old = killed(product, name)

    back(product, name, old)

    wait_for("fresh prices", lambda: fresh(client), within_s=60)


def test_postgresql_killed_comes_back_with_nothing_lost(product, client):
    before = [row["id"] for row in client.get("/api/executions?limit=50")["results"]]
    old = killed(product, "postgres")

    back(product, "postgres", old)

    wait_for("fresh prices", lambda: fresh(client), within_s=60)
    after = {row["id"] for row in client.get("/api/executions?limit=200")["results"]}
    assert set(before) <= after


def test_a_node_that_goes_away_comes_back_and_trading_goes_on(product, client):
    node = product.market()["chain"]["rpcHttp"][0]
    # As the first test of a stack it comes before anything was executed.
    rows = client.get("/api/executions?limit=1")["results"]
    newest = rows[0]["id"] if rows else 0
    old = killed(product, "localchain")

    back(product, "localchain", old)

    wait_for("the node", lambda: rpc(node, "eth_blockNumber"), within_s=45)
    wait_for("fresh prices", lambda: fresh(client), within_s=60)
    wait_for("a new execution", lambda: landed_after(client, newest), within_s=120)


def test_every_transaction_left_open_by_the_faults_is_settled(client):
    def open_rows():
        rows = client.get("/api/executions?limit=200")["results"]
        left = [r for r in rows if r["status"] in ("signed", "submitted", "unknown")]
        return [r["id"] for r in left[1:]]  # the newest may have been sent this moment

    wait_for("no open executions", lambda: not open_rows(), within_s=60)
    rows = client.get("/api/executions?limit=200")["results"]
    nonces = [r["nonce"] for r in rows if r["nonce"] is not None and r["txHash"]]
    assert len(nonces) == len(set(nonces)), json.dumps(sorted(nonces))
