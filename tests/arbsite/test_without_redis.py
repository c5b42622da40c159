"""The kill switch over a real Daphne whose Redis, channel layer and broker, was never there."""

import json
import time
import urllib.request

import pytest

from arbsite.base.tokens import token_create
from arbsite.stack import paths
from tests.arbsite.console import builders, served
from tests.arbsite.test_socket import hear, opened, subscribed
from wallets.models import KillState

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE_S = 10  # a caller must not hang


@pytest.fixture
def market(transactional_db):
    return builders.make_market()


def post(site, path, body, *, token):
    request = urllib.request.Request(  # noqa: S310  our own site
        site.url + path,
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310  our own site
        return answer.status, json.load(answer)


def test_the_kill_switch_stops_proves_it_and_open_pages_are_told(
    market, tmp_path, tmp_path_factory
):
    nobody = paths.redis_url(tmp_path / "nobody")
    user = builders.make_user(role="operator")
    token = token_create(user=user, scope="operate")
    web = tmp_path_factory.mktemp("web")
    with served.serving(static_root=web, redis_url=nobody) as site, opened(site, user=user) as page:
        [before] = subscribed(page, "status")
        assert not before["data"]["killed"]
        started = time.monotonic()
        status, proof = post(site, "/api/kill", {"reason": "Redis is gone"}, token=token)
        assert time.monotonic() - started < PATIENCE_S
        while not hear(page, type="update", channel="status", timeout=15)["data"]["killed"]:
            assert time.monotonic() - started < 3 * PATIENCE_S
    assert (status, proof["scope"], proof["complete"]) == (200, "*", True)
    assert [step["step"] for step in proof["steps"]] == [
        "committed", "barrier", "handovers_ended", "listed",
    ]  # fmt: skip
    row = KillState.objects.get(scope="*")
    assert (row.engaged, row.reason) == (True, "Redis is gone")
