"""Private executions over the wire to builders that build: once or not at all, never public."""

import pytest

from contracts.kernel.relay_entry import Auth, Dialect, RelayEntry
from contracts.models import Deployment
from tests.wallets.conftest import (  # noqa: F401  fixtures of the send path
    CHAIN_ID,
    FEES,
    anvil,
    await_no_sessions,
    channel_layer,
    desk,
    make_bench,
)
from tests.wallets.relays.builder import builder
from tests.wallets.test_receipts import _executable, age
from wallets import relay_book
from wallets.ledger import NotSendable
from wallets.models import Attempt, Submission
from wallets.relays.bundle import BundleRelay
from wallets.relays.fan_out import FanOut
from wallets.relays.private_rpc import PrivateRpcRelay

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]


PAID = "0x" + "48" * 20


def bundle_to(wire, name, head, **quirks):
    entry = RelayEntry(kind="bundle", name=name, url=wire.url, dialect=Dialect.MAX_BLOCK, **quirks)
    return BundleRelay(entry, chain_id=CHAIN_ID, credential="", head=head)


@pytest.fixture
def two(transactional_db, anvil, desk):  # noqa: F811
    """A sender whose private way is two builders, and those."""
    with builder() as one, builder() as other:
        made = make_bench(anvil=anvil, desk=desk)
        way = FanOut([bundle_to(one, "one", made.head), bundle_to(other, "other", made.head)])
        made.sender._ways.private = way
        made.one, made.other = one, other
        made.execution = _executable(made)
        yield made
        way.close()
        made.sender.close()
        made.rpc.close()
        await_no_sessions("test-sender")


def planned(bench, blocks=3):
    facts = {**bench.execution, "last_block": bench.head() + blocks, "private_only": True}
    return bench.plan(**facts)


def settled(bench, blocks=0):
    bench.mine(blocks)
    age()
    return bench.settle()


def test_each_builder_gets_the_same_bytes_once_and_the_node_none(two):
    one = planned(two)
    outcome = two.sender.send(one.pk, fees=FEES)
    raw = "0x" + bytes(Attempt.objects.get().raw).hex()

    for wire in (two.one, two.other):
        (call,) = wire.sent()
        assert call["params"] == [{"txs": [raw], "maxBlockNumber": one.last_block}]
    assert (outcome.status, two.fresh(one).submitted_via) == ("submitted", "bundle:one+other")
    assert two.rpc.call("eth_getTransactionByHash", [outcome.hash]) is None
    told = Submission.objects.order_by("relay")
    assert [(each.relay, each.outcome, each.asked) for each in told] == [
        ("one", "accepted", 1), ("other", "accepted", 1),
    ]  # fmt: skip


def test_what_is_built_is_booked_and_counted_for_every_relay_that_had_it(two):
    one = planned(two)
    two.sender.send(one.pk, fees=FEES)
    (landed,) = two.one.build(two.rpc)
    settled(two, 2)

    assert (two.fresh(one).status, two.fresh(one).tx_hash) == ("confirmed", landed)
    counts = relay_book.relay_statistics(chain_key="local")
    assert [(row["relay"], row["accepted"], row["landed"], row["missed"]) for row in counts] == [
        ("one", 1, 1, 0), ("other", 1, 1, 0),
    ]  # fmt: skip


def test_a_bundle_that_would_revert_is_built_by_nobody_and_costs_nothing(two):
    code = "0x" + "60006000fd"  # reverts whatever it is asked
    two.rpc.call("anvil_setCode", [two.execution["to"], code])
    before = two.rpc.call("eth_getBalance", [two.executor.address, "latest"])
    one = planned(two, blocks=2)
    two.sender.send(one.pk, fees=FEES)

    assert two.one.build(two.rpc) == []
    assert two.other.build(two.rpc) == []
    settled(two, 2)
    assert (two.fresh(one).status, two.next_nonce()) == ("expired", 0)
    assert two.rpc.call("eth_getBalance", [two.executor.address, "latest"]) == before
    two.rpc.call("anvil_setCode", [two.execution["to"], "0x"])


