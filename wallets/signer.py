"""The signer: the only process with key material.

It signs what is committed in the record and nothing else; it takes ids, never payloads.
"""

import contextlib
import json
import logging
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import psycopg
from coincurve import PrivateKey
from psycopg.rows import dict_row

from arbsite.base.errors import ArbError, Halt, Retryable
from wallets.kernel import payload, policy
from wallets.keystore import Keystore
from wallets.passphrase import passphrase_path, passphrase_read, passphrase_replace
from wallets.signer_client import SignRefused
from wallets.vetting import Vetted, secret_of, vet

logger = logging.getLogger(__name__)
_NOTHING: Final = payload.Payload(
    chain_id=1,
    tx_type=payload.EIP1559,
    nonce=0,
    max_fee_wei=0,
    tip_fee_wei=0,
    gas_limit=21_000,
    to=bytes(20),
    value_wei=0,
    data=bytes(400),
)
Connect = Callable[[], "psycopg.Connection[Any]"]


class Signer:
    """Signs committed attempts. One instance serves every client thread."""

    def __init__(
        self,
        *,
        keystore: Keystore,
        connect: Connect,
        live_chains: frozenset[str],
        journal: Path,
        treasuries: Mapping[str, str] = MappingProxyType({}),
        passphrase_at: Path | None = None,
    ) -> None:
        """``treasuries``: the configured ones, by chain key."""
        self._keystore = keystore
        self._connect = connect
        self._live_chains = live_chains
        self._journal = journal
        self._treasuries = treasuries
        self._passphrase_at = passphrase_at
        self._keys: dict[int, PrivateKey] = {}
        self._proven: set[tuple[str, str, str]] = set()  # chain, address, role
        self._hours: dict[int, deque[float]] = {}
        self._lock = threading.Lock()
        self._mine = threading.local()
        self._signed = 0
        self._last = 0  # the attempt signed last
        self._nobodys = PrivateKey()  # for what is signed to be awake

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """Do one request; a refusal is an answer too, and ``wake`` has none. Never raises, never
        repeats its input."""
        if request.get("op") == "wake":
            self._wake()
            return None
        try:
            return {"ok": True, **self._do(request)}
        except SignRefused as error:
            return {"ok": False, "kind": "rejected", "code": error.code, "detail": str(error)}
        except ArbError as error:
            kinds = ((Halt, "halt"), (Retryable, "retryable"), (ArbError, "rejected"))
            kind = next(name for cls, name in kinds if isinstance(error, cls))
            return {"ok": False, "kind": kind, "code": type(error).__name__, "detail": str(error)}
        except psycopg.Error:
            return {"ok": False, "kind": "retryable", "code": "database", "detail": "no database"}
        except Exception as error:
            _note_bug(error)
            detail = f"internal error in the signer ({type(error).__name__})"
            return {"ok": False, "kind": "halt", "code": "internal", "detail": detail}

    def _do(self, request: Mapping[str, Any]) -> dict[str, Any]:
        match request.get("op"):
            case "sign":
                return self._sign(int(request["attempt"]))
            case "address":
                seed, path = str(request["seed"]), str(request["path"])
                return {"address": self._keystore.address_at(seed=seed, path=path)}
            case "create_seed":
                return {"mnemonic": self._keystore.seed_create(str(request["seed"]))}
            case "import_seed":
                self._keystore.seed_import(
                    str(request["seed"]),
                    mnemonic=str(request["mnemonic"]),
                    exposed=bool(request.get("exposed")),
                )
                return {}
            case "import_key":
                address = self._keystore.key_import(
                    chain_key=str(request["chain"]),
                    is_local=bool(request["local"]),
                    private_key=str(request["key"]),
                    exposed=bool(request.get("exposed")),
                )
                return {"address": address}
            case "expose":
                self._expose(str(request["name"]), path=str(request.get("path", "")))
                return {}
            case "rotate_passphrase":
                return {"file": str(self._rotate())}
            case "status":
                return {
                    "pid": os.getpid(),
                    "secrets": sorted(self._keystore.names()),
                    "exposed": sorted(self._keystore.exposed()),
                    "signed": self._signed,
                    "live": sorted(self._live_chains),
                }
        raise SignRefused("unknown", "the signer knows no such request")

    def _wake(self) -> None:
        """Do for nobody what the next signature takes: it finds connection, code and rows at hand.

        What stands in its way is told to the request that follows.
        """
        try:
            with contextlib.suppress(SignRefused):
                self._vet(self._connection(), self._last)
            payload.sign(_NOTHING, self._nobodys)
        except psycopg.Error:
            self.forget_connection()
        except Exception as error:
            _note_bug(error)

    def _sign(self, attempt_id: int) -> dict[str, Any]:
        try:
            return self._sign_with(self._connection(), attempt_id)
        except psycopg.OperationalError:
            # PostgreSQL was restarted; reading and marking again changes nothing.
            self.forget_connection()
            return self._sign_with(self._connection(), attempt_id)

    def _sign_with(self, connection: "psycopg.Connection[Any]", attempt_id: int) -> dict[str, Any]:
        vetted = self._vet(connection, attempt_id)
        if vetted.kind == "funding" and vetted.purpose in ("first", "bump"):
            self._prove_ours(connection, vetted, role="executor")
        if vetted.to_reserve:
            self._prove_ours(connection, vetted, role="gas_reserve")
        key = self._key(vetted)
        self._mark(connection, attempt_id)
        raw, digest = payload.sign(vetted.payload, key)
        signed_hash = "0x" + digest.hex()
        if vetted.stored_hash and vetted.stored_hash != signed_hash:
            raise Halt(f"attempt {attempt_id} has a stored hash that its row does not give")
        self._write_journal(attempt_id, vetted, signed_hash)
        return {"raw": "0x" + raw.hex(), "hash": signed_hash}

    def _vet(self, connection: "psycopg.Connection[Any]", attempt_id: int) -> Vetted:
        return vet(
            connection,
            attempt_id,
            live_chains=self._live_chains,
            treasuries=self._treasuries,
            signed_last_hour=partial(self._count_hour, connection),
            is_exposed=self._is_exposed,
        )

    def _mark(self, connection: "psycopg.Connection[Any]", attempt_id: int) -> None:
        # A release needs this column empty, under the row's lock: one of the two wins.
        marked = connection.execute(
            "UPDATE wallets_attempt SET signed_at = coalesce(signed_at, now())"
            " WHERE id = %s AND NOT released",
            (attempt_id,),
        )
        if marked.rowcount != 1:
            raise SignRefused("released", "the attempt's nonce was given back")

    def _key(self, vetted: Vetted) -> PrivateKey:
        with self._lock:
            held = self._keys.get(vetted.wallet_id)
        if held is None:
            held = PrivateKey(self._secret(vetted.source, vetted))
            with self._lock:
                # An exposed one is opened each time, so that what is noted with it is proven.
                if not self._is_exposed(*vetted.secret):
                    self._keys[vetted.wallet_id] = held
        return held

    def _is_exposed(self, name: str, path: str) -> bool:
        return self._keystore.is_exposed(name, path=path)

    def _expose(self, name: str, *, path: str) -> None:
        with self._lock:
            self._keystore.expose(name, path=path)
            self._keys.clear()
            self._proven.clear()

    def _rotate(self) -> Path:
        """Make a new passphrase and put it in the old one's place; it leaves this process never."""
        if self._passphrase_at is None:
            raise SignRefused("unknown", "this signer does not know its passphrase's file")
        new = secrets.token_hex(32).encode()
        replace = partial(passphrase_replace, self._passphrase_at, new)
        self._keystore.rotate(new=new, publish=replace)
        return self._passphrase_at

    def _secret(self, source: str, of: Vetted) -> bytes:
        if source == "imported":
            return self._keystore.key_imported(chain_key=of.chain_key, address=of.address)
        return self._keystore.key_derived(seed=of.seed, path=of.path, address=of.address)

    def _prove_ours(
        self, connection: "psycopg.Connection[Any]", vetted: Vetted, *, role: str
    ) -> None:
        """Raises unless the target's key is in the keystore, and known to nobody else."""
        of = (vetted.chain_key, vetted.to, role)
        if of in self._proven:
            return
        with connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(
                "SELECT chain_id AS chain_key, address, source, seed, derivation_path"
                " FROM wallets_wallet WHERE chain_id = %s AND address = %s AND role = %s",
                (vetted.chain_key, vetted.to, role),
            ).fetchone()
        if row is None or row["source"] == "watch":
            raise SignRefused("policy", f"{vetted.to} is not one of our {role.replace('_', ' ')}s")
        if not vetted.worthless and self._is_exposed(*secret_of(row)):
            raise SignRefused(
                "exposed", f"the key of {vetted.to} was exposed: nothing is sent to it"
            )
        if row["source"] == "imported":
            self._keystore.key_imported(chain_key=vetted.chain_key, address=vetted.to)
        else:
            self._keystore.key_derived(
                seed=row["seed"], path=row["derivation_path"], address=vetted.to
            )
        self._proven.add(of)

    def _count_hour(self, connection: "psycopg.Connection[Any]", wallet_id: int) -> int:
        now = time.monotonic()
        with self._lock:
            times = self._hours.get(wallet_id)
        if times is None:
            rows = connection.execute(
                "SELECT extract(epoch FROM now() - a.signed_at)::float8 FROM wallets_attempt a"
                " JOIN wallets_transaction t ON t.id = a.transaction_id"
                " WHERE t.wallet_id = %s AND a.signed_at > now() - interval '1 hour'"
                " ORDER BY a.signed_at",
                (wallet_id,),
            ).fetchall()
            with self._lock:
                times = self._hours.setdefault(wallet_id, deque(now - row[0] for row in rows))
        with self._lock:
            while times and times[0] < now - policy.HOUR_S:
                times.popleft()
            return len(times)

    def _write_journal(self, attempt_id: int, vetted: Vetted, signed_hash: str) -> None:
        line = {
            "at_ms": time.time_ns() // 1_000_000,
            "attempt": attempt_id,
            "transaction": vetted.transaction_id,
            "chain": vetted.chain_key,
            "wallet": vetted.address,
            "kind": vetted.kind,
            "purpose": vetted.purpose,
            "nonce": vetted.payload.nonce,
            "to": vetted.to,
            "value_wei": str(vetted.payload.value_wei),
            "hash": signed_hash,
        }
        with self._lock:
            self._signed += 1
            self._last = attempt_id
            self._hours[vetted.wallet_id].append(time.monotonic())
            handle = os.open(
                self._journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
            try:
                os.write(handle, json.dumps(line).encode() + b"\n")
            finally:
                os.close(handle)

    def _connection(self) -> "psycopg.Connection[Any]":
        held: psycopg.Connection[Any] | None = getattr(self._mine, "connection", None)
        if held is None or held.closed:
            held = self._mine.connection = self._connect()
            # Nothing waits for the disk here: the bytes' own commit, in the sender, covers it.
            held.execute("SET synchronous_commit = off")
        return held

    def forget_connection(self) -> None:
        """Close this thread's database connection; the next request opens one."""
        held = getattr(self._mine, "connection", None)
        self._mine.connection = None
        if held is not None:
            with contextlib.suppress(psycopg.Error):
                held.close()


def _note_bug(error: Exception) -> None:
    """A bug, for one request: ending here would stop cancels and pauses too. The type alone is
    told: a library's text may hold what it was given."""
    logger.error("signer failed", extra={"error_kind": type(error).__name__})


def open_signer(
    *,
    data_dir: Path,
    passphrase_file: str,
    connect: Connect,
    live_chains: frozenset[str],
    treasuries: Mapping[str, str],
) -> Signer:
    """A signer over the keystore of a data folder; makes the keystore and the local seed once.

    Raises: WrongPassphrase, KeystoreDamaged.
    """
    read = partial(passphrase_read, data_dir=data_dir, passphrase_file=passphrase_file)
    keystore = Keystore.open_or_create(data_dir / "keystore", passphrase=read())
    keystore.rotation_finish(published=read)
    if "seed:local" not in keystore.names():
        keystore.seed_create("local")  # its words are of no use to anyone
    folder = data_dir / "signer"
    folder.mkdir(mode=0o700, exist_ok=True)
    return Signer(
        keystore=keystore,
        connect=connect,
        live_chains=live_chains,
        journal=folder / "journal.jsonl",
        treasuries=treasuries,
        passphrase_at=passphrase_path(data_dir=data_dir, passphrase_file=passphrase_file),
    )


def keystore_prove(folder: Path, *, passphrase: bytes) -> None:
    """See that a keystore opens and is whole; nothing of it is kept.

    Raises: KeystoreMissing, WrongPassphrase, KeystoreDamaged.
    """
    Keystore.open(folder, passphrase=passphrase).prove()
