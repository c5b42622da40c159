"""The product's modules as syntax trees, and what each imports."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("arbsite", "contracts", "wallets", "prices", "execution")


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the product by its path in the tree; migrations are records, not code."""
    return {
        str(path.relative_to(ROOT)): ast.parse(path.read_text(), filename=str(path))
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if "migrations" not in path.parts and "solidity" not in path.parts
    }


def imported(tree: ast.Module) -> set[str]:
    """Dotted names that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{name.name}" for name in node.names}
    return found


def importers(*libraries: str) -> set[str]:
    """Paths of the modules that import any of them, or anything below them."""
    return {
        path
        for path, tree in modules().items()
        if any(
            name == library or name.startswith(f"{library}.")
            for name in imported(tree)
            for library in libraries
        )
    }
