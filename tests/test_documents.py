"""What the documents say of the tree is true: proofs, commands, targets and links exist."""

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
from django.core.management import get_commands

from arbsite.base.conf import VARIABLES
from tests.architecture.tree import PACKAGES, ROOT

VERIFICATION = ROOT / "docs" / "verification.md"
PROOF = re.compile(r"`((?:tests|contracts)/[\w/.]+\.(?:py|sol))::(\w+)`")
NOT_YET = "not yet"
# What the outside contract promises by name.
COMMANDS = (
    "up", "localchain", "import_market", "create_keystore", "create_wallet", "deploy_contracts",
    "authorize_executor", "import_key", "test_flash_loan", "execute_arbitrage", "kill",
    "kill_release", "ps", "start", "stop", "restart", "cleanup", "run_engine", "run_signer",
    "create_token", "unfreeze", "backup", "restore", "doctor", "mark_exposed", "move_away",
    "rotate_passphrase", "kill_drill", "probe_relays",
)  # fmt: skip
# Folders of one machine, numbers of a tracker, and talk about who wrote it.
FORBIDDEN = re.compile(
    r"(?<![\w.])/(?:work|root)/|/home/(?!nobody)\w+/|\bissue #?\d|#\d+ on the tracker"
    r"|language model|co-authored-by|helper session",
    re.IGNORECASE,
)
NOT_OURS = ("static/vendor/", "package-lock.json", "tests/test_documents.py")


@cache
def rows() -> tuple[tuple[str, ...], ...]:
    """Every row of the table's pages, as cells; headings of tables are left out."""
    lines = VERIFICATION.read_text().splitlines()
    cells = [
        tuple(cell.strip() for cell in line.strip("|").split(" | "))
        for line in lines
        if line.startswith("| ") and not line.startswith("| ---")
    ]
    return tuple(row for row in cells if row[0] not in ("sentence", "rule"))


@cache
def names_in(path: Path) -> frozenset[str]:
    """The names of the tests that a file defines: functions of pytest's, or of forge's."""
    text = path.read_text()
    if path.suffix == ".sol":
        return frozenset(re.findall(r"\bfunction ((?:test|invariant)\w+)\(", text))
    return frozenset(
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    )


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return [
        ROOT / name
        for name in listed.stdout.split("\0")
        if name and not name.startswith(NOT_OURS) and (ROOT / name).is_file()
    ]


def own_commands() -> set[str]:
    return {
        path.stem
        for package in PACKAGES
        for path in (ROOT / package).glob("management/commands/[!_]*.py")
    }


def test_every_proof_that_is_named_exists():
    named = PROOF.findall(VERIFICATION.read_text())
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).is_file() or name not in names_in(ROOT / path)
    ]

    assert len(named) > 200
    assert missing == []


def test_every_sentence_has_a_proof_or_says_that_it_has_none():
    unproven = [row[0] for row in rows() if not PROOF.search(row[-1]) and NOT_YET not in row[-1]]

    assert len(rows()) > 90
    assert unproven == []


@pytest.mark.parametrize("rule", [f"C{number}" for number in range(1, 12)])
def test_every_rule_of_the_contracts_has_a_proof_in_solidity(rule):
    (row,) = [row for row in rows() if row[0].split(" ")[0] == rule]

    assert any(path.endswith(".t.sol") for path, _ in PROOF.findall(row[-1]))


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_readme_names_every_setting():
    said = (ROOT / "README.md").read_text()

    assert [name for name in VARIABLES if f"`{name}`" not in said] == []


def test_every_command_in_the_tree_is_one_that_can_be_run():
    listed = {name for name, app in get_commands().items() if app.split(".")[0] in PACKAGES}

    assert own_commands() == listed


@pytest.mark.parametrize("name", COMMANDS)
def test_a_promised_command_exists_or_is_said_to_be_missing(name):
    missing = [row[-1] for row in rows() if row[-1].startswith(NOT_YET)]

    assert name in own_commands() or any(f"`{name}`" in text for text in missing)


def test_every_command_has_a_promise():
    assert own_commands() - set(COMMANDS) == set()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_what_a_document_tells_to_type_exists(name):
    said = (ROOT / name).read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"manage\.py ([a-z_]+)", said)) - own_commands() <= {"help"}
    assert set(re.findall(r"`?make ([a-z-]+)`", said)) - targets == set()
    for paths in re.findall(r"bin/pytest ((?:tests/[\w/]+ ?)+)", said):
        assert [path for path in paths.split() if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(
    "name", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "LICENSE"]
)
def test_the_documents_are_there(name):
    assert (ROOT / name).stat().st_size > 200


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "docs"])
def test_a_link_or_picture_of_ours_leads_somewhere(name):
    pages = [ROOT / name] if name.endswith(".md") else sorted((ROOT / name).rglob("*.md"))
    broken = [
        f"{page.name}: {link}"
        for page in pages
        for link in re.findall(r"\[[^\]]*\]\(([^)#:]+)\)", page.read_text())
        if not (page.parent / link).exists()
    ]

    assert broken == []


def test_every_line_of_the_makefile_explains_itself():
    text = (ROOT / "Makefile").read_text()
    public = re.findall(r"^\.PHONY: (.+)$", text, re.MULTILINE)[0].split()
    unexplained = [name for name in public if not re.search(rf"^{name}:.*## \w", text, re.M)]

    assert unexplained == []


def test_the_check_of_a_clean_checkout_is_make_test():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    commands = [line for line in lines if line and not line.startswith(("#", "set ", "cd "))]

    assert commands == ["exec make test"]


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_package_is_pinned_and_hashed(name):
    text = (ROOT / name).read_text().replace("\\\n", " ")
    wanted = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    loose = [
        line.split(" ")[0]
        for line in wanted
        if not re.match(r"[\w.\[\],-]+==\S+", line) or "--hash=sha256:" not in line
    ]

    assert len(wanted) > 30
    assert loose == []


def test_no_text_speaks_of_a_machine_a_tracker_or_its_writers():
    found = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue  # a font, a picture
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in FORBIDDEN.finditer(text)]

    assert found == []
