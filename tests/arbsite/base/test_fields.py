"""Columns of chain facts: exact integers and checksummed addresses, whatever the database does."""

from contextlib import suppress
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, models, transaction
from hypothesis import given
from hypothesis import strategies as st

from arbsite.base.fields import AddressField, SignedAmountField, Uint256Field, checksummed
from contracts.models import Chain, Token
from wallets.models import Wallet

MIXED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # from EIP-55


def make_chain(**change) -> Chain:
    facts = {
        "key": "local", "name": "Local", "eip155_id": 31337, "native_symbol": "ETH",
        "is_local": True, "block_time_ms": 1000, "confirmations": 1, "fee_model": "eip1559",
        "min_gas_price_wei": 1, "wrapped_native": MIXED,
    }  # fmt: skip
    return Chain.objects.create(**{**facts, **change})


@pytest.mark.django_db
@pytest.mark.parametrize("wei", [0, 1, 2**53 + 1, 10**18 + 1, 2**255 - 19, 2**256 - 1])
def test_the_record_keeps_every_wei(wei):
    chain = make_chain(min_gas_price_wei=wei)

    kept = Chain.objects.get(pk=chain.pk).min_gas_price_wei

    assert kept == wei
    assert type(kept) is int
    assert Chain.objects.filter(min_gas_price_wei=wei).exists()


@pytest.mark.django_db
@pytest.mark.parametrize("wei", [-1, 2**256])
def test_what_is_no_unsigned_256_bit_integer_is_not_written(wei):
    with pytest.raises(ValueError, match="min_gas_price_wei"):
        make_chain(min_gas_price_wei=wei)


@pytest.mark.django_db
@pytest.mark.parametrize("wei", [1.0, 0.5, "5", True, Decimal("1.5")])
def test_what_is_not_exact_is_not_written(wei):
    with pytest.raises(TypeError):
        make_chain(min_gas_price_wei=wei)


@pytest.mark.django_db
def test_sums_of_amounts_are_exact_integers():
    chain = make_chain()
    for i in range(3):
        Wallet.objects.create(
            chain=chain, role="executor", source="watch", threshold_wei=2**200 + i,
            address="0x" + f"{i + 1:040x}",
        )  # fmt: skip

    total = Wallet.objects.aggregate(total=models.Sum("threshold_wei"))["total"]

    assert total == 3 * 2**200 + 3
    assert type(total) is int


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=0, max_value=10**30))
def test_a_form_never_rounds_a_fraction_away(value):
    field = SignedAmountField()
    if value == int(value):
        assert field.to_python(str(value)) == int(value)
    else:
        with pytest.raises(ValidationError):
            field.to_python(str(value))


@pytest.mark.parametrize("value", [1.5, "NaN", "x", "1.0000001"])
def test_a_form_refuses_what_is_no_integer(value):
    with pytest.raises(ValidationError):
        Uint256Field().to_python(value)


@pytest.mark.parametrize("value", [MIXED, MIXED.lower(), "0x" + MIXED[2:].upper()])
def test_an_address_is_kept_in_one_case(value):
    assert checksummed(value) == MIXED
    assert AddressField().to_python(value) == MIXED


@pytest.mark.parametrize(
    "value",
    [
        "", "0x", MIXED[2:], MIXED[:-1], MIXED + "0", "0X" + MIXED[2:], MIXED.replace("5a", "5A"),
        "0x" + "0" * 40, "0x" + "g" * 40, "0x" + "٣" * 40, None, 7, " " + MIXED.lower(),
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(value):
    with pytest.raises(ValueError, match=r"address|checksum"):
        checksummed(value)


@given(st.text(max_size=50))
def test_no_text_breaks_the_check(value):
    with suppress(ValueError):
        assert checksummed(value).lower() == value.lower()


@pytest.mark.django_db
def test_one_address_in_two_cases_is_one_address():
    chain = make_chain()
    Token.objects.create(chain=chain, address=MIXED, symbol="A", decimals=18)

    assert Token.objects.filter(address=MIXED.lower()).exists()
    with pytest.raises(IntegrityError), transaction.atomic():
        Token.objects.create(chain=chain, address=MIXED.lower(), symbol="B", decimals=18)


@pytest.mark.django_db
def test_the_column_holds_78_digits_and_no_fraction():
    make_chain()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT numeric_precision, numeric_scale FROM information_schema.columns"
            " WHERE table_name = 'contracts_chain' AND column_name = 'min_gas_price_wei'"
        )
        assert cursor.fetchone() == (78, 0)
