"""Two executors on a quiet market: when the first cannot execute, the second does a block later."""

from contextlib import contextmanager

import pytest

from arbsite.base.models import Alert
from execution import executors, fast_mode
from execution.models import Execution, FastMode
from prices.models import Monitor
from tests.e2e.still_market import OPEN, sell, settled
from tests.execution.conftest import open_floor  # noqa: F401  a fixture
from tests.execution.floor import COIN_WEI, await_
from wallets.freezing import account_freeze, wallet_unfreeze
from wallets.models import Assignment, Attempt, Transaction

pytestmark = pytest.mark.e2e
WEI_LEFT = 1_000


@pytest.fixture(scope="module")
def place(open_floor):  # noqa: F811  a fixture
    """Nothing pays there until a test makes it pay, and nobody else takes it."""
    made = open_floor(seed=77, states_kept=256, traders=False, rival=False)
    made.backup = made.authorise_another()
    made.sold = 0
    return made


@pytest.fixture(autouse=True)
def watched(place, monkeypatch):
    """An engine that has seen both executors, and executed with the first."""
    monkeypatch.setattr(executors, "BALANCES_WAIT_S", 20)  # however slow this machine is
    fast_mode.fast_mode_set(chain=place.chain, state="armed", reason="a test begins")
    hold(place, place.executor, 1_000 * COIN_WEI)
    place.start()
    await_(lambda: Monitor.objects.get(chain=place.chain).running == "stream", until_s=60)
    assert taken(place).wallet == place.executor
    yield
    place.stop()
    await_(lambda: settled(place), until_s=60)


def hold(place, wallet, wei):
    place.rpc.call("anvil_setBalance", [wallet.address, hex(wei)])


def newest():
    return Execution.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def taken(place):
    """Make one block hold what pays, and mine the next; the execution that took it.

    It was decided at the block that pays, and is in the one after that.
    """
    attentive(place)
    since = newest()
    pays_at = sell(place)
    sent = Execution.objects.filter(pk__gt=since, transaction__status="submitted")
    row = await_(sent.select_related("wallet").first, until_s=90)
    assert place.market.driver.step().number == pays_at + 1
    await_(lambda: row.pk in [one.pk for one in place.included()], until_s=60)
    row = Execution.objects.select_related("wallet", "transaction").get(pk=row.pk)
    assert (row.block_number, row.transaction.block_number) == (pays_at, pays_at + 1)
    assert row.transaction.receipt["status"] == "0x1"
    calm(place)
    return row


def attentive(place):
    """Mine what pays nobody until the engine is armed: a market that stands still disarms it."""

    def armed():
        head = place.market.driver.step().number
        await_(lambda: Monitor.objects.get(chain=place.chain).head_number == head, until_s=60)
        return FastMode.objects.get(chain=place.chain).state == "armed"

    await_(armed, until_s=60, step_s=0.5)


def calm(place):
    """Let the engine take what that left to earn, until nothing was sent in two blocks."""

    def quiet():
        head = place.market.driver.step().number
        await_(lambda: Monitor.objects.get(chain=place.chain).head_number == head, until_s=60)
        open_ = Transaction.objects.filter(status__in=OPEN, wallet__role="executor")
        return not open_.exclude(kind="test").exists()

    await_(lambda: quiet() and quiet(), until_s=120)


@contextmanager
def drained(place):
    hold(place, place.executor, WEI_LEFT)
    yield
    hold(place, place.executor, 1_000 * COIN_WEI)


@contextmanager
def frozen(place):
    address = place.executor.address
    assert account_freeze(chain_key="local", address=address, why="a test")
    yield
    nonce = int(place.rpc.call("eth_getTransactionCount", [address, "latest"]), 16)
    wallet_unfreeze(wallet=place.executor, chain_nonce=nonce, reason="the test is over")


@contextmanager
def revoked(place):
    rows = Assignment.objects.filter(wallet=place.executor)
    rows.update(desired=False)
    yield
    rows.update(desired=True)


@contextmanager
def stuck(place):
    head = place.market.chain.head()
    one = Transaction.objects.create(
        chain=place.chain, wallet=place.executor, kind="test", idempotency_key=f"stuck {head}",
        to=place.executor.address, status="submitted", simulated_block=max(1, head - 20),
    )  # fmt: skip
    yield
    Transaction.objects.filter(pk=one.pk).update(status="expired")


def relieved(place, ail):
    """What pays in the next block is taken by the backup a block later, and nothing of the first is
    even tried; once the first is well it has its turn back, within a second or so."""
    with ail(place):
        since = newest()
        assert taken(place).wallet == place.backup
        assert not Execution.objects.filter(pk__gt=since, wallet=place.executor).exists()
        if ail in (drained, stuck):  # it is still in the order
            await_(lambda: Alert.objects.filter(key="takeover:local", resolved_at=None).exists())

    await_(lambda: taken(place).wallet == place.executor, until_s=120)
    await_(lambda: not Alert.objects.filter(key="takeover:local", resolved_at=None).exists())
    nonces = Attempt.objects.filter(replaces__isnull=True, released=False)
    assert nonces.count() == len({(a.sequence_id, a.nonce) for a in nonces})


def test_the_backup_trades_while_the_first_is_dry_and_gives_back_once_it_is_filled(place):
    relieved(place, drained)


def test_the_backup_trades_while_the_first_is_frozen(place):
    relieved(place, frozen)


def test_the_backup_trades_from_the_wish_to_revoke_the_first(place):
    relieved(place, revoked)


def test_the_backup_trades_while_something_of_the_first_is_stuck(place):
    relieved(place, stuck)
