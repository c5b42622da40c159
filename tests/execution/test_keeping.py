"""What is kept warm beside the hot path, and what is written down of its endpoints."""

import pytest

from arbsite.base.models import Alert
from contracts.rpc import HttpRpc
from contracts.selectors import endpoint_latency
from execution.keeping import Endpoints
from execution.threads import Threads
from prices.feed import Feed
from tests.contracts.faulty_node import answering, faulty_node
from tests.execution.rows import make_chain

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def chain():
    return make_chain()


def feed_of(*urls):
    return Feed(
        urls=urls, chain_id=31337, addresses=[], block_time_ms=1_000, known=lambda: ()
    )  # fmt: skip


async def recorded(chain, clients, *, feed=None, rounds=1):
    threads = Threads("warm")
    endpoints = Endpoints(chain=chain, clients=clients, threads=threads)
    endpoints.feed = feed
    for _ in range(rounds):
        await endpoints.warm()
        await endpoints.record()
    found = await threads.run("warm", lambda: endpoint_latency(chain, 60))
    alerts = await threads.run("warm", lambda: list(Alert.objects.all()))
    await threads.close()
    return found, alerts


async def test_every_client_is_warmed_and_what_it_took_is_written_once(chain):
    with faulty_node(answering("0x7a69")) as node:
        clients = [(use, HttpRpc([node.url], chain_id=31337)) for use in ("http", "send")]
        found, alerts = await recorded(chain, clients, rounds=2)
        asked = len(node.requests)
        for _, client in clients:
            client.close()

    assert [(each.use, each.count) for each in found] == [("http", 1), ("send", 1)]
    assert asked == 2  # the second round found the first one's proof still young
    assert alerts == []


async def test_a_node_of_another_chain_stops_no_one_else_from_being_warmed(chain):
    with faulty_node(answering("0x1")) as other, faulty_node(answering("0x7a69")) as node:
        clients = [
            ("http", HttpRpc([other.url], chain_id=31337)),
            ("send", HttpRpc([node.url], chain_id=31337)),
        ]
        found, _ = await recorded(chain, clients)
        for _, client in clients:
            client.close()
    assert [each.use for each in found] == ["http", "send"]


async def test_endpoints_that_contradict_each_other_are_told_by_name_and_without_key(chain):
    feed = feed_of("wss://a.example/k3y", "wss://b.example/k3y")
    first, second = feed.lines
    first.standing.first = 5
    second.standing.behind.add(700)
    for line in feed.lines:
        line.standing.disputes = 1

    found, [alert] = await recorded(chain, [], feed=feed, rounds=2)

    assert [(each.endpoint, each.first, each.disputes) for each in found] == [
        ("wss://a.example", 5, 1),
        ("wss://b.example", 0, 1),
    ]
    assert found[1].count == 1
    assert "wss://a.example, wss://b.example" in alert.detail
    assert "k3y" not in alert.detail
