"""The screen that ends a start: where, who, what is traded, and `Ready`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Traded:
    """One chain with an engine."""

    chain: str
    pairs: int
    dexes: int
    pools: int
    live: bool  # may sign
    armed: bool  # executes by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """What the ready screen says."""

    url: str
    user: str
    password: str | None = field(repr=False)  # only as it was generated; None: see password_at
    password_at: str
    traded: Sequence[Traded]
    known: Sequence[str]  # chains in the registry without an engine
    logs: Path
    seconds: float


def render(screen: Screen) -> str:
    """The screen; its last line begins with ``Ready`` at column 0."""
    password = f"{screen.password}   ({screen.password_at})" if screen.password else ""
    rows = [
        ("Console", screen.url),
        ("User", screen.user),
        ("Password", password or screen.password_at),
        *(("Trading", _traded(chain)) for chain in screen.traded),
    ]
    if not screen.traded:
        rows.append(("Trading", "nothing: no engine was asked for (--chain KEY)"))
    if screen.known:
        rows.append(("Known", f"{', '.join(screen.known)} (no engine; start one with --chain KEY)"))
    rows += [("Logs", str(screen.logs)), ("Stop", "Ctrl-C, or `manage.py stop`")]
    lines = ["", *(f"  {name:<9} {text}" for name, text in rows), ""]
    return "\n".join([*lines, f"Ready in {screen.seconds:.1f} s: {screen.url}"])


def _traded(chain: Traded) -> str:
    if not chain.live:
        how = "simulated and recorded, nothing is signed (not in ARB_LIVE)"
    elif chain.armed:
        how = "executes by itself (Fast Mode is armed)"
    else:
        how = "executes on request (Fast Mode is off)"
    market = f"{chain.pairs} pairs on {chain.dexes} exchanges, {chain.pools} pools"
    return f"{chain.chain}: {market}; {how}"
