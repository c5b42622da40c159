"""The web process's login: refused where things are sent, enough for all the console does."""

import uuid

import psycopg
import pytest
from django.db import connection
from django.urls import get_resolver

from arbsite.base.models import User
from arbsite.stack import web_role
from arbsite.stack.processes import Plan, table
from contracts.models import Deployment
from execution import services as execution_services
from execution.models import Execution, FastMode
from tests.arbsite.base.clients import anyone, make_user, program, send, session
from tests.execution.rows import (
    armed,
    make_chain,
    make_desk_rows,
    make_execution,
    make_opportunity,
    make_sent,
)
from wallets import adapters, wishes
from wallets.models import (
    Attempt,
    KillState,
    NonceSequence,
    Request,
    StatusChange,
    Transaction,
    Wallet,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def password(transactional_db, data_dir):
    """The login, made as `up` makes it, on this run's database."""
    with adapters.connect(name="test-owner") as owner:
        web_role.ensure(owner, password=web_role.password(data_dir))
        web_role.ensure(owner, password=web_role.password(data_dir))  # at the next start
    return web_role.password(data_dir)


@pytest.fixture
def as_web(password):
    """This test's own connection becomes the web process's; afterwards it is the owner's again."""
    before = {name: connection.settings_dict[name] for name in ("USER", "PASSWORD")}
    connection.close()
    connection.settings_dict.update(USER=web_role.ROLE, PASSWORD=password)
    yield
    connection.close()
    connection.settings_dict.update(before)


@pytest.fixture
def rows(channel_layer, monkeypatch, transactional_db):
    monkeypatch.setattr(execution_services, "WAIT_S", 0.1)
    monkeypatch.setattr(wishes, "WAIT_S", 0.1)
    chain = make_chain(rpc_http=["http://127.0.0.1:1"])  # a node that is away
    make_desk_rows(chain)
    armed(chain)
    return chain, make_opportunity(chain), make_execution(chain, sent=make_sent(chain))


@pytest.fixture
def channel_layer(settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


@pytest.mark.parametrize("name", web_role.GUARDED)
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO {} DEFAULT VALUES", "UPDATE {} SET id = id", "DELETE FROM {}",
        "TRUNCATE {} CASCADE", "SELECT 1 FROM {} FOR UPDATE", "ALTER TABLE {} ADD COLUMN x int",
        "DROP TABLE {}", "CREATE RULE r AS ON SELECT TO {} DO ALSO NOTHING",
        "ALTER TABLE {} DISABLE TRIGGER ALL", "GRANT UPDATE ON {} TO PUBLIC",
    ],
)  # fmt: skip
def test_what_is_sent_cannot_be_written_by_the_console(as_web, name, statement):
    with connection.cursor() as cursor:
        if statement.startswith("GRANT"):
            # PostgreSQL grants nothing, and says so in a notice only.
            cursor.execute(statement.format(name))
            cursor.execute("SELECT has_table_privilege(current_user, %s, 'UPDATE')", [name])
            assert cursor.fetchone() == (False,)
            return
        with pytest.raises(Exception, match=r"permission denied|must be owner"):
            cursor.execute(statement.format(name))


def test_the_models_themselves_are_refused(rows, as_web):
    sent = Transaction.objects.get()
    with pytest.raises(Exception, match="permission denied"):
        Transaction.objects.filter(pk=sent.pk).update(status="confirmed")
    with pytest.raises(Exception, match="permission denied"):
        StatusChange.objects.create(transaction=sent, old="", new="planned")
    with pytest.raises(Exception, match="permission denied"):
        NonceSequence.objects.update(next_nonce=0)
    with pytest.raises(Exception, match="permission denied"):
        Attempt.objects.all().delete()


def test_the_login_is_no_way_round_itself(as_web, password):
    with connection.cursor() as cursor:
        for statement in (
            "SET SESSION AUTHORIZATION arb", "SET ROLE arb",
            "SET session_replication_role = replica",
            "ALTER ROLE arb_web SUPERUSER", "COPY wallets_attempt TO PROGRAM 'true'",
            "SELECT pg_read_file('/etc/passwd')", "CREATE TABLE public.mine (x int)",
        ):  # fmt: skip
            with pytest.raises(Exception, match=r"permission denied|must be|only roles"):
                cursor.execute(statement)


def test_tables_that_come_later_are_the_consoles_as_well(password, data_dir):
    name = connection.settings_dict["NAME"]
    with adapters.connect(name="test-owner") as owner, web_session(data_dir, name) as web:
        owner.execute("CREATE TABLE later (id bigserial, at timestamptz)")
        try:
            web.execute("INSERT INTO later (at) VALUES (now())")
        finally:
            web.rollback()
            owner.execute("DROP TABLE later")


def web_session(data_dir, name):
    """A connection by the very URL that the web process is given, to this run's database."""
    return psycopg.connect(web_role.url_write(data_dir).read_text().strip(), dbname=name)


