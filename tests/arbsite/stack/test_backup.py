"""Backups: whole, private, proven before anything is touched; restores that fail put all back."""

import io
import json
import shutil
import stat
import tarfile
import threading
import time
from dataclasses import replace

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from arbsite.stack import archive
from arbsite.stack.backup import backup
from arbsite.stack.lock import hold
from arbsite.stack.restore import NotEmpty, RestoreFailed, StackRuns, restore
from tests.wallets.conftest import make_chain
from wallets import adapters
from wallets.keystore import Keystore
from wallets.models import KillState, NonceSequence
from wallets.passphrase import WrongPassphrase, passphrase_path

pytestmark = pytest.mark.django_db(transaction=True)
PASS = b"a passphrase of this test"


def made(folder):
    """A data folder with a keystore, its passphrase, a journal and a local chain's state."""
    folder.mkdir(mode=0o700)
    (folder / "secrets").mkdir(mode=0o700)
    place = passphrase_path(data_dir=folder)
    place.write_bytes(PASS + b"\n")
    place.chmod(0o600)
    Keystore.create(folder / "keystore", passphrase=PASS).seed_create("main")
    (folder / "signer").mkdir()
    (folder / "signer/journal.jsonl").write_text('{"nonce": 1}\n')
    (folder / "local/state").mkdir(parents=True)
    (folder / "local/state/market.json").write_text("{}")
    return replace(settings.ARB, data_dir=folder, database_url="the one of this run")


@pytest.fixture
def arb(tmp_path, transactional_db):
    chain = make_chain()
    NonceSequence.objects.create(chain=chain, address="0x" + "11" * 20, next_nonce=7)
    return made(tmp_path / "data")


def quiet(line):
    pass


@pytest.fixture
def file(arb, tmp_path):
    backup(tmp_path / "b.arb", arb=arb, with_passphrase=False, say=quiet)
    return tmp_path / "b.arb"


@pytest.fixture
def empty(tmp_path):
    """A fresh database and data folder; the database is dropped afterwards."""
    name = connection.settings_dict["NAME"]
    with adapters.connect(name="test-owner") as owner:
        owner.execute("CREATE DATABASE restored")
    connection.close()
    connection.settings_dict["NAME"] = "restored"
    folder = tmp_path / "fresh"
    (folder / "secrets").mkdir(parents=True, mode=0o700)
    shutil.copy2(passphrase_path(data_dir=tmp_path / "data"), passphrase_path(data_dir=folder))
    yield replace(settings.ARB, data_dir=folder, database_url="the one of this run")
    connection.close()
    connection.settings_dict["NAME"] = name
    with adapters.connect(name="test-owner") as owner:
        owner.execute("DROP DATABASE restored WITH (FORCE)")


def rewritten(file, change):
    """The same backup with its members changed: {name: bytes}; None leaves one out."""
    with tarfile.open(file) as tar:
        members = {entry.name: tar.extractfile(entry).read() for entry in tar}
    change(members)
    other = file.with_name("changed.arb")
    with tarfile.open(other, "w") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return other


def manifest(**facts):
    def change(members):
        document = json.loads(members[archive.MANIFEST])
        members[archive.MANIFEST] = json.dumps({**document, **facts}).encode()

    return change


def test_a_backup_is_one_private_file_without_the_passphrase(file, arb, tmp_path):
    with tarfile.open(file) as tar:
        names = tar.getnames()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert names == [
        "manifest.json", "keystore/keystore.json", "local/state/market.json", "record.dump",
        "signer/journal.jsonl",
    ]  # fmt: skip
    assert PASS not in file.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.arb", "data"]  # nothing left over


def test_the_passphrase_goes_in_when_it_is_asked_for(arb, tmp_path):
    found = backup(tmp_path / "b.arb", arb=arb, with_passphrase=True, say=quiet)
    assert "passphrase" in found.members
    assert PASS in (tmp_path / "b.arb").read_bytes()


def test_a_backup_is_never_overwritten(file, arb):
    before = file.read_bytes()
    with pytest.raises(archive.BackupExists):
        backup(file, arb=arb, with_passphrase=False, say=quiet)
    assert file.read_bytes() == before


