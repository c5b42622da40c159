"""What no funding passes, whoever asks: caps, the floor, keys, policy, a chain that signs not."""

from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from arbsite.base.models import Alert, AuditEvent, User
from arbsite.base.units import Wei
from contracts.kernel.jsonrpc import hex_int
from tests.wallets.funds import (
    COIN,
    LOW,
    balance_of,
    drain,
    mined,
    office_of,
    reason_for,
)
from tests.wallets.test_sender import in_threads
from wallets import funding, monitoring, reserve_book, services
from wallets.freezing import wallet_unfreeze
from wallets.funding import FundingKeyReused, FundingRefused, Reason
from wallets.models import (
    Attempt,
    Funding,
    FundingPolicy,
    NonceSequence,
    ReserveBook,
    Transaction,
    Wallet,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]


@pytest.fixture
def office(bench):
    drain(bench, bench.executor)
    return office_of(bench)


@pytest.mark.parametrize("by_hand", [False, True])
def test_where_nothing_may_be_signed_it_is_simulated_and_recorded_only(bench, office, by_hand):
    dry = office_of(bench, may_sign=False)
    before = balance_of(bench, bench.reserve)
    if by_hand:
        funding.funding_manual(dry, wallet=bench.executor, amount_wei=Wei(5))
    else:
        funding.funding_run(dry)
    bench.mine()

    [row] = Funding.objects.select_related("transaction")
    assert (row.transaction.status, row.transaction.simulated_only) == ("simulated", True)
    assert row.closed_at is not None
    assert not Attempt.objects.exists()
    assert balance_of(bench, bench.reserve) == before
    assert reason_for(funding.funding_run(dry), bench.executor) is Reason.COOLDOWN
    assert Funding.objects.count() == 1


@pytest.mark.parametrize("by_hand", [False, True])
def test_where_the_l1_bills_apart_nothing_is_given_beyond_what_was_set_aside(
    bench, office, by_hand
):
    """Its fee is in no estimate of gas, and is not computed yet: it is simulated, and says so."""
    bench.chain.l1_fee = "op_stack"
    bench.chain.save()
    before = balance_of(bench, bench.reserve)
    monitoring.sweep(chain=bench.chain, rpc=bench.rpc)
    [decision] = funding.funding_plan(bench.chain)
    assert "the L1 charges" in decision.detail

    if by_hand:
        funding.funding_manual(office, wallet=bench.executor, amount_wei=Wei(5))
    else:
        funding.funding_run(office)
    mined(bench)

    [row] = Funding.objects.select_related("transaction")
    assert (row.transaction.status, row.transaction.simulated_only) == ("simulated", True)
    assert row.closed_at is not None
    assert not Attempt.objects.exists()
    assert balance_of(bench, bench.reserve) == before
    # Its cooldown and caps count as if it had been given, or each round would simulate it again.
    assert reason_for(funding.funding_run(office), bench.executor) is Reason.COOLDOWN


@pytest.mark.parametrize("since", ["exposed", "retired", "frozen", "account frozen", "torn"])
def test_what_happened_since_it_was_reserved_ends_it_before_a_nonce(bench, office, since):
    row = Funding.objects.create(
        wallet=bench.executor, reserve=bench.reserve, amount_wei=5, gas_wei=10**15,
        kill_epoch=services.kill_epoch("local"),
    )  # fmt: skip
    if since == "account frozen":
        NonceSequence.objects.create(
            chain=bench.chain, address=bench.executor.address, frozen="a stranger"
        )
    elif since == "torn":
        tear(bench)
    else:
        Wallet.objects.filter(pk=bench.executor.pk).update(state=since)

    report = funding.funding_run(office, older_than_s=0)
    mined(bench)

    row.refresh_from_db()
    assert row.closed_at is not None
    assert ("ledger" if since == "torn" else since.split()[-1]) in row.refused
    assert report.problems
    assert not any(decision.funds for decision in report.decisions)
    assert not Attempt.objects.exists()
    assert balance_of(bench, bench.executor) == LOW


def tear(bench):
    ReserveBook.objects.create(
        reserve=bench.reserve, opened_block=1, opened_wei=1, checked_block=1,
        checked_block_hash="0x" + "1" * 64, checked_wei=1, difference_wei=-7, problem="7 wei",
    )  # fmt: skip


def test_a_reserve_whose_ledger_is_torn_gives_nothing_until_somebody_accepts_it(bench, office):
    tear(bench)

    assert reason_for(funding.funding_run(office), bench.executor) is Reason.TORN_BOOK
    with pytest.raises(FundingRefused, match="torn_book"):
        funding.funding_manual(office, wallet=bench.executor, amount_wei=Wei(5))
    assert not Funding.objects.exists()

    assert reserve_book.book_accept(reserve=bench.reserve, reason="the test tore it")
    assert reason_for(funding.funding_run(office), bench.executor) is None


