"""Atomic files, the data folder's layout, sockets and secrets."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from arbsite.base import files
from arbsite.stack import paths
from arbsite.stack.lock import AlreadyHeld, hold, is_held, remove_unless_held
from tests.arbsite.stack.conftest import ROOT


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_replaced_whole_with_its_mode(tmp_path):
    path = tmp_path / "state"
    files.write_atomic(path, "old")
    files.write_atomic(path, b"new", mode=0o640)

    assert path.read_bytes() == b"new"
    assert mode(path) == 0o640
    assert files.leftovers(tmp_path) == []


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "state"
    files.write_atomic(path, "old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_atomic(path, "new")

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_secret_is_made_once_even_when_many_ask_at_once(folder):
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: paths.secret(folder, "admin"), range(64)))

    assert len(found) == 1
    assert len(found.pop()) == 64
    assert mode(paths.secret_path(folder, "admin")) == 0o600
    assert mode(folder / "secrets") == 0o700


def test_a_folder_of_secrets_that_others_may_enter_is_refused(folder):
    (folder / "secrets").mkdir(parents=True)
    (folder / "secrets").chmod(0o755)

    with pytest.raises(paths.UnsafeFolder, match="chmod 700"):
        paths.secret(folder, "admin")


def test_a_link_in_the_place_of_a_private_folder_is_refused(folder, tmp_path):
    folder.mkdir(mode=0o700)
    (folder / "secrets").symlink_to(tmp_path)

    with pytest.raises(paths.UnsafeFolder, match="not a folder"):
        paths.secret(folder, "admin")


def test_every_folder_is_private_and_sockets_are_short_and_the_same_every_time(folder):
    deep = folder / ("d" * 100) / ("e" * 100)
    paths.Layout(deep).prepare()

    places = [deep, paths.Layout(deep).run, paths.Layout(deep).sockets]
    assert [mode(place) for place in places] == [0o700] * 3
    longest = paths.postgres_socket_dir(deep) / paths.PG_SOCKET_NAME
    assert len(os.fsencode(longest)) <= 107
    assert len(os.fsencode(paths.supervisor_socket(deep))) <= 107
    assert paths.socket_dir(deep) == paths.socket_dir(deep)
    paths.remove_socket_dir(deep)
    assert not paths.Layout(deep).sockets.exists()


def test_sockets_are_found_from_a_session_with_another_temporary_folder(folder, tmp_path):
    paths.Layout(folder).prepare()
    program = (
        "import sys, pathlib; from arbsite.stack import paths; "
        "print(paths.socket_dir(pathlib.Path(sys.argv[1])))"
    )

    found = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()

    assert Path(found) == paths.socket_dir(folder)


def test_settings_may_ask_before_django_is_there():
    program = (
        "import sys; import arbsite.stack.paths; "
        "loaded = {n.partition('.')[0] for n in sys.modules}; "
        "print(sorted(loaded & {'django', 'celery', 'redis', 'psycopg', 'web3'}))"
    )

    found = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert found.stdout.strip() == "[]"


def test_a_held_lock_names_its_holder_and_is_not_cleaned_away(tmp_path):
    path = tmp_path / "up.lock"
    handle = hold(path, what="a stack", inherit=False)

    with pytest.raises(AlreadyHeld, match=f"already running \\(process {os.getpid()}\\)"):
        hold(path, what="a stack", wait_s=0.1)
    assert is_held(path)
    assert not remove_unless_held(path)

    os.close(handle)
    assert not is_held(path)
    assert remove_unless_held(path)
    assert not path.exists()
