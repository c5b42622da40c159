"""What a wallet may sign: each role's list, and everything beside it refused."""

import pytest

from arbsite.base.units import Wei
from wallets.kernel import policy
from wallets.kernel.policy import Ask, Surroundings

ME, RECEIVER, RESERVE, OTHER, TREASURY = (f"0x{digit * 40}" for digit in "abcde")
LIMITS = policy.limits_of(is_local=False, min_gas_price_wei=Wei(1))
AROUND = Surroundings(
    receivers=frozenset({RECEIVER}),
    contracts=frozenset({RECEIVER}),
    executors=frozenset({ME}),
    reserves=frozenset({RESERVE}),
)


def ask(**change):
    facts = {
        "role": "executor", "state": "active", "address": ME, "kind": "execution",
        "purpose": "first", "to": RECEIVER, "data": policy.EXECUTE + b"\0" * 64,
        "value_wei": Wei(0), "max_fee_wei": Wei(10**9),
    }  # fmt: skip
    return Ask(**{**facts, **change})


def why(**change):
    return policy.refusal(ask(**change), around=AROUND, limits=LIMITS)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"kind": "test", "to": ME, "data": b""},
        {"purpose": "cancel", "to": ME, "data": b""},
        {"kind": "sweep", "data": policy.SWEEP + b"\0" * 32},
        {"kind": "pause", "data": policy.PAUSE},
        {"kind": "sweep", "to": RESERVE, "data": b"", "value_wei": Wei(5)},
        {"kind": "rescue", "to": RESERVE, "data": b"", "state": "retired"},
        {"purpose": "cancel", "to": ME, "data": b"", "state": "retired"},
        {
            "role": "gas_reserve", "address": RESERVE, "kind": "funding", "to": ME, "data": b"",
            "value_wei": Wei(10**18),
        },
        {"role": "gas_reserve", "kind": "deployment", "to": "", "data": b"\x60\x80"},
        {"role": "gas_reserve", "kind": "authorisation", "data": policy.SET_EXECUTOR + b"\0" * 64},
        {"role": "gas_reserve", "kind": "authorisation",
         "data": policy.SET_EXECUTOR + b"\0" * 63 + b"\1"},
        {"role": "gas_reserve", "kind": "revoke", "data": policy.SET_EXECUTOR + b"\0" * 64},
    ],
)  # fmt: skip
def test_what_a_role_is_for_is_allowed(change):
    assert why(**change) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"to": OTHER}, "not a contract this executor"),
        ({"data": b"\xde\xad\xbe\xef"}, "selector 0xdeadbeef"),
        ({"data": b""}, "selector"),
        ({"value_wei": Wei(2 * 10**18)}, "passes the cap"),
        ({"max_fee_wei": Wei(501 * 10**9)}, "passes the signer's cap"),
        ({"kind": "funding", "to": OTHER, "data": b""}, "signs no funding"),
        ({"kind": "test", "to": OTHER, "data": b""}, "to the wallet itself"),
        ({"purpose": "cancel"}, "to the wallet itself"),
        ({"purpose": "cancel", "to": ME, "data": b"", "value_wei": Wei(1)}, "to the wallet itself"),
        ({"role": "master"}, "signs nothing"),
        ({"state": "frozen"}, "frozen"),
        ({"state": "exposed"}, "only move its money away"),
        ({"state": "retired", "worthless": True}, "only move its money away"),
        ({"kind": "sweep", "to": RESERVE, "data": b"\x01"}, "without data"),
        ({"kind": "deployment", "to": "", "data": b"\x60"}, "signs no deployment"),
        ({"role": "gas_reserve"}, "signs no execution"),
        ({"role": "gas_reserve", "kind": "funding", "to": OTHER, "data": b""}, "not one of our"),
        (
            {"role": "gas_reserve", "kind": "funding", "to": ME, "data": b"",
             "value_wei": Wei(6 * 10**18)},
            "at most",
        ),
        ({"role": "gas_reserve", "kind": "authorisation", "to": OTHER}, "not a contract of ours"),
        ({"role": "gas_reserve", "kind": "authorisation"}, "selector"),
        (
            {"role": "gas_reserve", "kind": "revoke",
             "data": policy.SET_EXECUTOR + b"\0" * 63 + b"\1"},
            "gives no right",
        ),
    ],
)  # fmt: skip
def test_everything_else_is_refused_and_named(change, words):
    assert words in why(**change)


