"""The signer over its socket: signs what is committed and allowed, the same way every time."""

import json
import os
import socket
import stat
import struct
import threading

import psycopg
import pytest
from django.db import connection
from django.utils import timezone
from eth_account import Account

from arbsite.base.units import BlockNumber, Gas, Wei
from tests.wallets.conftest import FEES, await_no_sessions, make_chain
from wallets import adapters, kill, ledger, services
from wallets.models import Attempt, ChainLeader, NonceSequence, Transaction, Wallet
from wallets.signer_client import (
    SignerClient,
    SignerDown,
    SignerHalted,
    SignerSlow,
    SignerUnavailable,
    SignerWaits,
    SignRefused,
    receive_message,
    send_message,
)
from wallets.signer_server import SignerRuns, SignerServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def local(desk):
    chain = make_chain()
    kill.kill_rows_ensure(chain_keys=["local"])
    wallet = services.wallet_create(chain=chain, role="executor", signer=desk.client)
    yield chain, wallet
    await_no_sessions("test-prepare")


def prepare(wallet, key="one", **change):
    """A committed attempt, as the sender leaves it before it asks for a signature."""
    planned = services.transaction_plan(
        wallet=wallet, kind="test", to=wallet.address, data=b"", key=key
    )
    services.transaction_simulated(
        transaction_=planned, block_number=BlockNumber(1), block_hash="0x" + "ab" * 32,
        gas_limit=Gas(21_000),
    )  # fmt: skip
    with adapters.connect(name="test-prepare") as session:
        ledger.sequence_open(session, chain_key=wallet.chain_id, address=wallet.address, nonce=4)
        job = ledger.prepare(session, planned.pk, fees=FEES, public=True)
    attempt = Attempt.objects.get(pk=job.attempt_id)
    if change:
        Attempt.objects.filter(pk=attempt.pk).update(**change)
    return attempt


def test_a_committed_attempt_is_signed_by_its_wallet_with_the_chains_id(desk, local):
    attempt = prepare(local[1])
    signed = desk.client.sign(attempt.pk)
    assert Account.recover_transaction(signed.raw) == local[1].address
    assert Attempt.objects.get(pk=attempt.pk).signed_at is not None


def test_the_same_request_gives_the_same_bytes_to_any_client(desk, local):
    attempt = prepare(local[1])
    answers = []
    clients = [SignerClient(desk.folder / "signer.sock") for _ in range(6)]
    threads = [
        threading.Thread(target=lambda c=c: answers.append(c.sign(attempt.pk))) for c in clients
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for client in clients:
        client.close()
    assert len(answers) == 6
    assert len(set(answers)) == 1


def test_every_signature_has_a_line_in_the_journal_without_the_bytes(desk, local):
    signed = desk.client.sign(prepare(local[1]).pk)
    (line,) = desk.journal.read_text().splitlines()
    assert json.loads(line)["hash"] == signed.hash
    assert signed.raw.hex() not in line
    assert stat.S_IMODE(desk.journal.stat().st_mode) == 0o600


def refused(desk, attempt, code):
    with pytest.raises(SignRefused) as caught:
        desk.client.sign(attempt.pk)
    assert caught.value.code == code, str(caught.value)
    assert Attempt.objects.filter(pk=attempt.pk, signed_at__isnull=False).count() == 0


def test_an_attempt_that_is_not_committed_is_not_there(desk, local):
    with pytest.raises(SignRefused, match="no committed attempt 987"):
        desk.client.sign(987)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"released": True}, "released"),
        ({"to": "0x" + "22" * 20}, "policy"),
        ({"value_wei": 1}, "policy"),
        ({"max_fee_wei": 501 * 10**9}, "policy"),
        ({"nonce": 99}, "mixed"),
    ],
)
def test_a_row_that_breaks_the_policy_is_refused(desk, local, change, code):
    refused(desk, prepare(local[1], **change), code)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"simulated_only": True}, "simulated_only"),
        ({"simulated_block": None}, "not_simulated"),
        ({"status": "planned"}, "status"),
        ({"status": "confirmed"}, "status"),
        ({"status": "submitted"}, "status"),
        ({"kill_epoch": 1}, "stale_epoch"),
        ({"leader_epoch": 3}, "leader"),
    ],
)
def test_a_transaction_in_the_wrong_state_is_refused(desk, local, change, code):
    attempt = prepare(local[1])
    ChainLeader.objects.create(chain=local[0], epoch=4)
    Transaction.objects.update(**change)
    refused(desk, attempt, code)


def test_a_frozen_account_signs_nothing(desk, local):
    attempt = prepare(local[1])
    NonceSequence.objects.update(frozen="foreign nonce")
    refused(desk, attempt, "frozen")


@pytest.mark.parametrize("scope", ["*", "local"])
def test_killed_or_without_a_row_nothing_is_signed(desk, local, scope):
    attempt = prepare(local[1])
    from wallets.models import KillState

    KillState.objects.filter(scope=scope).update(engaged=True)
    refused(desk, attempt, "killed")
    KillState.objects.filter(scope=scope).delete()
    refused(desk, attempt, "killed")


