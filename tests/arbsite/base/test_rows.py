"""Rows by a statement that is compiled once are the rows that saving makes."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from arbsite.base.rows import rows_insert
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
