"""With the WebSocket endpoint refused, Celery alone keeps every pair fresh and executes nothing."""

import pytest

from tests.e2e.product import Client, Product, free_port, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture
def without_socket(tmp_path):
    refused = f"ws://127.0.0.1:{free_port()}"
    it = Product(tmp_path / "data", more={"ARB_LOCAL_SEED": "4242", "RPC_LOCAL_WS": refused})
    it.start()
    yield it
    status = it.stop()
    it.kill()
    assert status == 0


def test_polling_keeps_all_pairs_fresh_and_records_opportunities(without_socket):
    client = Client(without_socket.url)
    client.sign_in("admin", without_socket.password)

    status, _ = client.post(
        "/api/prices/start", {"mode": "poll", "pollIntervalMs": 2000, "minSpreadBps": 5}
    )
    assert status == 200

    def fresh():
        rows = client.get("/api/prices/live")["results"]
        known = [row for row in rows if row["price"] is not None and not row["stale"]]
        return rows and len(known) == len(rows) and rows

    rows = wait_for("every pair to be fresh", fresh, within_s=30)
    now = client.get("/api/prices/status")
    assert (now["mode"], now["pairs"], now["running"]) == ("poll", 49, True)
    assert len({row["pair"] for row in rows}) == 49
    wait_for(
        "opportunities",
        lambda: client.get("/api/opportunities")["results"],
        within_s=30,
    )
    first = now["blockNumber"]
    wait_for(
        "polls to go on",
        lambda: client.get("/api/prices/status")["blockNumber"] >= first + 10,
        within_s=40,
    )
    assert fresh()
    assert client.get("/api/executions?kind=arbitrage")["results"] == []

    status, _ = client.post("/api/prices/stop")
    assert status == 200
    wait_for("stopped", lambda: client.get("/api/prices/status")["mode"] == "stopped", within_s=30)
