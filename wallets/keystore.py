"""Secrets at rest: seeds and imported keys in one authenticated file; opened by the signer alone.

One file, so that every change is one rename: the old keystore or the new one, never neither. A
random data key encrypts each secret (AES-256-GCM, bound to its name); the data key is wrapped
under the passphrase (scrypt). What is noted beside a secret, such as that others may know it, is
authenticated with it. Nothing here logs, and no error repeats what was given.
"""

import contextlib
import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from eth_account.hdaccount import generate_mnemonic
from eth_account.types import Language

from arbsite.base.errors import Halt, Rejected
from arbsite.base.files import write_atomic
from wallets.kernel import derivation
from wallets.passphrase import WrongPassphrase, locked

FILE_NAME: Final = "keystore.json"
SEEDS: Final = ("main", "local")
SCRYPT_N: Final = 2**15
SCRYPT_N_MAX: Final = 2**20
_MARK: Final = b"arbsite keystore 1 "
_WRAP: Final = b"data key"
_NAME: Final = re.compile(r"seed:(main|local)|key:[a-z0-9_]{1,32}:0x[0-9a-fA-F]{40}")


class KeystoreMissing(Rejected):
    """There is no keystore in the folder."""


class KeystoreExists(Rejected):
    """A keystore is there already; it is never overwritten."""


class SecretExists(Rejected):
    """A secret of that name is there already; it is never overwritten."""


class SecretMissing(Rejected):
    """The keystore holds no such secret."""


class KeystoreDamaged(Halt):
    """The file is not what was written: refuse everything and restore a backup."""


class AddressMismatch(Halt):
    """A key in the keystore derives another address than the one on record."""

    def __init__(self, *, expected: str, found: str) -> None:
        self.expected = expected
        self.found = found
        super().__init__(
            f"the keystore derives {found} where {expected} is on record: nothing is signed; "
            "restore record and keystore from the same backup"
        )