def test_a_builder_that_is_late_cannot_make_a_second_execution(two):
    first = planned(two, blocks=1)
    two.sender.send(first.pk, fees=FEES)
    held = list(two.one.held)
    settled(two, 2)
    assert (two.fresh(first).status, two.next_nonce()) == ("expired", 0)
    second = planned(two, blocks=20)
    two.sender.send(second.pk, fees=FEES)
    landed = two.other.build(two.rpc)
    assert len(landed) == 1
    # Late and lawless: it forgets the block that the bundle named.
    two.one.held = [(raw, None, name) for raw, _, name in held]
    assert two.one.build(two.rpc) == []
    settled(two, 3)
    statuses = [two.fresh(one).status for one in (first, second)]
    assert statuses == ["expired", "confirmed"]
    assert two.next_nonce() == 1


def test_a_builder_that_leaks_makes_one_execution_of_the_two(two):
    first = planned(two, blocks=1)
    two.sender.send(first.pk, fees=FEES)
    leaked = two.one.held[0][0]
    settled(two, 2)
    second = planned(two, blocks=20)
    two.sender.send(second.pk, fees=FEES)
    two.rpc.send_raw(leaked)  # to everyone
    settled(two, 1)
    assert two.one.build(two.rpc) == []  # the other's nonce is spent
    settled(two, 4)
    assert [two.fresh(one).status for one in (first, second)] == ["confirmed", "expired"]
    assert two.next_nonce() == 1


def test_when_no_builder_takes_it_the_node_still_gets_nothing(two):
    for wire in (two.one, two.other):
        wire.answer = {"error": {"code": -38000, "message": "not today"}}
    one = planned(two)
    outcome = two.sender.send(one.pk, fees=FEES)

    assert (outcome.status, outcome.detail) == ("signed", "one: not today")
    assert two.rpc.call("eth_getTransactionByHash", [outcome.hash]) is None
    settled(two, 1)
    assert [len(wire.sent()) for wire in (two.one, two.other)] == [2, 2]
    assert two.rpc.call("eth_getTransactionByHash", [outcome.hash]) is None
    assert {each.asked for each in Submission.objects.all()} == {2}
    settled(two, 3)
    assert (two.fresh(one).status, two.next_nonce()) == ("expired", 0)


def test_one_builder_that_hangs_does_not_hide_what_the_other_said(two):
    two.one.answer = None
    one = planned(two)
    outcome = two.sender.send(one.pk, fees=FEES)

    assert outcome.status == "submitted"
    told = dict(Submission.objects.values_list("relay", "outcome"))
    assert told == {"one": "unknown", "other": "accepted"}


def test_a_cancel_goes_a_public_way_and_ends_the_nonce(two):
    one = planned(two, blocks=50)
    two.sender.send(one.pk, fees=FEES)
    two.sender.cancel(one.pk, reason="enough")
    settled(two, 3)

    assert Attempt.objects.get(purpose="cancel").sent_via == "public"
    assert two.fresh(one).status == "cancelled"
    assert two.one.build(two.rpc) == []


def test_what_is_not_private_goes_the_public_way_though_there_are_builders(two):
    one = two.plan()
    two.sender.send(one.pk, fees=FEES)

    assert two.fresh(one).submitted_via == "public"
    assert two.one.sent() == two.other.sent() == []


