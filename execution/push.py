"""What pages are told of executions and Fast Mode: keys, never data, after commit."""

from typing import Final

from arbsite.base.channel import tell

EXECUTIONS: Final = "executions"
LATENCY: Final = "latency"
STATUS: Final = "status"


def execution_changed(pk: int) -> None:
    """An execution was made, moved or settled."""
    tell(EXECUTIONS, [pk])


def latency_changed(chain_key: str) -> None:
    """Stage times of a chain were added."""
    tell(LATENCY, [chain_key])


def mode_changed(chain_key: str) -> None:
    """Fast Mode of a chain changed."""
    tell(STATUS, [chain_key])
