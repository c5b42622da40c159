"""What a person and a program see of the whole product, by the contract's names alone."""

import asyncio
import json

import pytest
import websockets

from tests.e2e.product import rpc, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

GET_RESERVES = "0x0902f1ac"
SWAP = "7ff36ab5"  # swapExactETHForTokens(uint256,address[],address,uint256)


def arbitrages(client, hops):
    rows = client.get("/api/executions?kind=arbitrage&limit=200")["results"]
    return [row for row in rows if len(row["path"]) == hops and int(row["realizedProfit"] or 0) > 0]


def test_the_first_arbitrage_of_two_hops_comes_within_a_minute_with_nobody_clicking(client):
    rows = wait_for("a 2-hop arbitrage", lambda: arbitrages(client, 2), within_s=60)

    first = rows[-1]
    assert first["txHash"].startswith("0x")
    assert first["automatic"] is True
    assert first["requestedBy"] is None


def test_one_of_three_hops_comes_within_five_minutes(client):
    assert wait_for("a 3-hop arbitrage", lambda: arbitrages(client, 3), within_s=300)


def test_every_waterfall_adds_up_to_its_net_to_the_unit(client):
    rows = wait_for(
        "opportunities", lambda: client.get("/api/prices/spreads")["results"], within_s=30
    )

    for row in rows:
        steps = {each["step"]: each["amount"] for each in row["waterfall"]}
        net = int(steps.pop("net"))
        assert sum(int(amount or 0) for amount in steps.values()) == net
        assert str(net) == row["netProfit"]


def test_an_executions_profit_is_the_transfers_of_its_receipt(client, product):
    row = wait_for(
        "a booked execution",
        lambda: [
            r
            for r in client.get("/api/executions?kind=arbitrage")["results"]
            if int(r["realizedProfit"] or 0) > 0
        ],
        within_s=90,
    )[0]
    receipt = rpc(
        product.market()["chain"]["rpcHttp"][0], "eth_getTransactionReceipt", row["txHash"]
    )

    topic = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    ours = row["contract"].lower()[2:].rjust(64, "0")
    moved = 0
    for log in receipt["logs"]:
        if log["topics"][0] == topic and log["address"].lower() == row["borrowToken"].lower():
            value = int(log["data"], 16)
            moved += value * (log["topics"][2].endswith(ours)) - value * (
                log["topics"][1].endswith(ours)
            )
    num, den = int(row["nativeRate"]["num"]), int(row["nativeRate"]["den"])
    cost = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)

    assert moved == int(row["realizedProfit"]) > 0
    assert int(row["gasCostWei"]) == cost
    assert int(row["netProfitWei"]) == moved * den // num - cost - int(row["tipWei"])


def test_monitoring_stops_and_starts_and_takes_a_new_interval_and_spread(client):
    status, _ = client.post("/api/prices/stop")
    assert status == 200
    wait_for("stop", lambda: not client.get("/api/prices/status")["running"], within_s=30)

    status, _ = client.post("/api/prices/start", {"pollIntervalMs": 1500, "minSpreadBps": 25})
    assert status == 200
    now = wait_for(
        "start",
        lambda: (s := client.get("/api/prices/status"))["running"] and s,
        within_s=45,
    )

    assert (now["pollIntervalMs"], now["minSpreadBps"], now["mode"]) == (1500, 25, "stream")
    wait_for(
        "only spreads of 25 bps and more",
        lambda: (
            (found := client.get("/api/prices/spreads")["results"])
            and all(row["spreadBps"] >= 25 for row in found)
        ),
        within_s=60,
    )
    client.post("/api/prices/start", {"minSpreadBps": 5})
    wait_for("running again", lambda: client.get("/api/prices/status")["running"], within_s=45)


def test_an_opportunity_is_executed_on_request_or_refused_with_its_reason(client, disarmed):
    def attempt():
        for row in client.get("/api/prices/spreads?executable=true")["results"]:
            status, answer = client.post("/api/execute", {"opportunityId": row["id"]})
            if status in (201, 202):
                return status, answer
            assert status == 409, answer
            assert answer["reason"], answer
        return None

    status, made = wait_for("an execution by request", attempt, within_s=240)

    assert status in (201, 202)
    assert made["requestedBy"] == "admin"
    assert made["automatic"] is False


def test_a_test_transaction_is_sent_and_seen(client):
    _, made = wait_for(
        "a test transaction",
        lambda: (got := client.post("/api/execute/test"))[0] in (201, 202) and got,
        within_s=30,
    )

    assert made["kind"] == "test"
    wait_for(
        "its receipt",
        lambda: client.get(f"/api/executions/{made['id']}")["status"] in ("included", "confirmed"),
        within_s=60,
    )


