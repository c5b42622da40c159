"""Every setting of the product, read once from the environment and typed; plain Python.

`ArbConfig.from_environ` is the one place that knows the variables' names; `VARIABLES` is what
`.env.example` and README are tested against. Secrets stay out of every repr.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

CHAIN_KEYS: Final = (
    "bsc", "bsc_testnet", "ethereum", "polygon", "arbitrum", "optimism", "base", "sepolia", "local",
)  # fmt: skip
VARIABLES: Final[Mapping[str, str]] = {
    "DATABASE_URL": "PostgreSQL to use instead of the embedded one",
    "REDIS_URL": "Redis to use instead of the embedded one",
    "ARB_DATA_DIR": "everything the program writes",
    "ARB_BIND": "web, API and WebSocket, one port",
    "ARB_ADMIN_USER": "the first admin, made once",
    "ARB_ADMIN_PASSWORD": "the first admin's password",
    "SECRET_KEY": "Django's signing key",
    "ALLOWED_HOSTS": "host names the web server answers to",
    "KEYSTORE_PASSPHRASE_FILE": "unlocks the keystore; read by the signer only",
    "ARB_LIVE": "chains on which anything may be signed",
    "ARB_MAX_HOPS": "pools of the longest cycles that are searched, 2 to 4",
    "ARB_FORCE_LENDER": "first_pool or aave_v3: every loan comes from there (for proofs)",
    "ARB_LOCAL_SEED": "seed of the embedded market",
    "ARB_LOCAL_BLOCK_TIME_S": "seconds between blocks of the embedded chain",
}
_SECRETS: Final = ("DATABASE_URL", "REDIS_URL", "ARB_ADMIN_PASSWORD", "SECRET_KEY")
_RPC: Final = re.compile(r"RPC_([A-Z0-9_]+?)_(HTTP|WS|SEND)")
_BUDGET: Final = re.compile(r"RPC_([A-Z0-9_]+?)_BUDGET")
_TREASURY: Final = re.compile(r"ARB_TREASURY_([A-Z0-9_]+)")
_RELAY: Final = re.compile(r"RELAY_([A-Z0-9_]+)_AUTH")
_KEY: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[?[0-9A-Fa-f:.]{2,45}\]?")

_DATABASES: Final = ("postgres", "postgresql")
_REDISES: Final = ("unix", "rediss", "redis")


class BadSetting(Exception):
    """A variable is unknown or malformed; the message is the one line to print."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcUrls:
    """One chain's endpoints from the environment, in order of preference; may carry keys."""

    http: tuple[str, ...] = field(default=(), repr=False)
    ws: tuple[str, ...] = field(default=(), repr=False)
    send: tuple[str, ...] = field(default=(), repr=False)
    calls_per_s: int | None = None  # to each endpoint, from each process; sends are never held