def test_the_hourly_count_stops_all_but_what_ends_a_nonce():
    full = LIMITS.per_hour
    assert "last hour" in policy.over_rate(ask(), limits=LIMITS, signed_last_hour=full)
    assert policy.over_rate(ask(), limits=LIMITS, signed_last_hour=full - 1) == ""
    assert policy.over_rate(ask(purpose="cancel"), limits=LIMITS, signed_last_hour=full) == ""


def exposed(around=AROUND, **change):
    """What is said of an exposed key: the exposure itself first, then the usual list."""
    asked = ask(**{"state": "exposed", "exposed": True, "data": b"", **change})
    return policy.refused_exposed(asked, around=around) or policy.refusal(
        asked, around=around, limits=LIMITS
    )


MOVING = {"kind": "rescue", "to": RESERVE, "value_wei": Wei(7 * 10**18)}
SAFE = Surroundings(
    receivers=frozenset({RECEIVER}), contracts=frozenset({RECEIVER}), executors=frozenset({ME}),
    reserves=frozenset({RESERVE}), treasury=TREASURY,
)  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        MOVING,
        {**MOVING, "kind": "sweep"},
        {**MOVING, "to": TREASURY},
        {**MOVING, "role": "gas_reserve", "to": TREASURY},
        {**MOVING, "role": "gas_reserve"},
        {"kind": "sweep", "data": policy.SWEEP + b"\0" * 32},
        {"role": "gas_reserve", "kind": "revoke", "data": policy.SET_EXECUTOR + b"\0" * 64},
        {"purpose": "cancel", "to": ME},
        {"kind": "gap_fill", "to": ME},
    ],
)
def test_an_exposed_key_may_move_away(change):
    assert exposed(around=SAFE, **change) == ""


@pytest.mark.parametrize(
    "change",
    [
        {"data": policy.EXECUTE + b"\0" * 64},
        {"kind": "test", "to": ME},
        {**MOVING, "to": OTHER},
        {**MOVING, "to": ME},
        {**MOVING, "role": "gas_reserve", "address": RESERVE},
        {"role": "gas_reserve", "kind": "funding", "to": ME},
        {"role": "gas_reserve", "kind": "deployment", "to": "", "data": b"\x60"},
        {
            "role": "gas_reserve", "kind": "authorisation",
            "data": policy.SET_EXECUTOR + b"\0" * 64,
        },
        {"role": "gas_reserve", "kind": "administration", "data": b"\xf2\xfd\xe3\x8b"},
        {"kind": "pause", "data": policy.PAUSE},
    ],
)  # fmt: skip
def test_an_exposed_key_does_nothing_else_where_coin_has_value(change):
    assert "was exposed" in exposed(around=SAFE, **change)
    # The row alone, or the keystore alone, is enough.
    assert "was exposed" in exposed(around=SAFE, **{"state": "active", **change})


def test_an_exposed_key_works_where_coin_has_no_value():
    trade = {"data": policy.EXECUTE + b"\0" * 64, "worthless": True}
    assert exposed(**trade) == ""
    assert "frozen" in exposed(**{**trade, "state": "frozen"})


def test_only_a_wallet_out_of_use_sends_its_coin_to_the_treasury():
    assert "treasury" not in exposed(around=SAFE, **MOVING)
    active = ask(kind="rescue", to=TREASURY, data=b"")
    assert policy.refusal(active, around=SAFE, limits=LIMITS) != ""
    reserve = ask(role="gas_reserve", address=OTHER, kind="rescue", to=RESERVE, data=b"")
    assert policy.refusal(reserve, around=SAFE, limits=LIMITS) != ""
