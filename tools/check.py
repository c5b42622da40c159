"""Every check of the project, each timed; ends with 0 only if all ran and passed.

`python tools/check.py` runs all of them, `python tools/check.py lint types` those named, in order.
The whole stack's tests mostly wait for blocks, so among all checks they run beside the tests that
compute; those yield to them and are shown when they are done.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
PYTHON = str(BIN / "python")
FORGE = ROOT / "node_modules" / "@foundry-rs" / "forge-linux-amd64" / "bin" / "forge"
# Shuffled by a seed: the same order for everybody, until another one is asked for.
SEED = os.environ.get("TEST_SEED", "7")
PYTEST = (
    *(PYTHON, "-m", "pytest", "-q", "--durations=15", "--durations-min=5"),
    f"--randomly-seed={SEED}",
)
PACKAGES = ["arbsite", "contracts", "wallets", "prices", "execution"]


def run(*words: str, cwd: Path = ROOT, env: dict[str, str] | None = None) -> bool:
    """Run a command with its output shown; whether it ended with 0."""
    return (
        subprocess.run(  # noqa: S603  commands of this file
            words, cwd=cwd, env={**os.environ, **(env or {})}, check=False
        ).returncode
        == 0
    )


def format_() -> bool:
    """Formatting as ruff has it."""
    return run(str(BIN / "ruff"), "format", "--check", ".")


def lint() -> bool:
    """Lint rules of pyproject."""
    return run(str(BIN / "ruff"), "check", ".")


def types() -> bool:
    """mypy, strict."""
    return run(str(BIN / "mypy"), *PACKAGES, "manage.py")


def layers() -> bool:
    """The import layers."""
    return run(str(BIN / "lint-imports"), "--no-logo")


def migrations() -> bool:
    """No model is ahead of its migrations."""
    # No server runs here: the check of the recorded history warns, and is not what is asked.
    words = ("-W", "ignore::RuntimeWarning", "manage.py", "makemigrations", "--check", "--dry-run")
    return run(PYTHON, *words, env={"DJANGO_SETTINGS_MODULE": "tests.settings"})


def solidity() -> bool:
    """The contracts' own tests, short form."""
    return run(str(FORGE), "test", cwd=ROOT / "contracts" / "solidity")


def unit() -> bool:
    """Python tests but the end-to-end and browser ones, on both cores."""
    return run(*PYTEST, "-n", "2", "-m", "not e2e and not browser and not prove")


def chains() -> bool:
    """What needs a chain and not the whole stack, on both cores; a file's market stays on one."""
    apart = ("--ignore=tests/e2e", "--ignore=tests/browser")
    return run(*PYTEST, "-n", "2", "--dist", "loadfile", *apart, "-m", "e2e and not prove")


def e2e() -> bool:
    """The whole stack on the local chain, and the pages in a real browser, one after the other."""
    wanted = ("-m", "(e2e or browser) and not prove", "tests/e2e", "tests/browser")
    return chromium() and run(*PYTEST, *wanted)


def chromium() -> bool:
    """Debian's Chromium, installed here if that is allowed; else one line says what to do."""
    if shutil.which("chromium"):
        return True
    apt = shutil.which("apt-get")
    if apt and os.geteuid() == 0:
        print("installing chromium for the browser tests", flush=True)
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        run(apt, "-qq", "update", env=quiet)
        run(apt, "-qq", "install", "-y", "--no-install-recommends", "chromium", env=quiet)
    if shutil.which("chromium"):
        return True
    print("chromium is missing: run `apt-get install chromium` and make test again")
    return False


CHECKS: dict[str, Callable[[], bool]] = {
    "format": format_,
    "lint": lint,
    "types": types,
    "layers": layers,
    "migrations": migrations,
    "solidity": solidity,
    "unit": unit,
    "chains": chains,
    "e2e": e2e,
}


BESIDE = ("unit", "chains")  # computing, beside "e2e", which waits
YIELDS = 5  # niceness of those


def main(names: list[str]) -> int:
    """Run the named checks, or all; say how each went and what it took."""
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        print(f"no such check: {', '.join(unknown)} (there are {', '.join(CHECKS)})")
        return 2
    if names:
        failed = [name for name in names if not timed(name)]
    else:
        failed = [name for name in CHECKS if name not in (*BESIDE, "e2e") and not timed(name)]
        failed += both()
    print(f"failed: {', '.join(failed)}" if failed else "every check passed")
    return 1 if failed else 0


def timed(name: str) -> bool:
    """Run one check; whether it passed."""
    print(f"== {name}", flush=True)
    started = time.monotonic()
    passed = CHECKS[name]()
    print(f"== {name}: {time.monotonic() - started:.1f} s", flush=True)
    return passed


def both() -> list[str]:
    """Run the long checks side by side; which failed."""
    with tempfile.TemporaryFile("w+") as kept:
        aside = subprocess.Popen(  # noqa: S603  this file
            (sys.executable, __file__, *BESIDE), cwd=ROOT, stdout=kept, stderr=subprocess.STDOUT
        )
        os.setpriority(os.PRIO_PROCESS, aside.pid, YIELDS)
        try:
            failed = [] if timed("e2e") else ["e2e"]
            print(f"== {' and '.join(BESIDE)} go on", flush=True)
            if aside.wait():
                failed.append(" or ".join(BESIDE))  # its last line, shown next, says which
        finally:
            aside.terminate()
            kept.seek(0)
            shutil.copyfileobj(kept, sys.stdout)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