@dataclass(frozen=True, slots=True, kw_only=True)
class ArbConfig:
    """The settings of one process."""

    data_dir: Path
    bind_host: str
    bind_port: int
    admin_user: str
    live_chains: frozenset[str] = frozenset()
    treasuries: Mapping[str, str] = field(default_factory=dict)
    rpc: Mapping[str, RpcUrls] = field(default_factory=dict, repr=False)
    relay_auth: Mapping[str, str] = field(default_factory=dict, repr=False)
    database_url: str = field(default="", repr=False)
    redis_url: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    admin_password: str = field(default="", repr=False)
    passphrase_file: str = ""
    allowed_hosts: tuple[str, ...] = ("127.0.0.1", "localhost")
    force_lender: str = ""
    max_hops: int = 3
    local_seed: int = 1
    local_block_time_s: str = "1.0"

    @property
    def embedded_database(self) -> bool:
        """Whether PostgreSQL is ours to start."""
        return not self.database_url

    @property
    def embedded_redis(self) -> bool:
        """Whether Redis is ours to start."""
        return not self.redis_url

    def may_sign(self, *, chain_key: str, is_local: bool) -> bool:
        """Whether anything at all may be signed on this chain."""
        return is_local or chain_key in self.live_chains

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], *, root: Path) -> "ArbConfig":
        """Read, check and type every variable.

        Raises: BadSetting naming the variable, for an unknown ``ARB_`` name or a malformed value.
        """
        env = _with_files(environ)
        _refuse_unknown(env)
        data_dir = _folder(env.get("ARB_DATA_DIR") or ".data")
        host, port = _bind(env.get("ARB_BIND") or "127.0.0.1:9080")
        return cls(
            data_dir=data_dir if data_dir.is_absolute() else root / data_dir,
            bind_host=host,
            bind_port=port,
            admin_user=_admin_user(env.get("ARB_ADMIN_USER") or "admin"),
            live_chains=_live(env.get("ARB_LIVE", "")),
            treasuries=_treasuries(env),
            rpc=_rpc(env),
            relay_auth={
                match[1].lower(): value
                for name, value in env.items()
                if (match := _RELAY.fullmatch(name)) and value
            },
            database_url=_service("DATABASE_URL", env, _DATABASES),
            redis_url=_service("REDIS_URL", env, _REDISES),
            secret_key=env.get("SECRET_KEY", ""),
            admin_password=env.get("ARB_ADMIN_PASSWORD", ""),
            passphrase_file=environ.get("KEYSTORE_PASSPHRASE_FILE", ""),
            allowed_hosts=_hosts(env.get("ALLOWED_HOSTS") or "127.0.0.1,localhost"),
            max_hops=int(_choice(env, "ARB_MAX_HOPS", ("", "2", "3", "4")) or 3),
            force_lender=_choice(env, "ARB_FORCE_LENDER", ("", "first_pool", "aave_v3")),
            local_seed=_seed(env.get("ARB_LOCAL_SEED") or "1"),
            local_block_time_s=_seconds(env.get("ARB_LOCAL_BLOCK_TIME_S") or "1.0"),
        )


def _with_files(environ: Mapping[str, str]) -> dict[str, str]:
    env = dict(environ)
    for name, path in environ.items():
        if not name.endswith("_FILE") or name == "KEYSTORE_PASSPHRASE_FILE":
            continue
        base = name[:-5]
        secret = base in _SECRETS or _RPC.fullmatch(base) or _RELAY.fullmatch(base)
        if not secret or not path:
            continue
        if environ.get(base):
            raise BadSetting(f"{base} and {name} are both set: keep one")
        try:
            env[base] = Path(path).read_text().strip()
        except OSError as error:
            raise BadSetting(f"{name}: cannot read the file it names ({error.strerror})") from None
        except ValueError:
            raise BadSetting(f"{name}: the file it names is not text") from None
        if not env[base]:
            raise BadSetting(f"{name}: the file it names is empty")
    return env


