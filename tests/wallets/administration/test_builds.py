"""Addresses and code of what is to be deployed, and minimums in raw units; no node."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbsite.base.units import Bps
from contracts.kernel.abi import artifact
from contracts.models import Chain, Token
from wallets.administration import builds
from wallets.administration.minimums import Depth, dollar_rates, min_profit_raw

CREATOR = "0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0"
USDT = "0x" + "aa" * 20
NATIVE = "0x" + "bb" * 20
COIN = "0x" + "cc" * 20
FAKE = "0x" + "dd" * 20


@pytest.mark.parametrize(
    ("nonce", "address"),
    [
        (0, "0xcd234a471b72ba2f1ccf0a70fcaba648a5eecd8d"),
        (1, "0x343c43a37d37dff08ae8c4a11544c718abb4fcf8"),
        (2, "0xf778b86fa74e846c4f0a1fbd1335fe81c00a0c91"),
    ],
)
def test_a_creation_lands_where_the_known_vectors_say(nonce, address):
    assert builds.created_address(CREATOR, nonce=nonce).lower() == address


def test_one_changed_byte_of_code_changes_its_hash():
    code = bytearray.fromhex(artifact("FlashLoanReceiver")["deployedBytecode"][2:])
    assert builds.code_hash("receiver", bytes(code)) == builds.expected_code_hash("receiver")

    code[1000] ^= 1

    assert builds.code_hash("receiver", bytes(code)) != builds.expected_code_hash("receiver")


@given(st.integers(1, 10**30), st.integers(1, 10**30), st.integers(1, 10_000).map(Bps))
def test_a_minimum_is_never_zero_and_never_rounded_down(num, den, bps):
    rate = Fraction(num, den)

    raw = min_profit_raw(rate, bps=bps)

    assert raw >= 1
    assert raw >= rate * 100 * bps / 10_000
    assert raw - 1 < rate * 100 * bps / 10_000


def test_a_hundred_dollars_at_five_bps_are_five_cents():
    assert min_profit_raw(Fraction(10**18), bps=Bps(5)) == 5 * 10**16


@pytest.mark.django_db
def test_a_token_is_priced_in_a_lendable_dollar_directly_or_through_the_native_coin():
    chain = Chain.objects.create(
        key="local", name="x", eip155_id=31337, native_symbol="BNB", is_local=True,
        block_time_ms=1000, confirmations=1, fee_model="legacy", min_gas_price_wei=1,
        wrapped_native=NATIVE,
    )  # fmt: skip
    for symbol, address, decimals, lendable in (
        ("USDT", USDT, 6, True),
        ("WBNB", NATIVE, 18, True),
        ("CAKE", COIN, 18, True),
        ("USDT", FAKE, 18, False),
    ):
        Token.objects.create(
            chain=chain, address=address, symbol=symbol, decimals=decimals, lendable=lendable
        )
    chain.refresh_from_db()
    usdt, native, coin, fake = Token.objects.order_by("id").values_list("address", flat=True)

    rates = dollar_rates(
        chain,
        [
            Depth(token0=native, token1=usdt, reserve0=10 * 10**18, reserve1=6_000 * 10**6),
            Depth(token0=native, token1=usdt, reserve0=1 * 10**18, reserve1=100 * 10**6),
            Depth(token0=coin, token1=native, reserve0=300 * 10**18, reserve1=10**18),
            Depth(token0=coin, token1=fake, reserve0=10**30, reserve1=10**30),
        ],
    )

    assert rates[usdt] == 10**6
    assert rates[native] == Fraction(10**18, 600)
    assert rates[coin] == Fraction(10**18, 2)
    assert fake not in rates
