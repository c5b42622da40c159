"""A tip from end to end: a builder at the wire is paid what was offered when it builds, to the wei,
and nothing for what reverts."""

from fractions import Fraction
from math import ceil

import pytest

from contracts.models import Chain
from execution import fast_mode, limits, mode_status
from execution.models import Execution, FastMode, PnlEntry
from prices.models import Monitor
from tests.e2e.still_market import OPEN, sell, settled
from tests.execution.conftest import open_floor  # noqa: F401  a fixture
from tests.execution.floor import await_, ledger_of
from tests.wallets.relays.builder import builder
from wallets import adapters, relay_book
from wallets.administration.mending import receiver_mend, tip_recipient_store
from wallets.models import Attempt, Submission, Transaction

pytestmark = pytest.mark.e2e
PAID = "0x4848489f0b2BEdd788c696e2D79b6b69D7484848"
SHARE_BPS = 2_500


@pytest.fixture(scope="module")
def wire():
    with builder() as made:
        yield made


@pytest.fixture(scope="module")
def place(open_floor, wire):  # noqa: F811  a fixture
    """Nothing pays there until a test makes it pay; executions go to one builder, who is paid."""
    made = open_floor(seed=79, states_kept=256, traders=False, rival=False)
    made.sold = 0
    adapters.sender(made.chain).close()  # with other relays there is another
    relay = {
        "kind": "bundle", "name": "one", "url": wire.url, "dialect": "max_block",
        "tipRecipient": PAID,
    }  # fmt: skip
    Chain.objects.update(relays=[relay])
    made.chain.refresh_from_db()
    (entry,) = relay_book.entries_of(made.chain)
    relay_book.probe_record(chain=made.chain, entry=entry, ok=True, detail="a test")
    mode = FastMode.objects.select_related("config", "chain").get(chain=made.chain)
    changes = {"usePrivateMempool": True, "tipShareBps": SHARE_BPS}
    limits.limits_change(mode=mode, changes=changes)
    tip_recipient_store(made.receiver, PAID)
    receiver_mend(made.office(), made.receiver)
    return made


@pytest.fixture(autouse=True)
def watched(place, wire):
    fast_mode.fast_mode_set(chain=place.chain, state="armed", reason="a test begins")
    place.start()
    await_(lambda: Monitor.objects.get(chain=place.chain).running == "stream", until_s=60)
    calm(place, wire)
    yield
    place.stop()
    wire.held = []
    await_(lambda: settled(place), until_s=60)


def calm(place, wire):
    """Build what the market pays for still, until nothing was offered in two blocks."""

    def quiet():
        head = place.market.driver.step().number
        await_(lambda: Monitor.objects.get(chain=place.chain).head_number == head)
        if wire.held or Transaction.objects.filter(status__in=OPEN).exists():
            wire.build(place.rpc)
            return False
        return FastMode.objects.get(chain=place.chain).state == "armed"

    await_(lambda: quiet() and quiet(), until_s=120)


def offered(place, wire):
    """Make one block hold what pays; the execution of it, whose bundle the builder holds."""
    since = Execution.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    sell(place)
    sent = Execution.objects.filter(pk__gt=since, transaction__status="submitted")
    row = await_(sent.select_related("transaction").first, until_s=90)
    assert [raw for raw, _, _ in wire.held] == [bytes(row.transaction.attempts.get().raw)]
    return row


def coins(place, address):
    return int(place.rpc.call("eth_getBalance", [address, "latest"]), 16)


def booked(place, row):
    """The same, once the engine has booked it."""

    def there():
        place.market.driver.step()
        return Execution.objects.filter(pk=row.pk, net_profit_wei__isnull=False).exists()

    await_(there, until_s=60, step_s=0.3)
    return Execution.objects.select_related("transaction").get(pk=row.pk)


def step_of(row, name):
    return int(next(each["amount"] for each in row.waterfall if each["step"] == name))


def test_what_is_built_pays_the_builder_its_share_and_the_accounts_agree_to_the_wei(place, wire):
    assert [c["key"] for c in mode_status.checks(place.chain) if c["key"] == "tip" and c["ok"]]
    row = offered(place, wire)
    tip_wei = int(row.transaction.value_wei)
    assert (tip_wei > 0, row.tip_wei, row.net_profit_wei) == (True, 0, None)
    builder_before, executor_before = coins(place, PAID), coins(place, place.executor.address)

    assert wire.build(place.rpc) == [row.transaction.attempts.get().hash]
    row = booked(place, row)

    assert row.transaction.receipt["status"] == "0x1"
    assert coins(place, PAID) - builder_before == tip_wei == row.tip_wei
    gas_wei = int(row.transaction.gas_used) * int(row.transaction.gas_price_wei)
    spent = executor_before - coins(place, place.executor.address)
    assert spent == gas_wei + tip_wei
    earned = int(row.realized_profit) * int(row.native_rate_den) // int(row.native_rate_num)
    assert row.realized_profit == row.expected_profit
    assert row.net_profit_wei == earned - gas_wei - tip_wei == ledger_of(row)
    assert row.net_profit_wei > 0
    tip = PnlEntry.objects.get(execution=row, kind="tip")
    assert (tip.amount, tip.net_wei) == (-tip_wei, -tip_wei)
    # What the page said beforehand is what was paid, in the borrowed token and rounded up.
    num, den = int(row.native_rate_num), int(row.native_rate_den)
    assert step_of(row, "relay_tip") == -ceil(Fraction(tip_wei * num, den))
    before = step_of(row, "net") - step_of(row, "relay_tip")
    assert tip_wei == ceil(Fraction(before * SHARE_BPS * den, num * 10_000))
    assert sum(int(each["amount"]) for each in row.waterfall[:-1]) == step_of(row, "net")
    assert Submission.objects.filter(outcome="accepted", relay="one").exists()


def test_what_reverts_pays_nobody(place, wire):
    row = offered(place, wire)
    (raw, last_block, _) = wire.held.pop()
    before = coins(place, PAID)
    at = sell(place)  # the price goes back: there is nothing left to earn
    assert at < last_block
    place.rpc.send_raw(raw)  # it leaks, and is mined for everyone to see
    row = booked(place, row)

    assert row.transaction.receipt["status"] == "0x0"
    assert (int(row.transaction.value_wei) > 0, coins(place, PAID)) == (True, before)
    gas_wei = int(row.transaction.gas_used) * int(row.transaction.gas_price_wei)
    assert (row.tip_wei, row.net_profit_wei, ledger_of(row)) == (0, -gas_wei, -gas_wei)
    assert not PnlEntry.objects.filter(execution=row, kind="tip").exists()


def test_a_bundle_that_nobody_builds_pays_nobody_and_gives_its_nonce_back(place, wire):
    row = offered(place, wire)
    nonce = row.transaction.attempts.get().nonce
    wire.held = []
    before = coins(place, PAID)
    ended = Transaction.objects.filter(pk=row.transaction_id, status="expired")
    sell(place)

    def over():
        place.market.driver.step()
        return ended.exists()

    await_(over, until_s=60, step_s=0.3)
    assert Attempt.objects.filter(nonce=nonce, released=True).exists()
    row.refresh_from_db()
    assert (row.tip_wei, row.net_profit_wei, coins(place, PAID)) == (0, None, before)