def _refuse_unknown(env: Mapping[str, str]) -> None:
    if env.get("KEYSTORE_PASSPHRASE"):
        raise BadSetting(
            "KEYSTORE_PASSPHRASE would reach every process: write it to a file of mode 0600 and "
            "set KEYSTORE_PASSPHRASE_FILE"
        )
    for name in sorted(env):
        if not name.startswith("ARB_") or name in VARIABLES or _TREASURY.fullmatch(name):
            continue
        if name.endswith("_FILE") and name[:-5] in _SECRETS:
            continue
        raise BadSetting(f"{name} is not a setting of this program: see .env.example")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _choice(env: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    value = env.get(name, "")
    if value not in choices:
        raise BadSetting(f"{name}={value!r} must be one of {', '.join(c for c in choices if c)}")
    return value


def _seed(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise BadSetting(f"ARB_LOCAL_SEED={text!r} must be a whole number")
    return int(text)


def _seconds(text: str) -> str:
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", text) or not 0.1 <= float(text) <= 60:
        raise BadSetting(f"ARB_LOCAL_BLOCK_TIME_S={text!r} must be seconds from 0.1 to 60")
    return text


def _admin_user(text: str) -> str:
    if not re.fullmatch(r"[\w.@+-]{1,150}", text, flags=re.ASCII):
        raise BadSetting("ARB_ADMIN_USER must be letters, digits and @ . + - _ only")
    return text


def _bind(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not _HOST.fullmatch(host) or not _port(port):
        raise BadSetting(f"ARB_BIND={text!r} must be host:port, such as 127.0.0.1:9080")
    return host.strip("[]"), int(port)


def _port(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9]{1,5}", text)) and 0 < int(text) < 65536


def _folder(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise BadSetting(f"ARB_DATA_DIR={text!r} names the home of nobody here") from None


def _hosts(text: str) -> tuple[str, ...]:
    hosts = _words(text)
    for host in hosts:
        if host != "*" and not _HOST.fullmatch(host.removeprefix(".")):
            raise BadSetting(f"ALLOWED_HOSTS: {host!r} is not a host name, such as example.org")
    return hosts


def _live(text: str) -> frozenset[str]:
    keys = _words(text)
    for key in keys:
        if not _KEY.fullmatch(key):
            raise BadSetting(f"ARB_LIVE: {key!r} is not a chain key such as bsc or sepolia")
    return frozenset(keys)


def _treasuries(env: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name, value in env.items():
        match = _TREASURY.fullmatch(name)
        if match and value:
            if not re.fullmatch(r"0x[0-9a-fA-F]{40}", value):
                raise BadSetting(f"{name} must be an address (0x and 40 hex digits)")
            if int(value, 16) == 0:
                raise BadSetting(f"{name} is the zero address: what is sent there is lost")
            found[match[1].lower()] = value
    return found


def _rpc(env: Mapping[str, str]) -> dict[str, RpcUrls]:
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, value in env.items():
        match = _RPC.fullmatch(name)
        if not match or not value:
            continue
        schemes = ("ws", "wss") if match[2] == "WS" else ("http", "https")
        urls = _words(value)
        for url in urls:
            if not _is_url(url, schemes):
                # The value may hold a provider's key: only the name is printed.
                raise BadSetting(f"{name} must hold {schemes[0]}:// or {schemes[1]}:// URLs")
        found.setdefault(match[1].lower(), {})[match[2].lower()] = urls
    budgets = _budgets(env)
    return {
        key: RpcUrls(**found.get(key, {}), calls_per_s=budgets.get(key))
        for key in found.keys() | budgets.keys()
    }


def _budgets(env: Mapping[str, str]) -> dict[str, int]:
    found = {}
    for name, value in env.items():
        match = _BUDGET.fullmatch(name)
        if match and value:
            if not re.fullmatch(r"[1-9][0-9]{0,5}", value):
                raise BadSetting(f"{name}={value[:20]!r} must be calls a second, from 1 to 999999")
            found[match[1].lower()] = int(value)
    return found


def _is_url(url: str, schemes: tuple[str, ...], *, needs_host: bool = True) -> bool:
    """Whether it can be used; the parser itself refuses odd brackets and ports."""
    try:
        parts = urlsplit(url)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return parts.scheme in schemes and port_fits and (bool(parts.hostname) or not needs_host)


def _service(name: str, env: Mapping[str, str], schemes: tuple[str, ...]) -> str:
    url = env.get(name, "")
    if not url:
        return ""
    scheme = url.partition(":")[0]
    if schemes is _DATABASES and scheme not in schemes:
        named = "SQLite" if scheme.startswith("sqlite") else scheme[:20]
        raise BadSetting(
            f"{name} names {named}: only PostgreSQL keeps wei exactly, use postgresql://..."
        )
    # A socket's URL has no host; the value may hold a password: only the name is printed.
    if not _is_url(url, schemes, needs_host=False):
        raise BadSetting(f"{name} must be a URL such as {schemes[-1]}://host:port/name")
    return url
