"""A reserve's ledger against a real chain: deposits are found, what is missing is told."""

import io

import pytest
from django.core.management import call_command
from django.db import connections

from arbsite.base.models import Alert, AuditEvent
from contracts.kernel.jsonrpc import hex_int
from tests.wallets.funds import COIN, balance_of, drain, office_of
from tests.wallets.test_sender import in_threads
from wallets import exposure, funding, monitoring, reserve_book, services
from wallets.administration.moving import wallet_move_away
from wallets.models import Funding, ReserveBook

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]


@pytest.fixture
def office(bench):
    drain(bench, bench.executor)
    return office_of(bench)


def look(bench, *, blocks=4):
    """Settle, sweep, let the sweep's block become final, and bring the books to it."""
    bench.mine(blocks)
    bench.settle()
    funding.fundings_close(chain=bench.chain)
    monitoring.sweep(chain=bench.chain, rpc=bench.rpc)
    bench.mine(blocks)
    return reserve_book.books_check(chain=bench.chain, rpc=bench.rpc)


def add(bench, amount):
    now = balance_of(bench, bench.reserve)
    bench.rpc.call("anvil_setBalance", [bench.reserve.address, hex(now + amount)])


def book_of(bench, reserve=None):
    return ReserveBook.objects.get(reserve=reserve or bench.reserve)


def explained(bench, reserve=None):
    """The law: what it was opened with, and every entry since, is what the chain says it holds."""
    reserve = reserve or bench.reserve
    book = book_of(bench, reserve)
    entries = reserve_book.entries_between(
        reserve=reserve, after_block=book.opened_block, until_block=book.checked_block
    )
    deposits = Funding.objects.filter(kind="deposit", reserve=reserve)
    total = sum(row.amount_wei for row in deposits)
    at_block = bench.rpc.call("eth_getBalance", [reserve.address, hex(book.checked_block)])
    assert book.checked_wei == hex_int(at_block)
    return book.opened_wei + total + entries.change_wei == book.checked_wei


def test_fundings_and_their_gas_explain_the_balance_to_the_wei(bench, office):
    assert look(bench) == 0
    opened = book_of(bench)
    funding.funding_run(office)
    assert look(bench) == 0

    book = book_of(bench)
    assert book.checked_block > opened.checked_block
    assert book.checked_wei < opened.checked_wei
    assert (book.problem, book.difference_wei) == ("", 0)
    assert explained(bench)
    assert not Funding.objects.filter(kind="deposit").exists()


def test_a_deposit_by_hand_enters_the_ledger_once_with_its_block(bench, office):
    look(bench)
    funding.funding_run(office)
    add(bench, 3 * COIN)
    assert look(bench) == 1
    assert reserve_book.books_check(chain=bench.chain, rpc=bench.rpc) == 0
    assert look(bench) == 0

    [row] = Funding.objects.filter(kind="deposit")
    assert (row.amount_wei, row.wallet, row.reserve) == (3 * COIN, bench.reserve, bench.reserve)
    assert row.decided_balance_wei == book_of(bench).checked_wei
    assert row.decided_block <= book_of(bench).checked_block
    assert explained(bench)


