"""After a kill -9 all of it works again within 15 s of the process being back, Celery too."""

import os
import signal
from datetime import UTC, datetime

import pytest

from tests.e2e.product import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
AGAIN_S = 15
PERIOD_S = 15  # what beat sends next may have to wait so long by its schedule


def killed(product, name):
    """Kill -9, and wait until it runs again; when it was killed."""
    old = product.pid(name)
    assert old is not None
    at = datetime.now(UTC)
    os.kill(old, signal.SIGKILL)
    wait_for(f"{name} to be back", lambda: product.pid(name) not in (None, old), within_s=30)
    return at


def works(client):
    """Every part says it is well, and every price is known up to now."""
    rows = client.get("/api/prices/live")["results"]
    fresh = rows and not any(row["stale"] for row in rows)
    return client.get("/api/status")["ready"] and fresh


@pytest.fixture(autouse=True)
def _well(client):
    wait_for("everything to be well", lambda: works(client), within_s=90)


@pytest.mark.parametrize("name", ["postgres", "redis", "signer", "engine:local"])
def test_all_is_well_within_fifteen_seconds(product, client, name):
    killed(product, name)

    wait_for("everything to be well", lambda: works(client), within_s=AGAIN_S)


@pytest.mark.parametrize("name", ["worker", "beat", "redis", "postgres"])
def test_scheduled_work_goes_on(product, client, name):
    at = killed(product, name)

    def measured():
        chains = client.get("/api/status")["chains"]
        times = [each["checkedAt"] for chain in chains for each in chain["rpc"]]
        return times and max(datetime.fromisoformat(time) for time in times) > at

    wait_for("an endpoint measured anew", measured, within_s=AGAIN_S + PERIOD_S)