def test_a_chain_neither_local_nor_listed_gets_no_signature(desk):
    for key, listed in (("live", True), ("bsc", False)):
        chain = make_chain(key, is_local=False, eip155_id=56 if listed else 97)
        kill.kill_rows_ensure(chain_keys=[key])
        wallet = services.wallet_create(chain=chain, role="executor", signer=desk.client)
        attempt = prepare(wallet, key=key)
        if listed:
            assert desk.client.sign(attempt.pk).hash
        else:
            refused(desk, attempt, "not_live")
    await_no_sessions("test-prepare")


@pytest.mark.parametrize(
    ("key", "is_local", "seed"), [("live", False, "local"), ("local", True, "main")]
)
def test_a_seed_never_signs_on_the_other_kind_of_chain(desk, key, is_local, seed):
    chain = make_chain(key, is_local=is_local)
    kill.kill_rows_ensure(chain_keys=[key])
    path = "m/44'/60'/0'/0/0"
    wallet = Wallet.objects.create(
        chain=chain, role="executor", source="derived", seed=seed, derivation_path=path,
        address=desk.client.address(seed=seed, path=path),
    )  # fmt: skip
    refused(desk, prepare(wallet), "wrong_seed")
    await_no_sessions("test-prepare")


def test_an_address_that_the_key_does_not_derive_stops_everything(desk):
    chain = make_chain()
    kill.kill_rows_ensure(chain_keys=["local"])
    wallet = Wallet.objects.create(
        chain=chain, role="executor", source="derived", seed="local",
        derivation_path="m/44'/60'/0'/0/0", address="0x" + "33" * 20,
    )  # fmt: skip
    attempt = prepare(wallet)
    with pytest.raises(SignerHalted, match="on record"):
        desk.client.sign(attempt.pk)
    await_no_sessions("test-prepare")


def test_a_funding_goes_to_a_key_of_ours_only(desk, local):
    chain, executor = local
    reserve = services.wallet_create(chain=chain, role="gas_reserve", signer=desk.client)

    def fund(to, key):
        planned = services.transaction_plan(
            wallet=reserve, kind="funding", to=to, data=b"", value_wei=Wei(5), key=key
        )
        services.transaction_simulated(
            transaction_=planned, block_number=BlockNumber(1), block_hash="0x" + "ab" * 32,
            gas_limit=Gas(21_000),
        )  # fmt: skip
        with adapters.connect(name="test-prepare") as session:
            ledger.sequence_open(session, chain_key="local", address=reserve.address, nonce=0)
            return ledger.prepare(session, planned.pk, fees=FEES, public=True).attempt_id

    assert desk.client.sign(fund(executor.address, "ours")).hash
    with pytest.raises(SignRefused, match="not one of our executors"):
        desk.client.sign(fund("0x" + "44" * 20, "theirs"))
    Wallet.objects.filter(pk=executor.pk).update(derivation_path="m/44'/60'/0'/0/77")
    planted = Wallet.objects.create(
        chain=chain, role="executor", source="derived", seed="local",
        derivation_path="m/44'/60'/0'/0/0", address="0x" + "55" * 20,
    )  # fmt: skip
    with pytest.raises(SignerHalted, match="on record"):
        desk.client.sign(fund(planted.address, "planted"))


def test_waking_signs_nothing_and_leaves_no_trace(desk, local):
    first, second = prepare(local[1], key="a"), prepare(local[1], key="b")
    desk.client.sign(first.pk)
    before = desk.journal.read_text(), desk.client.status()["signed"]
    for _ in range(3):
        desk.client.wake()
    assert (desk.journal.read_text(), desk.client.status()["signed"]) == before
    assert Attempt.objects.get(pk=second.pk).signed_at is None
    assert Account.recover_transaction(desk.client.sign(second.pk).raw) == local[1].address


def test_waking_answers_nothing_so_that_the_next_answer_is_the_next_requests(desk, local):
    attempt = prepare(local[1])
    desk.client.status()
    desk.client.wake()
    assert desk.client.sign(attempt.pk).hash
    desk.client.wake()
    assert desk.client.status()["signed"] == 1


def test_a_signer_that_is_away_is_not_woken_and_nobody_notices(tmp_path):
    client = SignerClient(tmp_path / "nobody.sock")
    client.wake()
    with pytest.raises(SignerDown):
        client.status()


def test_waking_while_the_record_is_away_is_no_news(desk, local):
    attempt = prepare(local[1])
    desk.client.sign(attempt.pk)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = 'test-signer'"
        )
    desk.client.wake()
    assert desk.client.sign(prepare(local[1], key="b").pk).hash


def test_an_imported_key_signs_on_its_chain(desk):
    chain = make_chain("live", is_local=False, eip155_id=56)
    wallet = services.wallet_import(
        chain=chain, role="executor", private_key="0x" + "4b" * 32, signer=desk.client
    )
    attempt = prepare(wallet)
    signed = desk.client.sign(attempt.pk)
    assert Account.recover_transaction(signed.raw) == wallet.address
    await_no_sessions("test-prepare")


