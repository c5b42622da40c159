"""Every readiness check, turned false, disarms and says why; what makes it true again."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from arbsite.base.models import Alert, AuditEvent
from contracts.endpoints import endpoint_of
from contracts.models import Chain, Deployment, RpcHealth
from contracts.observing import Taken, endpoint_latency_record
from execution import engine, fast_mode, guards, mode_status, readiness
from execution.models import Execution, FastMode, FastModeConfig
from prices.models import Monitor
from tests.execution.rows import (
    EXECUTOR,
    armed,
    make_chain,
    make_desk_rows,
    make_hash,
    make_opportunity,
)
from tests.execution.signer_stub import SignerStub
from tests.execution.test_guards import REMOTE, ended
from wallets import kill, relay_book
from wallets.models import Assignment, Balance, NonceSequence, Wallet

pytestmark = pytest.mark.django_db(transaction=True)


def make_ready(chain) -> None:
    """Everything that the checks look at, as it is on a chain that runs well."""
    _, wallet = make_desk_rows(chain)
    give(wallet, 10**18)
    Monitor.objects.filter(chain=chain).update(
        running="stream", head_number=9, head_at=timezone.now() + timedelta(hours=1)
    )
    RpcHealth.objects.create(
        chain=chain, kind="http", position=0, endpoint="node", ok=True, latency_us=900,
        block_number=9, checked_at=timezone.now() + timedelta(hours=1),
    )  # fmt: skip


def give(wallet, wei, *, block=9):
    Balance.objects.create(
        wallet=wallet, balance_wei=wei, block_number=block, block_hash=make_hash(block)
    )


class Place:
    """A chain that is ready, with the signer's socket and the settings that go with it."""

    def __init__(self, chain, signer, settings):
        self.chain, self.signer, self.settings = chain, signer, settings
        self.held = frozenset()

    def look(self):
        """As the engine does twice a second."""
        mode = FastMode.objects.select_related("config", "chain").get(chain=self.chain)
        self.held = guards.readiness_guard(chain=self.chain, mode=mode, held=self.held)
        return FastMode.objects.get(chain=self.chain)


@pytest.fixture
def place(channel_layer, settings, tmp_path):
    settings.ARB = replace(settings.ARB, live_chains=frozenset({"bsc"}))
    settings.SIGNER_SOCKET = str(tmp_path / "s")
    signer = SignerStub(tmp_path / "s")
    chain = make_chain(**REMOTE)
    make_ready(chain)
    fast_mode.fast_mode_ensure(chain=chain)
    assert mode_status.failing(chain) == []
    armed(chain)
    yield Place(chain, signer, settings)
    signer.stop()


@pytest.fixture
def local(channel_layer, settings, tmp_path):
    settings.SIGNER_SOCKET = str(tmp_path / "s")
    signer = SignerStub(tmp_path / "s")
    chain = make_chain()
    fast_mode.fast_mode_ensure(chain=chain)
    yield Place(chain, signer, settings)
    signer.stop()


def a_clock_that_is_off(place, monkeypatch):
    now = timezone.now
    monkeypatch.setattr("django.utils.timezone.now", lambda: now() + timedelta(seconds=1))


def a_relay_that_is_gone(place, monkeypatch):
    FastModeConfig.objects.update(use_private_mempool=True)


def a_tip_that_nobody_is_paid(place, monkeypatch):
    relay = {"kind": "bundle", "name": "one", "url": "https://x", "tipRecipient": "0x" + "48" * 20}
    Chain.objects.update(relays=[relay])
    place.chain.refresh_from_db()
    (entry,) = relay_book.entries_of(place.chain)
    relay_book.probe_record(chain=place.chain, entry=entry, ok=True, detail="a test")
    FastModeConfig.objects.update(use_private_mempool=True, tip_share_bps=100)


def lost(place, monkeypatch):
    limit = guards.breaker_limits(FastModeConfig.objects.get(), is_local=False)
    row = ended(place.chain, n=1, ok=True, net=-limit.loss_per_hour_wei)
    Execution.objects.filter(pk=row.pk).update(key="lost")