@pytest.mark.parametrize("by_hand", [False, True])
def test_an_executor_whose_key_another_uses_is_frozen_and_given_nothing(bench, office, by_hand):
    """Nothing of it is out, and no engine watches: whoever would fund it looks first."""
    monitoring.sweep(chain=bench.chain, rpc=bench.rpc)  # its first: the nonce is noted
    spend_outside(bench, bench.executor)
    drain(bench, bench.executor)

    if by_hand:
        with pytest.raises(FundingRefused, match="not_ours"):
            funding.funding_manual(office, wallet=bench.executor, amount_wei=Wei(5))
    else:
        assert reason_for(funding.funding_run(office), bench.executor) is Reason.NOT_OURS

    assert not Funding.objects.exists()
    assert Wallet.objects.get(pk=bench.executor.pk).state == "frozen"
    assert Alert.objects.filter(key=f"frozen:local:{bench.executor.address}").exists()
    wallet_unfreeze(wallet=bench.executor, chain_nonce=1, reason="it was me")
    assert reason_for(funding.funding_run(office), bench.executor) is None


def spend_outside(bench, wallet):
    """A transaction of its account that the product knows nothing of."""
    bench.rpc.call("anvil_impersonateAccount", [wallet.address])
    request = {"from": wallet.address, "to": "0x" + "77" * 20, "value": "0x1"}
    bench.rpc.call("eth_sendTransaction", [request])
    bench.rpc.call("anvil_stopImpersonatingAccount", [wallet.address])
    bench.mine()


def test_a_key_with_a_past_is_taken_up_where_the_chain_has_it(bench, office):
    spend_outside(bench, bench.executor)
    monitoring.sweep(chain=bench.chain, rpc=bench.rpc)
    drain(bench, bench.executor)

    assert bench.next_nonce() == 1
    assert reason_for(funding.funding_run(office), bench.executor) is None


def test_a_schedule_gives_nothing_where_the_policy_is_not_automatic(bench, office):
    funding.funding_policy_set(chain=bench.chain, changes={"automatic": False})

    assert funding.funding_run(office).decisions == ()
    admin = User.objects.create_user("ada", role="admin")
    assert funding.funding_run(office_of(bench, by=admin)).fundings
    assert AuditEvent.objects.filter(verb="funding.run", actor=admin).exists()


def test_a_key_is_one_funding_however_often_it_is_asked(bench, office):
    def act(_):
        try:
            return funding.funding_manual(
                office, wallet=bench.executor, amount_wei=Wei(7), key="request:1"
            )
        finally:
            connections.close_all()

    rows = in_threads(8, act)
    mined(bench)

    assert {getattr(row, "pk", row) for row in rows} == {Funding.objects.get().pk}
    assert balance_of(bench, bench.executor) == LOW + 7
    with pytest.raises(FundingKeyReused):
        funding.funding_manual(office, wallet=bench.executor, amount_wei=Wei(8), key="request:1")


def test_a_person_is_told_which_cap_is_in_the_way_and_nothing_is_reserved(bench, office):
    cap = FundingPolicy.objects.get_or_create(chain=bench.chain)[0].cap_transfer_wei

    with pytest.raises(FundingRefused, match="cap_transfer"):
        funding.funding_manual(office, wallet=bench.executor, amount_wei=Wei(cap + 1))
    with pytest.raises(FundingRefused, match="not_ours"):
        funding.funding_manual(office, wallet=bench.reserve, amount_wei=Wei(1))

    assert not Funding.objects.exists()
    assert funding.funding_check(wallet=bench.executor, amount_wei=Wei(cap)).funds


@pytest.mark.parametrize(
    "facts", [{"source": "watch"}, {"state": "retired"}, {"state": "exposed"}, {"state": "frozen"}]
)
def test_only_our_own_active_executors_are_funded(bench, office, facts):
    Wallet.objects.filter(pk=bench.executor.pk).update(**facts)

    report = funding.funding_run(office)

    assert not any(decision.funds for decision in report.decisions)
    assert not Funding.objects.exists()


def test_an_address_that_no_key_of_ours_derives_gets_nothing_though_its_row_says_executor(
    bench, office
):
    """The database is not believed: the signer derives the target anew (I26)."""
    stranger = "0x" + "5" * 40
    Wallet.objects.filter(pk=bench.executor.pk).update(address=stranger)

    report = funding.funding_run(office)
    mined(bench)

    assert report.problems
    assert Funding.objects.get().closed_at is not None
    assert Transaction.objects.get(kind="funding").status == "rejected"
    assert hex_int(bench.rpc.call("eth_getBalance", [stranger, "latest"])) == 0


