"""An engine at work takes the relays that come and go under it, and is not started again."""

import copy
import json

import pytest
from django.core.management import call_command

from contracts.models import Chain
from execution import fast_mode, limits
from execution.models import FastMode
from prices.models import Monitor
from tests.execution.conftest import open_floor  # noqa: F401  a fixture
from tests.execution.floor import await_
from tests.wallets.relays.builder import builder
from wallets.models import Attempt

pytestmark = pytest.mark.e2e
REFUSES_NOTHING_TO_BUILD = {"error": {"code": -38000, "message": "bundle missing txs"}}
TAKES = {"result": {"bundleHash": "0x" + "be" * 32}}


@pytest.fixture(scope="module")
def place(open_floor):  # noqa: F811  a fixture
    return open_floor(seed=77, states_kept=256)


@pytest.fixture
def relay():
    with builder() as wire:
        yield wire


def import_with(place, tmp_path, *relays):
    """The floor's market file, naming these relays."""
    document = copy.deepcopy(place.market.file)
    document["chain"]["relays"] = list(relays)
    file = tmp_path / "market.json"
    file.write_text(json.dumps(document))
    call_command("import_market", str(file))


def send_privately(place):
    mode = FastMode.objects.select_related("config", "chain").get(
        chain=Chain.objects.get(pk=place.chain.pk)
    )
    limits.limits_change(mode=mode, changes={"usePrivateMempool": True})
    fast_mode.fast_mode_set(chain=place.chain, state="armed", reason="a test begins")


def test_a_relay_that_is_imported_and_tried_while_it_runs_carries_the_next_execution(
    place, relay, tmp_path
):
    running = place.start()
    await_(lambda: Monitor.objects.get(chain=place.chain).running == "stream")

    entry = {"kind": "bundle", "name": "new", "url": relay.url, "dialect": "max_block"}
    import_with(place, tmp_path, entry)
    relay.answer = REFUSES_NOTHING_TO_BUILD
    call_command("probe_relays", "--chain", place.chain.key)
    relay.answer = TAKES
    send_privately(place)

    with place.pump():
        await_(lambda: any(call["params"][0]["txs"] for call in relay.sent()), until_s=60)
        await_(lambda: Attempt.objects.filter(sent_via="bundle:new").exists())

        import_with(place, tmp_path)
        await_(lambda: not running.engine._acting.desk.sender.carries(private_only=True))
        said, head = len(relay.sent()), place.market.chain.head()
        await_(lambda: place.market.chain.head() > head + 8)

    assert running.alive
    assert len(relay.sent()) == said
