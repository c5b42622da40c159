"""One effect per key, whatever is sent again, by whom, and whenever."""

from datetime import timedelta

import pytest
from django.utils import timezone

from arbsite.base import tasks
from arbsite.base.models import IdempotencyRecord
from tests.arbsite.base.clients import anyone, make_user, program, send, session
from tests.arbsite.base.keyed_views import effects, records

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.arbsite.base.keyed_views")]
BODY = {"amountWei": "7"}


@pytest.fixture(autouse=True)
def _nothing_done():
    effects.clear()


@pytest.fixture
def user():
    return make_user("operator")


@pytest.fixture
def operator(user):
    return program(user)


def money(client, body=None, key="k"):
    return send(client, "/api/money", body or BODY, key=key)


def test_a_call_that_moves_money_needs_a_key(operator):
    response = send(operator, "/api/money", BODY)

    assert response.status_code == 400
    assert "Idempotency-Key" in response.json()["errors"]
    assert effects == []


def test_another_changing_call_may_do_without(operator):
    assert send(operator, "/api/calm").status_code == 200
    assert send(operator, "/api/calm").json() == {"effect": 2}


@pytest.mark.parametrize("path", ["/api/money", "/api/calm"])
def test_a_replay_gives_the_first_answer_and_does_nothing(path, operator):
    body = BODY if path.endswith("money") else {}
    first = send(operator, path, body, key="k")
    again = send(operator, path, body, key="k")

    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again["Idempotent-Replay"] == "true"
    assert "Idempotent-Replay" not in first
    assert len(effects) == 1


def test_the_order_of_a_bodys_fields_is_nothing(operator):
    money(operator, '{"amountWei": "7", "note": "n"}')

    assert money(operator, '{"note":"n","amountWei":"7"}').status_code == 201
    assert len(effects) == 1


def test_a_key_with_another_body_is_refused(operator):
    money(operator)

    assert money(operator, {"amountWei": "8"}).status_code == 422
    assert effects == ["7"]


def test_a_key_on_another_path_is_refused(operator):
    money(operator)

    assert send(operator, "/api/calm", BODY, key="k").status_code == 422


def test_a_key_that_is_still_running_is_refused_for_now(operator):
    money(operator)
    IdempotencyRecord.objects.update(status=None, body=None)

    response = money(operator)

    assert response.status_code == 409
    assert int(response["Retry-After"]) >= 1
    assert effects == ["7"]


def test_a_refusal_is_replayed_as_the_problem_it_was(operator):
    first = money(operator, {"amountWei": "1", "note": "conflict"})
    again = money(operator, {"amountWei": "1", "note": "conflict"})

    assert first.status_code == again.status_code == 409
    assert again.json() == first.json()
    assert again["Content-Type"] == first["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(("note", "status"), [("retryable", 503), ("database", 503), ("bug", 500)])
def test_after_a_fault_the_key_may_be_tried_again(note, status, operator):
    assert money(operator, {"amountWei": "1", "note": note}).status_code == status
    assert records() == []
    assert money(operator, {"amountWei": "1"}).status_code == 201


def test_each_user_has_keys_of_their_own(operator):
    money(operator)

    assert money(program(make_user("operator", username="other"))).status_code == 201
    assert len(effects) == 2


def test_a_session_and_a_token_of_one_user_share_keys(user, operator):
    money(operator)

    assert money(session(user))["Idempotent-Replay"] == "true"


def test_who_may_not_leaves_no_key_behind():
    assert money(program(make_user("viewer"))).status_code == 403
    assert money(anyone()).status_code == 401
    assert records() == []


@pytest.mark.parametrize("key", ["x" * 201, "é", "a\x00b", "a\nb", "a\x7fb", "\u202e"])
def test_an_odd_key_is_refused(key, operator):
    assert money(operator, key=key).status_code == 400
    assert records() == []


def test_a_key_is_kept_for_a_day(operator):
    money(operator)
    IdempotencyRecord.objects.update(created_at=timezone.now() - timedelta(hours=23, minutes=59))
    tasks.prune_idempotency()
    assert money(operator)["Idempotent-Replay"] == "true"

    IdempotencyRecord.objects.update(created_at=timezone.now() - timedelta(hours=24, minutes=1))
    assert money(operator, {"amountWei": "8"}).status_code == 201
    assert effects == ["7", "8"]


def test_old_keys_are_pruned(operator):
    money(operator)
    IdempotencyRecord.objects.update(created_at=timezone.now() - timedelta(hours=25))

    tasks.prune_idempotency()

    assert records() == []