def test_what_retired_executors_give_back_is_no_deposit(bench, office):
    look(bench)
    drain(bench, bench.executor, to=COIN)
    bench.mine()
    back = bench.plan(kind="sweep", to=bench.reserve.address, value=COIN // 2)
    bench.sender.send(back.pk, fees=bench.sender.fees_now())

    assert look(bench) == 0

    entries = reserve_book.entries_between(
        reserve=bench.reserve,
        after_block=book_of(bench).opened_block,
        until_block=book_of(bench).checked_block,
    )
    assert entries.returned_wei == COIN // 2
    assert explained(bench)


def test_moves_away_into_a_reserve_and_out_of_it_are_explained_to_the_wei(bench):
    other = services.wallet_create(chain=bench.chain, role="gas_reserve", signer=bench.desk.client)
    drain(bench, other, to=COIN)
    assert look(bench) == 0
    opened = {one.pk: book_of(bench, one) for one in (bench.reserve, other)}

    def settle():
        bench.mine()
        return bench.settle()

    for wallet in (bench.executor, bench.reserve):
        exposure.wallet_expose(wallet=wallet, reason="drill", signer=bench.desk.client)
        moved = wallet_move_away(office_of(bench, settle=settle), wallet=wallet)
        assert balance_of(bench, wallet) == 0
    assert moved.to == other.address
    assert look(bench) == 0

    for reserve in (bench.reserve, other):
        book = book_of(bench, reserve)
        assert book.checked_block > opened[reserve.pk].checked_block
        assert (book.problem, book.difference_wei) == ("", 0)
        assert explained(bench, reserve)
    assert book_of(bench).checked_wei == 0
    assert book_of(bench, other).checked_wei == COIN + int(moved.coin.value_wei)
    assert not Funding.objects.filter(kind="deposit").exists()
    assert not Alert.objects.filter(key__startswith="ledger:").exists()


def test_nothing_is_judged_while_a_transaction_of_the_reserve_is_out(bench, office):
    look(bench)
    before = book_of(bench).checked_block
    funding.funding_run(office)
    bench.mine(8)  # mined and final, and not settled yet: its balance looks like a theft
    monitoring.sweep(chain=bench.chain, rpc=bench.rpc)
    bench.mine(8)

    assert reserve_book.books_check(chain=bench.chain, rpc=bench.rpc) == 0

    assert book_of(bench).checked_block == before
    assert not Alert.objects.filter(key__startswith="ledger:").exists()


def test_what_is_missing_is_told_and_stops_the_book_until_a_person_has_looked(bench, office):
    look(bench)
    funding.funding_run(office)
    look(bench)
    good = book_of(bench)
    drain(bench, bench.reserve, to=good.checked_wei - 7)
    look(bench)

    [alert] = Alert.objects.filter(key=f"ledger:local:{bench.reserve.address}")
    assert alert.severity == "critical"
    assert bench.reserve.address in alert.fix
    stopped = book_of(bench)
    assert stopped.difference_wei == -7
    assert stopped.problem
    assert stopped.checked_wei == good.checked_wei

    add(bench, 100)  # a deposit now would hide what was missing
    assert look(bench) == 0
    assert book_of(bench).difference_wei == 93
    assert not Funding.objects.filter(kind="deposit").exists()
    assert Alert.objects.filter(key__startswith="ledger:").count() == 1

    call_command(
        "unfreeze",
        "the test took it",
        chain="local",
        wallet=bench.reserve.address,
        stdout=io.StringIO(),
    )
    assert AuditEvent.objects.filter(verb="reserve.accept").exists()
    alert.refresh_from_db()
    assert alert.resolved_at is not None
    add(bench, 5)
    look(bench)
    add(bench, 6)
    assert look(bench) == 1
    assert Funding.objects.get(kind="deposit").amount_wei == 6
    assert explained(bench)


def test_a_local_chain_that_began_anew_gets_a_new_book_and_any_other_an_alert(bench):
    look(bench)
    ReserveBook.objects.update(checked_block_hash="0x" + "77" * 32)
    look(bench)
    assert book_of(bench).problem == ""
    assert explained(bench)

    ReserveBook.objects.update(checked_block_hash="0x" + "77" * 32)
    bench.chain.is_local = False
    look(bench)
    assert "gone" in book_of(bench).problem
    assert Alert.objects.filter(key__startswith="ledger:").exists()


def test_two_books_checks_at_once_enter_a_deposit_once(bench, office):
    look(bench)
    add(bench, 9)
    bench.mine(2)
    monitoring.sweep(chain=bench.chain, rpc=bench.rpc)
    bench.mine(4)

    def act(_):
        try:
            return reserve_book.books_check(chain=bench.chain, rpc=bench.rpc)
        finally:
            connections.close_all()

    assert sum(in_threads(8, act)) == 1
    assert Funding.objects.get(kind="deposit").amount_wei == 9
