"""From nothing to a trading stack: the ordered, repeatable steps of `up`.

Each step asks what is there before it acts, so a broken start is finished by the next one. A new
step is one function and one row of `STEPS`.
"""

import http.client
import io
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg
from django.conf import settings
from django.core.management import CommandError, call_command, get_commands
from django.db import connection

from arbsite import schedules
from arbsite.base import audit
from arbsite.base.models import User
from arbsite.base.units import Wei
from arbsite.stack import paths, postgres, valkey, web_role
from arbsite.stack.processes import Plan
from arbsite.stack.session import Session
from arbsite.stack.waiting import NotReady
from contracts.kernel.jsonrpc import RpcError
from contracts.models import Chain
from contracts.rpc import HttpRpc, RpcUnavailable
from execution import leader
from execution.models import FastMode
from wallets import kill
from wallets.models import Assignment, Wallet

logger = logging.getLogger(__name__)

LOCAL: Final = "local"
# Any number of machines may run `up` on one database: one migrates at a time.
MIGRATION_LOCK: Final = 0x617262_6D6967
_DATABASE_S: Final = 60.0
_CHAIN_S: Final = 60.0
_SIGNER_S: Final = 20.0
_WEB_S: Final = 60.0
_ENGINE_S: Final = 60.0
_RESERVE_WEI: Final = Wei(1_000 * 10**18)
_EXECUTOR_WEI: Final = Wei(10 * 10**18)


@dataclass(slots=True)
class Bootstrap:
    """One start: what was asked, the running session, and what the ready screen will say."""

    plan: Plan
    session: Session
    first_password: str | None = field(default=None, repr=False)

    def command(self, name: str, *words: str, **options: Any) -> str:
        """Run a management command; returns what it printed. Its errors propagate."""
        out = io.StringIO()
        call_command(name, *words, stdout=out, stderr=io.StringIO(), **options)
        return out.getvalue()


@dataclass(frozen=True, slots=True)
class Step:
    """One named step; ``needs`` are management commands it calls; ``when`` it applies."""

    name: str
    run: Callable[[Bootstrap], None]
    needs: tuple[str, ...] = ()
    when: Callable[[Plan], bool] = lambda plan: True


def run(boot: Bootstrap) -> None:
    """Take every step that applies, in order. Raises what a step raises."""
    known = get_commands()
    for step in STEPS:
        if not step.when(boot.plan):
            continue
        missing = [name for name in step.needs if name not in known]
        if missing:
            boot.session.say(f"  left out: {step.name} (no command {', '.join(missing)})")
            continue
        boot.session.say(f"  {step.name}")
        try:
            step.run(boot)
        except CommandError as error:
            raise CommandError(f"{step.name}: {error}") from None


def _database(boot: Bootstrap) -> None:
    url = settings.ARB.database_url or paths.database_url(boot.plan.data_dir)
    if boot.plan.embedded_postgres:
        boot.session.start("postgres", lacking=lambda: postgres.lacking(url))
    else:
        boot.session.await_("PostgreSQL (DATABASE_URL)", lambda: postgres.lacking(url))


def _broker(boot: Bootstrap) -> None:
    url = settings.ARB.redis_url or paths.redis_url(boot.plan.data_dir)
    if boot.plan.embedded_redis:
        boot.session.start("redis", lacking=lambda: valkey.lacking(url))
    else:
        boot.session.await_("Redis (REDIS_URL)", lambda: valkey.lacking(url))


def _migrate(boot: Bootstrap) -> None:
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_lock(%s)", [MIGRATION_LOCK])
        try:
            boot.command("migrate", interactive=False, verbosity=0)
        finally:
            cursor.execute("select pg_advisory_unlock(%s)", [MIGRATION_LOCK])


def _web_login(boot: Bootstrap) -> None:
    """After each migration: new tables, and a restored record, lack its rights."""
    data_dir = boot.plan.data_dir
    with psycopg.connect(paths.database_url(data_dir)) as owner:
        web_role.ensure(owner, password=web_role.password(data_dir))
    web_role.url_write(data_dir)


