"""The door to a node, against a real one; and against one that misbehaves."""

import json
import threading
import time

import pytest

from contracts.kernel.jsonrpc import RpcError, hex_int
from contracts.localchain.anvil import Anvil, free_port
from contracts.rpc import HttpRpc, RpcUnavailable, WrongChain, is_loopback, mask_url
from tests.contracts.faulty_node import answering, faulty_node, http, saying

CHAIN_ID = 31337
SECRET = "p4th-of-a-provider"


@pytest.fixture(scope="module")
def node():
    with Anvil(port=free_port(), chain_id=CHAIN_ID) as anvil:
        yield anvil


@pytest.fixture
def rpc(node):
    client = HttpRpc([node.http_url], chain_id=CHAIN_ID)
    yield client
    client.close()


@pytest.fixture
def clients():
    """Makes clients and closes them."""
    made = []

    def make(*urls, **options):
        made.append(HttpRpc(list(urls), **options))
        return made[-1]

    yield make
    for client in made:
        client.close()


def nobody() -> str:
    return f"http://127.0.0.1:{free_port()}/{SECRET}"


# A real node


def test_a_call_gives_what_the_node_wrote(rpc):
    assert rpc.call("eth_chainId") == hex(CHAIN_ID)


def test_a_batch_keeps_its_order_and_its_errors_in_place(rpc):
    first, second, third = rpc.batch(
        [("eth_chainId", []), ("no_such_method", []), ("eth_blockNumber", [])]
    )

    assert first == hex(CHAIN_ID)
    assert isinstance(second, RpcError)
    assert hex_int(third) >= 0


def test_an_empty_batch_asks_nothing(rpc):
    assert rpc.batch([]) == []
    assert rpc.endpoints[0].calls == 0


def test_a_large_batch_comes_back_whole(rpc):
    assert rpc.batch([("eth_chainId", [])] * 1_000) == [hex(CHAIN_ID)] * 1_000


def test_an_error_of_the_node_is_raised_with_its_words(rpc):
    with pytest.raises(RpcError) as told:
        rpc.call("no_such_method")

    assert told.value.code == -32601


def test_a_contract_call_gives_its_bytes(rpc):
    identity = "0x" + "0" * 39 + "4"  # the precompile that returns its input

    assert rpc.eth_call(to=identity, data=b"\x01\x02") == b"\x01\x02"
    assert rpc.eth_call(to=identity, data=b"", block=0) == b""


def test_overrides_reach_the_node(rpc):
    code = "0x602a60005260206000f3"  # returns 42

    at = "0x" + "77" * 20

    answer = rpc.eth_call(to=at, data=b"", overrides={at: {"code": code}})

    assert int.from_bytes(answer) == 42


