"""The door to revm: an EVM in this process that knows exactly what it was told, and nothing else.

What it was not told is an error, never a zero: its database is a fork of a place that no client
can reach, so the first look at an unknown account, slot or block hash ends the call. Nothing of a
call stays: accounts are taken into the journal within a checkpoint, and leave it with that.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import pyrevm

from arbsite.base.units import BlockNumber, Gas, Wei

_revm: Any = pyrevm  # its stub does not know that an account has a balance
# No client knows this scheme, so it is refused before anything is opened or resolved.
_NOWHERE: Final = "nowhere://nothing"
_FORK_BLOCK: Final = "1"
_DEPLOYER: Final = "0x" + "ab" * 20
_REVERT: Final = re.compile(r"Revert \{ gas_used: \d+, output: 0x([0-9a-f]*) \}")
_CODES_KEPT: Final = 512


class UnknownState(Exception):
    """The call needs an account, slot or block hash that nobody told of."""


class NotDecided(Exception):
    """The call ended in a way that a node must judge: out of gas, an invalid opcode, no money."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account. ``code``: empty for one without."""

    balance_wei: Wei
    nonce: int
    code: bytes


@dataclass(frozen=True, slots=True)
class Ran:
    """How a call ended. ``output``: what it returned, or reverted with."""

    ok: bool
    output: bytes


class Evm:
    """One chain's accounts and slots, under Cancun's rules. Not thread-safe.

    After `UnknownState` or `NotDecided` it is spent: its journal ended inside the call.
    """

    def __init__(self, chain_id: int) -> None:
        env = pyrevm.Env(cfg=pyrevm.CfgEnv(chain_id=chain_id))
        self._evm: Any = pyrevm.EVM(env=env, fork_url=_NOWHERE, fork_block=_FORK_BLOCK)
        self._coinbase = ""

    def account(self, address: str, account: Account) -> None:
        """Tell of an account; its slots stay as they were told."""
        self._evm.insert_account_info(address, _info(account))

    def slot(self, address: str, slot: int, value: int) -> None:
        """Tell of a slot, of an account that was told of before."""
        checkpoint = self._evm.snapshot()
        try:
            self._evm.insert_account_storage(address, slot, value)
        finally:
            self._evm.revert(checkpoint)

    def block(
        self,
        *,
        number: BlockNumber,
        timestamp_s: int,
        coinbase: str,
        prevrandao: bytes,
        gas_limit: int,
    ) -> None:
        """The block that calls run in. ``coinbase``: in lower case, told of, without code."""
        self._coinbase = coinbase
        self._evm.set_block_env(
            pyrevm.BlockEnv(
                number=number,
                timestamp=timestamp_s,
                coinbase=coinbase,
                prevrandao=prevrandao,
                gas_limit=gas_limit,
                excess_blob_gas=0,
            )
        )

    def run(
        self, *, sender: str, to: str, data: bytes, value_wei: Wei, gas: Gas, gas_price_wei: Wei
    ) -> Ran:
        """What the call would do. Nothing of it stays. Raises: UnknownState, NotDecided."""
        checkpoint = self._evm.snapshot()
        try:
            output = self._evm.message_call(
                sender, to, calldata=data, value=value_wei, gas=gas, gas_price=gas_price_wei
            )
        except RuntimeError as error:
            words = str(error)
            if reverted := _REVERT.fullmatch(words):
                return Ran(False, bytes.fromhex(reverted[1]))
            if "Database(" in words:
                raise UnknownState from None
            raise NotDecided(words[:200]) from None
        else:
            return Ran(True, output)
        finally:
            self._evm.revert(checkpoint)

    @property
    def is_clean(self) -> bool:
        """Whether nothing of any call is left in the journal but that the coinbase was loaded."""
        loaded = {address.lower() for address in self._evm.journal_state}
        return loaded <= {self._coinbase} and self._evm.journal_depth == 0


def _info(account: Account) -> Any:
    if account.code:
        return _analysed(account.code, account.balance_wei)
    return _revm.AccountInfo(balance=account.balance_wei, nonce=account.nonce)


@lru_cache(_CODES_KEPT)
def _analysed(code: bytes, balance_wei: int) -> Any:
    """The account of a contract, its code analysed once instead of at each call.

    revm analyses code that is created and keeps that, so the code is created: by an init code that
    returns it. What cannot be created (it begins with 0xEF, or is too long) is taken raw.
    """
    size = len(code)
    # PUSH3 size, DUP1, PUSH1 11, RETURNDATASIZE, CODECOPY, RETURNDATASIZE, RETURN, then the code
    init = bytes.fromhex(f"62{size:06x}80600b3d393df3") + code
    scratch = pyrevm.EVM()
    scratch.set_balance(_DEPLOYER, balance_wei)
    try:
        info = scratch.basic(scratch.deploy(_DEPLOYER, init, value=balance_wei))
    except RuntimeError:
        return _revm.AccountInfo(balance=balance_wei, nonce=1, code=code)
    return info
