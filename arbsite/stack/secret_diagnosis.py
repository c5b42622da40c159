"""What `doctor` looks at where keys are concerned; no secret is read, and no value ever shown."""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import psycopg

from arbsite.stack import paths, postgres, web_role
from arbsite.stack.findings import Check, Finding, Level, Patient
from arbsite.stack.lock import is_held
from wallets.kernel import derivation
from wallets.passphrase import passphrase_path

_HEX: Final = re.compile(r"(?<![0-9a-fA-F])(?:0x)?([0-9a-fA-F]{64})(?![0-9a-fA-F])")
_WORD: Final = re.compile(r"[a-z]+")
_COUNTS: Final = (12, 15, 18, 21, 24)
# They hold random text that is no key of an account, or are the settings' own place for one.
_EXEMPT: Final = re.compile(
    r"SECRET_KEY|DATABASE_URL|REDIS_URL|ARB_ADMIN_PASSWORD|RPC_\w+|RELAY_\w+|\w+_FILE"
)
_SUSPECT: Final = re.compile(r"KEY|PRIV|MNEMONIC|SEED|SECRET|PHRASE|WALLET|ACCOUNT", re.I)
_MEND: Final = (
    "take it out, use `import_key --exposed` or `create_keystore --import --exposed`: whatever "
    "lay there counts as exposed"
)


def looks_like(value: str) -> str:
    """What a setting's value looks like: ``a private key``, ``a mnemonic``, or "" for neither."""
    for digits in _HEX.findall(value):
        try:
            derivation.key_from_hex(digits)
        except derivation.BadKey:
            continue
        return "a private key"
    words = _WORD.findall(value.lower())
    plain = re.fullmatch(r"[a-zA-Z\s,;_'\"-]+", value) is not None
    if plain and len(words) in _COUNTS and all(3 <= len(word) <= 8 for word in words):
        return "a mnemonic"
    return ""


def env_file(patient: Patient) -> Iterator[Finding]:
    """Keys do not belong into `.env`: every process reads it."""
    file = patient.root / ".env"
    if not file.is_file():
        return
    clean = True
    for number, line in enumerate(file.read_text(errors="replace").splitlines(), start=1):
        name, _, value = line.removeprefix("export ").partition("=")
        what = looks_like(value)
        if line.lstrip().startswith("#") or not what or _EXEMPT.fullmatch(name.strip()):
            continue
        clean = False
        where = f".env line {number} ({name.strip()[:40]})"
        yield Finding(Level.WRONG, f"{where} looks like {what}", _MEND)
    if file.stat().st_mode & 0o077:
        yield Finding(Level.WRONG, ".env is open to other users", "chmod 600 .env")
    elif clean:
        yield Finding(Level.OK, ".env holds no keys")


def environment(patient: Patient) -> Iterator[Finding]:
    """Nor into the environment, which children and crash reports inherit."""
    yield from environment_of(os.environ)


def environment_of(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Findings for one environment."""
    clean = True
    for name, value in sorted(environ.items()):
        what = looks_like(value)
        if not what or _EXEMPT.fullmatch(name):
            continue
        clean = False
        sure = what == "a mnemonic" or _SUSPECT.search(name)
        text = f"the environment variable {name[:40]} looks like {what}"
        yield Finding(Level.WRONG if sure else Level.NOTE, text, _MEND)
    if clean:
        yield Finding(Level.OK, "the environment holds no keys")


def keystore(patient: Patient) -> Iterator[Finding]:
    """The keystore and what unlocks it."""
    arb = patient.arb
    folder = arb.data_dir / "keystore"
    file = folder / "keystore.json"
    if not file.exists():
        mend = "python manage.py create_keystore (the local chain makes its own at first start)"
        yield Finding(Level.NOTE, "there is no keystore yet", mend)
    else:
        yield from _private("the keystore", folder, file)
    place = passphrase_path(data_dir=arb.data_dir, passphrase_file=arb.passphrase_file)
    if place.is_file():
        yield from _private("the keystore's passphrase file", place)
        if not arb.passphrase_file and arb.live_chains:
            yield Finding(
                Level.NOTE,
                "the passphrase lies in the data folder beside its keystore: whoever copies the "
                "folder has both",
                "move it elsewhere and name it in KEYSTORE_PASSPHRASE_FILE",
            )
    elif arb.passphrase_file:
        mend = "write it there, or leave KEYSTORE_PASSPHRASE_FILE out"
        yield Finding(Level.WRONG, f"KEYSTORE_PASSPHRASE_FILE: {place} is not there", mend)
    elif file.exists():
        mend = f"put the one it was made with into {place} (chmod 600)"
        yield Finding(Level.WRONG, "the keystore's passphrase is gone", mend)


def _private(what: str, *places: Path) -> Iterator[Finding]:
    clean = True
    for place in places:
        found = place.stat()
        wanted = 0o700 if place.is_dir() else 0o600
        if found.st_mode & 0o077:
            clean = False
            mode = stat.S_IMODE(found.st_mode)
            text = f"{place} is open to other users (mode {mode:o})"
            yield Finding(Level.WRONG, text, f"chmod {wanted:o} {place}")
        if found.st_uid not in (os.geteuid(), 0):
            clean = False
            text = f"{place} belongs to another user"
            yield Finding(Level.WRONG, text, f"chown it to the user that runs the signer: {place}")
    if clean:
        yield Finding(Level.OK, f"{what} is there and private")


def signer_user(patient: Patient) -> Iterator[Finding]:
    """Against what the signer's border guards (I29)."""
    socket = paths.signer_socket(patient.arb.data_dir)
    if not socket.exists():
        named = paths.signer_elsewhere(patient.arb.data_dir)
        if named is not None:
            text = f"run/signer_socket names {named}, where no signer listens"
            yield Finding(Level.WRONG, text, "start that signer: see SECURITY.md")
            return
    elif socket.stat().st_uid != os.geteuid():
        text = "the signer runs as a user of its own: it holds against a takeover of the rest"
        yield Finding(Level.OK, text)
        return
    yield Finding(
        Level.NOTE,
        "the signer runs as the same user as the rest: its border guards against mistakes, not "
        "against a takeover",
        "for real money give it a user of its own: see SECURITY.md",
    )


def web_login(patient: Patient) -> Iterator[Finding]:
    """Whether the web process could write what is sent (I29)."""
    arb = patient.arb
    if arb.embedded_database:
        if not is_held(paths.Layout(arb.data_dir).run / "postgres.lock"):
            return
        with psycopg.connect(paths.database_url(arb.data_dir)) as session:
            known = session.execute(
                "SELECT 1 FROM pg_roles WHERE rolname = %s", (web_role.ROLE,)
            ).fetchone()
            open_ = web_role.writable(session, role=web_role.ROLE) if known else []
        if known is None or open_:
            yield Finding(Level.WRONG, "the web process has no login of its own", "make run")
        else:
            yield Finding(Level.OK, "the web process has a login that cannot write what is sent")
        return
    if postgres.lacking(arb.database_url) is not None:
        return
    with psycopg.connect(arb.database_url) as session:
        open_ = web_role.writable(session)
    if open_:
        make = f"CREATE ROLE {web_role.ROLE} LOGIN PASSWORD '...'"
        yield Finding(
            Level.NOTE,
            f"with DATABASE_URL the web process may write {', '.join(open_)}",
            "give the web process alone a DATABASE_URL of its own login; as the owner run: "
            + "; ".join((make, *web_role.statements())),
        )


SECRET_CHECKS: Final[tuple[Check, ...]] = (
    env_file,
    environment,
    keystore,
    signer_user,
    web_login,
)
