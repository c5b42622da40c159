"""Floors, kernels and roof, proven on the tree and on a running interpreter."""

import ast
import json
import os
import subprocess
import sys
import tomllib

import pytest

from tests.architecture.tree import ROOT, modules

FRAMEWORKS = (
    "django", "rest_framework", "celery", "channels", "redis", "psycopg", "web3", "environ",
    "urllib3", "websockets", "kombu", "daphne",
)  # fmt: skip
PLAIN = ("arbsite/base/units.py", "arbsite/base/errors.py", "arbsite/base/conf.py")
# Modules that law 1 keeps from the kernels: clocks, logs, files, sockets, processes.
IMPURE = {"logging", "time", "socket", "subprocess", "threading", "asyncio", "random", "secrets"}


def dotted(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


KERNELS = sorted(path for path in modules() if "/kernel/" in path)


def test_the_import_contracts_hold():
    lint = ROOT / ".venv" / "bin" / "lint-imports"
    command = [str(lint), "--no-logo"] if lint.exists() else ["lint-imports", "--no-logo"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout[-3000:]


def test_every_module_of_the_roof_is_in_the_layers():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    [layers] = [c["layers"] for c in contracts["contracts"] if c["type"] == "layers"]
    listed = {name.strip() for name in layers[0].split(":")}
    roof = {
        "arbsite." + path.split("/")[1].removesuffix(".py")
        for path in modules()
        if path.startswith("arbsite/") and path not in ("arbsite/__init__.py",)
    }

    assert roof - listed - {"arbsite.base"} == set()
    assert listed - roof == set()


def test_importing_kernels_and_the_plain_ground_brings_no_framework():
    names = [dotted(path) for path in (*KERNELS, *PLAIN)]
    # One by one, in one interpreter: whoever is first to bring something in is named.
    script = (
        "import importlib, json, sys\n"
        f"names, banned = {names!r}, {FRAMEWORKS!r}\n"
        "found = {}\n"
        "for name in names:\n"
        "    importlib.import_module(name)\n"
        "    brought = [b for b in banned if b in sys.modules]\n"
        "    if brought:\n"
        "        found[name] = brought\n"
        "        break\n"
        "print(json.dumps(found))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert json.loads(done.stdout) == {}


@pytest.mark.parametrize("path", KERNELS)
def test_a_kernel_has_no_clock_log_or_door(path):
    brought = set()
    for node in ast.walk(modules()[path]):
        if isinstance(node, ast.Import):
            brought |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            brought.add(node.module.split(".")[0])
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            brought |= {node.func.id} & {"open", "print", "input"}

    assert brought & (IMPURE | {"open", "print", "input"}) == set()


def test_importing_the_package_loads_nothing():
    script = "import sys, arbsite; print([m for m in ('django', 'celery') if m in sys.modules])"

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


def test_no_library_raises_the_recursion_limit():
    """A deep JSON text must raise; under a raised limit it overruns the C stack."""
    script = (
        "import sys, django; django.setup()\n"
        "import arbsite.asgi, arbsite.wiring, wallets.signer\n"
        "from django.urls import get_resolver; get_resolver().url_patterns\n"
        "print(sys.getrecursionlimit())"
    )

    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
    )  # fmt: skip

    assert done.stdout.strip() == "1000"
