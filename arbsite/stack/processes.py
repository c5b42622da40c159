"""The process table: what runs, in which order, with which secrets and how it ends."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Final

from arbsite.stack import postgres, valkey, web_role

# Seen by no process unless its row keeps them.
GUARDED_ENV: Final = (
    "KEYSTORE_PASSPHRASE",
    "KEYSTORE_PASSPHRASE_FILE",
    "ARB_ADMIN_PASSWORD",
    "ARB_ADMIN_PASSWORD_FILE",
)
# A program that ends with it says "what I depend on is away": restarted, never counted as a crash.
EXIT_DEPENDENCY_AWAY: Final = 75
# With the 2 s of the services and the 3 s of the database: all ends within 10 s.
APPS_STOP_S: Final = 4
# What waits for a block wakes with it, and an execution goes first: people see it a moment later.
CONSOLE_YIELDS: Final = 5
QUEUES: Final = "chain,funding,upkeep"


class Tier(IntEnum):
    """Started from low to high, stopped from high to low; one tier stops at once."""

    DATABASE = 10
    SERVICES = 20
    APPS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One row of the table."""

    name: str  # as `ps` shows it, such as engine:local
    argv: tuple[str, ...]
    tier: Tier
    keeps_env: frozenset[str] = frozenset()  # of GUARDED_ENV
    env: Mapping[str, str] = field(default_factory=dict)  # no secrets: it is written to a file
    bare_env: bool = False  # sees nothing of ours
    stop_signal: str = "TERM"
    stop_s: int = 2  # then SIGKILL; the longest of each tier add up to less than 10
    death_signal: str = "KILL"  # sent when the supervisor dies
    on_crash_loop: tuple[str, ...] = ()  # run once when it crashed five times in a minute
    rest_s: float = 4.0  # between tries after such a minute
    listener: bool = False  # hears of the others' deaths
    yields: int = 0  # its niceness: the higher, the sooner others have the processor

    @property
    def slug(self) -> str:
        """The name where a colon is not allowed: files, and the supervisor's own table."""
        return self.name.replace(":", ".")

    @property
    def drops_env(self) -> tuple[str, ...]:
        """The guarded variables that it must not see."""
        return tuple(name for name in GUARDED_ENV if name not in self.keeps_env)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one `up` is asked to run."""

    root: Path
    data_dir: Path
    bind_host: str
    bind_port: int
    chains: tuple[str, ...]  # one engine each
    embedded_postgres: bool = True
    embedded_redis: bool = True
    localchain: bool = True
    signer: bool = True  # False: it runs elsewhere, as a user of its own
    localchain_options: tuple[str, ...] = ()


def table(plan: Plan) -> tuple[Program, ...]:
    """The programs of ``plan`` in starting order."""
    programs: list[Program] = []
    if plan.embedded_postgres:
        programs.append(_postgres(plan))
    if plan.embedded_redis:
        programs.append(_redis(plan))
    if plan.localchain:
        programs.append(_localchain(plan))
    if plan.signer:
        programs.append(_signer(plan))
    programs.append(watchdog(plan.data_dir))
    programs += [_engine(plan, chain=chain) for chain in plan.chains]
    return (*programs, *_console(plan))


def watchdog(data_dir: Path) -> Program:
    """The listener that counts crashes; `supervisor` gives it the table."""
    return Program(
        name="watchdog",
        argv=(sys.executable, "-m", "arbsite.stack.watchdog", str(data_dir)),
        tier=Tier.APPS,
        stop_s=1,
        listener=True,
    )


def _manage(plan: Plan, *words: str) -> tuple[str, ...]:
    return (sys.executable, str(plan.root / "manage.py"), *words)


def _postgres(plan: Plan) -> Program:
    return Program(
        name="postgres",
        argv=postgres.argv(plan.data_dir),
        tier=Tier.DATABASE,
        bare_env=True,
        stop_signal="INT",
        death_signal="INT",
        stop_s=3,
    )


def _redis(plan: Plan) -> Program:
    return Program(
        name="redis",
        argv=valkey.argv(plan.data_dir),
        tier=Tier.SERVICES,
        bare_env=True,
        death_signal="TERM",
    )


def _localchain(plan: Plan) -> Program:
    folder = plan.data_dir / "local"
    market = str(folder / "market.json")
    words = ("localchain", "--write-market", market, "--state-dir", str(folder / "state"))
    return Program(
        name="localchain",
        argv=_manage(plan, *words, *plan.localchain_options),
        tier=Tier.SERVICES,
        # It keeps its state and stops its node: let it.
        death_signal="TERM",
    )


def _signer(plan: Plan) -> Program:
    return Program(
        name="signer",
        argv=_manage(plan, "run_signer"),
        tier=Tier.SERVICES,
        keeps_env=frozenset({"KEYSTORE_PASSPHRASE", "KEYSTORE_PASSPHRASE_FILE"}),
    )


def _engine(plan: Plan, *, chain: str) -> Program:
    reason = f"engine:{chain} crashed five times within a minute"
    return Program(
        name=f"engine:{chain}",
        argv=_manage(plan, "run_engine", "--chain", chain),
        tier=Tier.APPS,
        stop_s=APPS_STOP_S,
        on_crash_loop=_manage(plan, "kill", "--chain", chain, reason),
        rest_s=10.0,
    )


def _console(plan: Plan) -> Sequence[Program]:
    # Its advice not to run as root would greet every start.
    calm = ("-W", "ignore::UserWarning:celery.platforms")
    celery = (sys.executable, *calm, "-m", "celery", "-A", "arbsite.celery", "--quiet")
    worker = ("worker", "-Q", QUEUES, "--pool", "threads", "--concurrency", "4")
    quiet = ("--loglevel", "INFO", "--without-mingle", "--without-gossip")
    beat_scheduler = "django_celery_beat.schedulers:DatabaseScheduler"
    # Its default is a pid file in the working folder, which a kill leaves behind.
    beat = ("beat", "--scheduler", beat_scheduler, "--pidfile=", "--loglevel", "INFO")
    where = ("-b", plan.bind_host, "-p", str(plan.bind_port))
    web = ("-m", "daphne", *where, "-v", "0", "--no-server-name", "arbsite.asgi:application")
    argvs = {
        "worker": (*celery, *worker, *quiet),
        "beat": (*celery, *beat),
        "web": (sys.executable, *web),
    }
    # The console cannot write what is sent, whatever it is made to run.
    login = {"DATABASE_URL_FILE": str(web_role.url_file(plan.data_dir))}
    env = {"web": login if plan.embedded_postgres else {}}
    return [
        Program(
            name=name,
            argv=argv,
            tier=Tier.APPS,
            stop_s=APPS_STOP_S,
            env=env.get(name, {}),
            yields=CONSOLE_YIELDS,
        )
        for name, argv in argvs.items()
    ]