def _static(boot: Bootstrap) -> None:
    boot.command("collectstatic", interactive=False, verbosity=0)


def _admin(boot: Bootstrap) -> None:
    """The first admin, once: nobody with the role and nobody of that name."""
    name = settings.ARB.admin_user
    if User.objects.filter(role="admin").exists() or User.objects.filter(username=name).exists():
        return
    password = settings.ARB.admin_password
    if not password:
        # Short enough to type: 96 bits.
        password = paths.secret(boot.plan.data_dir, "admin", size_bytes=12)
        boot.first_password = password
    user = User.objects.create_superuser(name, email="", password=password)
    User.objects.filter(pk=user.pk).update(role="admin")
    audit.record(verb="user.create", target=f"user:{name}", via="up", after={"role": "admin"})


def _registry(boot: Bootstrap) -> None:
    """Every shipped market file; one that an operator's own chain stands against is left out."""
    for file in sorted((boot.plan.root / "contracts" / "registry").glob("*.json")):
        try:
            boot.command("import_market", str(file), offline=True)
        except CommandError as error:
            boot.session.say(f"  left out: {file.name}: {error}")


def market_file(data_dir: Path) -> Path:
    """Where the local chain writes its market file."""
    return data_dir / "local" / "market.json"


def _local_chain(boot: Bootstrap) -> None:
    file = market_file(boot.plan.data_dir)
    # One from an earlier run would name a node that is not there yet.
    file.unlink(missing_ok=True)
    boot.session.start("localchain", lacking=lambda: _chain_lacking(file), deadline_s=_CHAIN_S)


def _chain_lacking(file: Path) -> str | None:
    if not file.is_file():
        return f"{file} is not written yet"
    rpc = HttpRpc(json.loads(file.read_text())["chain"]["rpcHttp"], timeout_s=2)
    try:
        rpc.call("eth_blockNumber")
    except (RpcError, RpcUnavailable) as error:
        return str(error)
    finally:
        rpc.close()
    return None


def _local_market(boot: Bootstrap) -> None:
    boot.command("import_market", str(market_file(boot.plan.data_dir)))


def _kill_rows(_: Bootstrap) -> None:
    """A row that is missing counts as engaged: a first start makes them, clear."""
    kill.kill_rows_ensure(chain_keys=list(Chain.objects.values_list("key", flat=True)))


def _signer(boot: Bootstrap) -> None:
    socket = paths.signer_socket(boot.plan.data_dir)

    def lacking() -> str | None:
        return None if socket.is_socket() else f"{socket} is not there"

    if boot.plan.signer:
        boot.session.start("signer", lacking=lacking, deadline_s=_SIGNER_S)
    else:
        boot.session.await_("the signer (run/signer_socket)", lacking)


def _local_wallets(boot: Bootstrap) -> None:
    for role in ("gas_reserve", "executor"):
        if not Wallet.objects.filter(chain_id=LOCAL, role=role).exists():
            boot.command("create_wallet", chain=LOCAL, role=role, label=f"local {role}")


def _local_funds(boot: Bootstrap) -> None:
    # Imported here: only a stack with the local chain needs its package.
    from contracts.localchain.faucet import faucet

    document = json.loads(market_file(boot.plan.data_dir).read_text())
    rpc = HttpRpc(document["chain"]["rpcHttp"], timeout_s=5)
    try:
        for wallet in Wallet.objects.filter(chain_id=LOCAL, role__in=["gas_reserve", "executor"]):
            floor_wei = _RESERVE_WEI if wallet.role == "gas_reserve" else _EXECUTOR_WEI
            balance_wei = int(rpc.call("eth_getBalance", [wallet.address, "latest"]), 16)
            if balance_wei < floor_wei:
                faucet(rpc, address=wallet.address, amount_wei=_up_to(floor_wei, balance_wei))
    finally:
        rpc.close()


