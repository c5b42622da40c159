"""API tokens: shown once, kept as a digest, bounded by scope, role and time."""

import io
import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from arbsite.base import tokens
from arbsite.base.models import ApiToken, AuditEvent, User
from arbsite.base.permissions import RANK, rank_of

pytestmark = pytest.mark.django_db


def make_user(role="admin", **change) -> User:
    return User.objects.create_user(username=change.pop("username", role), role=role, **change)


def life(token: str) -> timedelta:
    return tokens.token_find(token).expires_at - timezone.now()


def test_only_a_digest_is_kept():
    token = tokens.token_create(user=make_user(), scope="read")

    row = ApiToken.objects.get()
    assert token not in json.dumps({f.name: str(getattr(row, f.name)) for f in row._meta.fields})
    assert len(token) >= len(tokens.PREFIX) + 43  # 256 bits
    assert tokens.token_find(token) == row


def test_two_tokens_are_never_alike():
    user = make_user()

    assert tokens.token_create(user=user, scope="read") != tokens.token_create(
        user=user, scope="read"
    )


def test_an_admin_token_lives_twelve_hours():
    token = tokens.token_create(user=make_user(), scope="admin")

    assert timedelta(hours=11, minutes=59) < life(token) <= timedelta(hours=12)


def test_days_are_refused_for_an_admin_token():
    with pytest.raises(tokens.BadToken, match=r"12 hours.*--days"):
        tokens.token_create(user=make_user(), scope="admin", days=1)


@pytest.mark.parametrize("days", [0, -1, 3651])
def test_days_out_of_range_are_refused(days):
    with pytest.raises(tokens.BadToken, match="days"):
        tokens.token_create(user=make_user(), scope="read", days=days)


def test_an_unknown_scope_is_refused():
    with pytest.raises(tokens.BadToken, match="scope"):
        tokens.token_create(user=make_user(), scope="root")


def test_an_expired_token_is_unknown():
    token = tokens.token_create(user=make_user(), scope="read", days=1)
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert tokens.token_find(token) is None


def test_a_token_dies_with_its_user():
    user = make_user()
    token = tokens.token_create(user=user, scope="read")
    User.objects.update(is_active=False)

    assert tokens.token_find(token) is None


@pytest.mark.parametrize("token", ["", "arb_", "x" * 1000, "arb_\x00"])
def test_what_was_never_made_is_unknown(token):
    assert tokens.token_find(token) is None


@pytest.mark.parametrize(
    ("role", "scope", "reach"),
    [
        ("viewer", "admin", "viewer"),
        ("operator", "read", "viewer"),
        ("operator", "admin", "operator"),
        ("admin", "operate", "operator"),
        ("admin", "admin", "admin"),
    ],
)
def test_a_token_reaches_as_far_as_the_lesser_of_role_and_scope(role, scope, reach):
    user = make_user(role)
    token = tokens.token_find(tokens.token_create(user=user, scope=scope))

    assert rank_of(user, token) == RANK[reach]


def test_a_superuser_is_an_admin_whatever_the_role_says():
    assert rank_of(make_user("viewer", is_superuser=True)) == RANK["admin"]


def test_nobody_reaches_nothing(django_user_model):
    assert rank_of(None) == -1
    assert rank_of(make_user(is_active=False)) == -1
    assert rank_of(make_user("stranger", username="s")) == -1


def test_using_a_token_costs_one_query_within_a_minute(django_assert_num_queries):
    token = tokens.token_create(user=make_user(), scope="read")
    tokens.token_find(token)

    with django_assert_num_queries(1):
        tokens.token_find(token)


def command(*words: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("create_token", *words, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_the_command_prints_the_token_alone_on_standard_output():
    make_user(username="ada")

    out, err = command("ada", "--scope", "operate", "--days", "3")

    assert tokens.token_find(out.strip()).scope == "operate"
    assert timedelta(days=2) < life(out.strip()) <= timedelta(days=3)
    assert out.strip() not in err


def test_the_command_writes_down_that_it_made_one_and_never_what():
    make_user(username="ada")

    out, _ = command("ada")

    event = AuditEvent.objects.get(verb="token.create")
    assert event.via == "command"
    assert out.strip() not in f"{event.target} {event.after}"


def test_the_command_prints_an_object_when_asked():
    make_user(username="ada")

    made = json.loads(command("ada", "--scope", "admin", "--json")[0])

    assert made["scope"] == "admin"
    assert tokens.token_find(made["token"]) is not None


def test_the_command_says_when_the_role_is_less_than_the_scope():
    make_user("viewer", username="ada")

    assert "reaches no further" in command("ada", "--scope", "operate")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nobody",), "no active user 'nobody'"),
        (("ada", "--scope", "admin", "--days", "1"), "--days"),
        (("ada", "--days", "0"), "days must be"),
        (("ada", "--scope", "root"), "invalid choice"),
    ],
)
def test_the_command_refuses_in_one_line(words, said):
    make_user(username="ada")

    with pytest.raises(CommandError, match=said) as told:
        command(*words)

    assert "\n" not in str(told.value)
    assert not ApiToken.objects.exists()
