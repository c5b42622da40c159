"""Start a program that dies with its parent, sees only its own secrets and writes private files.

``python -m arbsite.stack.die_with_parent [--signal KILL] [--nice N] [--drop NAME]... [--bare] --
COMMAND`` replaces itself by COMMAND: the process manager's child is the program, nothing between.
Little but the standard library: it starts in tens of milliseconds.
"""

import argparse
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final

from arbsite.base.turns import take_turns

# Carries the pid of the process that a child must not outlive.
PARENT: Final = "SUPERVISING_PID"
BARE_NAMES: Final = frozenset({"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", PARENT})
_PR_SET_PDEATHSIG: Final = 1
_PRIVATE_UMASK: Final = 0o077


def bind(signal_number: int) -> None:
    """Have the kernel send ``signal_number`` to this process when its parent dies.

    A change of user clears it: bind again after one. Raises OSError where the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl(PR_SET_PDEATHSIG): {os.strerror(code)}")


def orphaned(environ: dict[str, str]) -> bool:
    """Whether the parent named by ``environ`` is already gone: it died before `bind`."""
    expected = environ.get(PARENT)
    return os.getppid() == 1 if expected is None else os.getppid() != int(expected)


def child_environ(environ: dict[str, str], *, drop: Sequence[str], bare: bool) -> dict[str, str]:
    """What the program may see: all but ``drop``, or, when ``bare``, nothing of ours at all."""
    kept = {
        name: value
        for name, value in environ.items()
        if name not in drop and (not bare or name in BARE_NAMES)
    }
    # After exec this process is the program: its own children bind to it.
    kept[PARENT] = str(os.getpid())
    return kept


def wrapped(
    argv: Sequence[str],
    *,
    signal_name: str = "KILL",
    drop: Sequence[str] = (),
    bare: bool = False,
    yields: int = 0,
) -> tuple[str, ...]:
    """``argv`` with this wrapper before it; ``yields``: by how much it is nicer than others,
    whom it does not interrupt then."""
    options = [word for name in drop for word in ("--drop", name)]
    if yields:
        options += ["--nice", str(yields)]
    if bare:
        options.append("--bare")
    module = (sys.executable, "-m", "arbsite.stack.die_with_parent")
    return (*module, "--signal", signal_name, *options, "--", *argv)


def main(arguments: Sequence[str] | None = None) -> int:
    """Bind, clean the environment, become the command."""
    parser = argparse.ArgumentParser(prog="die_with_parent", description=__doc__)
    parser.add_argument("--signal", default="KILL", choices=("KILL", "TERM", "INT"))
    parser.add_argument("--nice", type=int, default=0, metavar="N")
    parser.add_argument("--drop", action="append", default=[], metavar="NAME")
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    environ = dict(os.environ)
    bind(signal.Signals[f"SIG{options.signal}"])
    if orphaned(environ):
        return 1
    os.umask(_PRIVATE_UMASK)
    if options.nice:
        os.nice(options.nice)
        take_turns()
    try:
        os.execvpe(  # noqa: S606 - the command is ours, given as a list
            options.command[0],
            options.command,
            child_environ(environ, drop=options.drop, bare=options.bare),
        )
    except OSError as error:
        print(f"cannot start {options.command[0]}: {error.strerror}", file=sys.stderr)
        return 127


if __name__ == "__main__":
    raise SystemExit(main())
