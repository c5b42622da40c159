"""What an engaged switch does about what is out: cancels, bundles taken back; and its drill."""

import json
import threading
from functools import partial
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from arbsite.base.models import AuditEvent
from contracts.kernel.relay_entry import Dialect, RelayEntry
from tests.wallets.conftest import CHAIN_ID, FEES, await_no_sessions
from tests.wallets.relays.builder import builder
from tests.wallets.test_receipts import _executable, age
from tests.wallets.worker import taking_up
from wallets import adapters, drill, kill, selectors, wishes
from wallets.administration import acting
from wallets.administration.office import Office
from wallets.models import Attempt, KillState, Request, Transaction
from wallets.relays.bundle import BundleRelay
from wallets.relays.fan_out import FanOut
from wallets.signer_client import SignerDown, SignRefused

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]


@pytest.fixture
def wire(bench):
    """A builder that takes bundles back, as the bench's private way."""
    with builder() as made:
        entry = RelayEntry(
            kind="bundle", name="cancels", url=made.url, dialect=Dialect.FLASHBOTS, cancels=True
        )
        way = FanOut([BundleRelay(entry, chain_id=CHAIN_ID, credential="", head=bench.head)])
        bench.sender._ways.private = way
        yield made
        way.close()


def bundled(bench, blocks):
    planned = bench.plan(**_executable(bench), last_block=bench.head() + blocks, private_only=True)
    bench.sender.send(planned.pk, fees=FEES)
    return planned


def test_what_waits_in_public_is_cancelled_at_the_first_look_after_the_kill(bench):
    planned = bench.plan()
    bench.sender.send(planned.pk, fees=FEES)
    bench.settle()
    assert Attempt.objects.count() == 1
    kill.kill_engage(reason="stop")
    bench.settle()
    cancel = Attempt.objects.get(purpose="cancel")
    assert (cancel.status, cancel.sent_via) == ("accepted", "public")
    bench.settle()
    assert Attempt.objects.count() == 2
    bench.mine(3)
    bench.settle()
    assert bench.fresh(planned).status == "cancelled"


def test_what_was_mined_meanwhile_is_booked_and_not_cancelled(bench):
    planned = bench.plan()
    bench.sender.send(planned.pk, fees=FEES)
    kill.kill_engage(reason="stop")
    bench.mine(3)
    bench.settle()
    assert bench.fresh(planned).status == "confirmed"
    assert Attempt.objects.count() == 1


def test_a_live_bundle_is_taken_back_and_its_nonce_cancelled_in_public(bench, wire):
    planned = bundled(bench, blocks=50)
    kill.kill_engage(reason="stop")
    age()
    bench.settle()
    first, cancel = Attempt.objects.order_by("id")
    sent = {each["params"][0]["replacementUuid"] for each in wire.sent()}
    assert sent <= set(wire.cancelled)  # and what it may have for blocks after these
    assert wire.held == []
    assert (cancel.purpose, cancel.sent_via, first.sent_via) == (
        "cancel", "public", "bundle:cancels",
    )  # fmt: skip
    bench.mine(3)
    bench.settle()
    assert bench.fresh(planned).status == "cancelled"
    assert selectors.kill_status(chain_keys=[])[0]["sent"] == []


def test_a_builder_that_does_not_answer_delays_no_cancel(bench, wire):
    planned = bundled(bench, blocks=50)
    wire.answer = {"error": {"code": -32000, "message": "too late"}}
    kill.kill_engage(reason="stop")
    bench.settle()
    assert Attempt.objects.filter(purpose="cancel", status="accepted").exists()
    bench.mine(3)
    bench.settle()
    assert bench.fresh(planned).status == "cancelled"


def test_a_bundle_past_its_last_block_is_given_back_without_a_cancel(bench, wire):
    planned = bundled(bench, blocks=1)
    bench.mine(1)
    kill.kill_engage(reason="stop")
    age()
    bench.settle()
    assert Attempt.objects.count() == 1
    bench.mine(1)
    bench.settle()
    assert (bench.fresh(planned).status, bench.next_nonce()) == ("expired", 0)


def test_the_other_chains_switch_cancels_nothing_here(bench):
    kill.kill_rows_ensure(chain_keys=["bsc"])
    bench.sender.send(bench.plan().pk, fees=FEES)
    kill.kill_engage(reason="only there", scope="bsc")
    bench.settle()
    assert Attempt.objects.count() == 1