def test_the_reserves_floor_is_kept_to_the_wei(bench, office):
    floor = FundingPolicy.objects.get_or_create(chain=bench.chain)[0].reserve_floor_wei
    drain(bench, bench.reserve, to=floor + COIN // 50)

    report = funding.funding_run(office)
    mined(bench)

    [decision] = [d for d in report.decisions if d.wallet_id == bench.executor.pk]
    assert decision.cut_by is Reason.RESERVE_FLOOR
    assert balance_of(bench, bench.executor) == LOW + decision.amount_wei
    assert balance_of(bench, bench.reserve) >= floor


def test_what_is_promised_and_not_mined_yet_is_no_longer_the_reserves_to_give(bench, office):
    floor = FundingPolicy.objects.get_or_create(chain=bench.chain)[0].reserve_floor_wei
    other = services.wallet_create(chain=bench.chain, role="executor", signer=bench.desk.client)
    funding.threshold_set(wallet=other, threshold_wei=Wei(1))
    drain(bench, other)
    drain(bench, bench.reserve, to=floor + COIN // 10)
    funding.funding_run(office)
    funding.threshold_set(wallet=other, threshold_wei=Wei(0))

    report = funding.funding_run(office)  # at the same block: the reserve's balance has not moved
    mined(bench)

    [decision] = [d for d in report.decisions if d.wallet_id == other.pk]
    assert decision.cut_by is Reason.RESERVE_FLOOR
    assert Funding.objects.count() == 2
    assert balance_of(bench, bench.reserve) >= floor


def test_a_day_is_counted_from_when_a_funding_ended(bench, office):
    """One that hung for a day is not forgotten the moment it is mined."""
    funding.funding_policy_set(
        chain=bench.chain, changes={"cooldown_s": 0, "cap_wallet_day_wei": 10**17}
    )
    funding.funding_run(office)
    mined(bench)
    Funding.objects.update(created_at=timezone.now() - timedelta(days=2))
    drain(bench, bench.executor)

    assert reason_for(funding.funding_run(office), bench.executor) is None
    assert sum(row.amount_wei for row in Funding.objects.all()) == 10**17
    mined(bench)
    Funding.objects.update(closed_at=timezone.now() - timedelta(days=1, seconds=1))
    drain(bench, bench.executor)
    funding.funding_run(office)
    assert Funding.objects.count() == 3


def test_a_policy_is_changed_whole_or_not_at_all_and_written_down(bench):
    with pytest.raises(funding.BadPolicy, match="target_wei"):
        funding.funding_policy_set(chain=bench.chain, changes={"threshold_wei": 10**18})
    with pytest.raises(funding.BadPolicy, match="nonsense"):
        funding.funding_policy_set(chain=bench.chain, changes={"nonsense": 1})
    funding.funding_policy_set(chain=bench.chain, changes={"cooldown_s": 5, "automatic": False})

    row = FundingPolicy.objects.get(chain=bench.chain)
    assert (row.cooldown_s, row.automatic, row.threshold_wei) == (5, False, 5 * 10**16)
    [event] = AuditEvent.objects.filter(verb="funding.policy")
    assert (event.before["cooldown_s"], event.after["cooldown_s"]) == ("600", "5")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cap_transfer_wei": 1_001 * COIN}, "signer's own cap"),
        ({"cap_chain_day_wei": 2**256}, "256 bits"),
        ({"cap_chain_day_wei": -1}, "negative"),
        ({"cooldown_s": 10**9}, "cooldown_s"),
    ],
)
def test_a_limit_that_could_not_hold_is_refused(bench, changes, words):
    with pytest.raises(funding.BadPolicy, match=words):
        funding.funding_policy_set(chain=bench.chain, changes=changes)

    assert not AuditEvent.objects.filter(verb="funding.policy").exists()


def test_a_wallets_own_threshold_is_written_down_and_bounded(bench, office):
    funding.threshold_set(wallet=bench.executor, threshold_wei=Wei(LOW))
    assert reason_for(funding.funding_run(office), bench.executor) is Reason.NOT_LOW
    funding.threshold_set(wallet=bench.executor, threshold_wei=Wei(0))
    assert reason_for(funding.funding_run(office), bench.executor) is None

    with pytest.raises(funding.BadPolicy, match="daily cap"):
        funding.threshold_set(wallet=bench.executor, threshold_wei=Wei(10**21))
    assert AuditEvent.objects.filter(verb="wallet.threshold").count() == 2


def test_after_three_fundings_without_a_success_it_stops_until_one_or_a_person(bench, office):
    funding.funding_policy_set(
        chain=bench.chain, changes={"cooldown_s": 0, "cap_wallet_day_wei": COIN}
    )
    for _ in range(3):
        drain(bench, bench.executor)
        assert funding.funding_run(office).problems == []
        mined(bench)
    drain(bench, bench.executor)

    assert reason_for(funding.funding_run(office), bench.executor) is Reason.BURNING
    admin = User.objects.create_user("ada", role="admin")
    by_hand = office_of(bench, by=admin, via="web")
    row = funding.funding_manual(by_hand, wallet=bench.executor, amount_wei=Wei(LOW), key="once")
    mined(bench)
    assert balance_of(bench, bench.executor) == 2 * LOW
    assert (row.automatic, row.requested_by) == (False, admin)
    assert reason_for(funding.funding_run(office), bench.executor) is Reason.BURNING

    done = bench.plan(kind="test")
    bench.sender.send(done.pk, fees=bench.sender.fees_now())
    mined(bench)
    Transaction.objects.filter(pk=done.pk).update(kind="execution")
    assert reason_for(funding.funding_run(office), bench.executor) is None
