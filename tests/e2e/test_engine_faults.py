"""An engine whose node goes away or falls silent, and one that is a process of its own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from arbsite.stack import paths
from execution import fast_mode
from execution.models import Execution
from prices.models import Monitor, Opportunity
from tests.execution.conftest import open_floor  # noqa: F401  a fixture
from tests.execution.floor import Pump, await_, kept_market
from wallets.models import Attempt, ChainLeader

pytestmark = pytest.mark.e2e
PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    with kept_market(seed=77, folder=tmp_path_factory.mktemp("chain")) as node:
        yield node


@pytest.fixture(scope="module")
def place(kept, open_floor):  # noqa: F811  a fixture
    return open_floor(seed=77, kept=kept)


@pytest.fixture(autouse=True)
def _orderly(place):
    fast_mode.fast_mode_set(chain=place.chain, state="armed", reason="a test begins")
    yield
    place.stop()
    for _ in range(4):
        place.market.driver.step()
        place.settle()


def monitor():
    return Monitor.objects.get(chain_id="local")


def test_a_node_that_goes_away_and_comes_back_is_followed_again(place, kept):
    place.start()
    before = len(place.included())
    with place.pump():
        await_(lambda: len(place.included()) > before, until_s=60)
    await_(lambda: not place.settle().open or place.market.driver.step() is None, until_s=30)
    head = monitor().head_number
    kept.kill()

    await_(lambda: monitor().problem)
    await_(
        lambda: (
            not Opportunity.objects.filter(ended_at__isnull=True)
            .exclude(reason="stale_pool")
            .exists()
        )
    )

    place.market = kept.restart()
    back_at = time.monotonic()
    with Pump(place.market.driver, block_s=0.4):
        await_(lambda: not monitor().problem and monitor().head_number > head, until_s=15)
        assert time.monotonic() - back_at < 15
        count = len(place.included())
        await_(lambda: len(place.included()) > count, until_s=60)
    keys = list(Execution.objects.values_list("key", flat=True))
    assert len(keys) == len(set(keys))
    first = Attempt.objects.filter(purpose="first", released=False)
    assert first.count() == len({(a.sequence_id, a.nonce) for a in first})


def test_silence_is_noticed_and_ends_with_the_next_block(place):
    place.start()
    with place.pump():
        await_(lambda: monitor().running == "stream" and not monitor().problem)
    await_(lambda: "no block" in monitor().problem, until_s=25)
    with place.pump():
        await_(lambda: not monitor().problem, until_s=15)
        count = len(place.included())
        await_(lambda: len(place.included()) > count, until_s=60)


def process():
    """`run_engine` on this test's database and signer."""
    data = Path(settings.ARB.data_dir)
    socket = paths.signer_socket(data)
    socket.parent.mkdir(parents=True, exist_ok=True)
    if not socket.exists():
        socket.unlink(missing_ok=True)
        socket.symlink_to(settings.SIGNER_SOCKET)
    url, _, rest = paths.database_url(data).partition("?")
    url = url.rpartition("/")[0] + "/" + connection.settings_dict["NAME"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO")}
    environ |= {"DATABASE_URL": f"{url}?{rest}" if rest else url, "ARB_DATA_DIR": str(data)}
    return subprocess.Popen(
        [sys.executable, "manage.py", "run_engine", "--chain", "local"],
        cwd=PROJECT,
        env=environ | {"DJANGO_SETTINGS_MODULE": "arbsite.settings"},
        stderr=subprocess.DEVNULL,
    )


def epoch():
    row = ChainLeader.objects.filter(chain_id="local").first()
    return row.epoch if row else 0


def test_a_process_ends_with_0_at_sigterm_and_another_takes_over_one_that_is_killed(place):
    began = epoch()
    first = process()
    second = None
    try:
        await_(lambda: epoch() > began, until_s=60)
        with place.pump():
            count = len(place.traded())
            await_(lambda: len(place.traded()) > count, until_s=60)
            led = epoch()
            second = process()
            first.kill()
            first.wait()
            await_(lambda: epoch() > led, until_s=60)
            count = len(place.included())
            await_(lambda: len(place.included()) > count, until_s=60)
            second.send_signal(signal.SIGTERM)
            assert second.wait(10) == 0
    finally:
        for each in (first, second):
            if each is not None and each.poll() is None:
                each.kill()
                each.wait()
    left = Attempt.objects.filter(status="prepared", released=False)
    assert not left.filter(transaction__leader_epoch=epoch()).exists()