def test_connections_are_kept_and_shared_by_threads(rpc):
    found = []
    threads = [
        threading.Thread(target=lambda: found.extend(rpc.call("eth_chainId") for _ in range(20)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [hex(CHAIN_ID)] * 80
    assert 1 <= rpc._wires[rpc.endpoints[0].url].opened <= 4


def test_each_endpoint_keeps_what_was_seen_of_it(rpc):
    rpc.call("eth_blockNumber")

    [endpoint] = rpc.endpoints
    assert endpoint.calls == 2  # with the chain id before it
    assert endpoint.failures == 0
    assert endpoint.last_ms > 0
    assert rpc.ping(endpoint) >= 0


# Which endpoint is asked


def test_the_first_endpoint_that_answers_is_asked(node, clients):
    client = clients(nobody(), node.http_url, nobody(), chain_id=CHAIN_ID)

    assert client.call("eth_chainId") == hex(CHAIN_ID)
    assert [endpoint.failures for endpoint in client.endpoints] == [1, 0, 0]


def test_preference_returns_when_the_first_is_back(node, clients):
    client = clients(nobody(), node.http_url)
    client.call("eth_chainId")
    client.endpoints[0].url = node.http_url

    client.call("eth_chainId")

    assert [endpoint.calls for endpoint in client.endpoints] == [1, 1]


def test_when_none_answers_the_error_names_the_host_and_no_more(clients):
    client = clients(nobody(), nobody())

    with pytest.raises(RpcUnavailable) as told:
        client.call("eth_chainId")

    assert told.value.sent is False
    assert "connection refused" in str(told.value)
    assert SECRET not in f"{told.value!r} {told.value} {client.endpoints!r}"
    assert told.value.__cause__ is None


def test_an_error_of_the_node_is_not_asked_of_another(node, clients):
    client = clients(node.http_url, nobody())

    with pytest.raises(RpcError):
        client.call("no_such_method")
    assert client.endpoints[1].failures == 0


def test_a_client_without_endpoints_is_refused():
    with pytest.raises(ValueError, match="at least one URL"):
        HttpRpc([])


# Which chain answers


def test_a_node_of_another_chain_stops_everything(node, clients):
    client = clients(node.http_url, chain_id=56)

    with pytest.raises(WrongChain, match=r"31337, not 56"):
        client.call("eth_blockNumber")
    with pytest.raises(WrongChain):
        client.send_raw(b"\x02")


def test_the_chain_is_asked_once_a_minute_and_after_each_fault(node, clients, monkeypatch):
    client = clients(node.http_url, chain_id=CHAIN_ID)
    for _ in range(3):
        client.call("eth_blockNumber")
    assert client.endpoints[0].calls == 4

    client.endpoints[0].chain_checked_at -= 61
    client.call("eth_blockNumber")
    assert client.endpoints[0].calls == 6

    url, client.endpoints[0].url = client.endpoints[0].url, nobody()
    with pytest.raises(RpcUnavailable):
        client.call("eth_blockNumber")
    client.endpoints[0].url = url
    client.call("eth_blockNumber")
    assert client.endpoints[0].calls == 8


# A node that misbehaves

GARBAGE = {
    "nothing": b"",
    "no HTTP": b"hello\r\n\r\n",
    "a page": http(b"<html>busy</html>", status="503 Service Unavailable"),
    "no JSON-RPC": http(b"[1, 2]"),
    "another id": http(b'{"jsonrpc":"2.0","id":999999,"result":"0x1"}'),
    "half an answer": http(b'{"jsonrpc":"2.0","id":1,"res', length=500),
    "no length": b"HTTP/1.1 200 OK\r\nContent-Length: +1_0\r\n\r\n",
    "a chunk out of step": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{xx0\r\n\r\n"
    ),
    "a chunk without a size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{",
    "an endless head": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
    "another version": b"HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a cut chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{",
    "deep JSON": http(b"[" * 200_000),
    "bad compression": http(b"not gzip", headers="Content-Encoding: gzip\r\n"),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_is_unavailable_and_may_have_been_sent(kind, clients):
    with faulty_node(saying(GARBAGE[kind])) as bad:
        client = clients(f"{bad.url}/{SECRET}", timeout_s=5)

        with pytest.raises(RpcUnavailable) as told:
            client.call("eth_chainId")

    assert told.value.sent is True
    assert SECRET not in str(told.value)
    assert client.endpoints[0].failures == 1


def test_the_status_of_a_refusal_is_told(clients):
    page = saying(GARBAGE["a page"])

    with faulty_node(page) as bad, pytest.raises(RpcUnavailable, match="HTTP 503"):
        clients(bad.url).call("eth_chainId")


def test_garbage_moves_a_read_on_to_the_next_endpoint(node, clients):
    with faulty_node(saying(GARBAGE["a page"])) as bad:
        assert clients(bad.url, node.http_url).call("eth_chainId") == hex(CHAIN_ID)


def silent(connection, request):
    connection.recv(1)  # until the client gives up


def dripping(connection, request):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:  # until the client closes: each byte comes in time, the whole never would
        connection.sendall(b" ")
        threading.Event().wait(0.02)


@pytest.mark.parametrize("behave", [silent, dripping])
def test_an_answer_that_does_not_come_is_given_up_in_time(behave, clients):
    with faulty_node(behave) as bad:
        started = time.monotonic()

        with pytest.raises(RpcUnavailable, match="no answer in time") as told:
            clients(bad.url, timeout_s=0.3).call("eth_chainId")

        assert time.monotonic() - started < 10  # the answers go on for longer
        assert told.value.sent is True


def test_an_answer_without_end_is_given_up(clients, monkeypatch):
    monkeypatch.setattr("contracts.http_wire.BODY_MAX", 2**20)
    endless = saying(http(b" " * 2**21))

    with faulty_node(endless) as bad, pytest.raises(RpcUnavailable, match="over 1 MiB"):
        clients(bad.url).call("eth_chainId")


def test_signed_bytes_are_sent_once_to_the_first_endpoint_only(clients):
    with faulty_node(saying(GARBAGE["nothing"])) as first, faulty_node(answering("0x1")) as second:
        client = clients(first.url, second.url)

        with pytest.raises(RpcUnavailable) as told:
            client.send_raw(b"\x02\xff")

    assert told.value.sent is True
    assert [request["params"] for request in first.requests] == [["0x02ff"]]
    assert second.requests == []


def test_signed_bytes_to_nobody_were_not_sent(clients):
    with pytest.raises(RpcUnavailable) as told:
        clients(nobody()).send_raw(b"\x02")

    assert told.value.sent is False


def test_a_redirect_is_not_followed(clients):
    with faulty_node(answering("0x1")) as elsewhere:
        moved = http(b"", status="307 Temporary Redirect", headers=f"Location: {elsewhere.url}\r\n")
        with faulty_node(saying(moved)) as bad, pytest.raises(RpcUnavailable):
            clients(bad.url).send_raw(b"\x02")

    assert elsewhere.requests == []


# What may be shown of an endpoint


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            f"https://user:{SECRET}@node.example:8545/v2/{SECRET}?k={SECRET}",
            "https://node.example:8545",
        ),
        (f"wss://node.example/{SECRET}", "wss://node.example"),
        (f"http://node:{SECRET}/", "http://node"),
        (f"http://[{SECRET}", "?"),
        ("", "://?"),
    ],
)
def test_a_masked_url_shows_scheme_and_host_only(url, shown):
    assert mask_url(url) == shown


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8545", True),
        ("http://localhost", True),
        ("http://[::1]:1", True),
        ("http://127.0.0.1.evil.example", False),
        ("http://127.0.0.1@evil.example", False),
        ("http://0.0.0.0", False),
        ("http://node", False),
    ],
)
def test_only_this_machine_is_loopback(url, local):
    assert is_loopback(url) == local