def _up_to(floor_wei: Wei, balance_wei: int) -> Wei:
    return Wei(floor_wei - balance_wei)


def _local_contracts(boot: Bootstrap) -> None:
    boot.command("deploy_contracts", chain=LOCAL)


def _local_executor(boot: Bootstrap) -> None:
    authorized = Assignment.objects.filter(
        wallet__chain_id=LOCAL, authorized_at__isnull=False
    ).values("wallet_id")
    for wallet in Wallet.objects.filter(chain_id=LOCAL, role="executor").exclude(pk__in=authorized):
        boot.command("authorize_executor", chain=LOCAL, wallet=wallet.address)


def _schedules(_: Bootstrap) -> None:
    schedules.schedules_ensure()


def _apps(boot: Bootstrap) -> None:
    names = [f"engine:{chain}" for chain in boot.plan.chains]
    for name in ("watchdog", *names, "worker", "beat"):
        boot.session.start(name)
    boot.session.start("web", lacking=lambda: _web_lacking(boot.plan), deadline_s=_WEB_S)
    for chain in boot.plan.chains:
        _await_engine(boot, chain)


def _await_engine(boot: Bootstrap, chain: str) -> None:
    """Ready means that the engine leads; one that does not stands in nobody's way."""
    try:
        boot.session.await_(
            f"the engine of {chain}", lambda: _engine_lacking(chain), deadline_s=_ENGINE_S
        )
    except NotReady as error:
        if not boot.session.alive():
            raise
        boot.session.say(f"  {error}: `manage.py doctor --chain {chain}` says why")


def _engine_lacking(chain: str) -> str | None:
    if not leader.is_led(chain):
        return "it does not lead yet"
    return None if FastMode.objects.filter(chain_id=chain).exists() else "it prepares its lead"


def _web_lacking(plan: Plan) -> str | None:
    """What keeps the console from answering."""
    host = "127.0.0.1" if plan.bind_host in ("0.0.0.0", "::") else plan.bind_host  # noqa: S104 - compared, not bound
    client = http.client.HTTPConnection(host, plan.bind_port, timeout=5)
    named = next((h for h in settings.ALLOWED_HOSTS if h != "*"), host)
    try:
        client.request("GET", "/api/health", headers={"Host": f"{named}:{plan.bind_port}"})
        status = client.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"http://{host}:{plan.bind_port}/api/health: {error}"
    finally:
        client.close()
    return None if status == 200 else f"/api/health answers {status}"


def _embedded_postgres(plan: Plan) -> bool:
    return plan.embedded_postgres


def _localchain(plan: Plan) -> bool:
    return plan.localchain


STEPS: Final[tuple[Step, ...]] = (
    Step("database", _database),
    Step("broker", _broker),
    Step("migrations", _migrate),
    Step("the console's own login", _web_login, when=_embedded_postgres),
    Step("static files", _static),
    Step("first admin", _admin),
    Step("known chains", _registry, needs=("import_market",)),
    Step("local chain", _local_chain, needs=("localchain",), when=_localchain),
    Step("local market", _local_market, needs=("localchain", "import_market"), when=_localchain),
    Step("kill switch", _kill_rows),
    Step("signer", _signer, needs=("run_signer",)),
    Step("local wallets", _local_wallets, needs=("localchain", "create_wallet"), when=_localchain),
    Step("local funds", _local_funds, needs=("localchain", "create_wallet"), when=_localchain),
    Step(
        "contracts",
        _local_contracts,
        needs=("localchain", "deploy_contracts"),
        when=_localchain,
    ),
    Step(
        "executor",
        _local_executor,
        needs=("localchain", "authorize_executor"),
        when=_localchain,
    ),
    Step("schedules", _schedules),
    Step("engines, workers and console", _apps, needs=("run_engine",)),
)
