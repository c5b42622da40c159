"""Requests of people: status codes, reasons, one execution however often it is clicked."""

import threading
import uuid

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from arbsite.base.models import AuditEvent, User
from execution import render, selectors, services
from execution.models import Execution, FastMode
from tests.execution.rows import (
    armed,
    make_chain,
    make_desk_rows,
    make_execution,
    make_opportunity,
    make_sent,
    mine,
)
from wallets import kill

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def chain(channel_layer, monkeypatch):
    monkeypatch.setattr(services, "WAIT_S", 0.1)
    monkeypatch.setattr(services, "LOOK_S", 0.01)
    row = make_chain()
    make_desk_rows(row)
    armed(row)
    return row


def user(role="operator"):
    return User.objects.create(username=f"{role}-{uuid.uuid4()}", role=role)


def client(role="operator"):
    made = APIClient()
    made.force_authenticate(user(role))
    return made


def post(path, body, *, by=None, key=None):
    headers = {"HTTP_IDEMPOTENCY_KEY": key or str(uuid.uuid4())}
    return (by or client()).post(path, body, format="json", **headers)


def execute(pk, **how):
    return post("/api/execute", {"opportunityId": pk}, **how)


def test_without_an_engine_it_stays_open(chain):
    row = make_opportunity(chain)
    answer = execute(row.pk)
    assert (answer.status_code, answer.data["status"]) == (202, "planned")
    assert [r.opportunity_id for r in services.requests_open(chain_key="local")] == [row.pk]
    assert AuditEvent.objects.filter(verb="execute", target=f"opportunity {row.pk}").exists()


