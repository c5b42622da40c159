"""The WebSocket over a real Daphne: who may open it, what it says, and what it survives."""

import asyncio
import json
import time
from contextlib import contextmanager

import pytest
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.contrib.sessions.models import Session
from django.test import Client as Browser
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from arbsite.base.models import User
from arbsite.base.tokens import token_create
from arbsite.console.clients import CLOSE_BEHIND, Client, Frame, Wire
from arbsite.console.logins import Login
from execution.models import LatencySample
from execution.services import latency_record
from prices.models import Monitor, Opportunity, PoolState
from tests.arbsite.console import builders, served

pytestmark = pytest.mark.django_db(transaction=True)
CHANNELS = ["prices", "opportunities", "executions", "latency", "status"]


@pytest.fixture(scope="module")
def site(django_db_setup, django_db_blocker, redis_server, tmp_path_factory):
    with served.serving(static_root=tmp_path_factory.mktemp("web")) as found:
        yield found


@pytest.fixture
def market(transactional_db):
    return builders.make_market()


@contextmanager
def opened(site, *, user=None, token=None, origin=True):
    headers = {}
    if user:
        browser = Browser()
        browser.force_login(user)
        headers["Cookie"] = f"sessionid={browser.cookies['sessionid'].value}"
    if token:
        headers["Authorization"] = f"Bearer {token}"
    origin = site.url if origin is True else origin
    with connect(site.ws, additional_headers=headers, origin=origin, open_timeout=10) as ws:
        yield ws


def say(ws, **message):
    ws.send(json.dumps(message))


def hear(ws, *, timeout=10, **wanted):
    """The next frame that has these values; others are passed over."""
    end = time.monotonic() + timeout
    while True:
        frame = json.loads(ws.recv(timeout=max(0.01, end - time.monotonic())))
        if all(frame.get(name) == value for name, value in wanted.items()):
            return frame


def subscribed(ws, *channels):
    say(ws, type="subscribe", channels=list(channels))
    assert hear(ws, type="subscribed")["channels"] == list(channels)
    return [hear(ws, type="snapshot", channel=channel) for channel in channels]


def push(channel, **what):
    layer = get_channel_layer()
    message = {"type": "hub.message", "channel": channel, **what}
    async_to_sync(layer.group_send)("hub", message)


def change_price(pool_id, reserve1):
    PoolState.objects.filter(pool_id=pool_id).update(reserve1=reserve1)
    push("prices", keys=[pool_id])


@pytest.mark.parametrize(
    "origin", [None, "http://evil.example", "http://127.0.0.1", "https://127.0.0.1:1", "null"]
)
def test_a_foreign_or_missing_origin_is_refused_before_accept(site, market, origin):
    token = token_create(user=builders.make_user(), scope="read")

    with pytest.raises(InvalidStatus) as refused, opened(site, token=token, origin=origin):
        pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("token", [None, "arb_nobody", "é", ""])
def test_nobody_without_a_login_gets_in(site, market, token):
    with pytest.raises(InvalidStatus) as refused, opened(site, token=token):
        pass
    assert refused.value.response.status_code == 403


def test_a_subscriber_gets_one_snapshot_of_each_channel(site, market):
    builders.make_history()

    with opened(site, user=builders.make_user(role="viewer")) as ws:
        prices, opportunities, executions, latency, status = subscribed(ws, *CHANNELS)

    assert len(prices["data"]) == 15
    assert prices["data"][0]["pair"]
    assert {row["id"] for row in opportunities["data"]} == {20, 21, 22, 23, 24}
    assert len(executions["data"]) == 12
    assert {row["stage"] for row in latency["data"]} >= {"simulate", "total"}
    assert status["data"]["chains"][0]["chain"] == "local"


def test_a_bearer_token_opens_it_too(site, market):
    token = token_create(user=builders.make_user(role="viewer"), scope="read")

    with opened(site, token=token) as ws:
        assert subscribed(ws, "prices")[0]["data"]


def test_updates_carry_what_changed_numbered_without_gaps(site, market):
    pools = list(PoolState.objects.order_by("pool_id").values_list("pool_id", flat=True)[:3])

    with opened(site, user=builders.make_user(role="viewer")) as ws:
        [snapshot] = subscribed(ws, "prices")
        heard = []
        for n, pool in enumerate(pools):
            change_price(pool, 10**24 + n)
            heard.append(hear(ws, type="update", channel="prices"))

    assert [frame["seq"] - snapshot["seq"] for frame in heard] == [1, 2, 3]
    assert [[row["reserve1"] for row in frame["data"]] for frame in heard] == [
        [str(10**24)], [str(10**24 + 1)], [str(10**24 + 2)],
    ]  # fmt: skip


