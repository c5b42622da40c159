"""Known keys go all the way through the product, and are then looked for everywhere (I28)."""

import base64
import io
import os
import secrets
import subprocess
import threading
import uuid
from contextlib import contextmanager
from dataclasses import replace

import pytest
import redis
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from eth_account.hdaccount import generate_mnemonic
from eth_account.types import Language

from arbsite.celery import app as celery
from arbsite.stack import paths, postgres_tools
from arbsite.stack.backup import backup, connection_params
from tests.arbsite.base.clients import make_user, send, session
from tests.arbsite.stack.conftest import until
from tests.e2e.product import PYTHON, ROOT, environment
from tests.wallets.conftest import CHAIN_ID, FEES, Bench, await_no_sessions, make_chain
from wallets import adapters, kill, tasks
from wallets.kernel import derivation
from wallets.models import Wallet
from wallets.relays.public import PublicRelay
from wallets.sender import Sender
from wallets.signer_client import SignerClient, receive_message, send_message

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
PATHS = (
    "/", "/prices/", "/opportunities/", "/executions/", "/alerts/", "/api/status", "/api/schema/",
    "/api/executions", "/api/execute/status?chain=bsc", "/api/kill/status", "/admin/",
    "/admin/wallets/wallet/", "/admin/wallets/transaction/", "/admin/wallets/attempt/",
    "/admin/base/auditevent/", "/api/wallets", "/wallets/",
)  # fmt: skip


class Canary:
    """A key and a mnemonic that nobody ever saw, with what is derived from them."""

    def __init__(self):
        self.key = secrets.token_bytes(32)
        self.words = str(generate_mnemonic(24, Language.ENGLISH))
        seed = derivation.seed_of(self.words)
        self.derived = derivation.key_at(seed, derivation.path_of(role="executor", index=0))
        self.needles = [
            form for secret in (self.key, self.derived, seed) for form in self._forms(secret)
        ]
        listed = self.words.split()
        for at in range(0, 24, 4):  # not even a few of them in a row
            part = listed[at : at + 4]
            self.needles += [sign.join(part).encode() for sign in (" ", ",", ", ", "\n", "_", "")]

    @staticmethod
    def _forms(secret):
        """Raw, hex, base64, base58 and decimal; case and padding do not hide it."""
        number, digits = int.from_bytes(secret, "big"), ""
        while number:
            number, rest = divmod(number, 58)
            digits = ALPHABET[rest] + digits
        return [
            secret,
            secret.hex().encode(),
            secret.hex().upper().encode(),
            base64.b64encode(secret).rstrip(b"="),
            base64.urlsafe_b64encode(secret).rstrip(b"="),
            digits.encode(),
            str(int.from_bytes(secret, "big")).encode(),
            repr(secret)[2:-1].encode(),
        ]

    def found_in(self, haystack):
        return [needle[:6] for needle in self.needles if needle in haystack]


@contextmanager
def redis_listened_to(url):
    """Every command that reaches Redis, as it was given."""
    heard = []
    client = redis.Redis.from_url(url, socket_timeout=None)
    with client.monitor() as monitor:
        stop = f"end-{uuid.uuid4()}"

        def listen():
            for command in monitor.listen():
                heard.append(command["command"])
                if stop in command["command"]:
                    return

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield heard
        finally:
            client.set("canary-end", stop)
            thread.join(20)
            client.delete("canary-end")
            client.close()


