"""No input breaks a request: what is odd is refused with a problem that names the field."""

import json
from base64 import b64encode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arbsite.base import audit
from tests.arbsite.base.clients import make_user, program, send
from tests.arbsite.base.keyed_views import MoneyIn, effects

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.arbsite.base.keyed_views")]
PROBLEM = "application/problem+json"
ADDRESS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


@pytest.fixture
def operator():
    return program(make_user("operator"))


def money(client, body, key="k"):
    return send(client, "/api/money", body, key=key)


def assert_problem(response, status):
    assert response.status_code == status, response.content
    assert response["Content-Type"] == PROBLEM
    body = json.loads(response.content)
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


def test_a_refusal_names_each_field(operator):
    body = assert_problem(money(operator, {"amountWei": "01", "count": 99, "surprise": 1}), 400)
    assert set(body["errors"]) == {"surprise"}

    body = assert_problem(money(operator, {"amountWei": "01", "count": 99}, key="l"), 400)
    assert set(body["errors"]) == {"amountWei", "count"}
    assert "amountWei" in body["detail"]


@pytest.mark.parametrize(
    "wei",
    [
        "", "-1", "+1", "01", "1.0", "1e18", "0x1", " 1", "1 ", "1_0", "٣", "\uff11", str(2**256),
        "9" * 79, 1, 1.0, True, None, [], {}, ["1"],
    ],
)  # fmt: skip
def test_wei_is_a_plain_decimal_string_or_refused(wei, operator):
    assert "amountWei" in assert_problem(money(operator, {"amountWei": wei}), 400)["errors"]


@pytest.mark.parametrize("wei", ["0", "1", str(2**256 - 1)])
def test_wei_is_read_exactly(wei):
    assert MoneyIn(data={"amountWei": wei}).checked()["amountWei"] == int(wei)


@pytest.mark.parametrize("count", ["1", 1.0, True, 0, 11, 10**200, "٣", None, [1]])
def test_a_whole_number_is_a_json_integer_in_range(count, operator):
    body = assert_problem(money(operator, {"amountWei": "1", "count": count}), 400)
    assert set(body["errors"]) == {"count"}


@pytest.mark.parametrize("to", ["0x" + "0" * 40, ADDRESS.replace("5a", "5A"), "me", 7, None, [1]])
def test_an_address_is_checksummed_and_never_zero(to, operator):
    assert set(assert_problem(money(operator, {"amountWei": "1", "to": to}), 400)["errors"]) == {
        "to"
    }


@pytest.mark.parametrize(
    "body",
    [
        "", "[]", "1", '"x"', "null", "{", "{]", "NaN", '{"a": NaN}', '{"a": -Infinity}', "\x00",
        '{"amountWei": ' + "9" * 5000 + "}", b"\xff\xfe", b'{"a": "\xed\xa0\x80"}',
        "[" * 100_000, '{"a":' * 50_000, '{"a": ' + "[" * 400 + "]" * 400 + "}",
        '{"a": ' + '{"b":' * 300 + "1" + "}" * 300 + "}",
    ],
)  # fmt: skip
def test_a_body_that_is_no_flat_json_object_is_refused(body, operator):
    assert_problem(money(operator, body), 400)


@pytest.mark.parametrize(
    "mark",
    ["\x00", "\x07", "\x1b", "\x7f", "\x9f", "\ud800", "\u061c", "\u200e", "\u202e", "\u2066"],
)
@pytest.mark.parametrize("where", ["value", "key", "deep"])
def test_hostile_characters_in_a_body_are_refused(mark, where, operator):
    said = f"a{mark}b"
    body = {"value": {"note": said}, "key": {said: "x"}, "deep": {"note": [{"x": [said]}]}}[where]

    assert "character" in assert_problem(money(operator, body), 400)["detail"]


@pytest.mark.parametrize("mark", ["%00", "%1B", "%E2%80%AE", "%D8%9C", "%7F"])
def test_hostile_characters_in_an_address_are_refused(mark, operator):
    assert_problem(operator.get(f"/api/events?chain=a{mark}b"), 400)
    assert_problem(operator.get(f"/api/error/{mark}"), 400)


def test_accents_emoji_and_lines_are_welcome(operator):
    assert money(operator, {"amountWei": "1", "note": "Ünïcode\n\t😀"}).status_code == 201


