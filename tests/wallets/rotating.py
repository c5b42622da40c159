"""Kills a process that rotates a keystore's passphrase, at an instant of the caller's choice."""

import os
import random
import signal
import threading
import time
from pathlib import Path

from wallets.keystore import Keystore
from wallets.passphrase import passphrase_path, passphrase_read, passphrase_replace


def made(folder: Path) -> Path:
    """A data folder with a keystore that holds a seed; returns the folder."""
    store = Keystore.create(folder / "keystore", passphrase=passphrase_read(data_dir=folder))
    store.seed_create("main")
    return folder


def opened(folder: Path) -> Keystore:
    """The keystore as the signer opens it: with the passphrase that is published now."""

    def published() -> bytes:
        return passphrase_read(data_dir=folder)

    store = Keystore.open(folder / "keystore", passphrase=published())
    store.rotation_finish(published=published)
    return store


def measured(folder: Path) -> tuple[float, float]:
    """Seconds that one rotation takes here, and of them those from publishing on."""
    began = published = time.monotonic()

    def publish() -> None:
        nonlocal published
        published = time.monotonic()
        passphrase_replace(passphrase_path(data_dir=folder), b"measured")

    opened(folder).rotate(new=b"measured", publish=publish)
    ended = time.monotonic()
    return ended - began, ended - published


def kill_one(folder: Path, *, dice: random.Random, round_s: float, files_s: float) -> None:
    """Rotate without end in a child of this process, and end it with SIGKILL.

    Every second time the clock starts when the new passphrase is about to be published: the
    files change within moments of that, while the rest is arithmetic.
    """
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        try:
            _rotate_for_ever(folder, tell)
        finally:
            os._exit(1)
    os.close(tell)
    if dice.random() < 0.5:
        os.read(told, 1)
        delay_s = dice.uniform(0, files_s)
    else:
        delay_s = dice.uniform(0, round_s)
    threading.Event().wait(delay_s)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(told)
    assert os.WIFSIGNALED(status), "the child ended by itself"


def _rotate_for_ever(folder: Path, tell: int) -> None:
    signal.alarm(60)
    path = passphrase_path(data_dir=folder)
    while True:
        new = os.urandom(16).hex().encode()

        def publish(new: bytes = new) -> None:
            os.write(tell, b".")
            passphrase_replace(path, new)

        opened(folder).rotate(new=new, publish=publish)
