"""Balances watched and told: sweeps on time, alerts that do not flap, figures for pages."""

from datetime import timedelta

import pytest
from django.utils import timezone

from arbsite.base.models import Alert, AuditEvent
from arbsite.base.units import Wei
from contracts.rpc import RpcUnavailable
from tests.wallets.conftest import make_chain
from wallets import balances, funding, gas_selectors, gas_watch, kill, monitoring, services
from wallets.models import Balance, BalanceMonitor, Funding, FundingPolicy, Transaction, Wallet

pytestmark = pytest.mark.django_db
COIN = 10**18


@pytest.fixture
def chain():
    made = make_chain()
    kill.kill_rows_ensure(chain_keys=["local"])
    return made


def make_wallet(chain, *, role="executor", digit="a", **facts):
    usual = {
        "address": "0x" + digit * 40, "source": "derived", "seed": "local",
        "derivation_path": f"{role}/{digit}", "threshold_wei": 10 * COIN,
    }  # fmt: skip
    made = Wallet.objects.create(chain=chain, role=role, **{**usual, **facts})
    return Wallet.objects.get(pk=made.pk)  # its address as it is kept


def hold(wallet, coins, *, block=100, ago=timedelta(0)):
    row = Balance.objects.create(
        wallet=wallet, block_number=block, balance_wei=int(coins * COIN),
        block_hash=f"0x{Balance.objects.count():064x}",
    )  # fmt: skip
    Balance.objects.filter(pk=row.pk).update(at=timezone.now() - ago)
    return row


def open_keys():
    rows = Alert.objects.filter(resolved_at__isnull=True)
    return set(rows.values_list("key", flat=True))


def watch(chain):
    return gas_watch.gas_watch(chain=chain, may_sign=True)


def test_a_low_wallet_is_told_once_and_resolved_when_it_is_well_again(chain):
    wallet, reserve = make_wallet(chain), make_wallet(chain, role="gas_reserve", digit="b")
    hold(wallet, 9.5)
    hold(reserve, 100)

    assert watch(chain) is True
    watch(chain)

    [alert] = Alert.objects.all()
    assert alert.key == f"low:local:{wallet.address}"
    assert alert.count == 1
    assert "9.5 BNB at block 100" in alert.detail
    assert f"send 10.5 BNB to {wallet.address}" in alert.fix
    hold(wallet, 11, block=101)
    assert watch(chain) is False
    assert open_keys() == set()
    hold(wallet, 9, block=102)
    watch(chain)  # comes and goes: not told again before the cooldown is over
    assert open_keys() == set()
    Alert.objects.update(last_seen_at=timezone.now() - gas_watch.COOLDOWN)
    watch(chain)
    assert open_keys() == {f"low:local:{wallet.address}"}