def test_a_record_that_was_restarted_is_reached_again(desk, local):
    desk.client.sign(prepare(local[1], key="a").pk)
    second = prepare(local[1], key="b")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'test-signer'"
        )
    assert desk.client.sign(second.pk).hash


def test_another_users_process_is_not_served(desk, tmp_path):
    path = desk.folder / "other.sock"
    server = SignerServer(signer=None, path=path, peer_uids=frozenset({os.geteuid() + 1}))
    server.start()
    thread = threading.Thread(target=server.serve)
    thread.start()
    with pytest.raises(SignerUnavailable):
        SignerClient(path).status()
    server.stop()
    thread.join()


def test_the_socket_is_private_and_has_one_owner(desk):
    path = desk.folder / "signer.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(SignerRuns):
        SignerServer(signer=None, path=path).start()


@pytest.mark.parametrize(
    "frame", [b"", b"\xff\xff\xff\xff", struct.pack(">I", 3) + b"{}", struct.pack(">I", 2) + b"[]"]
)
def test_a_client_that_talks_nonsense_is_dropped_and_others_are_served(desk, frame):
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(desk.folder / "signer.sock"))
        raw.sendall(frame)
        raw.shutdown(socket.SHUT_WR)
        raw.settimeout(5)
        assert raw.recv(10) == b""
    assert desk.client.status()["pid"] == os.getpid()


@pytest.mark.parametrize(
    "request_",
    [
        {"op": "import_seed", "seed": "main", "mnemonic": "canary canary canary"},
        {"op": "import_key", "chain": "bsc", "local": False, "key": "0xcanary"},
        {"op": "import_key"},
        {"op": "canary"},
        {"op": "address", "seed": "main", "path": "m/canary"},
        {"op": "sign", "attempt": "canary"},
        {},
    ],
)
def test_a_refusal_never_repeats_what_may_be_secret(desk, request_, caplog):
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(desk.folder / "signer.sock"))
        send_message(raw, request_)
        answer = receive_message(raw)
    assert answer["ok"] is False
    assert "canary" not in json.dumps(answer)
    assert "canary" not in caplog.text


def test_a_signer_that_is_down_names_the_command_that_starts_it(tmp_path):
    with pytest.raises(SignerDown, match=r"is not there .*start it with `start signer`") as caught:
        SignerClient(tmp_path / "nobody.sock").sign(1)
    assert caught.value.asked is False


@pytest.mark.parametrize("warm", [False, True])
def test_a_signer_that_is_slow_is_told_from_one_that_is_down(tmp_path, warm):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "slow.sock"))
        listener.listen(4)
        client = SignerClient(tmp_path / "slow.sock", timeout_s=30 if warm else 0.2)
        if warm:
            peer = _answer_once(client, listener)
            next(iter(client._idle)).settimeout(0.2)
            client.timeout_s = 0.2
        with pytest.raises(SignerSlow, match=r"no answer in 0.2 s: it may still sign") as caught:
            client.sign(1)
        assert caught.value.asked is True
        client.close()
        if warm:
            peer.close()


def _answer_once(client, listener):
    """Serve one status request, so that the client keeps the connection; returns our end of it."""
    held = []

    def serve():
        held.append(listener.accept()[0])
        receive_message(held[0])
        send_message(held[0], {"ok": True})

    thread = threading.Thread(target=serve)
    thread.start()
    client.status()
    thread.join()
    return held[0]


def test_a_signer_without_its_record_says_that_it_waits(desk, local):
    attempt = prepare(local[1])

    def away():
        raise psycopg.OperationalError("the server is away")

    desk.signer._connect = away
    client = SignerClient(desk.folder / "signer.sock")
    with pytest.raises(SignerWaits, match=r"cannot do it now \(no database\)") as caught:
        client.sign(attempt.pk)
    client.close()
    assert caught.value.asked is True


def test_each_wallet_has_an_hourly_rate_of_its_own(desk, local):
    chain, busy = local
    calm = services.wallet_create(chain=chain, role="executor", signer=desk.client)
    spent = prepare(busy, key="spent")
    Attempt.objects.filter(pk=spent.pk).update(signed_at=timezone.now())
    with connection.cursor() as cursor:  # as many as the hour allows, each a row of its own
        cursor.execute(
            "INSERT INTO wallets_attempt (transaction_id, sequence_id, nonce, purpose, released,"
            ' "to", value_wei, data, gas_limit, tx_type, max_fee_wei, tip_fee_wei, status,'
            " sent_via, created_at, signed_at, error) SELECT transaction_id, sequence_id,"
            ' 100 + n, purpose, released, "to", value_wei, data, gas_limit, tx_type, max_fee_wei,'
            " tip_fee_wei, 'dead', '', now(), now(), '' FROM wallets_attempt,"
            " generate_series(1, 40000) n WHERE id = %s",
            [spent.pk],
        )

    refused(desk, prepare(busy, key="one more"), "rate")

    assert desk.client.sign(prepare(calm, key="calm").pk).hash