@pytest.fixture
def shell(bench, settings):
    """What a shell command builds for itself, closed after it; the function names its signer."""

    def signer_at(name):
        settings.SIGNER_SOCKET = str(bench.desk.folder / name)

    yield signer_at
    path = str(settings.SIGNER_SOCKET)
    adapters._senders.pop((bench.chain.key, path)).close()
    adapters._signers.pop(path).close()
    await_no_sessions("arb-sender")


def test_the_shell_alone_ends_what_may_land(bench, shell):
    shell("signer.sock")
    planned = bench.plan()
    bench.sender.send(planned.pk, fees=FEES)
    out = StringIO()
    call_command("kill", "from the shell", stdout=out)
    assert "cancels are out; 1 payloads may still land" in out.getvalue()
    assert Attempt.objects.filter(purpose="cancel", status="accepted").exists()
    bench.mine(3)
    bench.settle()
    assert bench.fresh(planned).status == "cancelled"


def test_the_shell_stops_without_node_and_signer_and_says_what_it_could_not_end(bench, shell):
    shell("nobody.sock")
    bench.sender.send(bench.plan().pk, fees=FEES)
    bench.chain.rpc_http = ["http://127.0.0.1:9"]
    bench.chain.save()
    out, err = StringIO(), StringIO()
    call_command("kill", "all is lost", "--json", stdout=out, stderr=err)
    assert json.loads(out.getvalue())["complete"] is True
    assert "nothing more was ended from here" in err.getvalue()
    assert selectors.kill_engaged(chain_key="local")


# The drill.


def drilled(bench, **facts):
    return drill.kill_drill(chain=bench.chain, rpc=bench.rpc, sender=bench.sender, **facts)


def test_a_drill_stops_signer_and_hand_over_and_leaves_all_as_it_was(bench):
    before = KillState.objects.get(scope="local").epoch
    shown = drilled(bench)
    assert shown.passed
    assert shown.released
    assert [step["step"] for step in shown.as_json()["proof"]["steps"]] == [
        "committed", "barrier", "handovers_ended", "listed",
    ]  # fmt: skip
    assert "kill" in shown.signer
    assert "kill" in shown.hand_over
    assert bench.next_nonce() == 0
    assert Attempt.objects.get().raw is None
    assert Transaction.objects.get().status == "rejected"
    assert KillState.objects.get(scope="local").epoch == before + 1
    assert not selectors.kill_engaged(chain_key="local")
    assert AuditEvent.objects.filter(verb="kill.drill").exists()
    assert bench.sender.send(bench.plan().pk, fees=FEES).nonce == 0


def test_a_drill_on_an_engaged_switch_is_refused_and_releases_nothing(bench):
    kill.kill_engage(reason="for good reason", scope="local")
    with pytest.raises(drill.NotDrilled, match="release it first"):
        drilled(bench)
    assert KillState.objects.get(scope="local").reason == "for good reason"


def test_a_drill_never_releases_what_somebody_else_stopped_meanwhile(bench):
    class SomebodyStops:
        def sign(self, attempt_id):
            stopping = threading.Thread(target=_stop)
            stopping.start()
            stopping.join()
            raise SignRefused("killed", "the kill switch is engaged")

    def _stop():
        kill.kill_engage(reason="a real fire", scope="local")
        connection.close()

    bench.sender._signer = SomebodyStops()
    shown = drilled(bench)
    assert not shown.released
    state = KillState.objects.get(scope="local")
    assert (state.engaged, state.reason) == (True, "a real fire")


def test_a_drill_with_a_signer_that_signs_fails_and_still_sends_no_byte(bench):
    real = bench.desk.client.sign

    class Deaf:
        def sign(self, attempt_id):
            KillState.objects.update(engaged=False)
            signed = real(attempt_id)
            KillState.objects.update(engaged=True)
            return signed

    KillState.objects.update(epoch=1)
    bench.sender._signer = Deaf()
    shown = drilled(bench)
    assert (shown.passed, shown.signer) == (False, "")
    assert not Attempt.objects.filter(purpose="first", raw__isnull=False).exists()


def test_without_an_executor_there_is_nothing_to_drill_with(bench):
    bench.executor.state = "retired"
    bench.executor.save()
    with pytest.raises(drill.NotDrilled, match="no active executor"):
        drilled(bench)
    assert not selectors.kill_engaged(chain_key="local")


def test_a_drill_whose_signer_says_nothing_proves_nothing_and_is_released(bench):
    class Silent:
        def sign(self, attempt_id):
            raise SignerDown("gave no answer", asked=True)

    bench.sender._signer = Silent()
    with pytest.raises(drill.NotDrilled, match="nothing is proven: the signer gave no answer"):
        drilled(bench)
    assert not selectors.kill_engaged(chain_key="local")
    assert (bench.next_nonce(), Transaction.objects.get().status) == (0, "rejected")


