"""The EVM in process on bytecode of a few lines: what it was not told, and what it keeps."""

import random

import pytest

from arbsite.base.units import BlockNumber, Gas, Wei
from execution.evm import Account, Evm, NotDecided, UnknownState

CALLER, CONTRACT, COINBASE, OTHER = ("0x" + f"{n:02x}" * 20 for n in (17, 34, 51, 68))
RICH = Account(Wei(10**20), 7, b"")
PRICE_WEI = Wei(10**9)
# Returns slot 1 + slot 2, after it wrote 9 to slot 1 and 8 to transient slot 1.
SUM = bytes.fromhex("600154600254015f526009600155600860015d60205ff3")
# Returns the transient slot 1.
TRANSIENT = bytes.fromhex("60015c5f5260205ff3")
# Returns the balances of caller and coinbase.
BALANCES = bytes.fromhex("33315f52413160205260405ff3")
# Reverts with slot 1.
REVERTS = bytes.fromhex("6001545f5260205ffd")
FOREVER = bytes.fromhex("5b5f56")
OTHERS_SIZE = bytes.fromhex("73" + "44" * 20 + "3b5f5260205ff3")
HASH_OF_A_BLOCK = bytes.fromhex("6001405f5260205ff3")


def evm_with(code, *, slots=(), balance=0):
    evm = Evm(31337)
    evm.account(CALLER, RICH)
    evm.account(COINBASE, Account(Wei(0), 0, b""))
    evm.account(CONTRACT, Account(Wei(balance), 1, code))
    for slot, value in slots:
        evm.slot(CONTRACT, slot, value)
    evm.block(
        number=BlockNumber(5),
        timestamp_s=1_000,
        coinbase=COINBASE,
        prevrandao=bytes(32),
        gas_limit=30_000_000,
    )
    return evm


def run(evm, *, value=0, gas=200_000, to=CONTRACT):
    return evm.run(
        sender=CALLER,
        to=to,
        data=b"",
        value_wei=Wei(value),
        gas=Gas(gas),
        gas_price_wei=PRICE_WEI,
    )


def number(ran):
    return int.from_bytes(ran.output)


def test_a_slot_that_nobody_told_of_is_an_error_and_not_zero():
    with pytest.raises(UnknownState):
        run(evm_with(SUM, slots=[(1, 5)]))
    assert number(run(evm_with(SUM, slots=[(1, 5), (2, 0)]))) == 5


@pytest.mark.parametrize("code", [OTHERS_SIZE, HASH_OF_A_BLOCK])
def test_an_account_or_block_hash_that_nobody_told_of_is_an_error(code):
    with pytest.raises(UnknownState):
        run(evm_with(code))


def test_a_coinbase_that_nobody_told_of_is_an_error():
    evm = evm_with(SUM, slots=[(1, 5), (2, 6)])
    evm.block(
        number=BlockNumber(5), timestamp_s=1, coinbase=OTHER, prevrandao=bytes(32), gas_limit=1
    )
    with pytest.raises(UnknownState):
        run(evm)


def test_nothing_of_a_call_stays_whatever_the_order_of_calls():
    rng = random.Random(4)  # noqa: S311  reproducible
    evm = evm_with(SUM, slots=[(1, 5), (2, 6)])
    evm.account(OTHER, Account(Wei(0), 1, TRANSIENT))
    evm.account("0x" + "55" * 20, Account(Wei(0), 1, REVERTS))
    evm.slot("0x" + "55" * 20, 1, 77)
    evm.account("0x" + "66" * 20, Account(Wei(3), 1, BALANCES))
    expected = {
        CONTRACT: (True, 11),
        OTHER: (True, 0),
        "0x" + "55" * 20: (False, 77),
    }
    for _ in range(300):
        held = run(evm, to="0x" + "66" * 20).output
        assert int.from_bytes(held[:32]) == RICH.balance_wei
        assert int.from_bytes(held[32:]) == 0
        to = rng.choice(list(expected))
        ran = run(evm, to=to, value=rng.choice([0, 1]))
        assert (ran.ok, number(ran)) == expected[to]
        assert evm.is_clean


def test_a_value_told_anew_is_the_one_that_counts():
    evm = evm_with(SUM, slots=[(1, 5), (2, 6)])
    assert number(run(evm)) == 11
    evm.slot(CONTRACT, 2, 60)
    assert number(run(evm)) == 65
    evm.account(CONTRACT, Account(Wei(0), 1, REVERTS))
    assert not run(evm).ok


@pytest.mark.parametrize(
    ("code", "ask"),
    [
        (FOREVER, {}),
        (b"\xfe", {}),
        (SUM, {"gas": 20_000}),
        (SUM, {"value": 10**21}),
    ],
)
def test_what_a_node_must_judge_is_not_decided(code, ask):
    with pytest.raises(NotDecided):
        run(evm_with(code, slots=[(1, 5), (2, 6)]), **ask)


@pytest.mark.parametrize("code", [b"\xef\x00", bytes(30_000) + b"\x00", SUM])
def test_code_is_taken_whole_with_its_balance_even_where_none_could_create_it(code):
    size = bytes.fromhex("73" + CONTRACT[2:] + "803b5f52" + "31602052" + "60405ff3")
    evm = evm_with(code, balance=123)
    evm.account(OTHER, Account(Wei(0), 1, size))
    held = run(evm, to=OTHER).output
    assert (int.from_bytes(held[:32]), int.from_bytes(held[32:])) == (len(code), 123)