def test_a_restore_gives_back_record_keystore_and_journal(file, empty, tmp_path):
    done = restore(file, arb=empty, force=False, say=quiet)

    assert NonceSequence.objects.get().next_nonce == 7
    assert KillState.objects.get(scope="*").engaged
    assert done.accounts == 1
    folder = empty.data_dir
    assert "seed:main" in Keystore.open(folder / "keystore", passphrase=PASS).names()
    assert (folder / "signer/journal.jsonl").read_text() == '{"nonce": 1}\n'
    for place in ("keystore", "signer", "local"):
        assert stat.S_IMODE((folder / place).stat().st_mode) == 0o700
    assert not (folder / "restore.new").exists()
    assert (done.aside, done.schema_aside) == ("", "")


def test_what_is_there_is_not_replaced_but_moved_aside_when_forced(file, arb, tmp_path):
    NonceSequence.objects.update(next_nonce=99)
    with pytest.raises(NotEmpty, match="--force"):
        restore(file, arb=arb, force=False, say=quiet)
    assert NonceSequence.objects.get().next_nonce == 99

    done = restore(file, arb=arb, force=True, say=quiet)

    assert NonceSequence.objects.get().next_nonce == 7
    with connection.cursor() as cursor:
        cursor.execute(f"SET search_path TO {done.schema_aside}")
        assert NonceSequence.objects.get().next_nonce == 99
        cursor.execute("SET search_path TO public")
        cursor.execute(f"DROP SCHEMA {done.schema_aside} CASCADE")
    aside = arb.data_dir / done.aside.rpartition("/")[2]
    assert "seed:main" in Keystore.open(aside / "keystore", passphrase=PASS).names()
    assert stat.S_IMODE(aside.stat().st_mode) == 0o700


def test_a_backup_of_a_restored_record_leaves_out_what_was_moved_aside(file, arb, tmp_path):
    done = restore(file, arb=arb, force=True, say=quiet)
    backup(tmp_path / "second.arb", arb=arb, with_passphrase=False, say=quiet)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP SCHEMA {done.schema_aside} CASCADE")
    assert done.schema_aside.encode() not in (tmp_path / "second.arb").read_bytes()
    again = restore(tmp_path / "second.arb", arb=arb, force=True, say=quiet)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP SCHEMA {again.schema_aside} CASCADE")


def test_two_restores_in_one_second_keep_what_each_moved_aside(file, arb):
    threading.Event().wait(1 - time.time() % 1)  # a second begins
    done = [restore(file, arb=arb, force=True, say=quiet) for _ in range(2)]
    assert len({each.schema_aside for each in done}) == len({each.aside for each in done}) == 2
    with connection.cursor() as cursor:
        for each in done:
            cursor.execute(f"DROP SCHEMA {each.schema_aside} CASCADE")


def flipped(name, at):
    def change(members):
        content = bytearray(members[name])
        content[at] ^= 1
        members[name] = bytes(content)

    return change


def outside(members):
    """A member whose name leaves the folder, with a manifest that vouches for it."""
    members["../../evil"] = b"x"
    listed = json.loads(members[archive.MANIFEST])["members"]
    manifest(members={**listed, "../../evil": {"bytes": 1, "sha256": "0"}})(members)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (flipped("record.dump", 100), "damaged"),
        (flipped("keystore/keystore.json", 50), "damaged"),
        (flipped("signer/journal.jsonl", 1), "damaged"),
        (lambda m: m.pop("record.dump"), "lacks record.dump"),
        (lambda m: m.pop("manifest.json"), "does not begin as one"),
        (lambda m: m.update({"manifest.json": b"[]"}), "manifest"),
        (lambda m: m.update({"extra": b"x"}), "its manifest does not"),
        (manifest(version=2), "format 2"),
        (manifest(migrations=["wallets.9999_from_the_future"]), "newer version"),
        (outside, "no member called"),
    ],
)  # fmt: skip
def test_a_file_that_was_changed_is_refused_before_anything_is_touched(
    file, empty, tmp_path, change, words
):
    changed = rewritten(file, change)

    with pytest.raises(archive.BackupUnusable, match=words):
        restore(changed, arb=empty, force=True, say=quiet)

    assert [p.name for p in empty.data_dir.iterdir()] == ["secrets"]
    assert connection.introspection.table_names() == []
    assert not (tmp_path.parent / "evil").exists()


@pytest.mark.parametrize("cut", [0, 100, 600, 20_000])
def test_a_file_that_was_cut_short_is_refused(file, empty, cut):
    file.chmod(0o600)
    with file.open("r+b") as handle:
        handle.truncate(cut)
    with pytest.raises(archive.BackupUnusable):
        restore(file, arb=empty, force=False, say=quiet)