def test_a_signer_that_refuses_for_another_reason_is_no_proof(bench):
    class Choosy:
        def sign(self, attempt_id):
            raise SignRefused("rate", "enough for this hour")

    bench.sender._signer = Choosy()
    with pytest.raises(SignRefused, match="enough for this hour"):
        drilled(bench)
    assert not selectors.kill_engaged(chain_key="local")


# The drill that a page asks for.


@pytest.fixture
def admin(django_user_model):
    return django_user_model.objects.create(username="an-admin", role="admin")


def ask(admin):
    browser = APIClient()
    browser.force_authenticate(admin)
    return browser.post("/api/kill/drill", {"chain": "local"}, format="json")


def act(bench, pk, *, may_sign=True):
    office = Office(
        chain=bench.chain, rpc=bench.rpc, sender=bench.sender, settle=bench.settle,
        may_sign=may_sign,
    )  # fmt: skip
    desk = acting.Desk(open_office=lambda _: office, signer=bench.desk.client)
    return acting.request_act(pk=pk, desk=desk)


def working(bench):
    """A worker that holds whatever is asked meanwhile."""
    return taking_up(partial(act, bench))


def test_a_page_is_answered_with_what_the_real_switch_did(bench, admin):
    epoch = KillState.objects.get(scope="local").epoch
    with working(bench):
        answer = ask(admin)
    assert answer.status_code == 201, answer.data
    done = answer.data
    assert (done["passed"], done["released"], done["proof"]["complete"]) == (True, True, True)
    assert ("kill" in done["signer"], "kill" in done["handOver"]) == (True, True)
    steps = done["proof"]["steps"]
    assert [step["step"] for step in steps] == ["committed", "barrier", "handovers_ended", "listed"]
    assert all(step["at"] and step["tookMs"] >= 0 for step in steps)
    state = KillState.objects.get(scope="local")
    assert (state.engaged, state.epoch) == (False, epoch + 1)
    verbs = AuditEvent.objects.filter(actor=admin, via="api").order_by("id")
    assert list(verbs.values_list("verb", flat=True)) == [
        "request.drill", "kill.engage", "kill.proof", "kill.release", "kill.drill",
    ]  # fmt: skip


def test_without_a_worker_it_is_followed_and_stops_nothing_when_one_comes_too_late(bench, admin):
    answer = ask(admin)
    assert (answer.status_code, answer.data["state"]) == (202, "queued")
    assert ask(admin).data["reason"] == "in_flight"
    row = Request.objects.get(pk=answer.data["id"])
    Request.objects.update(created_at=timezone.now() - acting.TOO_LATE * 2)

    done = act(bench, row.pk)

    assert (done.reason, done.result) == ("late", None)
    assert not AuditEvent.objects.filter(verb="kill.engage").exists()


def test_what_a_dead_worker_engaged_stays_engaged_and_no_other_releases_it(bench, admin):
    row = Request.objects.create(kind="drill", chain=bench.chain, requested_by=admin)
    wishes.request_claim(pk=row.pk)
    kill.kill_engage(reason="drill of a worker that died", scope="local")
    Request.objects.update(taken_at=timezone.now() - wishes.STALE * 2)

    done = act(bench, row.pk)

    assert (done.runs, done.reason, done.result) == (2, "killed", None)
    assert selectors.kill_engaged(chain_key="local")
    assert (ask(admin).status_code, Request.objects.count()) == (409, 1)


def test_where_nothing_is_signed_nothing_is_stopped_for_a_drill(bench, admin):
    row = Request.objects.create(kind="drill", chain=bench.chain, requested_by=admin)
    assert "there is nothing to drill" in act(bench, row.pk, may_sign=False).problem
    assert not AuditEvent.objects.filter(verb="kill.engage").exists()


def test_a_drill_that_proves_nothing_is_not_tried_again_by_itself(bench, admin):
    class Silent:
        def sign(self, attempt_id):
            raise SignerDown("gave no answer", asked=True)

    bench.sender._signer = Silent()
    row = Request.objects.create(kind="drill", chain=bench.chain, requested_by=admin)

    done = act(bench, row.pk)

    assert "nothing is proven" in done.problem
    assert AuditEvent.objects.filter(verb="kill.engage").count() == 1
    assert not selectors.kill_engaged(chain_key="local")


def test_a_drill_from_the_shell_prints_each_step(bench, shell):
    shell("signer.sock")
    out = StringIO()
    call_command("kill_drill", "--chain", "local", stdout=out)
    assert "the signer refused: " in out.getvalue()
    assert "released, after" in out.getvalue()
