"""The settings are closed by default, and a bad environment stops every command in one line."""

import os
import subprocess
import sys

import pytest
from django.conf import settings
from django.core import checks
from django.core.management import get_commands, load_command_class

from arbsite import checks as our_checks
from tests.architecture.tree import ROOT


def manage(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("ARB_", "RPC_", "RELAY_"))}
    kept.pop("DJANGO_SETTINGS_MODULE", None)
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT, env={**kept, "ARB_NO_DOTENV": "1", **environ},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_defaults_are_closed():
    assert settings.DEBUG is False
    assert settings.ALLOWED_HOSTS == ["127.0.0.1", "localhost"] or "testserver" in (
        settings.ALLOWED_HOSTS
    )
    assert settings.SESSION_COOKIE_HTTPONLY
    assert settings.REST_FRAMEWORK["DEFAULT_PERMISSION_CLASSES"] == [
        "arbsite.base.permissions.Viewer"
    ]
    policy = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]
    assert not any("unsafe" in source for sources in policy.values() for source in sources)
    assert settings.DATA_UPLOAD_MAX_MEMORY_SIZE == 256 * 1024


def test_sessions_and_lockouts_do_not_live_in_redis():
    assert settings.SESSION_ENGINE == "django.contrib.sessions.backends.db"
    assert settings.AXES_HANDLER == "axes.handlers.database.AxesDatabaseHandler"


def test_system_checks_find_nothing():
    assert checks.run_checks() == []


def test_a_database_that_rounds_wei_is_refused(monkeypatch):
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", "django.db.backends.sqlite3")

    [error] = our_checks.postgresql_only(app_configs=None)

    assert "PostgreSQL" in error.msg


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ARB_BIND", "nowhere"),
        ("ARB_TYPO", "1"),
        ("DATABASE_URL", "sqlite:///db.sqlite3"),
        ("KEYSTORE_PASSPHRASE", "horse"),
        ("RPC_BSC_HTTP", "http://["),
    ],
)
def test_a_bad_environment_stops_the_start_with_one_line(name, value, tmp_path):
    done = manage("check", **{"ARB_DATA_DIR": str(tmp_path), name: value})

    assert done.returncode != 0
    [said] = done.stderr.strip().splitlines()
    assert name in said
    assert "horse" not in said
    assert list(tmp_path.iterdir()) == []  # nothing was made on the way


def test_generated_secrets_are_made_once_and_only_for_their_owner(tmp_path):
    script = "from django.conf import settings; print(settings.SECRET_KEY)"
    data = tmp_path / "data"

    first, second = (
        manage("shell", "--verbosity", "0", "-c", script, ARB_DATA_DIR=str(data)) for _ in range(2)
    )

    key = first.stdout.strip()
    assert first.returncode == 0, first.stderr
    assert len(key) >= 32
    assert second.stdout.strip() == key
    holders = [p for p in data.rglob("*") if p.is_file() and key in p.read_text()]
    assert [p.stat().st_mode & 0o777 for p in holders] == [0o600]


@pytest.mark.parametrize("command", [
    "up", "localchain", "import_market", "create_keystore", "create_wallet", "deploy_contracts",
    "authorize_executor", "import_key", "test_flash_loan", "kill", "kill_release", "ps", "start",
    "stop", "restart", "cleanup", "run_engine", "run_signer", "create_token", "unfreeze", "doctor",
])  # fmt: skip
def test_every_command_explains_itself(command):
    loaded = load_command_class(get_commands()[command], command)
    parser = loaded.create_parser("manage.py", command)

    assert parser.description
    assert parser.format_help()