class Keystore:
    """An opened keystore. Holds the data key; secrets are decrypted one by one, when asked."""

    def __init__(self, *, folder: Path, data_key: bytes, document: dict[str, Any]) -> None:
        self._path = folder / FILE_NAME
        self._data_key = data_key
        self._document = document

    def __repr__(self) -> str:
        return f"Keystore({self._path})"

    @classmethod
    def create(cls, folder: Path, *, passphrase: bytes) -> Self:
        """Make an empty keystore. Raises: KeystoreExists."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        data_key = secrets.token_bytes(32)
        store = cls(
            folder=folder,
            data_key=data_key,
            document={"version": 1, "wraps": [_wrap(data_key, passphrase)], "secrets": {}},
        )
        with locked(folder / ".lock"):
            if store._path.exists():
                raise KeystoreExists(f"{store._path} exists: it is never overwritten")
            store._write()
        return store

    @classmethod
    def open(cls, folder: Path, *, passphrase: bytes) -> Self:
        """Open with the passphrase. Raises: KeystoreMissing, WrongPassphrase, KeystoreDamaged."""
        document = _read(folder / FILE_NAME)
        for wrap in document["wraps"]:
            data_key = _unwrap(wrap, passphrase)
            if data_key is not None:
                return cls(folder=folder, data_key=data_key, document=document)
        raise WrongPassphrase(
            f"the passphrase does not open {folder / FILE_NAME}: "
            "point KEYSTORE_PASSPHRASE_FILE at the one it was made with"
        )

    @classmethod
    def open_or_create(cls, folder: Path, *, passphrase: bytes) -> Self:
        """Open, making an empty keystore first where there is none."""
        if not (folder / FILE_NAME).exists():
            with contextlib.suppress(KeystoreExists):
                return cls.create(folder, passphrase=passphrase)
        return cls.open(folder, passphrase=passphrase)

    def names(self) -> frozenset[str]:
        """Names of the secrets, such as ``seed:main`` or ``key:bsc:0x...``."""
        return frozenset(self._document["secrets"])

    def prove(self) -> None:
        """Open every secret once. Raises: KeystoreDamaged when one does not authenticate."""
        for name in self.names():
            self._secret(name)

    def exposed(self) -> frozenset[str]:
        """What others may know: names as in `names`, and ``seed:main m/...`` for single paths."""
        found = set()
        for name, box in self._document["secrets"].items():
            if box.get("exposed"):
                found.add(name)
            found.update(f"{name} {path}" for path in box.get("exposed_paths", ()))
        return frozenset(found)

    def is_exposed(self, name: str, *, path: str = "") -> bool:
        """Whether others may know this secret, or the key at this path of a seed."""
        box = self._document["secrets"].get(name, {})
        return bool(box.get("exposed")) or path in box.get("exposed_paths", ())

    def seed_create(self, name: str) -> str:
        """Make a master seed of 24 words and return them: the only time they are seen.

        Only the seed that they give is kept. Raises: SecretExists.
        """
        mnemonic = str(generate_mnemonic(24, Language.ENGLISH))
        self.seed_import(name, mnemonic=mnemonic)
        return mnemonic

    def seed_import(self, name: str, *, mnemonic: str, exposed: bool = False) -> None:
        """Keep the seed of a mnemonic. Raises: SecretExists, BadMnemonic."""
        if name not in SEEDS:
            raise SecretMissing(f"a seed is called {' or '.join(SEEDS)}; the input is not repeated")
        self._add(derivation.seed_name(name), derivation.seed_of(mnemonic), _noted(exposed=exposed))

    def key_import(
        self, *, chain_key: str, is_local: bool, private_key: str, exposed: bool = False
    ) -> str:
        """Keep a private key for one chain; returns its address. Keeping it twice changes nothing.

        A key that is exposed on one chain is on all of them.

        Raises: BadKey; SecretExists when the other kind of chain, local or not, has it: a signature
            of a local chain may be valid on the one it rehearses.
        """
        key = derivation.key_from_hex(private_key)
        address = derivation.address_of(key)
        self._document = _read(self._path)
        kept = self._same_key(address)
        for name in kept:
            if self._document["secrets"][name].get("local") != is_local:
                raise SecretExists(
                    f"{address} is kept for {name.split(':')[1]}: "
                    "a local chain shares no key with another"
                )
        exposed = exposed or any(self.is_exposed(name) for name in kept)
        name = derivation.key_name(chain_key, address)
        if name in kept:
            self.key_imported(chain_key=chain_key, address=address)  # it still authenticates
        else:
            self._add(name, key, {"local": is_local, **_noted(exposed=exposed)})
        if exposed:
            self.expose(name)
        return address

    def expose(self, name: str, *, path: str = "") -> None:
        """Note for ever that others may know a secret, or the key at one path of a seed.

        An imported key is noted for every chain it is kept for. Raises: SecretMissing, BadPath.
        """
        self._secret(name)
        if path:
            derivation.check_path(path)
        with self._changing() as document:
            for each in self._same_key(name.rpartition(":")[2]) or [name]:
                box = document["secrets"][each]
                notes = _notes(box)
                if path:
                    notes["exposed_paths"] = sorted({*notes.get("exposed_paths", ()), path})
                else:
                    notes["exposed"] = True
                document["secrets"][each] = self._sealed(each, self._secret(each), notes)

    def address_at(self, *, seed: str, path: str) -> str:
        """The address of a seed's path. Raises: SecretMissing, BadPath."""
        return derivation.address_of(
            derivation.key_at(self._secret(derivation.seed_name(seed)), path)
        )

    def key_derived(self, *, seed: str, path: str, address: str) -> bytes:
        """The private key at a path. Raises: AddressMismatch, SecretMissing, BadPath."""
        return _proven(derivation.key_at(self._secret(derivation.seed_name(seed)), path), address)

    def key_imported(self, *, chain_key: str, address: str) -> bytes:
        """An imported private key. Raises: AddressMismatch, SecretMissing."""
        return _proven(self._secret(derivation.key_name(chain_key, address)), address)

    def rotate(self, *, new: bytes, publish: Callable[[], None]) -> None:
        """Change the passphrase; ``publish`` puts the new one where `open` will look for it.

        At every instant the published passphrase opens the file: both do while it changes. What a
        killed one leaves is ended by `rotation_finish`.
        """
        fresh = _wrap(self._data_key, new)
        with locked(self._rotating()):
            with self._changing() as document:
                document["wraps"] = [*document["wraps"], fresh]
            publish()
            with self._changing() as document:
                document["wraps"] = [fresh]

    def rotation_finish(self, *, published: Callable[[], bytes]) -> None:
        """Where a rotation was killed, let only the passphrase that is published open the file."""
        if len(_read(self._path)["wraps"]) == 1:
            return
        # Asked under the lock: a rotation that goes on elsewhere publishes under it.
        with locked(self._rotating()):
            passphrase = published()
            with self._changing() as document:
                opened = [w for w in document["wraps"] if _unwrap(w, passphrase) is not None]
                document["wraps"] = opened[:1] or document["wraps"]

    def _rotating(self) -> Path:
        return self._path.parent / ".rotating"

    def _add(self, name: str, secret: bytes, notes: Mapping[str, Any]) -> None:
        with self._changing() as document:
            if name in document["secrets"]:
                raise SecretExists(f"the keystore holds {name} already: it is never overwritten")
            document["secrets"][name] = self._sealed(name, secret, notes)

    def _sealed(self, name: str, secret: bytes, notes: Mapping[str, Any]) -> dict[str, Any]:
        return {**_seal(self._data_key, secret, _bound(name, notes)), **notes}

    def _same_key(self, address: str) -> list[str]:
        """Names of one imported key, whatever chains it is kept for."""
        names = self._document["secrets"]
        return [n for n in names if n.startswith("key:") and n.endswith(f":{address}")]

    def _secret(self, name: str) -> bytes:
        box = self._document["secrets"].get(name)
        if box is None:
            self._document = _read(self._path)  # another process may have added it
            box = self._document["secrets"].get(name)
        if box is None:
            mend = "run `create_keystore`" if name == "seed:main" else "restore the keystore"
            # A name that is none of ours may be a secret in the wrong place.
            known = name if _NAME.fullmatch(name) else "such secret"
            raise SecretMissing(f"the keystore holds no {known}: {mend}")
        opened = _unseal(self._data_key, box, _bound(name, _notes(box)))
        if opened is None:
            raise KeystoreDamaged(f"{name} in the keystore does not authenticate: restore a backup")
        return opened

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        with locked(self._path.parent / ".lock"):
            self._document = _read(self._path)
            yield self._document
            self._write()

    def _write(self) -> None:
        write_atomic(self._path, json.dumps(self._document, indent=1) + "\n", mode=0o600)