@contextmanager
def signer_process(data_dir, log, *, database):
    """`run_signer` as the product starts it, over this run's database."""
    where = data_dir / "signer.sock"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [PYTHON, "manage.py", "run_signer", "--socket", str(where)],
            cwd=ROOT, stdout=out, stderr=subprocess.STDOUT,
            env=environment(data_dir, DATABASE_URL=database, ARB_LIVE="bsc"),
        )  # fmt: skip
    try:
        until(where.exists, what="the signer", deadline_s=60)
        yield where
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def shell(monkeypatch):
    said = []

    def run(*words, stdin=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        out, err = io.StringIO(), io.StringIO()
        try:
            call_command(*words, stdout=out, stderr=err)
        except CommandError as error:
            said.append(f"{error!r}")
            raise
        finally:
            said.append(out.getvalue() + err.getvalue())
        return out.getvalue()

    run.said = said
    return run


def test_known_keys_are_found_nowhere_after_they_were_used(
    anvil, redis_server, settings, shell, tmp_path, caplog
):
    canary, data = Canary(), tmp_path / "data"
    name = connection.settings_dict["NAME"]
    database = paths.database_url(settings.ARB.data_dir).replace("/arb?", f"/{name}?")
    data.mkdir(mode=0o700)
    chain = make_chain("bsc", is_local=False, rpc_http=[anvil.http_url])
    kill.kill_rows_ensure(chain_keys=["bsc"])
    settings.ARB = replace(
        settings.ARB, data_dir=data, live_chains=frozenset({"bsc"}), database_url="of this run"
    )
    places = {}
    log = tmp_path / "log"
    with (
        redis_listened_to(redis_server) as heard,
        signer_process(data, log, database=database) as where,
    ):
        settings.SIGNER_SOCKET = where
        bring_in(shell, canary)
        force_errors(shell, canary, where)
        use(chain, anvil, where)
        tasks.settle_receipts.apply_async(("bsc",))
        tasks.settle_all_receipts.apply_async()
        places |= shown(canary)
        places["Redis, at rest"] = at_rest(redis_server)
        file = tmp_path / "backup"
        backup(file, arb=settings.ARB, with_passphrase=True, say=lambda line: None)
        celery.control.purge()
    await_no_sessions("test-sender")
    places["Redis and Celery's messages"] = "\n".join(heard).encode()
    places["the database"] = postgres_tools.run(
        "pg_dump", ["--format=plain", "--inserts"], params=connection_params()
    ).encode()
    places["the signer's log"] = log.read_bytes()
    places["our log and error reports"] = caplog.text.encode()
    places["what commands said"] = "\n".join(shell.said).encode()
    places["a backup"] = file.read_bytes()
    places["the data folder"] = b"".join(
        path.read_bytes() for path in data.rglob("*") if path.is_file()
    )

    found = {place: canary.found_in(text) for place, text in places.items()}
    assert {place: needles for place, needles in found.items() if needles} == {}
    # The net has no holes where it should hold fish.
    addresses = [wallet.address.encode() for wallet in Wallet.objects.all()]
    for place in ("the database", "the data folder", "what commands said", "the page /admin/"):
        assert len(places[place]) > 100, place
    assert all(address in places["the database"] for address in addresses)
    assert b"settle_receipts" in places["Redis and Celery's messages"]
    assert b"signer ready" in places["the signer's log"]
    for form in (canary.key, canary.key.hex().encode(), canary.words.encode()):
        assert canary.found_in(b"x" + form + b"x")


def bring_in(shell, canary):
    """Both ways in, on standard input as a person would."""
    shell("create_keystore", "--import", "--not-exposed", stdin=canary.words + "\n")
    key = ("import_key", "--chain", "bsc", "--role", "executor", "--not-exposed")
    shell(*key, stdin="0x" + canary.key.hex())
    shell("create_wallet", "--chain", "bsc", "--role", "executor")
    derived = Wallet.objects.get(source="derived")
    assert derived.address == derivation.address_of(canary.derived)


def force_errors(shell, canary, where):
    """Each way to hand a key over wrongly: none may repeat it."""
    listed = canary.words.split()
    for words, stdin in (
        (("create_keystore", "--import"), canary.words),  # there is one already
        (("create_keystore", "--import"), " ".join([*listed[1:], "zebra"])),
        (("create_keystore", "--import"), " ".join(listed[:23])),
        (("import_key", "--chain", "bsc", "--role", "executor"), canary.key.hex() + "0"),
        (("import_key", "--chain", "bsc", "--role", "executor"), canary.key.hex()),  # again
        (("import_key", "--chain", "bsc", "--role", "executor"), canary.words),
    ):
        with pytest.raises(CommandError):
            shell(*words, stdin=stdin)
    client = SignerClient(where)
    raw = client._connect()
    for request in (
        {"op": "sign", "attempt": canary.key.hex()},
        {"op": canary.words},
        {"op": "import_key", "chain": canary.key.hex(), "local": False, "key": canary.words},
        {"op": "address", "seed": canary.words, "path": "m/44'/60'/0'/0/0"},
        {"op": "import_seed", "seed": canary.key.hex(), "mnemonic": canary.words},
        {"op": "expose", "name": canary.words},
    ):
        send_message(raw, request)
        answer = receive_message(raw)
        assert answer["ok"] is False
        shell.said.append(str(answer))
    raw.close()
    client.close()


def use(chain, anvil, where):
    """Both keys sign, and what they signed is mined and settled."""
    from contracts.rpc import HttpRpc

    rpc = HttpRpc([anvil.http_url], chain_id=CHAIN_ID)
    client = SignerClient(where, timeout_s=30)
    sender = Sender(
        chain=adapters.chain_facts(chain), connect=lambda: adapters.connect(name="test-sender"),
        signer=client, rpc=rpc, relay=PublicRelay(rpc), notify=lambda pk: None,
    )  # fmt: skip
    wallets = list(Wallet.objects.order_by("id"))
    bench = Bench(
        chain=chain, rpc=rpc, desk=None, sender=sender, executor=wallets[0], reserve=wallets[1]
    )
    for wallet in wallets:
        rpc.call("anvil_setBalance", [wallet.address, hex(10**18)])
        planned = bench.plan(wallet=wallet)
        assert sender.send(planned.pk, fees=FEES).hash
        bench.mine(4)
        bench.settle()
        assert bench.fresh(planned).status == "confirmed"
    sender.close()
    client.close()
    rpc.close()


def shown(canary):
    """Pages and answers, and refusals of requests that hold a key where it does not belong."""
    admin = make_user("admin", is_staff=True, is_superuser=True)
    browser = session(admin)
    found = {}
    for path in PATHS:
        answer = browser.get(path)
        found[f"the page {path}"] = b"".join(answer) if answer.streaming else answer.content
    refused = b""
    for path, body in (
        ("/api/execute", {"opportunityId": canary.key.hex()}),
        ("/api/execute", {canary.words: 1}),
        ("/api/prices/start", {"chain": canary.words}),
        ("/api/fast-mode/enable", {"chain": canary.key.hex()}),
        ("/api/kill", {"scope": canary.key.hex()}),
        ("/api/execute", canary.key),
        ("/api/execute", '{"opportunityId": "' + canary.words),
    ):
        answer = send(browser, path, body, key=str(uuid.uuid4()))
        assert 400 <= answer.status_code < 500, path
        refused += answer.content
    found["what the API refused"] = refused
    return found


def at_rest(url):
    """Every key of Redis with what it holds."""
    client = redis.Redis.from_url(url)
    try:
        return b"".join(name + (client.dump(name) or b"") for name in client.scan_iter("*"))
    finally:
        client.close()


def test_a_process_list_never_shows_a_secret():
    """Nothing takes one as an argument: each way in reads standard input."""
    for command in ("import_key", "create_keystore", "rotate_passphrase"):
        with pytest.raises(CommandError, match="unrecognized arguments"):
            call_command(command, *(["--chain", "bsc", "--role", "executor"] * (command[0] == "i")),
                         "ab" * 32)  # fmt: skip
    assert "KEYSTORE_PASSPHRASE" not in os.environ