def simulations_that_fail(place, monkeypatch):
    for pk in range(1, 1 + readiness.REFUSED_MOST):
        make_opportunity(place.chain, pk=pk, reason="simulation_failed", verdict="rejected")


def frozen(place, monkeypatch):
    NonceSequence.objects.create(chain=place.chain, address=EXECUTOR, frozen="a foreign nonce")


def not_live(place, monkeypatch):
    place.settings.ARB = replace(place.settings.ARB, live_chains=frozenset())


TURNED_FALSE = {
    "signing_allowed": not_live,
    "wallet_configured": lambda *_: Wallet.objects.update(state="retired"),
    "contracts_deployed": lambda *_: Deployment.objects.update(active=False),
    "contract_running": lambda *_: Deployment.objects.update(observed={"paused": True}),
    "executor_authorised": lambda *_: Assignment.objects.update(desired=False),
    "gas_balance": lambda *_: give(Wallet.objects.get(), 1, block=10),
    "nonce_clean": frozen,
    "feed_fresh": lambda *_: Monitor.objects.update(head_at=timezone.now() - timedelta(seconds=9)),
    "rpcs_agree": lambda *_: RpcHealth.objects.update(ok=False, block_number=None),
    "rpc_fast": lambda *_: RpcHealth.objects.update(latency_us=3_000_000),
    "clock": a_clock_that_is_off,
    "private_relay": a_relay_that_is_gone,
    "tip": a_tip_that_nobody_is_paid,
    "loss_limits": lost,
    "simulation_passing": simulations_that_fail,
    "kill_clear": lambda *_: kill.kill_engage(reason="a test", scope="bsc"),
    "signer": lambda place, _: place.signer.stop(),
}


@pytest.mark.parametrize("key", TURNED_FALSE)
def test_a_check_turned_false_disarms_and_says_why(place, monkeypatch, key):
    Wallet.objects.update(threshold_wei=10**15)
    assert place.look().state == "armed"
    TURNED_FALSE[key](place, monkeypatch)
    mode = place.look()
    assert mode.state == "off"
    assert f"{key} (" in mode.reason
    assert mode.reason.startswith("not ready: ")
    assert Alert.objects.get(key="disarmed:bsc").detail == mode.reason
    assert AuditEvent.objects.get(verb="fast_mode_off").after["reason"] == mode.reason
    check = next(each for each in mode_status.checks(place.chain) if each["key"] == key)
    assert (check["ok"], bool(check["fix"])) == (False, True)


def answered(place, *took_s):
    """The first endpoint took so long, call by call, in seconds."""
    endpoint = endpoint_of("https://node.example")
    for each in took_s:
        endpoint.answered(took_s=each)
    RpcHealth.objects.update(endpoint=endpoint.shown)
    taken = [Taken("http", 0, endpoint.shown, endpoint.take_latencies())]
    endpoint_latency_record(chain=place.chain, taken=taken)


def test_one_slow_answer_of_an_endpoint_does_not_disarm(place):
    answered(place, *[0.001] * 39, 9.0)
    RpcHealth.objects.update(latency_us=9_000_000)
    assert place.look().state == "armed"


def test_an_endpoint_whose_p95_is_slow_disarms_though_its_last_answer_was_quick(place):
    answered(place, *[0.001] * 36, *[9.0] * 3, 0.001)
    mode = place.look()
    assert mode.state == "off"
    assert "rpc_fast (9000 ms at https://node.example)" in mode.reason


def test_of_a_few_answers_the_last_measurement_decides(place):
    answered(place, 9.0)
    assert place.look().state == "armed"
    RpcHealth.objects.update(latency_us=9_000_000)
    assert place.look().state == "off"


def test_every_check_can_be_turned_false_and_has_a_name_on_the_page(place):
    keys = [check["key"] for check in mode_status.checks(place.chain)]
    assert set(keys) - {"test_transaction"} == set(TURNED_FALSE)  # none has to be sent
    assert set(keys) == set(readiness.TITLES)


