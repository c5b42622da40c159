"""The door to a node over a WebSocket, against a real one; and against one that misbehaves."""

import asyncio
import json
import time

import pytest
from websockets.asyncio.server import serve

from contracts.kernel.jsonrpc import RpcError, hex_int
from contracts.localchain.anvil import Anvil, free_port
from contracts.rpc import RpcUnavailable, WsRpc

CHAIN_ID = 31337
SECRET = "p4th-of-a-provider"


@pytest.fixture(scope="module")
def node():
    with Anvil(port=free_port(), chain_id=CHAIN_ID) as anvil:
        yield anvil


@pytest.fixture
async def ws(node):
    socket = await WsRpc.connect(node.ws_url)
    yield socket
    await socket.close()


async def next_note(notes):
    return await asyncio.wait_for(anext(notes), 10)


async def test_heads_arrive_in_order(ws):
    subscription = await ws.subscribe("newHeads")
    notes = ws.notifications()
    for _ in range(3):
        await ws.call("evm_mine")

    heads = [await next_note(notes) for _ in range(3)]

    assert {sub for sub, _ in heads} == {subscription}
    numbers = [hex_int(head["number"]) for _, head in heads]
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    assert [h["hash"] for _, h in heads][:2] == [h["parentHash"] for _, h in heads][1:]


async def test_calls_at_once_get_their_own_answers(ws):
    accounts = [f"0x{i:040x}" for i in range(1, 51)]
    await asyncio.gather(
        *(ws.call("anvil_setBalance", [a, hex(i)]) for i, a in enumerate(accounts))
    )

    found = await asyncio.gather(*(ws.call("eth_getBalance", [a, "latest"]) for a in accounts))

    assert [hex_int(balance) for balance in found] == list(range(50))


async def test_an_error_over_the_socket_is_raised_with_its_words(ws):
    with pytest.raises(RpcError, match="error -326"):
        await ws.call("no_such_method")


async def test_a_socket_to_nobody_says_so_without_its_path():
    with pytest.raises(RpcUnavailable, match="refused") as told:
        await WsRpc.connect(f"ws://127.0.0.1:{free_port()}/{SECRET}")

    assert SECRET not in str(told.value)


async def test_whoever_waits_is_told_when_the_node_dies():
    anvil = Anvil(port=free_port(), chain_id=CHAIN_ID)
    try:
        ws = await WsRpc.connect(anvil.ws_url)
        await ws.subscribe("newHeads")
        waiting = asyncio.create_task(next_note(ws.notifications()))
        await asyncio.sleep(0)  # it waits now
        anvil.kill()

        with pytest.raises(RpcUnavailable, match="closed"):
            await waiting
        with pytest.raises(RpcUnavailable):
            await ws.call("eth_chainId")
        await ws.close()
    finally:
        anvil.stop()


async def test_whoever_waits_is_told_when_we_close(ws):
    waiting = asyncio.create_task(next_note(ws.notifications()))
    await asyncio.sleep(0)

    await ws.close()

    with pytest.raises(RpcUnavailable, match="closed by us"):
        await waiting


async def test_a_message_in_many_frames_is_one_message():

    async def behave(connection):
        request = json.loads(await connection.recv())
        answer = json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": "0x" + "ab" * 40})
        await connection.send(answer[at : at + 7] for at in range(0, len(answer), 7))
        await connection.wait_closed()

    async with serve(behave, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ws = await WsRpc.connect(url)
        assert await ws.call("eth_call") == "0x" + "ab" * 40
        await ws.close()


async def test_a_call_without_an_answer_is_given_up_and_the_next_one_works(node):

    async def behave(connection):
        await connection.recv()
        request = json.loads(await connection.recv())
        await connection.send(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": 7}))
        await connection.wait_closed()

    async with serve(behave, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ws = await WsRpc.connect(url, timeout_s=0.3)
        with pytest.raises(RpcUnavailable, match="no answer in time") as told:
            await ws.call("eth_chainId")
        assert told.value.sent is True
        assert await ws.call("eth_chainId") == 7
        assert (ws.endpoint.calls, ws.endpoint.failures) == (1, 1)
        await ws.close()


async def test_a_bug_in_what_takes_notifications_is_raised_when_the_connection_is_closed(node):

    def take(subscription, payload, arrived_ns):
        raise ZeroDivisionError

    ws = await WsRpc.connect(node.ws_url, on_note=take)
    await ws.subscribe("newHeads")
    await asyncio.to_thread(node.rpc.call, "evm_mine")
    await asyncio.wait_for(ws.ended(), 30)

    with pytest.raises(ZeroDivisionError):
        await ws.close()


async def test_a_node_that_breaks_the_protocol_ends_its_connection_and_no_more():

    async def behave(connection):
        connection.transport.write(b"\xff" * 64)  # no frame begins so
        await connection.wait_closed()

    async with serve(behave, "127.0.0.1", 0) as server:
        ws = await WsRpc.connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        assert await asyncio.wait_for(ws.ended(), 10) == "connection closed"
        await ws.close()


async def test_notifications_may_be_taken_as_they_arrive(node):
    taken = []
    arrived = asyncio.Event()

    def take(subscription, payload, arrived_ns):
        taken.append((subscription, payload["number"], arrived_ns <= time.perf_counter_ns()))
        arrived.set()

    ws = await WsRpc.connect(node.ws_url, on_note=take)
    subscription = await ws.subscribe("newHeads")
    await ws.call("evm_mine")
    await asyncio.wait_for(arrived.wait(), 10)
    await ws.close()
    assert taken[0][0] == subscription
    assert taken[0][2]