def test_the_same_key_gives_the_first_answer_and_one_execution(chain):
    row, by = make_opportunity(chain), client()
    first, second = (execute(row.pk, by=by, key="one") for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.data["id"] == second.data["id"]
    assert Execution.objects.count() == 1


def test_it_needs_an_idempotency_key(chain):
    answer = client().post("/api/execute", {"opportunityId": 1}, format="json")
    assert answer.status_code == 400


def test_a_second_click_is_told_which_execution_acts_already(chain):
    row = make_opportunity(chain)
    first = execute(row.pk)
    second = execute(row.pk)
    assert second.status_code == 409
    assert second.data["reason"] == "in_flight"
    assert second.data["executionId"] == first.data["id"]


def test_ten_clicks_at_one_moment_make_one_execution(chain):
    row = make_opportunity(chain)
    codes = []

    def click():
        codes.append(execute(row.pk).status_code)
        connection.close()

    clicks = [threading.Thread(target=click) for _ in range(10)]
    for each in clicks:
        each.start()
    for each in clicks:
        each.join()
    assert sorted(codes) == [202] + [409] * 9
    assert Execution.objects.count() == 1


@pytest.mark.parametrize("pk", [1, 999])
def test_an_opportunity_that_ended_or_never_was_is_superseded(chain, pk):
    make_opportunity(chain, pk=1, ended_at=timezone.now())
    answer = execute(pk)
    assert (answer.status_code, answer.data["reason"]) == (409, "superseded")
    assert not Execution.objects.exists()


def test_while_killed_it_is_refused(chain):
    row = make_opportunity(chain)
    kill.kill_engage(reason="a test")
    for answer in (execute(row.pk), post("/api/execute/test", {"chain": "local"})):
        assert (answer.status_code, answer.data["reason"]) == (409, "killed")
    assert not Execution.objects.exists()


@pytest.mark.parametrize("state", ["off", "paused"])
def test_fast_mode_has_no_say(chain, state):
    FastMode.objects.update(state=state)
    assert execute(make_opportunity(chain).pk).status_code == 202


class Engine(threading.Thread):
    """Stands where the engine would: does ``what`` with the first request it sees."""

    def __init__(self, what):
        super().__init__()
        self.what = what
        self.start()

    def run(self):
        for _ in range(500):
            found = services.requests_open(chain_key="local")
            if found:
                self.what(found[0])
                break
            threading.Event().wait(0.01)
        connection.close()


@pytest.fixture
def patient(chain, monkeypatch):
    monkeypatch.setattr(services, "WAIT_S", 5.0)
    return chain


def asked(chain, what):
    """The answer to a request with which an engine does ``what``."""
    row = make_opportunity(chain)
    engine = Engine(what)
    outcome = None
    try:
        outcome = services.execution_request(
            opportunity_id=row.pk, by=user(), request=None, wait_s=5
        )
    except services.Conflict as error:
        outcome = error
    finally:
        engine.join()
    return outcome


@pytest.mark.parametrize("reason", ["min_profit", "max_gas", "gas", "simulation_failed"])
def test_a_refusal_of_the_moment_is_a_conflict_with_that_reason(patient, reason):
    found = asked(
        patient, lambda row: services.execution_refused(pk=row.pk, reason=reason, detail="why")
    )
    assert found.extra["reason"] == reason
    assert str(found) == "why"


def test_a_mined_execution_is_created(patient):
    def execute_it(row):
        sent = make_sent(patient)
        mine(sent)
        Execution.objects.filter(pk=row.pk).update(transaction=sent)

    found = asked(patient, execute_it)
    assert found.http_status == 201
    assert found.execution.transaction.status == "included"


def test_one_that_was_rejected_before_it_was_signed_is_a_conflict(patient):
    def reject(row):
        sent = make_sent(patient, status="rejected")
        Execution.objects.filter(pk=row.pk).update(transaction=sent)
        services.execution_refused(pk=row.pk, reason="limit", detail="too many this hour")

    found = asked(patient, reject)
    assert found.extra["reason"] == "limit"


def test_after_a_refusal_it_may_be_asked_for_again(chain):
    row = make_opportunity(chain)
    first = execute(row.pk)
    services.execution_refused(pk=first.data["id"], reason="min_profit")
    assert execute(row.pk).status_code == 202


def test_a_request_that_took_a_nonce_is_never_dropped(chain):
    row = make_execution(chain, sent=make_sent(chain))
    services.execution_refused(pk=row.pk, reason="superseded")
    assert Execution.objects.get(pk=row.pk).refused == ""


def test_a_test_transaction_is_asked_for_and_waits(chain):
    answer = post("/api/execute/test", {"chain": "local"})
    assert (answer.status_code, answer.data["kind"]) == (202, "test")


def test_roles_and_input(chain):
    row = make_opportunity(chain)
    assert execute(row.pk, by=APIClient()).status_code in (401, 403)
    assert execute(row.pk, by=client("viewer")).status_code == 403
    for bad in (0, -1, 2**63, "x", None, [], 1.5):
        assert execute(bad).status_code == 400, bad
    assert post("/api/execute/test", {"chain": "nowhere"}).status_code in (400, 404)


def test_reading(chain):
    row = make_execution(chain, sent=make_sent(chain))
    viewer = client("viewer")
    assert viewer.get("/api/executions").data["results"][0]["id"] == row.pk
    assert viewer.get(f"/api/executions/{row.pk}").data["status"] == "submitted"
    assert viewer.get("/api/executions/999999").status_code == 404
    assert viewer.get(f"/api/executions/{2**70}").status_code == 404
    assert viewer.get("/api/executions?status=reverted").data["results"] == []
    status = viewer.get("/api/execute/status?chain=local").data
    assert status["ready"] is False
    assert {check["key"] for check in status["checks"]} >= {"gas_balance", "feed_fresh", "signer"}


def test_arming_is_refused_with_the_failing_checks_and_disarming_gives_the_proof(chain):
    admin = client("admin")
    refused = post("/api/fast-mode/enable", {"chain": "local"}, by=admin)
    assert refused.status_code == 409
    assert {check["key"] for check in refused.data["checks"]} >= {"feed_fresh"}
    done = post("/api/fast-mode/disable", {"chain": "local"}, by=client())
    assert (done.status_code, done.data["state"]) == (200, "off")
    assert done.data["proof"]["steps"][0]["step"] == "committed"
    assert FastMode.objects.get().state == "off"


def test_where_money_is_real_arming_and_releasing_ask_for_the_second_factor(chain):
    bsc = make_chain(key="bsc", eip155_id=56, is_local=False)
    armed(bsc)
    by = client("admin")

    def asked(path, body):
        answer = post(path, body, by=by)
        return answer.status_code == 403 and answer.json()["code"] == "reauthentication_required"

    assert asked("/api/fast-mode/enable", {"chain": "bsc"})
    assert asked("/api/kill/release", {"chain": "bsc", "reason": "over"})
    assert asked("/api/kill/release", {"reason": "over"})  # bsc is among all chains
    assert not asked("/api/kill/release", {"chain": "local", "reason": "over"})
    assert not asked("/api/kill", {"chain": "bsc", "reason": "stopping is one click"})
    assert not asked("/api/fast-mode/disable", {"chain": "bsc"})


@pytest.mark.parametrize("ok", [True, False])
def test_what_a_receipt_says_of_a_call_is_told_before_it_is_final(chain, ok):
    sent = make_sent(chain)
    make_execution(chain, sent=sent)
    assert render.execution(selectors.executions().get())["succeeded"] is None
    mine(sent, ok=ok)
    told = render.execution(selectors.executions().get())
    assert (told["status"], told["succeeded"]) == ("included", ok)
