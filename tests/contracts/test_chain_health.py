"""Endpoints are measured by beat's task alone: no engine, no feed, no monitoring."""

import pytest
from django.utils import timezone

from contracts.localchain.anvil import Anvil, free_port
from contracts.models import Chain, RpcHealth
from contracts.tasks import measure_chain_health

pytestmark = [pytest.mark.e2e, pytest.mark.django_db]
CHAIN_ID = 31337


@pytest.fixture(scope="module")
def anvil():
    with Anvil(port=free_port(), chain_id=CHAIN_ID) as node:
        yield node


def chain_with(*, http, ws=(), eip155_id=CHAIN_ID, key="local"):
    return Chain.objects.create(
        key=key,
        name=key,
        eip155_id=eip155_id,
        native_symbol="BNB",
        is_local=True,
        block_time_ms=1_000,
        confirmations=1,
        fee_model="legacy",
        min_gas_price_wei=1,
        rpc_http=list(http),
        rpc_ws=list(ws),
        checked_at=timezone.now(),
    )


def measured(kind, key="local"):
    return list(RpcHealth.objects.filter(chain_id=key, kind=kind).order_by("position"))


def test_each_endpoint_is_measured_where_no_engine_runs(anvil):
    chain_with(http=[anvil.http_url], ws=[anvil.ws_url])
    anvil.rpc.call("anvil_mine", [hex(7)])

    measure_chain_health()

    for row in (*measured("http"), *measured("ws")):
        assert row.ok
        assert row.block_number == int(anvil.rpc.call("eth_blockNumber"), 16)
        assert row.latency_us > 0
    assert len(measured("http")) == len(measured("ws")) == 1


def test_an_endpoint_that_is_away_is_written_down_masked(anvil):
    away = f"http://127.0.0.1:{free_port()}/v2/a-providers-key"
    chain_with(http=[anvil.http_url, away], ws=[away.replace("http", "ws")])

    measure_chain_health()

    first, second = measured("http")
    (socket,) = measured("ws")
    assert (first.ok, second.ok, socket.ok) == (True, False, False)
    assert second.error
    for row in (second, socket):
        assert "a-providers-key" not in f"{row.endpoint} {row.error}"


def test_a_node_of_another_chain_is_no_health(anvil):
    chain_with(http=[anvil.http_url], ws=[anvil.ws_url], eip155_id=97, key="mistaken")

    measure_chain_health()

    rows = [*measured("http", key="mistaken"), *measured("ws", key="mistaken")]
    assert len(rows) == 2
    for row in rows:
        assert not row.ok
        assert "31337" in row.error


def test_one_chains_trouble_does_not_hide_the_others(anvil):
    chain_with(http=["http://10.1.2.3:8545"], key="afar", eip155_id=5)  # local, yet elsewhere
    chain_with(http=[anvil.http_url])

    measure_chain_health()

    assert [row.ok for row in measured("http")] == [True]
    assert measured("http", key="afar") == []


def test_measuring_again_changes_rows_and_makes_none(anvil):
    chain = chain_with(http=[anvil.http_url, anvil.http_url + "/"])
    measure_chain_health()
    assert len(measured("http")) == 2
    Chain.objects.filter(pk=chain.pk).update(rpc_http=[anvil.http_url])

    measure_chain_health()

    assert len(measured("http")) == 1
