"""The Fast Mode endpoints: what they take, what they answer, and who is asked for more."""

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from contracts.endpoints import endpoint_of
from contracts.observing import Taken, endpoint_latency_record
from execution import fast_mode, services
from execution.kernel.latency import EDGES_US, Stage
from execution.models import FastMode, FastModeConfig, LatencySample
from prices.models import Monitor
from tests.execution.rows import armed, make_chain, make_execution, make_sent
from tests.execution.signer_stub import SignerStub
from tests.execution.test_guards import REMOTE
from tests.execution.test_readiness import make_ready
from tests.execution.test_requests import client, post
from tests.wallets.worker import worker
from wallets.ledger import KILL_LOCK
from wallets.models import KillState, Request, Submission

pytestmark = pytest.mark.django_db(transaction=True)
DEFAULTS = {
    "enabled": True,
    "autoExecute": True,
    "minProfitThresholdBps": 5,
    "maxGasGwei": "1",
    "maxSlippageBps": 50,
    "usePrivateMempool": False,
    "tipShareBps": 0,
    "cooldownMs": 0,
    "maxPositionWei": "0",
    "maxExecutionsPerHour": 0,
    "maxLossPerHourWei": str(500 * 500_000 * 10**9),
    "maxLossPerDayWei": str(3 * 500 * 500_000 * 10**9),
    "maxConsecutiveFailures": 20,
    "expiryMs": 0,
    "version": 1,
}


@pytest.fixture
def chain(channel_layer):
    row = make_chain()
    fast_mode.fast_mode_ensure(chain=row)
    return row


@pytest.fixture
def admin():
    return client("admin")


def configure(by, **changes):
    return post("/api/fast-mode/config", {"chain": "local", **changes}, by=by)


def status(key="local"):
    return client("viewer").get(f"/api/fast-mode/status?chain={key}").data


def test_the_status_says_limits_state_figures_and_readiness(chain):
    said = status()
    assert said["config"] == DEFAULTS
    assert (said["state"], said["by"], said["offering"]) == ("armed", "system", False)
    assert set(said["stats"]) == {
        "seen", "executed", "failed", "rejectedByReason", "netProfitWei", "lastExecutionAt",
        "requestsRefused",
    }  # fmt: skip
    assert {"key", "ok", "detail", "fix"} <= set(said["readiness"][0])


def test_the_figures_are_of_what_fast_mode_did_by_itself(chain):
    Monitor.objects.update(opportunities_detected=9, rejections={"fees": 7, "in_flight": 1})
    make_execution(chain, n=1, sent=make_sent(chain, n=1, status="confirmed"))
    make_execution(chain, n=2, sent=make_sent(chain, n=2, status="expired"))
    for n, ended in ((3, "confirmed"), (4, "reverted")):
        make_execution(chain, n=n, sent=make_sent(chain, n=n, status=ended), automatic=False)
    make_execution(chain, n=5, automatic=False, refused="gas")

    stats = status()["stats"]

    assert (stats["seen"], stats["executed"], stats["failed"]) == (9, 1, 1)
    assert stats["rejectedByReason"] == {"fees": 7, "in_flight": 1}
    assert stats["requestsRefused"] == {"gas": 1}


@pytest.mark.parametrize(
    ("field", "given", "kept"),
    [
        ("autoExecute", False, False),
        ("minProfitThresholdBps", 60, 60),
        ("maxGasGwei", "0.05", "0.05"),
        ("maxGasGwei", 0.05, "0.05"),
        ("maxGasGwei", 3, "3"),
        ("maxGasGwei", "0.000000001", "0.000000001"),
        ("maxSlippageBps", 0, 0),
        ("cooldownMs", 1500, 1500),
        ("maxPositionWei", str(10**18), str(10**18)),
        ("maxExecutionsPerHour", 4, 4),
        ("maxLossPerHourWei", "7", "7"),
        ("maxLossPerDayWei", "9", "9"),
        ("maxConsecutiveFailures", 2, 2),
        ("expiryMs", 3_600_000, 3_600_000),
    ],
)
def test_one_field_is_changed_and_no_other(chain, admin, field, given, kept):
    answer = configure(admin, **{field: given})
    assert answer.status_code == 200, answer.data
    assert answer.data["config"] == {**DEFAULTS, field: kept, "version": 2}
    assert answer.data["changes"] == {field: {"before": DEFAULTS[field], "after": kept}}
    assert status()["config"][field] == kept


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("autoExecute", ["true", 1, None, []]),
        ("enabled", ["yes", 0]),
        ("minProfitThresholdBps", [0, -1, 10_001, "50", 1.5, True]),
        ("maxGasGwei", ["0", "-1", "1e9", "0.0000000001", "100001", True, None, [], "\u0661"]),
        ("maxSlippageBps", [-1, 5_001]),
        ("usePrivateMempool", [True, "no"]),
        ("cooldownMs", [-1, 86_400_001]),
        ("maxPositionWei", [1, "-1", "01", str(2**256)]),
        ("maxExecutionsPerHour", [-1, 1_000_001]),
        ("maxLossPerHourWei", ["0", 5]),
        ("maxLossPerDayWei", ["0", ""]),
        ("maxConsecutiveFailures", [0, 1_001]),
        ("expiryMs", [59_999, 43_200_001, -1]),
        ("baseVersion", [0, "1"]),
    ],
)
def test_what_is_out_of_range_is_named(chain, admin, field, values):
    for value in values:
        answer = configure(admin, **{field: value})
        assert (answer.status_code, list(answer.json()["errors"])) == (400, [field]), value
    assert FastModeConfig.objects.count() == 1