def test_the_looks_follow_each_other_within_the_promised_two_seconds():
    assert engine.READY_S + 2 * engine.CONTROL_S + 2 * 0.4 < 2.0


def test_where_money_is_real_it_stays_off_when_the_check_holds_again(place):
    Deployment.objects.update(observed={"paused": True})
    place.look()
    Deployment.objects.update(observed={})
    assert place.look().state == "off"


def test_a_local_chain_comes_up_armed_and_goes_on_when_what_failed_is_back(local):
    assert local.look().state == "armed"  # nothing of it held yet, so nothing was lost
    make_ready(local.chain)
    assert local.look().state == "armed"
    armed_at = FastMode.objects.get().armed_at
    Deployment.objects.update(observed={"paused": True})
    mode = local.look()
    assert (mode.state, mode.returns) == ("off", True)
    assert "contract_running" in mode.reason
    assert local.look().state == "off"
    Deployment.objects.update(observed={})
    mode = local.look()
    assert (mode.state, mode.returns, mode.reason) == ("armed", False, fast_mode.BACK)
    assert mode.armed_at == armed_at
    assert not Alert.objects.filter(resolved_at__isnull=True).exists()


def test_what_a_person_switched_off_meanwhile_does_not_come_back(local):
    make_ready(local.chain)
    local.look()
    seen = FastMode.objects.select_related("config", "chain").get()
    Deployment.objects.update(observed={"paused": True})
    fast_mode.fast_mode_set(chain=local.chain, state="off", reason="by hand")
    guards.readiness_guard(chain=local.chain, mode=seen, held=local.held)  # it read before that
    assert (FastMode.objects.get().returns, FastMode.objects.get().reason) == (False, "by hand")
    Deployment.objects.update(observed={})
    assert local.look().state == "off"


QUIET = {"kind": "private_rpc", "name": "quiet", "url": "https://quiet.example"}


def with_a_relay(chain, *, probed=None, **changes):
    """The chain asks for private endpoints alone, and has one; ``probed``: how it answered."""
    FastModeConfig.objects.update(use_private_mempool=True)
    chain.relays = [QUIET]
    if probed is not None:
        (entry,) = relay_book.entries_of(chain)
        relay_book.probe_record(chain=chain, entry=entry, ok=probed, detail="it refused us")
    chain.relays = [{**QUIET, **changes}]
    chain.save(update_fields=["relays"])


def relay_check(chain):
    [check] = [c for c in mode_status.checks(chain) if c["key"] == "private_relay"]
    return check


def test_a_private_endpoint_that_answered_its_probe_is_named(place):
    with_a_relay(place.chain, probed=True)
    assert place.look().state == "armed"
    assert relay_check(place.chain)["detail"] == "quiet"


@pytest.mark.parametrize(
    ("relay", "why"),
    [
        ({}, "never tried"),
        ({"probed": False}, "it refused us"),
        ({"probed": True, "url": "https://other.example"}, "changed since it was tried"),
    ],
)
def test_a_private_endpoint_that_would_be_given_nothing_disarms_and_says_why(place, relay, why):
    with_a_relay(place.chain, **relay)
    mode = place.look()
    assert (mode.state, "private_relay" in mode.reason) == ("off", True)
    check = relay_check(place.chain)
    assert check["detail"].startswith("quiet: ")
    assert why in check["detail"]
    assert "probe_relays --chain bsc" in check["fix"]


def test_a_local_chain_is_not_ready_with_a_relay_elsewhere(local):
    with_a_relay(local.chain, probed=True)
    check = relay_check(local.chain)
    assert (check["ok"], "not on this machine" in check["detail"]) == (False, True)


def test_it_asks_for_no_relay_where_nothing_private_is_wanted(place):
    with_a_relay(place.chain)
    FastModeConfig.objects.update(use_private_mempool=False)
    assert relay_check(place.chain)["detail"] == "not asked for"


def test_the_list_takes_a_bounded_number_of_queries(place, django_assert_max_num_queries):
    with django_assert_max_num_queries(20):
        mode_status.checks(place.chain)