GOOD = b'{"jsonrpc":"2.0","id":1,"result":"0x7"}'


@pytest.mark.parametrize(
    "answer",
    [
        http(GOOD),
        b"HTTP/1.1 100 Continue\r\n\r\n" + http(GOOD),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
        + b"5\r\n" + GOOD[:5] + b"\r\n%x;a=b\r\n" % (len(GOOD) - 5) + GOOD[5:]
        + b"\r\n0\r\nTrailer: 1\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n" + GOOD,
        b"HTTP/1.1 200\r\ncontent-LENGTH:  %d\r\n\r\n" % len(GOOD) + GOOD,
    ],
    ids=["a length", "after a continue", "chunks with a trailer", "until it closes", "odd case"],
)  # fmt: skip
def test_a_whole_answer_is_read_however_its_length_is_told(answer, clients):
    with faulty_node(saying(answer)) as node:
        assert clients(node.url).call("eth_blockNumber") == "0x7"


def test_a_connection_that_the_node_closed_meanwhile_is_not_written_to(clients):
    closed = threading.Event()

    def behave(connection, request):  # answers as if it would stay, and closes
        connection.sendall(http(GOOD).replace(b"Connection: close\r\n", b""))
        connection.close()
        closed.set()

    with faulty_node(behave) as node:
        client = clients(node.url)
        client._ids = iter([1, 1, 1])
        for _ in range(3):
            assert client.call("eth_blockNumber") == "0x7"
            assert closed.wait(5)
            closed.clear()
        assert client.endpoints[0].failures == 0
        assert client._wires[node.url].opened == 3


