"""What changes is written down in the same transaction, or does not change."""

from contextlib import contextmanager

import pytest
from django.db import connection

from arbsite.base import audit
from arbsite.base.models import AuditEvent
from execution.fast_mode import fast_mode_ensure
from execution.models import FastMode
from prices.models import Monitor
from prices.services import monitor_ensure
from tests.arbsite.base.clients import make_user, program, send, session
from tests.arbsite.base.test_fields import make_chain
from wallets.kill import kill_rows_ensure
from wallets.models import KillState

# path, body, verb, and what must not have moved when the audit could not be written
CHANGES = {
    "start": ("/api/prices/start", {"pollIntervalMs": 500}, "prices_start"),
    "stop": ("/api/prices/stop", {}, "prices_stop"),
    "disable": ("/api/fast-mode/disable", {"chain": "local"}, "fast_mode_off"),
    "kill": ("/api/kill", {"reason": "drill"}, "kill.engage"),
    "release": ("/api/kill/release", {"reason": "over"}, "kill.release"),
}


@pytest.fixture
def chain(transactional_db):
    chain = make_chain()
    monitor_ensure(chain=chain)
    fast_mode_ensure(chain=chain)
    kill_rows_ensure(chain_keys=[chain.key])
    return chain


def state():
    return (
        list(Monitor.objects.values_list("wanted", "poll_interval_ms")),
        list(FastMode.objects.values_list("state", "reason")),
        list(KillState.objects.order_by("scope").values_list("scope", "engaged", "epoch")),
    )


@contextmanager
def audit_refused():
    """The record of acts cannot be written."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE base_auditevent ADD CONSTRAINT closed CHECK (false) NOT VALID")
        try:
            yield
        finally:
            cursor.execute("ALTER TABLE base_auditevent DROP CONSTRAINT closed")


@pytest.mark.usefixtures("chain")
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_says_who_what_when_and_from_where(change):
    path, body, verb = CHANGES[change]
    user = make_user("admin")

    response = send(session(user), path, body, REMOTE_ADDR="192.0.2.7")

    assert response.status_code == 200, response.content
    event = AuditEvent.objects.get(verb=verb)
    assert (event.actor, event.actor_name, event.via) == (user, "admin", "api")
    assert event.source_ip == "192.0.2.7"
    assert event.request_id == response["X-Request-Id"]
    assert event.after is not None


@pytest.mark.usefixtures("chain")
@pytest.mark.parametrize("change", CHANGES)
def test_what_cannot_be_written_down_does_not_happen(change):
    path, body, _ = CHANGES[change]
    client = program(make_user("admin"))
    before = state()

    with audit_refused():
        assert send(client, path, body).status_code == 500

    assert state() == before


@pytest.mark.django_db
def test_an_event_keeps_what_it_was_given_and_no_more():
    event = audit.record(verb="x", target="t" * 500, via="command", after={"wei": "1" * 78})

    event.refresh_from_db()
    assert (event.actor, event.actor_name, event.source_ip) == (None, "command", None)
    assert len(event.target) == 120
    assert event.after == {"wei": "1" * 78}
    assert event.before is None
