"""What `doctor` says of keys: found in every spelling, never shown, each with its mend."""

import os
import socket
import stat
import threading
from dataclasses import replace

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from arbsite.stack import paths, secret_diagnosis, web_role
from arbsite.stack.findings import Level, Patient
from arbsite.stack.processes import Plan, table
from tests.wallets.conftest import await_no_sessions
from wallets import adapters
from wallets.keystore import Keystore
from wallets.passphrase import passphrase_path, passphrase_read
from wallets.signer_client import SignerClient
from wallets.signer_server import SignerServer

KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
WORDS = {
    count: " ".join(["abandon"] * (count - 1) + [last])
    for count, last in ((12, "about"), (15, "address"), (18, "agent"), (21, "admit"), (24, "art"))
}
SPELLINGS = [
    KEY, "0x" + KEY, KEY.upper(), f'"{KEY}"', f"{KEY},{KEY}", f'{{"pk": "0x{KEY}"}}',
    *WORDS.values(), f'"{WORDS[12]}"', WORDS[24].replace(" ", ","), WORDS[12].replace(" ", "  "),
    WORDS[12].upper(), WORDS[12].replace(" ", "_"),
]  # fmt: skip


@pytest.fixture
def patient(tmp_path):
    arb = replace(settings.ARB, data_dir=tmp_path / "data", database_url="")
    arb.data_dir.mkdir(mode=0o700)
    return Patient(arb=arb, root=tmp_path)


def wrong(findings):
    return [finding for finding in findings if finding.level is Level.WRONG]


@pytest.mark.parametrize("value", SPELLINGS)
def test_a_key_in_env_is_found_in_every_spelling_and_never_shown(patient, value):
    file = patient.root / ".env"
    file.write_text(f"# a comment\nARB_LIVE=bsc\nexport MY_OWN={value}\n")
    file.chmod(0o600)

    [finding] = wrong(secret_diagnosis.env_file(patient))

    assert ".env line 3 (MY_OWN)" in finding.text
    assert "--exposed" in finding.mend
    for part in (KEY, KEY.upper(), "abandon", "ABANDON"):
        assert part not in finding.text + finding.mend


@pytest.mark.parametrize("value", SPELLINGS)
def test_a_key_in_the_environment_is_found_as_well(value):
    [finding] = wrong(secret_diagnosis.environment_of({"PATH": "/bin", "WALLET_KEY": value}))
    assert "WALLET_KEY" in finding.text
    assert KEY not in finding.text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", KEY), ("DATABASE_URL", f"postgresql://u:{KEY}@h/d"), ("EMPTY", ""),
        ("TX", "0x" + "ab" * 20), ("SUM", "ab" * 20), ("LONG", "ab" * 64), ("ZERO", "00" * 32),
        ("PATH", "/usr/local/bin:/usr/bin"), ("SENTENCE", "the quick brown fox jumps over it"),
        ("WORDS", " ".join(["abandon"] * 13)), ("SHORT", " ".join(["at"] * 12)),
    ],
)  # fmt: skip
def test_what_is_no_key_is_left_alone(name, value):
    assert not wrong(secret_diagnosis.environment_of({name: value}))


def test_a_digest_in_the_environment_is_worth_a_note_only():
    [finding] = secret_diagnosis.environment_of({"IMAGE_DIGEST": KEY})
    assert finding.level is Level.NOTE


def made(patient):
    data_dir = patient.arb.data_dir
    Keystore.create(data_dir / "keystore", passphrase=passphrase_read(data_dir=data_dir))
    return data_dir


def test_a_keystore_and_a_passphrase_that_are_private_are_fine(patient):
    made(patient)
    findings = list(secret_diagnosis.keystore(patient))
    assert [finding.level for finding in findings] == [Level.OK, Level.OK]


@pytest.mark.parametrize(
    ("name", "mode", "mend"),
    [
        ("keystore", 0o750, "chmod 700"),
        ("keystore/keystore.json", 0o640, "chmod 600"),
        ("secrets/keystore_passphrase", 0o604, "chmod 600"),
    ],
)
def test_an_open_place_is_named_with_its_mend(patient, name, mode, mend):
    place = made(patient) / name
    place.chmod(mode)
    [finding] = wrong(secret_diagnosis.keystore(patient))
    assert str(place) in finding.text
    assert f"{mode:o}" in finding.text
    assert finding.mend == f"{mend} {place}"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a file away")
def test_a_keystore_of_another_user_is_named(patient):
    place = made(patient) / "keystore/keystore.json"
    os.chown(place, 12345, -1)
    [finding] = wrong(secret_diagnosis.keystore(patient))
    assert "belongs to another user" in finding.text