def test_a_private_rpc_is_one_only_where_there_is_no_builder(two):
    with builder() as wire:
        entry = RelayEntry(kind="private_rpc", name="rpc", url=wire.url, auth=Auth.BEARER)
        private = PrivateRpcRelay(entry, chain_id=CHAIN_ID, credential="key")
        alone = FanOut([private])
        mixed = FanOut([private, bundle_to(two.one, "one", two.head)])
        assert (alone.name, alone.shows_bundles_only) == ("private:rpc", False)
        assert (mixed.name, mixed.shows_bundles_only) == ("bundle:one", True)
        wire.answer = {"result": hex(CHAIN_ID)}
        two.sender._ways.private = alone
        one = planned(two, blocks=1)
        two.sender.send(one.pk, fees=FEES)
        assert [call["method"] for call in wire.calls] == ["eth_chainId", "eth_sendRawTransaction"]
        assert {headers["Authorization"] for headers, _ in wire.requests} == {"Bearer key"}
        # It may have shown it: past its last block its nonce is ended, not given back.
        settled(two, 2)
        assert Attempt.objects.get(purpose="cancel").sent_via == "public"
        alone.close()
        mixed.close()


def test_a_private_rpc_of_another_chain_gets_not_one_byte(two):
    with builder() as wire:
        entry = RelayEntry(kind="private_rpc", name="rpc", url=wire.url)
        two.sender._ways.private = FanOut(
            [PrivateRpcRelay(entry, chain_id=CHAIN_ID, credential="")]
        )
        wire.answer = {"result": "0x1"}
        two.sender.send(planned(two).pk, fees=FEES)
        assert [call["method"] for call in wire.calls] == ["eth_chainId"]
        assert Submission.objects.get().outcome == "not_sent"
        two.sender._ways.private.close()


def test_without_a_private_way_a_private_execution_takes_no_nonce(two):
    two.sender._ways.private = None
    with pytest.raises(NotSendable, match="never falls back"):
        two.sender.send(planned(two).pk, fees=FEES)

    assert not Attempt.objects.exists()


@pytest.fixture
def tipping(two):
    """The same, of whom one builder names a tip recipient, and another a different one."""
    before = two.sender._ways.private
    way = FanOut(
        [
            bundle_to(two.one, "one", two.head, tip_recipient=PAID),
            bundle_to(two.other, "other", two.head, tip_recipient="0x" + "12" * 20),
        ]
    )
    two.sender._ways.private = way
    Deployment.objects.update(observed={"tipRecipient": PAID})
    yield two
    two.sender._ways.private = before
    way.close()


def relays_told():
    rows = Submission.objects.order_by("relay")
    return [(each.relay, each.outcome, each.detail) for each in rows]


def test_a_bundle_with_a_tip_goes_to_whom_it_pays_alone(tipping):
    assert tipping.sender.tip_recipients == {PAID.lower(), "0x" + "12" * 20}
    facts = {**tipping.execution, "last_block": tipping.head() + 3, "private_only": True}
    one = tipping.plan(**facts, value=7)
    outcome = tipping.sender.send(one.pk, fees=FEES)

    assert outcome.status == "submitted"
    assert (len(tipping.one.sent()), tipping.other.sent()) == (1, [])
    assert relays_told() == [
        ("one", "accepted", "0x" + "be" * 32),
        ("other", "not_sent", f"it pays {PAID}, not whom other names"),
    ]
    # Handed over again it is read from the record, and known to pay the same.
    tipping.sender.resend(Attempt.objects.get().pk)
    assert (len(tipping.one.sent()), tipping.other.sent()) == (2, [])


def test_a_bundle_without_a_tip_goes_to_every_builder(tipping):
    tipping.sender.send(planned(tipping).pk, fees=FEES)
    assert (len(tipping.one.sent()), len(tipping.other.sent())) == (1, 1)


@pytest.mark.parametrize("observed", [{}, {"tipRecipient": ""}, {"tipRecipient": "0x" + "99" * 20}])
def test_a_tip_to_nobody_known_or_to_no_builder_is_handed_to_none(tipping, observed):
    Deployment.objects.update(observed=observed)
    facts = {**tipping.execution, "last_block": tipping.head() + 3, "private_only": True}
    outcome = tipping.sender.send(tipping.plan(**facts, value=7).pk, fees=FEES)

    assert tipping.one.sent() == tipping.other.sent() == []
    assert "it pays " in outcome.detail
    assert {outcome for _, outcome, _ in relays_told()} == {"not_sent"}