def test_a_chain_without_a_private_endpoint_says_what_is_missing(chain, admin):
    answer = configure(admin, usePrivateMempool=True)
    assert "Local chain has no private endpoint" in answer.json()["detail"]


def test_a_version_that_another_replaced_is_a_conflict(chain, admin):
    assert configure(admin, cooldownMs=1, baseVersion=1).status_code == 200
    late = configure(admin, cooldownMs=2, baseVersion=1)
    assert (late.status_code, late.json()["version"]) == (409, 2)


def test_the_history_says_who_changed_what_and_which_holds(chain, admin):
    configure(admin, cooldownMs=7)
    configure(admin, autoExecute=False)
    back = post("/api/fast-mode/config/rollback", {"chain": "local", "version": 2}, by=admin)
    assert back.data["config"]["version"] == 4
    rows = client("viewer").get("/api/fast-mode/config/versions?chain=local").data["results"]
    assert [(row["version"], row["holds"], row["repeats"]) for row in rows] == [
        (4, True, 2), (3, False, None), (2, False, None), (1, False, None),
    ]  # fmt: skip
    assert rows[0]["changes"] == {"autoExecute": {"before": False, "after": True}}
    assert rows[2]["config"]["cooldownMs"] == 7
    assert rows[3]["by"] == "system"
    one = client("viewer").get("/api/fast-mode/config/versions?chain=local&limit=1").data
    assert (len(one["results"]), one["next"] is not None) == (1, True)
    assert one["results"][0]["changes"]
    missing = post("/api/fast-mode/config/rollback", {"chain": "local", "version": 40}, by=admin)
    assert missing.status_code == 404


def test_pausing_and_resuming(chain, settings, tmp_path):
    settings.SIGNER_SOCKET = str(tmp_path / "s")
    operator = client()
    paused = post("/api/fast-mode/pause", {"chain": "local", "reason": "lunch"}, by=operator)
    assert (paused.data["state"], paused.data["reason"]) == ("paused", "lunch")
    refused = post("/api/fast-mode/resume", {"chain": "local"}, by=operator)
    assert refused.status_code == 409
    assert {"signer", "feed_fresh"} <= {check["key"] for check in refused.json()["checks"]}
    make_ready(chain)
    signer = SignerStub(tmp_path / "s")
    try:
        resumed = post("/api/fast-mode/resume", {"chain": "local"}, by=operator)
        assert resumed.data["state"] == "armed"
        post("/api/fast-mode/disable", {"chain": "local"}, by=operator)
        for path in ("pause", "resume"):
            off = post(f"/api/fast-mode/{path}", {"chain": "local"}, by=operator)
            assert off.status_code == 409
    finally:
        signer.stop()


def test_enabled_arms_and_disarms_with_the_limits(chain, admin, settings, tmp_path):
    off = configure(admin, enabled=False, cooldownMs=3)
    assert (off.data["state"], off.data["config"]["enabled"]) == ("off", False)
    assert off.data["config"]["cooldownMs"] == 3
    refused = configure(admin, enabled=True, cooldownMs=4)
    assert refused.status_code == 409
    assert status()["config"]["cooldownMs"] == 3  # limits are not kept where arming is refused
    make_ready(chain)
    settings.SIGNER_SOCKET = str(tmp_path / "s")
    signer = SignerStub(tmp_path / "s")
    try:
        on = configure(admin, enabled=True, cooldownMs=4)
        assert (on.data["state"], on.data["config"]["cooldownMs"]) == ("armed", 4)
    finally:
        signer.stop()


@contextmanager
def sender_that_hangs():
    """Another session holds the lock of the hand-over, as a sender does that does not end."""
    with connections.create_connection("default").cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock_shared(%s)", [KILL_LOCK])
        try:
            yield
        finally:
            cursor.db.close()


