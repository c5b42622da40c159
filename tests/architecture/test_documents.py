"""What the environment may hold is written where a newcomer looks, and git never takes secrets."""

import shutil
import subprocess

import pytest

from arbsite.base.conf import VARIABLES
from tests.architecture.tree import ROOT

PATTERNS = ("ARB_TREASURY_", "RPC_", "_HTTP", "_WS", "_SEND", "RELAY_", "_AUTH", "_FILE")


@pytest.mark.parametrize("name", [*VARIABLES, *PATTERNS])
def test_every_setting_stands_in_the_example(name):
    assert name in (ROOT / ".env.example").read_text()


def test_every_setting_stands_in_the_readme():
    said = (ROOT / "README.md").read_text()

    assert [name for name in (*VARIABLES, *PATTERNS) if name not in said] == []


def test_the_example_changes_nothing_when_it_is_copied():
    lines = (ROOT / ".env.example").read_text().splitlines()

    assert [line for line in lines if line.strip() and not line.startswith("#")] == []


def test_a_key_planted_where_secrets_live_never_reaches_git(tmp_path):
    git = shutil.which("git")
    assert git is not None
    clone = tmp_path / "clone"
    subprocess.run([git, "init", "-q", str(clone)], check=True)
    shutil.copy(ROOT / ".gitignore", clone)
    key = "0x" + "ac" * 32
    for place in (".env", ".env.local", ".data/keystore/seed.json", ".data/secrets/django"):
        (clone / place).parent.mkdir(parents=True, exist_ok=True)
        (clone / place).write_text(key)

    subprocess.run([git, "add", "--all"], cwd=clone, check=True)
    staged = subprocess.run(
        [git, "status", "--porcelain"], cwd=clone, check=True, capture_output=True, text=True
    )

    assert staged.stdout.splitlines() == ["A  .gitignore"]