def test_a_swap_made_on_chain_is_in_the_api_and_on_the_socket_within_two_seconds(client, product):
    market = product.market()
    node = market["chain"]["rpcHttp"][0]
    native = market["chain"]["wrappedNative"]
    dex = next(d for d in market["dexes"] if d["key"] == "pancakeswap")
    usdt = next(t["address"] for t in market["tokens"] if t["symbol"] == "USDT")
    me = "0x00000000000000000000000000000000deadbeef"
    rpc(node, "anvil_setBalance", me, hex(10**21))
    rpc(node, "anvil_impersonateAccount", me)
    words = [1, 128, int(me, 16), 2**63, 2, int(native, 16), int(usdt, 16)]
    data = "0x" + SWAP + "".join(f"{word:064x}" for word in words)

    async def watch():
        cookie = f"sessionid={client.cookie('sessionid')}"
        async with websockets.connect(
            product.url.replace("http", "ws") + "/ws/",
            additional_headers={"Cookie": cookie},
            origin=product.url,
        ) as ws:
            await ws.send(json.dumps({"type": "subscribe", "channels": ["prices"]}))
            while json.loads(await ws.recv())["type"] != "snapshot":
                pass
            sent = {
                "from": me,
                "to": dex["router"],
                "value": hex(3 * 10**17),
                "data": data,
                "gas": hex(400_000),
                "gasPrice": hex(10**10),
            }
            tx = await asyncio.to_thread(rpc, node, "eth_sendTransaction", sent)
            mined = await asyncio.to_thread(
                wait_for,
                "the swap to be mined",
                lambda: rpc(node, "eth_getTransactionReceipt", tx),
                within_s=30,
            )
            assert mined["status"] == "0x1", mined
            swapped = next(
                log["address"].lower()
                for log in mined["logs"]
                if log["topics"][0].startswith("0x1c411e9a96e071241c2f21f7726b17ae")
            )
            block = int(mined["blockNumber"], 16)
            async with asyncio.timeout(2.5):
                while True:
                    frame = json.loads(await ws.recv())
                    for row in _rows(frame):
                        if row["pool"].lower() == swapped and row["blockNumber"] >= block:
                            return swapped, row

    pool, seen = asyncio.run(watch())

    # Others trade there too: what is shown is what the chain holds at the block that it names.
    held = rpc(node, "eth_call", {"to": pool, "data": GET_RESERVES}, hex(seen["blockNumber"]))
    assert int(seen["reserve0"]) == int(held[2:66], 16)
    assert int(seen["reserve1"]) == int(held[66:130], 16)
    rows = client.get("/api/prices/live?dex=pancakeswap&pair=WBNB-USDT")["results"]
    assert rows[0]["pool"].lower() == pool
    assert rows[0]["blockNumber"] >= seen["blockNumber"]
    assert rows[0]["stale"] is False


def _rows(frame):
    data = frame.get("data")
    if isinstance(data, dict):
        data = [data]
    return [row for row in data or [] if isinstance(row, dict) and "pool" in row]


@pytest.fixture
def armed(client):
    """Fast Mode as it stood: armed, and armed again whatever the test came to."""

    def is_armed():
        return client.get("/api/fast-mode/status")["state"] == "armed"

    wait_for("armed", is_armed, within_s=30)
    yield
    if client.get("/api/fast-mode/status")["state"] == "killed":
        client.post("/api/kill/release", {"reason": "the test is over"})
    wait_for("armed again", is_armed, within_s=30)


@pytest.mark.usefixtures("armed")
def test_the_kill_switch_stops_by_one_call_and_is_left_only_with_a_reason(client):
    status, proof = client.post("/api/kill", {"reason": "drill"})
    assert status == 200, proof
    assert proof["complete"] is True
    assert client.get("/api/fast-mode/status")["state"] == "killed"
    status, refused = client.post("/api/execute/test")
    assert (status, refused["reason"]) == (409, "killed")

    status, _ = client.post("/api/kill/release", {})
    assert status == 400
    status, _ = client.post("/api/kill/release", {"reason": "drill over"})
    assert status == 200


def test_the_readiness_list_names_every_check_with_its_mend(client):
    found = wait_for(
        "readiness", lambda: (s := client.get("/api/execute/status"))["ready"] and s, within_s=60
    )

    keys = {check["key"] for check in found["checks"]}
    assert {
        "wallet_configured", "contracts_deployed", "executor_authorised", "gas_balance",
        "feed_fresh", "rpcs_agree", "nonce_clean", "simulation_passing", "test_transaction",
    } <= keys  # fmt: skip


def test_nothing_that_is_answered_names_an_endpoint_in_full(client):
    text = json.dumps(client.get("/api/status"))

    assert '"ready": true' in text
    assert "password" not in text.lower()


def test_a_second_start_in_the_same_folder_says_so_and_ends(product):
    answer = product.manage("up")

    assert answer.returncode != 0
    assert "already" in (answer.stdout + answer.stderr)