def test_switching_off_with_the_limits_gives_the_proof_that_disable_gives(chain, admin):
    plain = post("/api/fast-mode/disable", {"chain": "local"}, by=admin).data["proof"]
    done = configure(admin, enabled=False, cooldownMs=3).data["proof"]
    assert (done["scope"], done["complete"], done["detail"]) == ("local", True, "")
    assert [step["step"] for step in done["steps"]] == [step["step"] for step in plain["steps"]]
    assert "proof" not in configure(admin, cooldownMs=4).data

    with sender_that_hangs():
        hung = configure(admin, enabled=False)
    assert (hung.status_code, hung.data["state"]) == (200, "off")
    assert hung.data["proof"]["complete"] is False
    assert "unknown in flight" in hung.data["proof"]["detail"]


def test_disabled_with_kill_it_is_latched_and_cannot_be_armed(chain, admin, settings, tmp_path):
    done = post("/api/fast-mode/disable", {"chain": "local", "kill": True, "reason": "smoke"})
    assert done.status_code == 200
    assert (done.data["state"], done.data["chains"]) == ("killed", ["local"])
    assert (done.data["proof"]["scope"], done.data["proof"]["complete"]) == ("local", True)
    row = KillState.objects.get(scope="local")
    assert (row.engaged, row.reason) == (True, "smoke")
    assert not KillState.objects.get(scope="*").engaged
    assert (status()["state"], FastMode.objects.get().state) == ("killed", "off")

    make_ready(chain)
    settings.SIGNER_SOCKET = str(tmp_path / "s")
    signer = SignerStub(tmp_path / "s")
    try:
        refused = post("/api/fast-mode/enable", {"chain": "local"}, by=admin)
        assert refused.status_code == 409
        assert [check["key"] for check in refused.json()["checks"]] == ["kill_clear"]
        assert FastMode.objects.get().state == "off"
        post("/api/kill/release", {"chain": "local", "reason": "over"}, by=admin)
        assert post("/api/fast-mode/enable", {"chain": "local"}, by=admin).status_code == 200
    finally:
        signer.stop()


def test_disabled_with_kill_and_without_a_chain_every_chain_is_stopped(chain):
    done = post("/api/fast-mode/disable", {"kill": True}).data
    assert (done["state"], done["proof"]["scope"]) == ("killed", "*")
    assert KillState.objects.get(scope="*").engaged


def test_armed_without_auto_execute_it_offers(chain, admin):
    assert configure(admin, autoExecute=False).data["offering"] is True
    by = client()
    post("/api/kill", {"chain": "local", "reason": "smoke"}, by=by)
    said = status()
    assert (said["state"], said["reason"], said["offering"]) == ("killed", "smoke", False)
    assert said["by"].startswith("operator")


@pytest.fixture
def bsc(chain, settings):
    settings.ARB = replace(settings.ARB, live_chains=frozenset({"bsc"}))
    row = make_chain(**REMOTE)
    armed(row)
    return row


def asks_for_the_factor(answer):
    return answer.status_code == 403 and answer.json()["code"] == "reauthentication_required"


def test_where_money_is_real_what_lets_more_happen_asks_for_the_second_factor(bsc, admin):
    def change(**fields):
        return post("/api/fast-mode/config", {"chain": "bsc", **fields}, by=admin)

    looser = (
        {"autoExecute": True}, {"minProfitThresholdBps": 49}, {"maxGasGwei": "5"},
        {"enabled": True}, {"cooldownMs": 5, "maxSlippageBps": 51},
    )  # fmt: skip
    assert all(asks_for_the_factor(change(**fields)) for fields in looser)
    assert FastModeConfig.objects.filter(chain=bsc).count() == 1
    assert change(minProfitThresholdBps=51, maxGasGwei="0.5").status_code == 200
    assert change(enabled=False).data["state"] == "off"
    back = post("/api/fast-mode/config/rollback", {"chain": "bsc", "version": 1}, by=admin)
    assert asks_for_the_factor(back)


def test_a_drill_is_asked_of_a_worker_by_an_admin_alone(chain, admin):
    assert post("/api/kill/drill", {"chain": "local"}, by=client()).status_code == 403
    assert not Request.objects.exists()
    with worker(drill={"passed": True, "handOver": "the kill switch is engaged"}):
        done = post("/api/kill/drill", {"chain": "local"}, by=admin)
    assert (done.status_code, done.data["passed"]) == (201, True)
    assert done.data["requestId"] == Request.objects.get(kind="drill", chain=chain).pk


def test_a_drill_where_money_is_real_asks_for_the_second_factor_because_it_releases(bsc, admin):
    assert asks_for_the_factor(post("/api/kill/drill", {"chain": "bsc"}, by=admin))
    assert not Request.objects.exists()


