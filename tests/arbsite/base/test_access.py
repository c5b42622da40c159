"""Every route of the API, and who may use it: a route that is not in the table fails."""

import re
from collections.abc import Iterator

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from arbsite.base.models import AuditEvent
from arbsite.base.permissions import RANK
from tests.arbsite.base.clients import ROLES, anyone, make_user, program, send, session

pytestmark = pytest.mark.django_db
OPEN = "anyone"
CHANGES = ("POST", "PUT", "PATCH", "DELETE")

# (method, route) -> the least role. Everything changing is a POST.
TABLE = {
    ("GET", "api/health"): OPEN,
    ("GET", "api/status"): "viewer",
    ("GET", "api/schema/"): "viewer",
    ("GET", "api/docs/"): "viewer",
    ("GET", "api/prices/status"): "viewer",
    ("GET", "api/prices/live"): "viewer",
    ("GET", "api/prices/spreads"): "viewer",
    ("GET", "api/prices/pair/<path:pair>"): "viewer",
    ("POST", "api/prices/start"): "operator",
    ("POST", "api/prices/stop"): "operator",
    ("GET", "api/opportunities"): "viewer",
    ("GET", "api/opportunities/<int:pk>"): "viewer",
    ("POST", "api/opportunities/<int:pk>/simulate"): "operator",
    ("GET", "api/execute/status"): "viewer",
    ("POST", "api/execute/test"): "operator",
    ("POST", "api/execute"): "operator",
    ("GET", "api/executions"): "viewer",
    ("GET", "api/executions/<int:pk>"): "viewer",
    ("GET", "api/fast-mode/status"): "viewer",
    ("POST", "api/fast-mode/enable"): "admin",
    ("POST", "api/fast-mode/disable"): "operator",
    ("POST", "api/fast-mode/pause"): "operator",
    ("POST", "api/fast-mode/resume"): "operator",
    ("POST", "api/fast-mode/config"): "admin",
    ("GET", "api/fast-mode/config/versions"): "viewer",
    ("POST", "api/fast-mode/config/rollback"): "admin",
    ("GET", "api/fast-mode/latency"): "viewer",
    ("POST", "api/kill/drill"): "admin",
    ("GET", "api/kill/status"): "viewer",
    ("POST", "api/kill"): "operator",
    ("POST", "api/kill/release"): "admin",
    ("GET", "api/tokens"): "viewer",
    ("POST", "api/tokens/<int:pk>/deny"): "admin",
    ("POST", "api/tokens/<int:pk>/allow"): "admin",
    ("GET", "api/pairs"): "viewer",
    ("POST", "api/pairs/<int:pk>/deny"): "admin",
    ("POST", "api/pairs/<int:pk>/allow"): "admin",
    ("GET", "api/wallets"): "viewer",
    ("GET", "api/wallets/summary"): "viewer",
    ("GET", "api/wallets/balances"): "viewer",
    ("GET", "api/wallets/low-balance"): "viewer",
    ("GET", "api/wallets/requests"): "viewer",
    ("GET", "api/wallets/requests/<int:pk>"): "viewer",
    ("GET", "api/wallets/<int:pk>"): "viewer",
    ("POST", "api/wallets/generate"): "admin",
    ("POST", "api/wallets/refresh"): "operator",
    ("POST", "api/wallets/auto-fund"): "admin",
    ("POST", "api/wallets/monitoring/start"): "operator",
    ("POST", "api/wallets/monitoring/stop"): "operator",
    ("GET", "api/wallets/monitoring/status"): "viewer",
    ("POST", "api/wallets/<int:pk>/fund"): "admin",
    ("GET", "api/wallets/<int:pk>/balances"): "viewer",
    ("POST", "api/wallets/<int:pk>/authorize"): "admin",
    ("POST", "api/wallets/<int:pk>/revoke"): "admin",
    ("POST", "api/wallets/<int:pk>/retire"): "admin",
    ("POST", "api/wallets/<int:pk>/expose"): "admin",
    ("POST", "api/wallets/<int:pk>/move-away"): "admin",
    ("GET", "api/contracts"): "viewer",
    ("GET", "api/contracts/<int:pk>"): "viewer",
    ("POST", "api/contracts/deploy"): "admin",
    ("POST", "api/contracts/refresh"): "operator",
    ("POST", "api/contracts/<int:pk>/pause"): "operator",
    ("POST", "api/contracts/<int:pk>/unpause"): "admin",
    ("POST", "api/contracts/<int:pk>/sweep"): "admin",
    ("POST", "api/contracts/<int:pk>/limits"): "admin",
    ("POST", "api/contracts/<int:pk>/mend"): "admin",
    ("POST", "api/contracts/<int:pk>/replace"): "admin",
}
# SPEC: these move money or make keys.
KEYED = {
    "api/execute",
    "api/execute/test",
    "api/wallets/generate",
    "api/wallets/<int:pk>/authorize",
    "api/wallets/<int:pk>/revoke",
    "api/wallets/<int:pk>/fund",
    "api/wallets/<int:pk>/move-away",
    "api/wallets/auto-fund",
    "api/contracts/<int:pk>/sweep",
    "api/contracts/<int:pk>/replace",
    "api/contracts/deploy",
}
ROUTES = sorted(TABLE)
CHANGING = [route for method, route in ROUTES if method in CHANGES]


