"""Rows by a statement that is compiled once are the rows that saving makes."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from arbsite.base.rows import KeysAhead, insert_of, joined, literals, rows_insert, update_of
from execution.models import LatencySample
from tests.wallets.conftest import make_chain
from tests.wallets.test_api import make_wallet
from wallets.models import StatusChange, Transaction

pytestmark = pytest.mark.django_db


@pytest.fixture
def facts():
    wallet = make_wallet(make_chain("local"))
    return {
        "chain_id": wallet.chain_id,
        "wallet": wallet,
        "kind": "execution",
        "to": wallet.address.lower(),
        "value_wei": 2**255,
        "data": b"\x00\xff%s",
        "gas_limit": 21_000,
        "last_block": None,
        "simulated_only": True,
        "receipt": {"logs": ["%", "'"]},
    }


def held_by(row):
    """Every column but the keys and the times."""
    apart = {"id", "idempotency_key", "created_at", "updated_at"}
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    values = {name: value for name, value in values.items() if name not in apart}
    return {**values, "data": bytes(row.data)}


def test_a_row_is_the_one_that_save_makes(facts):
    before = timezone.now()
    quick = Transaction(idempotency_key="quick", **facts)
    rows_insert(quick)
    saved = Transaction.objects.create(idempotency_key="saved", **facts)

    held = Transaction.objects.get(pk=quick.pk)

    assert held_by(held) == held_by(Transaction.objects.get(pk=saved.pk))
    assert before <= held.created_at <= held.updated_at <= timezone.now()
    assert held.to == facts["wallet"].address  # as its column keeps it
    quick.reason = "it can be saved afterwards"
    quick.save()
    assert Transaction.objects.count() == 2


def test_rows_of_one_statement_get_their_keys_in_order(facts):
    chain = facts["wallet"].chain
    rows = [LatencySample(chain=chain, stage=f"s{n}", microseconds=n) for n in range(5)]
    rows_insert(*rows)
    held = LatencySample.objects.order_by("pk").values_list("pk", "stage", "microseconds")
    assert list(held) == [(row.pk, f"s{n}", n) for n, row in enumerate(rows)]


def test_what_a_field_refuses_is_refused_and_a_key_stands_once(facts):
    with pytest.raises(ValueError, match="unsigned 256-bit"):
        rows_insert(Transaction(idempotency_key="a", **{**facts, "value_wei": -1}))
    with pytest.raises(ValidationError, match="is not an address"):
        rows_insert(Transaction(idempotency_key="a", **{**facts, "to": "0x12"}))
    rows_insert(Transaction(idempotency_key="a", **facts))
    with pytest.raises(IntegrityError), transaction.atomic():
        rows_insert(Transaction(idempotency_key="a", **facts))
    assert Transaction.objects.count() == 1
    assert not StatusChange.objects.exists()


def test_rows_that_have_their_keys_keep_them_and_refer_to_each_other(facts):
    keys = KeysAhead(Transaction, ahead=3)
    keys.fill()
    row = Transaction(pk=keys.take(), idempotency_key="keyed", **facts)
    history = StatusChange(transaction=row, old="", new="planned")

    with connection.cursor() as cursor:
        both = joined([insert_of(row), insert_of(history, history)])
        cursor.execute(both.sql, both.values)
        assert cursor.rowcount == both.touches == 2

    saved = Transaction.objects.create(idempotency_key="saved", **facts)
    assert held_by(Transaction.objects.get(pk=row.pk)) == held_by(saved)
    assert list(StatusChange.objects.values_list("transaction_id", flat=True)) == [row.pk] * 2


def test_only_words_of_our_own_become_sql():
    assert literals(["signed", "unknown"]) == "('signed', 'unknown')"
    for other in ("it's", "a b", "", "1;"):
        with pytest.raises(ValueError, match="only words of our own"):
            literals(["signed", other])


def test_keys_are_nobody_elses(facts):
    mine, others = KeysAhead(Transaction, ahead=2), KeysAhead(Transaction, ahead=2)
    taken = [keys.take() for keys in (mine, others, mine, others, mine)]
    saved = Transaction.objects.create(idempotency_key="saved", **facts)
    assert len({*taken, saved.pk}) == 6


def test_an_update_writes_what_is_named_where_the_row_stands_as_said(facts):
    row = Transaction.objects.create(idempotency_key="saved", **facts)
    changed = Transaction(pk=row.pk, reason="told", wallet=row.wallet, value_wei=7)

    def rows_touched():
        update = update_of(changed, ["reason", "wallet", "value_wei"], where="reason = ''")
        with connection.cursor() as cursor:
            cursor.execute(update.sql, update.values)
            return cursor.rowcount, update.touches

    assert rows_touched() == (1, 1)
    assert rows_touched() == (0, 1)
    row.refresh_from_db()
    assert (row.reason, row.value_wei, row.gas_limit) == ("told", 7, 21_000)