def test_a_recorded_latency_is_told_with_the_figures_of_its_stage(site, market):
    LatencySample.objects.create(chain=market, stage="total", microseconds=2_000)

    with opened(site, user=builders.make_user(role="viewer")) as ws:
        [snapshot] = subscribed(ws, "latency")
        latency_record(chain=market, execution_pk=None, stages_us={"total": 8_000})
        told = hear(ws, type="update", channel="latency")

    assert told["seq"] == snapshot["seq"] + 1
    assert [row["maxMs"] for row in snapshot["data"]] == [2.0]
    assert told["data"] == [
        {"id": "local:total", "chain": "local", "stage": "total", "windowS": 900, "count": 2,
         "p50Ms": 2.0, "p95Ms": 8.0, "p99Ms": 8.0, "maxMs": 8.0},
    ]  # fmt: skip


def test_all_clients_hear_the_same_frame_and_who_left_hears_nothing(site, market):
    user = builders.make_user(role="viewer")
    pool = PoolState.objects.first().pool_id

    with opened(site, user=user) as one, opened(site, user=user) as two:
        subscribed(one, "prices")
        subscribed(two, "prices", "opportunities")
        say(two, type="unsubscribe", channels=["prices"])
        assert hear(two, type="unsubscribed")["channels"] == ["prices"]
        change_price(pool, 10**24)
        assert hear(one, type="update")["data"]
        say(two, type="ping")
        assert json.loads(two.recv(timeout=5)) == {"type": "pong"}


def test_a_hundred_changes_come_in_at_most_ten_frames_a_second_and_the_last_one_comes(site, market):
    pool = PoolState.objects.first().pool_id

    with opened(site, user=builders.make_user(role="viewer")) as ws:
        subscribed(ws, "prices", "opportunities")
        began = time.monotonic()
        for n in range(100):
            change_price(pool, 10**24 + n)
        frames = 0
        last = None
        while last != str(10**24 + 99):
            frame = hear(ws, type="update")
            frames += 1
            if frame["channel"] == "prices":
                last = frame["data"][0]["reserve1"]

    # Over the whole time: a reader that was kept waiting hears several at once.
    assert frames <= 10 * (time.monotonic() - began) + 1


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("{", "bad_json"),
        ("[" * 9000, "bad_json"),
        ("[]", "bad_message"),
        ('{"type": 5}', "bad_message"),
        ('{"type": "shout"}', "unknown_type"),
        ('{"type": "subscribe"}', "bad_channels"),
        ('{"type": "subscribe", "channels": []}', "bad_channels"),
        ('{"type": "subscribe", "channels": [{"a": 1}]}', "unknown_channel"),
        ('{"type": "subscribe", "channels": ["secrets"]}', "unknown_channel"),
        ('{"type": "ping", "pad": "' + "x" * 17_000 + '"}', "too_large"),
        ('{"type": "ping", "pad": "' + "é" * 9_000 + '"}', "too_large"),
        (b"\x00\x01", "bad_frame"),
    ],
)
def test_a_bad_frame_gets_an_error_and_the_socket_lives_on(site, market, frame, code):
    with opened(site, user=builders.make_user(role="viewer")) as ws:
        ws.send(frame)
        error = hear(ws, type="error")
        assert error["code"] == code
        assert error["detail"]
        say(ws, type="ping")
        assert hear(ws, type="pong")


def test_known_channels_are_subscribed_beside_an_unknown_one(site, market):
    with opened(site, user=builders.make_user(role="viewer")) as ws:
        say(ws, type="subscribe", channels=["prices", "secrets"])
        assert hear(ws, type="error")["code"] == "unknown_channel"
        assert hear(ws, type="subscribed")["channels"] == ["prices"]
        assert hear(ws, type="snapshot", channel="prices")


def test_signing_out_closes_the_socket(site, market):
    with opened(site, user=builders.make_user(role="viewer")) as ws:
        subscribed(ws, "prices")
        Session.objects.all().delete()
        with pytest.raises(ConnectionClosed) as closed:
            hear(ws, type="never", timeout=15)
    assert closed.value.rcvd.code == 4001


def test_a_user_switched_off_cannot_subscribe_any_more(site, market):
    user = builders.make_user(role="viewer")
    with opened(site, user=user) as ws:
        say(ws, type="ping")
        hear(ws, type="pong")
        User.objects.filter(pk=user.pk).update(is_active=False)
        say(ws, type="subscribe", channels=["prices"])
        with pytest.raises(ConnectionClosed) as closed:
            hear(ws, type="snapshot", timeout=15)
    assert closed.value.rcvd.code == 4001


