"""The API describes itself: every promised operation, and nothing it could not describe."""

import warnings

import pytest
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator

PROMISED = {
    "/api/health": {"get"},
    "/api/status": {"get"},
    "/api/prices/status": {"get"},
    "/api/prices/live": {"get"},
    "/api/prices/spreads": {"get"},
    "/api/prices/pair/{pair}": {"get"},
    "/api/prices/start": {"post"},
    "/api/prices/stop": {"post"},
    "/api/execute/status": {"get"},
    "/api/execute/test": {"post"},
    "/api/execute": {"post"},
    "/api/executions": {"get"},
    "/api/executions/{id}": {"get"},
    "/api/opportunities": {"get"},
    "/api/opportunities/{id}": {"get"},
    "/api/opportunities/{id}/simulate": {"post"},
    "/api/kill": {"post"},
    "/api/kill/release": {"post"},
    "/api/fast-mode/status": {"get"},
    "/api/fast-mode/enable": {"post"},
    "/api/fast-mode/disable": {"post"},
    "/api/fast-mode/pause": {"post"},
    "/api/fast-mode/resume": {"post"},
    "/api/fast-mode/config": {"post"},
    "/api/fast-mode/config/versions": {"get"},
    "/api/fast-mode/config/rollback": {"post"},
    "/api/fast-mode/latency": {"get"},
    "/api/wallets": {"get"},
    "/api/wallets/summary": {"get"},
    "/api/wallets/balances": {"get"},
    "/api/wallets/low-balance": {"get"},
    "/api/wallets/{id}": {"get"},
    "/api/wallets/requests/{id}": {"get"},
    "/api/wallets/generate": {"post"},
    "/api/wallets/{id}/fund": {"post"},
    "/api/wallets/auto-fund": {"post"},
    "/api/wallets/monitoring/start": {"post"},
    "/api/wallets/monitoring/stop": {"post"},
    "/api/wallets/monitoring/status": {"get"},
    "/api/wallets/{id}/authorize": {"post"},
    "/api/wallets/{id}/revoke": {"post"},
    "/api/wallets/{id}/expose": {"post"},
    "/api/wallets/{id}/move-away": {"post"},
    "/api/contracts": {"get"},
    "/api/contracts/{id}/pause": {"post"},
    "/api/contracts/{id}/unpause": {"post"},
    "/api/contracts/{id}/sweep": {"post"},
    "/api/contracts/{id}/limits": {"post"},
    "/api/contracts/{id}/mend": {"post"},
    "/api/contracts/{id}/replace": {"post"},
    "/api/tokens/{id}/deny": {"post"},
    "/api/tokens/{id}/allow": {"post"},
    "/api/pairs/{id}/deny": {"post"},
    "/api/pairs/{id}/allow": {"post"},
}


@pytest.fixture(scope="module")
def described():
    with GENERATOR_STATS.silence(), warnings.catch_warnings():
        yield SchemaGenerator().get_schema(request=None, public=True)


def test_every_promised_operation_is_described(described):
    found = {
        path.replace("{pk}", "{id}"): {verb for verb in operations if verb != "parameters"}
        for path, operations in described["paths"].items()
    }

    assert {path: verbs - found.get(path, set()) for path, verbs in PROMISED.items()} == {
        path: set() for path in PROMISED
    }


def test_every_operation_says_what_it_does_and_answers(described):
    bare = [
        (verb, path)
        for path, operations in described["paths"].items()
        for verb, operation in operations.items()
        if not operation.get("description") or not operation.get("responses")
    ]

    assert bare == []


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/schema/", "/api/docs/"])
def test_the_description_is_served_to_who_is_signed_in(path, django_user_model):
    client = Client()
    assert client.get(path).status_code == 401

    client.force_login(django_user_model.objects.create_user(username="ada", role="viewer"))

    assert client.get(path).status_code == 200