def routes(patterns=None, prefix="") -> Iterator[tuple[str, str]]:
    """Each (method, route) below ``/api/``."""
    for entry in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry.url_patterns, route)
        elif isinstance(entry, URLPattern) and route.startswith("api/"):
            view = entry.callback.view_class
            yield from (
                (name.upper(), route)
                for name in ("get", *(c.lower() for c in CHANGES))
                if hasattr(view, name)
            )


def concrete(route: str) -> str:
    return "/" + re.sub(r"<int:\w+>", "1", re.sub(r"<(path|str):\w+>", "CAKE-USDT", route))


def ask(client, method: str, route: str):
    if method == "GET":
        return client.get(concrete(route))
    # Nobody knows this field, so whoever gets through is refused before anything is done.
    return send(client, concrete(route), {"nobodyKnowsThis": 1}, key="walk")


def test_every_route_is_in_the_table_and_every_entry_is_a_route():
    assert set(routes()) == set(TABLE)


@pytest.mark.parametrize("kind", [session, program])
@pytest.mark.parametrize("role", ROLES)
def test_a_role_reaches_what_the_table_gives_it_and_no_more(role, kind):
    client = kind(make_user(role))
    wrong = {}
    for method, route in ROUTES:
        needed = TABLE[method, route]
        status = ask(client, method, route).status_code
        if needed == OPEN or RANK[role] >= RANK[needed]:
            good = status not in (401, 403) and status < 500
        else:
            good = status == 403
        if not good:
            wrong[method, route] = status

    assert wrong == {}


@pytest.mark.parametrize("scope", ["read", "operate"])
def test_an_admins_token_reaches_no_further_than_its_scope(scope):
    client = program(make_user("admin"), scope=scope)
    limit = RANK[{"read": "viewer", "operate": "operator"}[scope]]

    found = {
        (method, route): ask(client, method, route).status_code == 403 for method, route in ROUTES
    }

    assert found == {at: TABLE[at] != OPEN and RANK[TABLE[at]] > limit for at in ROUTES}


def test_without_a_login_only_health_answers():
    for method, route in ROUTES:
        status = ask(anyone(), method, route).status_code
        assert (status == 200) if TABLE[method, route] == OPEN else (status == 401), route


@pytest.mark.parametrize("route", CHANGING)
def test_a_session_changes_nothing_without_its_csrf_token(route):
    response = ask(session(make_user("admin"), csrf=False), "POST", route)

    assert response.status_code == 403
    assert "CSRF" in response.json()["detail"]


@pytest.mark.parametrize("route", CHANGING)
def test_calls_that_move_money_need_a_key_and_others_accept_one(route):
    client = program(make_user("admin"))
    response = send(client, concrete(route), {"nobodyKnowsThis": 1})

    asked_for_key = "Idempotency-Key" in response.json().get("errors", {})
    assert asked_for_key == (route in KEYED)
    first = ask(client, "POST", route)
    assert first.status_code >= 500 or ask(client, "POST", route)["Idempotent-Replay"] == "true"


def test_walking_all_routes_as_an_admin_does_nothing():
    client = program(make_user("admin"))
    for method, route in ROUTES:
        ask(client, method, route)

    assert list(AuditEvent.objects.values_list("verb", flat=True)) == []


def test_an_inactive_user_is_nobody():
    user = make_user("admin")
    clients = [session(user), program(user)]
    user.is_active = False
    user.save()

    assert {client.get("/api/status").status_code for client in clients} == {401}