def test_status_is_told_within_seconds_without_any_push(site, market):
    with opened(site, user=builders.make_user(role="viewer")) as ws:
        subscribed(ws, "status")
        Monitor.objects.update(head_number=24_999_999)
        end = time.monotonic() + 10
        while True:
            chain = hear(ws, type="update", channel="status")["data"]["chains"][0]
            if chain["blockNumber"] == 24_999_999:
                break
            assert time.monotonic() < end


def test_an_ended_opportunity_is_told_with_its_end(site, market):
    row = builders.make_opportunity(7)
    with opened(site, user=builders.make_user(role="viewer")) as ws:
        [snapshot] = subscribed(ws, "opportunities")
        assert [each["id"] for each in snapshot["data"]] == [7]
        Opportunity.objects.filter(pk=7).update(ended_at=row.detected_at)
        push("opportunities", keys=[7])
        [told] = hear(ws, type="update", channel="opportunities")["data"]
    assert told["endedAt"] is not None


def test_a_transactions_own_id_finds_its_execution(site, market):
    row = builders.make_execution(1)
    with opened(site, user=builders.make_user(role="viewer")) as ws:
        subscribed(ws, "executions")
        push("executions", id=row.transaction_id)
        told = hear(ws, type="update", channel="executions")["data"]
    assert row.pk in {each["id"] for each in told}


def test_without_redis_pages_still_follow_the_record(market, tmp_path, tmp_path_factory):
    from arbsite.stack import paths, valkey

    folder = tmp_path / "other"
    url = paths.redis_url(folder)
    web = tmp_path_factory.mktemp("web")
    user = builders.make_user(role="viewer")
    pool = PoolState.objects.first().pool_id
    with served.serving(static_root=web, redis_url=url) as site:
        with valkey.running(folder), opened(site, user=user) as ws:
            [first] = subscribed(ws, "prices")
        with opened(site, user=user) as ws:  # Redis is gone, the socket opens all the same
            [snapshot] = subscribed(ws, "prices")
            PoolState.objects.filter(pool_id=pool).update(reserve1=10**24 + 5)
            end = time.monotonic() + 15
            while True:
                frame = hear(ws, type="update", channel="prices", timeout=15)
                if any(row["reserve1"] == str(10**24 + 5) for row in frame["data"]):
                    break
                assert time.monotonic() < end
            assert frame["seq"] > snapshot["seq"] >= first["seq"]


async def test_a_client_that_takes_nothing_loses_frames_and_is_closed_with_4008():
    sent, stuck = [], asyncio.Event()

    async def send(message):
        sent.append(message)
        if message["type"] == "websocket.send":
            await stuck.wait()

    login = Login(1, "s", None)
    client = Client(send=send, wire=Wire(send), login=login, behind_s=0.3)
    client.channels.add("prices")
    running = asyncio.create_task(client.send_all())
    for n in range(1000):
        client.offer("prices", Frame(f"frame {n}"))
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await running

    assert [m["text"] for m in sent if m["type"] == "websocket.send"] == ["frame 0"]
    assert sent[-1] == {"type": "websocket.close", "code": CLOSE_BEHIND}


async def test_a_client_that_takes_too_little_for_too_long_is_closed_too():
    sent = []

    async def send(message):
        sent.append(message)
        await asyncio.sleep(0.05)

    client = Client(send=send, wire=Wire(send), login=Login(1, "s", None), behind_s=0.5)
    client.channels |= {"prices", "status"}
    running = asyncio.create_task(client.send_all())
    async with asyncio.timeout(5):
        while not running.done():
            client.offer("prices", Frame("p"))
            client.offer("status", Frame("s"))
            await asyncio.sleep(0.01)

    assert sent[-1] == {"type": "websocket.close", "code": CLOSE_BEHIND}


async def test_a_client_that_was_slow_for_a_moment_gets_the_latest_frame():
    sent, gate = [], asyncio.Event()

    async def send(message):
        await gate.wait()
        sent.append(message["text"])

    client = Client(send=send, wire=Wire(send), login=Login(1, "s", None))
    client.channels.add("prices")
    running = asyncio.create_task(client.send_all())
    for n in range(10):
        client.offer("prices", Frame(f"frame {n}"))
        await asyncio.sleep(0)
    gate.set()
    async with asyncio.timeout(5):
        while sent[-1:] != ["frame 9"]:
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert sent == ["frame 0", "frame 9"]