def test_a_body_over_the_limit_is_refused_unread(operator):
    assert_problem(money(operator, {"note": "x" * 256 * 1024}), 413)


@pytest.mark.parametrize(("headers", "status"), [
    ({"CONTENT_LENGTH": "many"}, 400),
    ({"CONTENT_LENGTH": "٣"}, 400),
    ({"CONTENT_LENGTH": "9" * 5000}, 400),
    ({"HTTP_TRANSFER_ENCODING": "chunked"}, 411),
])  # fmt: skip
def test_a_body_of_unsaid_length_is_refused(headers, status, operator):
    assert_problem(send(operator, "/api/calm", **headers), status)


def test_another_media_type_is_refused(operator):
    response = operator.post(
        "/api/money",
        data="a=1",
        content_type="application/x-www-form-urlencoded",
        HTTP_IDEMPOTENCY_KEY="k",
    )

    assert_problem(response, 415)


def test_a_long_query_is_refused(operator):
    assert_problem(operator.get("/api/events?chain=" + "x" * 5000), 414)


def test_a_wrong_method_is_refused_with_those_that_are_right(operator):
    response = operator.get("/api/money")

    assert_problem(response, 405)
    assert "POST" in response["Allow"]


@pytest.mark.parametrize(
    ("kind", "status"),
    [("rejected", 409), ("conflict", 409), ("halt", 423), ("retryable", 503), ("database", 503)],
)
def test_our_own_errors_have_their_status(kind, status, operator):
    response = operator.get(f"/api/error/{kind}")

    body = assert_problem(response, status)
    assert "hunter2" not in body["detail"]
    assert (status == 503) == ("Retry-After" in response)


def test_a_conflict_carries_its_facts(operator):
    assert operator.get("/api/error/conflict").json()["checks"] == [{"key": "gas"}]


def test_who_is_unknown_is_told_how_to_be_known(client):
    response = client.get("/api/events")

    assert_problem(response, 401)
    assert response["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Bearer a b", "bearer é", "Bearer " + "x" * 999]
)
def test_a_bad_token_is_refused_as_unknown(header, client):
    assert_problem(client.get("/api/events", HTTP_AUTHORIZATION=header), 401)


def test_every_answer_carries_a_request_id(operator):
    first, second = (operator.get("/api/events")["X-Request-Id"] for _ in range(2))

    assert first != second


# Pages of lists


def test_a_list_is_paged_newest_first_without_holes(operator):
    made = [audit.record(verb="x").pk for _ in range(5)]
    url, seen = "/api/events?limit=2", []
    while url:
        page = operator.get(url).json()
        assert set(page) == {"results", "next"}
        seen += [row["id"] for row in page["results"]]
        audit.record(verb="born meanwhile")
        url = page["next"]

    assert seen == sorted(made, reverse=True)


def test_a_page_holds_at_most_two_hundred(operator):
    for _ in range(201):
        audit.record(verb="x")

    assert len(operator.get("/api/events?limit=1000").json()["results"]) == 200
    assert len(operator.get("/api/events").json()["results"]) == 50


@pytest.mark.parametrize("limit", ["0", "-1", "x", "", "1e3", "9" * 100])
def test_an_odd_limit_gives_the_default(limit, operator):
    assert operator.get(f"/api/events?limit={limit}").status_code == 200


@pytest.mark.parametrize(
    "cursor",
    ["x", "", "p=1", *(b64encode(c).decode() for c in (
        b"p=abc", b"p=-1", b"p=1.5", b"p=" + b"9" * 300, b"p=%00", b"o=x", b"r=x", b"p=", b"\xff",
        b"o=99999999999999999999",
    ))],
)  # fmt: skip
def test_no_cursor_breaks_a_list(cursor, operator):
    response = operator.get("/api/events", {"cursor": cursor})

    assert response.status_code in (200, 404)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda below: (
            st.lists(below, max_size=4)
            | st.dictionaries(
                st.sampled_from(["amountWei", "to", "count", "note"]) | st.text(), below, max_size=5
            )
        ),
        max_leaves=12,
    )
)
def test_no_body_is_answered_with_a_fault(operator, body):
    effects.clear()
    response = money(operator, json.dumps(body), key=f"k{hash(str(body))}")

    assert response.status_code < 500
    assert not effects or response.status_code in (201, 422)