def test_without_the_right_passphrase_nothing_is_restored(file, empty):
    place = passphrase_path(data_dir=empty.data_dir)
    place.write_bytes(b"another one\n")
    with pytest.raises(WrongPassphrase, match="put it there"):
        restore(file, arb=empty, force=False, say=quiet)
    place.unlink()
    with pytest.raises(WrongPassphrase, match="KEYSTORE_PASSPHRASE_FILE"):
        restore(file, arb=empty, force=False, say=quiet)
    assert connection.introspection.table_names() == []
    assert not place.exists()  # none was made up


def test_a_passphrase_that_came_along_is_put_in_place(arb, tmp_path, empty):
    connection.settings_dict["NAME"], kept = "test_arb", connection.settings_dict["NAME"]
    connection.close()
    backup(tmp_path / "with.arb", arb=arb, with_passphrase=True, say=quiet)
    connection.close()
    connection.settings_dict["NAME"] = kept
    place = passphrase_path(data_dir=empty.data_dir)
    place.unlink()

    restore(tmp_path / "with.arb", arb=empty, force=False, say=quiet)

    assert place.read_bytes() == PASS + b"\n"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600


def test_a_restore_that_fails_leaves_everything_as_it_was(file, arb):
    def spoil(members):
        # Proven whole and listed without complaint; its data cannot be read.
        dump = bytearray(members["record.dump"])
        dump[-2_000:] = b"\0" * 2_000
        members["record.dump"] = bytes(dump)
        document = json.loads(members["manifest.json"])
        import hashlib

        document["members"]["record.dump"]["sha256"] = hashlib.sha256(dump).hexdigest()
        members["manifest.json"] = json.dumps(document).encode()

    NonceSequence.objects.update(next_nonce=99)
    before = {p: p.read_bytes() for p in arb.data_dir.rglob("*") if p.is_file()}

    with pytest.raises((RestoreFailed, archive.BackupUnusable)) as caught:
        restore(rewritten(file, spoil), arb=arb, force=True, say=quiet)

    assert caught.type is RestoreFailed, caught.value
    assert NonceSequence.objects.get().next_nonce == 99
    assert not KillState.objects.filter(scope="*", engaged=True).exists()
    after = {p: p.read_bytes() for p in arb.data_dir.rglob("*") if p.is_file()}
    assert after == before


def test_a_running_stack_is_never_restored_over(file, arb):
    (arb.data_dir / "run").mkdir(mode=0o700)
    import os

    lock = hold(arb.data_dir / "run/up.lock", what="a stack")
    try:
        with pytest.raises(StackRuns, match="run `stop` first"):
            restore(file, arb=arb, force=True, say=quiet)
    finally:
        os.close(lock)


def test_other_sessions_on_the_database_are_a_reason_to_wait(file, arb):
    with (
        adapters.connect(name="test-other"),
        pytest.raises(StackRuns, match="1 other sessions"),
    ):
        restore(file, arb=arb, force=True, say=quiet)


def test_the_commands_say_what_a_backup_holds_and_what_comes_next(arb, empty, settings, tmp_path):
    settings.ARB, kept = arb, settings.ARB
    connection.settings_dict["NAME"], name = "test_arb", connection.settings_dict["NAME"]
    connection.close()
    out = io.StringIO()
    call_command("backup", str(tmp_path / "b.arb"), stdout=out, stderr=io.StringIO())
    assert "without it no key can be restored" in out.getvalue()
    with pytest.raises(CommandError, match="exists"):
        call_command("backup", str(tmp_path / "b.arb"), stderr=io.StringIO())
    with pytest.raises(CommandError, match="not a folder"):
        call_command("backup", str(tmp_path / "nowhere/b.arb"), stderr=io.StringIO())
    connection.close()
    connection.settings_dict["NAME"] = name
    settings.ARB = empty

    out = io.StringIO()
    call_command("restore", str(tmp_path / "b.arb"), stdout=out, stderr=io.StringIO())

    assert "kill switch is engaged everywhere" in out.getvalue()
    assert "unfreeze" in out.getvalue()
    with pytest.raises(CommandError, match="no file"):
        call_command("restore", str(tmp_path / "gone.arb"), stderr=io.StringIO())
    settings.ARB = kept