def test_a_url_with_a_user_a_path_and_a_query_is_asked_whole(clients):
    seen = []

    def behave(connection, request):
        connection.sendall(http(GOOD))

    with faulty_node(behave) as node:
        node.on_head = seen.append
        url = node.url.replace("http://", "http://user:p%40ss@") + "/v2/key?x=1"
        assert clients(url).call("eth_blockNumber") == "0x7"

    head = seen[0].decode()
    assert head.startswith("POST /v2/key?x=1 HTTP/1.1\r\n")
    assert "Authorization: Basic dXNlcjpwQHNz" in head
    assert "user" not in head.split("Host: ")[1].split("\r\n")[0]


def test_what_does_not_speak_tls_got_no_byte_of_the_request(clients):
    with faulty_node(answering("0x1")) as node, pytest.raises(RpcUnavailable) as told:
        clients(node.url.replace("http://", "https://"), timeout_s=2).send_raw(b"\x02")
    assert told.value.sent is False


def test_json_of_a_request_is_what_the_protocol_says(clients):
    with faulty_node(answering("0x1")) as node:
        clients(node.url).call("eth_call", [{"to": "0x1"}, "latest"])

    [request] = node.requests
    assert json.dumps(request["params"]) == '[{"to": "0x1"}, "latest"]'
    assert request["jsonrpc"] == "2.0"
    assert request["method"] == "eth_call"


# What an endpoint may be asked


def test_a_read_over_the_budget_goes_to_the_next_endpoint_and_is_counted(node, clients):
    client = clients(node.http_url, node.http_url, calls_per_s=4)
    first, second = client.endpoints

    for _ in range(5):
        assert client.call("eth_chainId") == hex(CHAIN_ID)

    assert (first.calls, second.calls) == (4, 1)
    assert first.over_budget == 1


def test_where_every_endpoint_is_over_its_budget_the_error_says_so(node, clients):
    client = clients(node.http_url, calls_per_s=2)
    client.batch([("eth_chainId", [])] * 2)

    with pytest.raises(RpcUnavailable, match="over its budget of 2 calls a second") as told:
        client.call("eth_chainId")

    assert told.value.sent is False


def test_what_can_wait_leaves_a_quarter_to_what_cannot(node, clients):
    client = clients(node.http_url, calls_per_s=8)
    patient = client.background()
    patient.batch([("eth_chainId", [])] * 6)

    with pytest.raises(RpcUnavailable, match="over its budget"):
        patient.call("eth_chainId")
    assert client.batch([("eth_chainId", [])] * 2) == [hex(CHAIN_ID)] * 2


def test_a_send_goes_whatever_the_budget_says(clients):
    with faulty_node(answering("0x1")) as node:
        client = clients(node.url, calls_per_s=1)
        for _ in range(4):
            assert client.send_raw(b"\x02") == "0x1"
        with pytest.raises(RpcUnavailable, match="over its budget"):
            client.call("eth_chainId")


def test_a_batch_larger_than_the_budget_is_let_through_when_nothing_else_was_asked(node, clients):
    client = clients(node.http_url, calls_per_s=2)

    assert client.batch([("eth_chainId", [])] * 5) == [hex(CHAIN_ID)] * 5
    with pytest.raises(RpcUnavailable, match="over its budget"):
        client.call("eth_chainId")


def test_a_warm_client_is_not_asked_for_its_chain_by_who_sends(node, clients):
    client = clients(node.http_url, chain_id=CHAIN_ID)
    [endpoint] = client.endpoints
    client.warm()
    endpoint.chain_checked_at -= 59
    client.warm()
    asked = endpoint.calls

    client.call("eth_blockNumber")

    assert (asked, endpoint.calls) == (2, 3)


def test_a_client_cannot_be_warmed_by_a_node_of_another_chain(node, clients):
    client = clients(nobody(), node.http_url, chain_id=56)
    with pytest.raises(WrongChain):
        client.warm()
