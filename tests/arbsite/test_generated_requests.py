"""The API meets what nobody should send: whoever asks whatever, no answer is the server's failure.

Every operation of its own description, as nobody, viewer, operator and admin. The long form sends
500 requests to each (`PROVE_REQUESTS`).
"""

import json
import os
import random
import uuid
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator

from execution import services
from execution.models import Execution
from prices.models import Opportunity
from tests.arbsite.base.clients import ROLES, anyone, make_user, session
from tests.arbsite.console import builders
from wallets import wishes

REQUESTS = int(os.environ.get("PROVE_REQUESTS", "3"))
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.timeout(3 * 3600 if REQUESTS > 50 else 300),
]
ODD = (
    None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, 2**256, 10**100, 0.5, -0.0, 1e308,
    "", " ", "0", "1", "-1", "0x", "0x" + "0" * 40, "0x" + "f" * 40, "0x" + "G" * 40, "local",
    "bsc", "nowhere", "a" * 3000, "\x00", "\u202e", "\U0001f4b8", "\ud7ff", "'; DROP TABLE x; --",
    "../..", "NaN", "Infinity", "1e400", "1_000", "٣", "2026-11-27T00:00:00Z", "stream",
    "poll", "executor",
    [], {}, [1], {"a": {"b": [None]}}, [[[[[]]]]],
)  # fmt: skip
RAW = (
    b"", b"{", b"[]", b"null", b"1", b'"x"', b"NaN", b'{"a": NaN}', b'{"a": 1e999}', b"\xff\xfe",
    b"[" * 2000, b'{"a": 1, "a": 2}', b'{"chain": "\\ud800"}', b'{"reason": "\\u0000"}',
)  # fmt: skip
TYPES = ("application/json",) * 9 + ("text/plain", "application/x-www-form-urlencoded", "")


@pytest.fixture(scope="module")
def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """Each (verb, path, what it takes)."""
    with GENERATOR_STATS.silence(), warnings.catch_warnings():
        schema = SchemaGenerator().get_schema(request=None, public=True)
    components = schema.get("components", {}).get("schemas", {})
    return [
        (verb, path, {**said, "fields": _fields(said, components)})
        for path, verbs in sorted(schema["paths"].items())
        for verb, said in sorted(verbs.items())
        if verb != "parameters"
    ]


def _fields(said: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    for kind in said.get("requestBody", {}).get("content", {}).values():
        shape = kind.get("schema", {})
        shape = components.get(shape.get("$ref", "").rsplit("/", 1)[-1], shape)
        return dict(shape.get("properties", {}))
    return {}


@pytest.fixture
def record(monkeypatch):
    """A small market with one of everything, and nobody who answers requests."""
    for module in (services, wishes):
        monkeypatch.setattr(module, "WAIT_S", 0.01)
        monkeypatch.setattr(module, "LOOK_S", 0.005)
    builders.make_market()
    builders.make_execution()


class Requests:
    """Draws requests for one operation: what fits half of the time, anything else otherwise."""

    def __init__(self, seed: str, keys: list[int], answers: Counter[int]) -> None:
        self.rng = random.Random(seed)  # noqa: S311  to be repeated
        self.keys = keys
        self.answers = answers

    def value(self, shape: dict[str, Any]) -> Any:
        if self.rng.random() < 0.5:
            return self.rng.choice(ODD)
        if "enum" in shape:
            return self.rng.choice(shape["enum"])
        fitting = {
            "integer": self.rng.choice([*self.keys, 0, 5, 50, 1000, 1500]),
            "boolean": self.rng.random() < 0.5,
            "number": self.rng.random() * 100,
            "array": [self.rng.choice(ODD)],
            "object": {"a": 1},
        }
        texts = ("local", "a reason", "1000000000000000", builders.EXECUTOR, "5.5")
        return fitting.get(shape.get("type", ""), self.rng.choice(texts))

    def path(self, path: str) -> str:
        for name in [part[1:-1] for part in path.split("/") if part.startswith("{")]:
            odd = [str(each) for each in ODD if isinstance(each, int | str) and str(each).strip()]
            usual = ["CAKE/USDT", "WBNB/USDT"] if name == "pair" else [str(k) for k in self.keys]
            found = self.rng.choice(usual if self.rng.random() < 0.6 else odd)
            path = path.replace("{" + name + "}", quote(found, safe="/"))
        return path

    def query(self, said: dict[str, Any]) -> str:
        names = [p["name"] for p in said.get("parameters", []) if p["in"] == "query"]
        names += ["cursor", "limit", "nobodyKnowsThis"]
        taken = self.rng.sample(names, self.rng.randint(0, min(3, len(names))))
        return urlencode({name: str(self.value({})) for name in taken})

    def body(self, fields: dict[str, Any]) -> bytes:
        if self.rng.random() < 0.15:
            return self.rng.choice(RAW)
        made = {
            name: self.value(shape) for name, shape in fields.items() if self.rng.random() < 0.7
        }
        if self.rng.random() < 0.1:
            made["nobodyKnowsThis"] = self.rng.choice(ODD)
        return json.dumps(made).encode()

    def headers(self) -> dict[str, str]:
        key = self.rng.choice([str(uuid.UUID(int=self.rng.getrandbits(128)))] * 8 + ["again", ""])
        return {"HTTP_IDEMPOTENCY_KEY": key} if key else {}


def sent(client, requests: Requests, verb: str, path: str, said: dict[str, Any]) -> Iterator[str]:
    """What the server failed at, each as one line that can be repeated."""
    for _ in range(REQUESTS):
        url = f"{requests.path(path)}?{requests.query(said)}"
        if verb == "get":
            answer, body = client.get(url), b""
        else:
            body = requests.body(said["fields"])
            answer = client.generic(
                verb.upper(), url, body, requests.rng.choice(TYPES), **requests.headers()
            )
        requests.answers[answer.status_code] += 1
        if answer.status_code >= 500:
            yield f"{answer.status_code} {verb} {url} {body[:200]!r} -> {answer.content[:200]!r}"


@pytest.mark.parametrize("role", ["nobody", *ROLES])
def test_no_generated_request_makes_the_server_fail(role, operations, record):
    client = anyone() if role == "nobody" else session(make_user(role))
    keys = [1, record_key(Opportunity), record_key(Execution), 10**9]
    assert len(operations) > 50

    answers: Counter[int] = Counter()
    failures = []
    for verb, path, said in operations:
        drawn = Requests(f"{role} {verb} {path}", keys, answers)
        failures += list(sent(client, drawn, verb, path, said))

    assert failures == []
    reached = {401, 200} if role == "nobody" else {200, 400, 403, 404}
    assert (reached - {403} if role == "admin" else reached) <= set(answers)


def record_key(model) -> int:
    found = model.objects.order_by("-pk").values_list("pk", flat=True).first()
    return int(found or 1)