def test_a_drill_while_killed_is_refused_at_once(chain, admin):
    post("/api/kill", {"chain": "local", "reason": "a fire"}, by=admin)
    refused = post("/api/kill/drill", {"chain": "local"}, by=admin)
    assert (refused.status_code, refused.json()["reason"]) == (409, "killed")
    assert (Request.objects.count(), KillState.objects.get(scope="local").reason) == (0, "a fire")


def test_latency_by_stage_relay_and_step(chain):
    sent = make_sent(chain, submitted_via="public node")
    row = make_execution(chain, sent=sent)
    services.latency_record(
        chain=chain, execution_pk=row.pk, stages_us={"submit": 1_500, "total": 9_000}
    )
    services.latency_record(chain=chain, execution_pk=None, stages_us={"search": 300})
    old = timezone.now() - timedelta(seconds=1_000)
    made = LatencySample.objects.create(chain=chain, stage="total", microseconds=10**9)
    LatencySample.objects.filter(pk=made.pk).update(at=old)

    said = client("viewer").get("/api/fast-mode/latency?chain=local&windowS=600").data

    assert (said["windowS"], said["targetMs"], said["blockTimeMs"]) == (600, 200, 1000)
    assert list(said["stages"]) == [stage.value for stage in Stage]
    total, simulate = said["stages"]["total"], said["stages"]["simulate"]
    assert {n: total[n] for n in ("count", "p50Ms", "p95Ms", "p99Ms", "maxMs")} == {
        "count": 1, "p50Ms": 9.0, "p95Ms": 9.0, "p99Ms": 9.0, "maxMs": 9.0,
    }  # fmt: skip
    assert (simulate["count"], simulate["p50Ms"]) == (0, None)
    assert len(said["bucketsMs"]) == len(EDGES_US) == len(total["buckets"]) - 1
    assert total["buckets"][said["bucketsMs"].index(10.0)] == 1
    [relay] = said["relays"]
    assert relay.pop("buckets")[said["bucketsMs"].index(2.0)] == 1
    assert relay == {
        "relay": "public node", "stage": "submit", "count": 1, "p50Ms": 1.5, "p95Ms": 1.5,
        "p99Ms": 1.5, "maxMs": 1.5,
    }  # fmt: skip
    [step] = said["series"]
    assert step["stages"] == {"search": 0.3, "submit": 1.5, "total": 9.0}
    assert said["rpc"] == []


def test_what_two_relays_had_is_counted_for_each_by_its_own_name(chain):
    sent = make_sent(chain, submitted_via="bundle:one+other")
    row = make_execution(chain, sent=sent)
    for relay, took_us in (("one", 3_000), ("other", 40_000)):
        Submission.objects.create(
            attempt=sent.attempts.get(), relay=relay, outcome="accepted", took_us=took_us
        )
    Submission.objects.create(attempt=sent.attempts.get(), relay="third", outcome="not_sent")
    services.latency_record(
        chain=chain, execution_pk=row.pk, stages_us={"submit": 41_000, "inclusion": 700_000}
    )

    said = client("viewer").get("/api/fast-mode/latency?chain=local&windowS=600").data

    shown = [
        (each["relay"], each["stage"], each["count"], each["maxMs"]) for each in said["relays"]
    ]
    assert shown == [
        ("one", "inclusion", 1, 700.0), ("one", "submit", 1, 3.0),
        ("other", "inclusion", 1, 700.0), ("other", "submit", 1, 40.0),
    ]  # fmt: skip
    below = [said["bucketsMs"][each["buckets"].index(1)] for each in said["relays"]]
    assert below == [1_000.0, 5.0, 1_000.0, 50.0]


def test_latency_names_each_endpoint_that_was_asked(chain):
    endpoint = endpoint_of("https://node.example/k3y")
    for took_s in (0.002, 0.002, 0.03):
        endpoint.answered(took_s=took_s)
    taken = [Taken("http", 0, endpoint.shown, endpoint.take_latencies())]
    endpoint_latency_record(chain=chain, taken=taken)
    said = client("viewer").get("/api/fast-mode/latency?windowS=600").json()
    [row] = said["rpc"]
    assert (row["endpoint"], row["use"], row["count"]) == ("https://node.example", "http", 3)
    assert 2 <= row["p50Ms"] < 2.2
    assert len(row["buckets"]) == len(said["bucketsMs"]) + 1
    counted = {said["bucketsMs"][at]: many for at, many in enumerate(row["buckets"]) if many}
    assert counted == {5.0: 2, 50.0: 1}


@pytest.mark.parametrize("window", ["0", "x", "-5", "99999999", "1.5"])
def test_an_odd_window_is_named(chain, window):
    answer = client("viewer").get(f"/api/fast-mode/latency?chain=local&windowS={window}")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["windowS"])
