"""State moves through a table: nothing but the one service and the ledger's SQL moves a status."""

import ast
import re

from tests.architecture.tree import modules

# The service that claims by compare-and-set, and what keeps attempts' outcomes beside it.
MOVERS = {"wallets/services.py", "wallets/receipts.py", "wallets/missed.py"}
# The others store and free attempts: they are the ledger's other parts.
SQL_MOVERS = {
    "wallets/ledger.py",
    "wallets/outcomes.py",
    "wallets/releases.py",
    "wallets/replacements.py",
}


def assigns_status(node: ast.AST) -> bool:
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AugAssign | ast.AnnAssign)
        else []
    )
    return any(isinstance(t, ast.Attribute) and t.attr == "status" for t in targets) or (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "setattr"
        and any(isinstance(a, ast.Constant) and a.value == "status" for a in node.args)
    )


def updates_status(node: ast.AST) -> bool:
    """``.update(status=...)`` of a queryset."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("update", "aupdate")
        and any(keyword.arg == "status" for keyword in node.keywords)
    )


def test_no_code_assigns_a_status():
    found = {
        f"{path}:{node.lineno}"
        for path, tree in modules().items()
        if path not in MOVERS
        for node in ast.walk(tree)
        if assigns_status(node)
    }

    assert found == set()


def test_no_queryset_moves_a_status_elsewhere():
    # Answers of keyed requests carry an HTTP status: another word for another thing.
    allowed = MOVERS | {"arbsite/base/idempotency.py"}
    found = {
        f"{path}:{node.lineno}"
        for path, tree in modules().items()
        if path not in allowed
        for node in ast.walk(tree)
        if updates_status(node)
    }

    assert found == set()


def test_no_sql_moves_a_status_elsewhere():
    moving = re.compile(r"UPDATE\s+\w+.*\bSET\b[^;]*\bstatus\s*=", re.I | re.S)
    found = {
        path
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and moving.search(node.value)
    }

    assert found <= SQL_MOVERS