def test_everything_the_console_writes_is_written_under_its_login(rows, as_web):
    chain, opportunity, _ = rows
    admin = make_user("admin", password="a long enough one")

    def post(path, body=None, by=None):
        return send(by or browser, path, body, key=str(uuid.uuid4()))

    signed_in = anyone()
    signed_in.get("/accounts/login/")
    token = signed_in.cookies["csrftoken"].value
    answer = signed_in.post(
        "/accounts/login/",
        {"login": "admin", "password": "a long enough one", "csrfmiddlewaretoken": token},
    )
    assert answer.status_code == 302
    browser, script = session(admin), program(admin)

    assert post("/api/execute", {"opportunityId": opportunity.pk}).status_code == 202
    assert post("/api/execute/test", {"chain": "local"}, by=script).status_code == 202
    assert Execution.objects.filter(requested_by=admin).count() == 2
    assert post(f"/api/opportunities/{opportunity.pk}/simulate").status_code == 503
    assert post("/api/prices/start", {"chain": "local"}).status_code == 200
    assert post("/api/prices/stop", {"chain": "local"}).status_code == 200
    assert post("/api/fast-mode/disable", {"chain": "local"}).status_code == 200
    assert FastMode.objects.get(chain=chain).state == "off"
    assert post("/api/fast-mode/enable", {"chain": "local"}).status_code in (200, 409)
    assert post("/api/kill", {"reason": "drill"}).status_code == 200
    assert KillState.objects.get(scope="*").engaged
    assert post("/api/kill/release", {"reason": "over"}).status_code == 200
    assert not KillState.objects.get(scope="*").engaged


def test_every_wish_for_wallets_and_contracts_is_written_under_its_login(rows, as_web):
    chain, _, _ = rows
    browser = session(make_user("admin"))
    wallet = Wallet.objects.filter(chain=chain, role="executor").first()
    receiver = Deployment.objects.filter(chain=chain, kind="receiver", active=True).first()
    here, on_wallet, on_contract = (
        {"chain": "local"}, f"/api/wallets/{wallet.pk}", f"/api/contracts/{receiver.pk}"
    )  # fmt: skip
    wishes_ = {
        "/api/wallets/generate": {**here, "role": "executor"},
        "/api/wallets/refresh": here,
        "/api/wallets/auto-fund": here,
        f"{on_wallet}/fund": {"amountWei": "1"},
        f"{on_wallet}/authorize": {},
        f"{on_wallet}/revoke": {},
        f"{on_wallet}/expose": {"reason": "drill"},
        f"{on_wallet}/move-away": {},
        "/api/contracts/deploy": here,
        "/api/contracts/refresh": here,
        "/api/kill/drill": here,
        f"{on_contract}/pause": {},
        f"{on_contract}/unpause": {},
        f"{on_contract}/sweep": {},
        f"{on_contract}/limits": {"treasury": reserve_of(chain).address},
        f"{on_contract}/mend": {},
    }
    before = Request.objects.count()

    found = {
        path: send(browser, path, body, key=str(uuid.uuid4())).status_code
        for path, body in wishes_.items()
    }

    assert found == dict.fromkeys(wishes_, 202)
    assert Request.objects.count() == before + len(wishes_)
    for path in ("start", "stop"):
        assert send(browser, f"/api/wallets/monitoring/{path}", here).status_code == 200
    spare = reserve_of(chain)
    assert send(browser, f"/api/wallets/{spare.pk}/retire", {"reason": "drill"}).status_code == 200


def reserve_of(chain):
    """A spare gas reserve beside another one, made by the web's login like any row of a wallet."""
    held = Wallet.objects.filter(chain=chain, role="gas_reserve").order_by("pk")
    for n in range(held.count(), 2):
        Wallet.objects.create(
            chain=chain, role="gas_reserve", address=f"0x{0x9000 + n:040x}", source="imported"
        )
    return held.first()


def test_every_page_and_reading_endpoint_answers_under_its_login(rows, as_web):
    admin = make_user("admin")
    User.objects.filter(pk=admin.pk).update(is_staff=True, is_superuser=True)
    browser = session(admin)
    _, opportunity, execution = rows
    known = {"<int:pk>": str(opportunity.pk), "<path:pair>": "AAA-USDT"}
    paths_ = {
        str(pattern.pattern)
        for found in get_resolver().url_patterns
        for pattern in getattr(found, "url_patterns", [found])
        if str(found.pattern) in ("", str(getattr(pattern, "pattern", "")))
    }
    seen = 0
    for path in sorted(paths_):
        for sign, value in known.items():
            path = path.replace(sign, str(execution.pk) if "execution" in path else value)
        answer = browser.get("/" + path.lstrip("^").rstrip("$"))
        assert answer.status_code < 500, path
        seen += answer.status_code == 200
    for name in ("wallets/transaction", "wallets/attempt", "wallets/statuschange", "base/alert"):
        assert browser.get(f"/admin/{name}/").status_code == 200
    assert seen > 15


def test_only_the_web_process_gets_that_login(data_dir, tmp_path):
    plan = Plan(
        root=tmp_path, data_dir=data_dir, bind_host="127.0.0.1", bind_port=1, chains=("local",)
    )
    given = {program.name: dict(program.env) for program in table(plan)}
    assert given.pop("web") == {"DATABASE_URL_FILE": str(web_role.url_file(data_dir))}
    assert not any(given.values())
    own = Plan(
        root=tmp_path, data_dir=data_dir, bind_host="127.0.0.1", bind_port=1, chains=(),
        embedded_postgres=False,
    )  # fmt: skip
    assert not any(program.env for program in table(own))


def test_the_urls_file_is_private_and_opens_the_database(password, data_dir):
    file = web_role.url_write(data_dir)

    assert file.stat().st_mode & 0o077 == 0
    with web_session(data_dir, connection.settings_dict["NAME"]) as session_:
        assert session_.execute("SELECT current_user").fetchone() == (web_role.ROLE,)


def test_who_may_write_is_told_apart(password):
    with adapters.connect(name="test-owner") as owner:
        assert web_role.writable(owner, role=web_role.ROLE) == []
        assert web_role.writable(owner) == list(web_role.GUARDED)