def test_a_reserve_under_its_floor_says_what_is_missing_and_where_to_send_it(chain):
    reserve = make_wallet(chain, role="gas_reserve", digit="b", threshold_wei=COIN // 2)
    FundingPolicy.objects.create(chain=chain, reserve_floor_wei=2 * COIN)
    hold(reserve, 1.25)

    watch(chain)

    [alert] = Alert.objects.all()
    assert (alert.key, alert.severity) == (f"reserve:local:{reserve.address}", "critical")
    assert "0.75 BNB" in alert.fix
    assert reserve.address in alert.fix


def make_mined_funding(wallet, reserve, *, block):
    key = f"f{Transaction.objects.count()}"
    one = Transaction.objects.create(
        chain=wallet.chain, wallet=reserve, kind="funding", idempotency_key=key,
        status="confirmed", block_number=block, gas_used=21_000, gas_price_wei=10**9,
    )  # fmt: skip
    return Funding.objects.create(
        wallet=wallet, reserve=reserve, amount_wei=5, transaction=one, closed_at=timezone.now()
    )


def test_a_wallet_that_only_burns_gas_is_told_and_not_funded(chain):
    wallet, reserve = make_wallet(chain), make_wallet(chain, role="gas_reserve", digit="b")
    hold(wallet, 1)
    hold(reserve, 100)
    for block in (10, 20, 30):
        make_mined_funding(wallet, reserve, block=block)

    assert watch(chain) is False
    assert f"burning:local:{wallet.address}" in open_keys()
    Transaction.objects.create(
        chain=chain, wallet=wallet, kind="execution", idempotency_key="x", status="confirmed",
        block_number=15,
    )  # fmt: skip
    watch(chain)
    assert f"burning:local:{wallet.address}" not in open_keys()


def test_a_schedule_without_automatic_funding_watches_and_wakes_nothing(chain):
    wallet, reserve = make_wallet(chain), make_wallet(chain, role="gas_reserve", digit="b")
    hold(wallet, 1)
    hold(reserve, 100)
    FundingPolicy.objects.create(chain=chain, automatic=False)

    assert watch(chain) is False
    assert open_keys() == {f"low:local:{wallet.address}"}


def test_looking_writes_nothing_and_the_usual_threshold_holds_until_one_is_set(chain):
    wallet, reserve = (
        make_wallet(chain, threshold_wei=0),
        make_wallet(chain, role="gas_reserve", digit="b"),
    )
    hold(wallet, 0.04)
    hold(reserve, 100)

    [decision] = funding.funding_plan(chain)

    assert decision.funds
    assert list(gas_selectors.wallets_low()) == [wallet]
    assert not FundingPolicy.objects.exists()
    funding.funding_policy_set(chain=chain, changes={"threshold_wei": COIN // 100})
    assert list(gas_selectors.wallets_low()) == []


def test_looking_costs_no_more_queries_for_more_wallets(chain, django_assert_max_num_queries):
    reserve = make_wallet(chain, role="gas_reserve", digit="b")
    hold(reserve, 100)
    for i in range(20):
        wallet = make_wallet(chain, digit="a", address=f"0x{i + 1:040x}", derivation_path=f"p{i}")
        hold(wallet, 50)

    with django_assert_max_num_queries(14):
        decisions = funding.funding_plan(chain)

    assert len(decisions) == 20


class Refusing:
    def call(self, method, params=()):
        raise RpcUnavailable("away", endpoint="fake", sent=False)


def test_monitoring_is_on_by_default_and_follows_what_is_wanted(chain):
    make_wallet(chain)
    assert monitoring.chains_due() == ["local"]
    assert monitoring.monitoring_status(chain).running

    stopped = monitoring.monitoring_stop(chain)
    assert not stopped.running
    assert monitoring.chains_due() == []
    started = monitoring.monitoring_start(chain, interval_s=60)
    assert (started.running, started.interval_s, started.wallets) == (True, 60, 1)
    assert monitoring.chains_due() == ["local"]
    BalanceMonitor.objects.update(swept_at=timezone.now() - timedelta(seconds=30))
    assert monitoring.chains_due() == []
    BalanceMonitor.objects.update(swept_at=timezone.now() - timedelta(seconds=60))
    assert monitoring.chains_due() == ["local"]
    assert monitoring.monitoring_status(chain).as_json()["intervalS"] == 60
    verbs = list(AuditEvent.objects.order_by("id").values_list("verb", flat=True))
    assert verbs == ["monitoring.stop", "monitoring.start"]


@pytest.mark.parametrize("interval_s", [4, 86_401, 0, -5])
def test_an_interval_out_of_range_changes_nothing(chain, interval_s):
    with pytest.raises(monitoring.BadInterval):
        monitoring.monitoring_start(chain, interval_s=interval_s)

    assert not BalanceMonitor.objects.exists()


def test_a_sweep_that_fails_says_so(chain):
    make_wallet(chain)

    with pytest.raises(Exception, match="away"):
        monitoring.sweep(chain=chain, rpc=Refusing())

    assert "away" in monitoring.monitoring_status(chain).problem
    assert monitoring.chains_due() == ["local"]


def test_a_day_is_kept_whole_and_then_one_an_hour_for_ninety_days(chain):
    wallet, silent = make_wallet(chain), make_wallet(chain, digit="c")
    hour = timezone.now().replace(minute=30, second=0, microsecond=0)
    for days, minutes in [(2, 0), (2, 1), (2, 2), (91, 0), (0, 0), (0, 1)]:
        at = hour - timedelta(days=days) + timedelta(minutes=minutes)
        row = hold(wallet, 1)
        Balance.objects.filter(pk=row.pk).update(at=at)
    newest = hold(silent, 1)
    Balance.objects.filter(pk=newest.pk).update(at=hour - timedelta(days=200))

    assert balances.balances_prune() == 3
    assert balances.balances_prune() == 0

    kept = sorted(hour - at for at in wallet.balances.values_list("at", flat=True))
    assert len(kept) == 3
    assert kept[-1] == timedelta(days=2) - timedelta(minutes=2)
    assert silent.balances.count() == 1


def test_who_is_low_follows_the_wallets_threshold_and_else_the_chains(
    chain, django_assert_num_queries
):
    own, by_policy = make_wallet(chain, digit="1"), make_wallet(chain, digit="2", threshold_wei=0)
    unread, well = make_wallet(chain, digit="3"), make_wallet(chain, digit="4")
    reserve = make_wallet(chain, digit="5", role="gas_reserve", threshold_wei=0)
    FundingPolicy.objects.create(chain=chain, threshold_wei=2 * COIN, target_wei=4 * COIN)
    for wallet, coins in [(own, 9), (by_policy, 1), (well, 10), (reserve, 0)]:
        hold(wallet, 50, block=1)
        hold(wallet, coins, block=2)

    with django_assert_num_queries(1):
        low = {row.pk: row for row in gas_selectors.wallets_low(chain_key="local")}

    assert set(low) == {own.pk, by_policy.pk}
    assert (low[own.pk].last_wei, low[own.pk].last_block) == (9 * COIN, 2)
    assert low[by_policy.pk].low_under_wei == 2 * COIN
    assert unread.pk not in low


def test_a_summary_counts_and_adds_up_by_chain_and_role(chain, django_assert_num_queries):
    for digit, coins, state in [("1", 9, "active"), ("2", 11, "active"), ("3", 5, "retired")]:
        hold(make_wallet(chain, digit=digit, state=state), coins)
    hold(make_wallet(chain, digit="4", role="gas_reserve", threshold_wei=0), 3)

    with django_assert_num_queries(1):
        rows = gas_selectors.wallets_summary(chain_key="local")

    assert [row.as_json() for row in rows] == [
        {"chain": "local", "role": "executor", "count": 2, "retired": 1,
         "totalWei": str(20 * COIN), "low": 1},
        {"chain": "local", "role": "gas_reserve", "count": 1, "retired": 0,
         "totalWei": str(3 * COIN), "low": 0},
    ]  # fmt: skip


def test_a_history_has_a_bounded_number_of_points_and_ends_with_the_newest(
    chain, django_assert_num_queries
):
    wallet = make_wallet(chain)
    for i in range(60):
        hold(wallet, 60 - i, block=i, ago=timedelta(minutes=i))

    with django_assert_num_queries(1):
        points = gas_selectors.balance_history(
            wallet_id=wallet.pk, over=timedelta(hours=2), points=12
        )

    assert len(points) <= 13
    assert points[-1].balance_wei == 60 * COIN
    assert points == sorted(points, key=lambda point: point.at)
    assert points[-1].as_json()["balanceWei"] == str(60 * COIN)


def test_executions_left_follow_from_the_median_of_what_was_paid(chain):
    wallet = make_wallet(chain)
    assert gas_selectors.execution_cost_wei(chain_key="local") is None
    assert gas_selectors.executions_left(balance_wei=Wei(5), cost_wei=None) is None
    for i, used in enumerate([100, 300, 200, 10_000]):
        Transaction.objects.create(
            chain=chain, wallet=wallet, kind="execution", idempotency_key=f"e{i}",
            status="reverted" if used == 10_000 else "confirmed", gas_used=used, gas_price_wei=2,
        )  # fmt: skip

    cost = gas_selectors.execution_cost_wei(chain_key="local")

    assert cost == 400
    assert gas_selectors.executions_left(balance_wei=Wei(1_999), cost_wei=cost) == 4
    assert gas_selectors.executions_left(balance_wei=None, cost_wei=cost) is None


def test_a_ledger_entry_stands_where_its_transaction_does(chain, django_assert_num_queries):
    wallet, reserve = make_wallet(chain), make_wallet(chain, role="gas_reserve", digit="b")
    mined = make_mined_funding(wallet, reserve, block=3)
    reserved = Funding.objects.create(wallet=wallet, reserve=reserve, amount_wei=5)
    Funding.objects.create(
        kind="deposit", wallet=reserve, reserve=reserve, amount_wei=5, decided_block=4,
        closed_at=timezone.now(),
    )  # fmt: skip

    with django_assert_num_queries(1):
        rows = gas_selectors.fundings_of(wallet_id=reserve.pk)
        states = [gas_selectors.funding_state(row) for row in rows]

    assert states == ["received", "reserved", "confirmed"]
    assert len(gas_selectors.fundings_of(wallet_id=wallet.pk)) == 2
    assert len(gas_selectors.fundings_recent(chain_key="local")) == 3
    assert gas_selectors.last_funded(wallet_ids=[wallet.pk]) == {wallet.pk: mined.created_at}
    Funding.objects.filter(pk=reserved.pk).update(closed_at=timezone.now(), refused="no")
    reserved.refresh_from_db()
    assert gas_selectors.funding_state(reserved) == "rejected"


def test_new_wallets_are_watched_from_their_threshold(chain):
    class FakeSigner:
        def address(self, *, seed, path):
            return "0x" + "9" * 40

        def exposed(self):
            return frozenset()

    made = services.wallet_create(chain=chain, role="executor", signer=FakeSigner())
    hold(made, 0)

    assert list(gas_selectors.wallets_low()) == [made]