def test_a_passphrase_that_is_gone_is_named(patient):
    made(patient)
    passphrase_path(data_dir=patient.arb.data_dir).unlink()
    [finding] = wrong(secret_diagnosis.keystore(patient))
    assert "passphrase is gone" in finding.text


def test_a_passphrase_beside_its_keystore_is_noted_where_money_is_real(patient):
    made(patient)
    live = replace(patient, arb=replace(patient.arb, live_chains=frozenset({"bsc"})))
    notes = [f for f in secret_diagnosis.keystore(live) if f.level is Level.NOTE]
    assert "KEYSTORE_PASSPHRASE_FILE" in notes[0].mend


def test_one_user_for_all_is_said_with_what_it_means(patient):
    [finding] = secret_diagnosis.signer_user(patient)
    assert finding.level is Level.NOTE
    assert "not against a takeover" in finding.text
    assert "SECURITY.md" in finding.mend


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a socket away")
def test_a_signer_of_another_user_is_told_apart(patient, tmp_path):
    where = tmp_path / "signer.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(where))
        os.chown(where, 12345, -1)
        name_socket(patient, where)
        [finding] = secret_diagnosis.signer_user(patient)
    assert finding.level is Level.OK
    assert "a user of its own" in finding.text


def name_socket(patient, where):
    (patient.arb.data_dir / "run").mkdir(mode=0o700, exist_ok=True)
    (patient.arb.data_dir / "run/signer_socket").write_text(f"{where}\n")


def test_a_signer_elsewhere_is_asked_there_and_not_started_here(patient, tmp_path):
    data_dir = patient.arb.data_dir
    plan = Plan(
        root=tmp_path, data_dir=data_dir, bind_host="127.0.0.1", bind_port=1, chains=(),
        signer=paths.signer_elsewhere(data_dir) is None,
    )  # fmt: skip
    assert "signer" in [program.name for program in table(plan)]

    name_socket(patient, tmp_path / "theirs.sock")

    assert paths.signer_socket(data_dir) == tmp_path / "theirs.sock"
    there = replace(plan, signer=paths.signer_elsewhere(data_dir) is None)
    assert "signer" not in [program.name for program in table(there)]
    [finding] = secret_diagnosis.signer_user(patient)
    assert finding.level is Level.WRONG


def test_key_commands_start_no_signer_beside_one_of_another_user(
    transactional_db, settings, tmp_path
):
    settings.ARB = replace(settings.ARB, data_dir=tmp_path)
    settings.SIGNER_SOCKET = tmp_path / "theirs.sock"
    settings.SIGNER_ELSEWHERE = True
    with pytest.raises(CommandError, match="is not there"):
        call_command("create_keystore")
    assert not (tmp_path / "keystore").exists()


def test_a_signer_for_others_serves_them_and_nobody_else(tmp_path):
    path = tmp_path / "signer.sock"
    mine = frozenset({os.geteuid(), os.geteuid() + 1})
    server = SignerServer(signer=_Answers(), path=path, peer_uids=mine)
    server.start()
    thread = threading.Thread(target=server.serve)
    thread.start()
    client = SignerClient(path)
    assert client.status()["ok"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o666  # the peer's user id decides
    client.close()
    server.stop()
    thread.join()
    with pytest.raises(CommandError, match="no such user"):
        call_command("run_signer", for_user=["nobody-by-that-name"])


class _Answers:
    def answer(self, request):
        return {"ok": True}

    def forget_connection(self):
        pass


@pytest.mark.django_db(transaction=True)
def test_a_database_of_the_operators_own_gets_the_statements_to_run(patient, data_dir):
    from django.db import connection

    url = paths.database_url(data_dir).replace("/arb?", f"/{connection.settings_dict['NAME']}?")
    own = replace(patient, arb=replace(patient.arb, database_url=url))

    [finding] = secret_diagnosis.web_login(own)

    assert finding.level is Level.NOTE
    assert "wallets_attempt" in finding.text
    for statement in web_role.statements():
        assert statement in finding.mend
    with adapters.connect(name="test-owner") as owner:
        web_role.ensure(owner, password=web_role.password(data_dir))
    web_url = web_role.url_write(data_dir).read_text().strip()
    web_url = web_url.replace("/arb?", f"/{connection.settings_dict['NAME']}?")
    theirs = replace(patient, arb=replace(patient.arb, database_url=web_url))
    assert list(secret_diagnosis.web_login(theirs)) == []
    await_no_sessions("test-owner")
