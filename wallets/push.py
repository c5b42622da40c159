"""Telling pages what changed, after commit: keys of transactions and wallets, never data."""

from typing import Final

from arbsite.base.channel import tell

EXECUTIONS: Final = "executions"
WALLETS: Final = "wallets"
CONTRACTS: Final = "contracts"
STATUS: Final = "status"


def transaction_changed(pk: int) -> None:
    """A transaction moved. Call after commit; never waits: a lost word costs a resync."""
    tell(EXECUTIONS, [pk])


def wallet_changed(pk: int) -> None:
    """A wallet or its balance changed. Call after commit; never waits."""
    tell(WALLETS, [pk])


def kill_changed(scope: str) -> None:
    """The switch of a chain, or of all (``*``), moved. Call after commit; never waits."""
    tell(STATUS, [scope])


def contract_changed(pk: int) -> None:
    """A contract of ours was read, or what it should be changed. Call after commit; never waits."""
    tell(CONTRACTS, [pk])
