"""A log line says what happened and never a secret, an endpoint or a raw transaction."""

import logging

import pytest

from arbsite.logs import Formatter, configure, redact

KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"


def line(message="x", *args, level=logging.INFO, exc_info=None, **extra) -> str:
    record = logging.getLogger("wallets.sender").makeRecord(
        "wallets.sender", level, __file__, 1, message, args, exc_info, extra=extra
    )
    return Formatter().format(record)


@pytest.mark.parametrize("text", [
    f"signed with 0x{KEY}", f"key {KEY.upper()}", f"raw=0x02f8{KEY}{KEY}", f"({KEY})",
    f"password={KEY[:20]}", "passphrase: horse", "token = arb_abc", "SECRET=horse",
    "see https://node.example/v2/horse", "wss://user:horse@node.example:8546/ws",
    "postgresql://u:horse@h/db", "redis://:horse@h:6379/0", "unix://:horse@/run/redis.sock",
    "HTTPS://NODE.EXAMPLE/horse",
])  # fmt: skip
def test_secrets_are_taken_out(text):
    for said in (redact(text), line(text), line("%s", text), line("x", what=text)):
        assert KEY not in said.lower()
        assert "horse" not in said
        assert "arb_abc" not in said
        assert KEY[:20] not in said


def test_a_secret_in_a_traceback_is_taken_out():
    try:
        raise ValueError(f"cannot use 0x{KEY}")
    except ValueError as error:
        said = line("failed", exc_info=(type(error), error, error.__traceback__))

    assert "Traceback" in said
    assert KEY not in said


def test_facts_stay_readable():
    tx_hash = "0x" + "ab" * 32
    said = line("sent", chain="bsc", nonce=7, fee_wei=10**9, tx_hash=tx_hash)

    facts = f"chain=bsc nonce=7 fee_wei=1000000000 tx_hash={tx_hash}"
    assert said.endswith(f"INFO    wallets.sender sent {facts}")
    assert redact("block 0x" + "ab" * 20) == "block 0x" + "ab" * 20  # an address is no secret


def test_a_message_is_one_line():
    assert "\n" not in line("first\nsecond")


def test_every_process_logs_to_standard_error_in_one_format():
    handlers, level = logging.root.handlers[:], logging.root.level
    levels = {name: logging.getLogger(name).level for name in ("axes", "urllib3", "daphne")}
    try:
        configure({})
        [handler] = logging.root.handlers
        assert isinstance(handler.formatter, Formatter)
        assert logging.root.level == logging.INFO
        assert logging.getLogger("urllib3").level == logging.WARNING
    finally:
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
        for name, old in levels.items():
            logging.getLogger(name).setLevel(old)


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer arb_0123456789abcdefghijklmnopqrstuvwxyz",
        "{'password': 'hunter2 hunter2'}",
        "mnemonic: test test test test test test test test test test test junk",
        "key_ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    ],
)
def test_a_secret_in_an_odd_shape_is_taken_out(text):
    shown = redact(text)

    for word in ("hunter2", "junk", "0123456789abcdef", "ac0974bec"):
        assert word not in shown
