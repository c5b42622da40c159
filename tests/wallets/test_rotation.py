"""A passphrase that changes: through the signer or without one, and whole at every instant."""

import io
import json
import os
import random
import stat

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from tests.wallets import rotating
from wallets.keystore import FILE_NAME, Keystore
from wallets.passphrase import WrongPassphrase, passphrase_path, passphrase_read

ROUNDS = int(os.environ.get("PROVE_ROTATION_KILLS", "20"))
FIRST = "m/44'/60'/0'/0/0"


@pytest.mark.timeout(900)
def test_a_kill_at_any_instant_leaves_a_keystore_that_its_passphrase_opens(tmp_path):
    folder, dice = rotating.made(tmp_path), random.Random()  # noqa: S311  no secret depends on it
    address = rotating.opened(folder).address_at(seed="main", path=FIRST)
    round_s, files_s = rotating.measured(folder)
    seen = {passphrase_read(data_dir=folder)}

    for _ in range(ROUNDS):
        rotating.kill_one(folder, dice=dice, round_s=3 * round_s, files_s=2 * files_s)
        assert rotating.opened(folder).address_at(seed="main", path=FIRST) == address
        wraps = json.loads((folder / "keystore" / FILE_NAME).read_text())["wraps"]
        assert len(wraps) == 1  # an older passphrase opens nothing any more
        seen.add(passphrase_read(data_dir=folder))

    assert len(seen) > 1, "none of them got as far as a new passphrase"


def test_what_a_killed_rotation_left_is_ended_by_the_next_open(tmp_path):
    folder = rotating.made(tmp_path)
    old = passphrase_read(data_dir=folder)

    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    with pytest.raises(Killed):
        rotating.opened(folder).rotate(new=b"never published", publish=die)
    assert Keystore.open(folder / "keystore", passphrase=b"never published")

    rotating.opened(folder)

    with pytest.raises(WrongPassphrase):
        Keystore.open(folder / "keystore", passphrase=b"never published")
    assert Keystore.open(folder / "keystore", passphrase=old)


@pytest.fixture
def shell(transactional_db, settings, tmp_path):
    from dataclasses import replace

    settings.ARB = replace(settings.ARB, data_dir=tmp_path)
    settings.SIGNER_SOCKET = tmp_path / "signer.sock"

    def run(*words):
        out = io.StringIO()
        call_command(*words, stdout=out, stderr=io.StringIO())
        return out.getvalue()

    return run


def test_without_a_signer_the_command_rotates_by_itself(shell, tmp_path):
    shell("create_keystore")
    old = passphrase_read(data_dir=tmp_path)

    shown = shell("rotate_passphrase")

    new = passphrase_read(data_dir=tmp_path)
    assert new != old
    assert new.decode() not in shown
    with pytest.raises(WrongPassphrase):
        Keystore.open(tmp_path / "keystore", passphrase=old)
    assert "seed:main" in Keystore.open(tmp_path / "keystore", passphrase=new).names()
    path = passphrase_path(data_dir=tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_running_signer_rotates_and_goes_on(shell, tmp_path):
    from wallets.management.commands._keys import signer

    shell("create_keystore")
    old = passphrase_read(data_dir=tmp_path)
    with signer() as running:
        before = running.address(seed="main", path=FIRST)
        shell("rotate_passphrase")
        assert running.address(seed="main", path=FIRST) == before
        running.key_import(chain_key="bsc", is_local=False, private_key="4b" * 32)

    store = Keystore.open(tmp_path / "keystore", passphrase=passphrase_read(data_dir=tmp_path))
    assert len(store.names()) == 3
    with pytest.raises(WrongPassphrase):
        Keystore.open(tmp_path / "keystore", passphrase=old)


def test_where_the_file_cannot_be_replaced_the_old_passphrase_stays_and_the_mend_is_named(
    shell, settings, tmp_path
):
    from dataclasses import replace

    place = tmp_path / "mounted"
    place.mkdir()
    (place / "passphrase").write_text("from a vault\n")
    (place / "passphrase").chmod(0o600)
    settings.ARB = replace(settings.ARB, passphrase_file=str(place / "passphrase"))
    shell("create_keystore")
    # A folder that takes no new file, for root as well: the temporary name is too long.
    long = place / ("n" * 250)
    (place / "passphrase").rename(long)
    settings.ARB = replace(settings.ARB, passphrase_file=str(long))

    with pytest.raises(CommandError, match="stays valid"):
        shell("rotate_passphrase")

    assert Keystore.open(tmp_path / "keystore", passphrase=b"from a vault")


def test_the_command_takes_no_secret_from_its_arguments(shell):
    with pytest.raises(CommandError, match="unrecognized arguments"):
        shell("rotate_passphrase", "a new passphrase")