def _proven(key: bytes, address: str) -> bytes:
    found = derivation.address_of(key)
    if found != address:
        raise AddressMismatch(expected=address, found=found)
    return key


def _noted(*, exposed: bool) -> dict[str, Any]:
    return {"exposed": True} if exposed else {}


def _notes(box: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in box.items() if name not in ("nonce", "box")}


def _bound(name: str, notes: Mapping[str, Any]) -> bytes:
    """What a secret is bound to: its name and everything noted beside it."""
    text = json.dumps(notes, sort_keys=True, separators=(",", ":")) if notes else ""
    return f"{name} {text}".encode() if notes else name.encode()


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise KeystoreMissing(
            f"there is no keystore at {path}: run `create_keystore`, or restore a backup"
        ) from None
    except (ValueError, RecursionError):
        document = None
    if (
        not isinstance(document, dict)
        or document.get("version") != 1
        or not isinstance(document.get("wraps"), list)
        or not isinstance(document.get("secrets"), dict)
        or not all(isinstance(box, dict) for box in document["secrets"].values())
    ):
        raise KeystoreDamaged(f"{path} is not a keystore of this program: restore a backup")
    return document


def _seal(key: bytes, secret: bytes, name: bytes) -> dict[str, str]:
    nonce = secrets.token_bytes(12)
    return {
        "nonce": nonce.hex(),
        "box": AESGCM(key).encrypt(nonce, secret, _MARK + name).hex(),
    }


def _unseal(key: bytes, box: Mapping[str, Any], name: bytes) -> bytes | None:
    try:
        nonce, sealed = bytes.fromhex(box["nonce"]), bytes.fromhex(box["box"])
        return AESGCM(key).decrypt(nonce, sealed, _MARK + name)
    except (InvalidTag, ValueError, KeyError, TypeError):
        return None


def _wrap(data_key: bytes, passphrase: bytes) -> dict[str, Any]:
    salt = secrets.token_bytes(32)
    under = Scrypt(salt=salt, length=32, n=SCRYPT_N, r=8, p=1).derive(passphrase)
    return {"kdf": "scrypt", "n": SCRYPT_N, "salt": salt.hex(), **_seal(under, data_key, _WRAP)}


def _unwrap(wrap: Any, passphrase: bytes) -> bytes | None:
    try:
        cost, salt = wrap["n"], bytes.fromhex(wrap["salt"])
    except (KeyError, TypeError, ValueError):
        raise KeystoreDamaged("the keystore's header is damaged: restore a backup") from None
    # A weaker cost was not written by us; a dearer one would be a way to exhaust memory.
    if not isinstance(cost, int) or not SCRYPT_N <= cost <= SCRYPT_N_MAX or cost & (cost - 1):
        raise KeystoreDamaged("the keystore's header names an impossible cost: restore a backup")
    under = Scrypt(salt=salt, length=32, n=cost, r=8, p=1).derive(passphrase)
    return _unseal(under, wrap, _WRAP)
