"""A node with its market: started empty and built, or started again from a kept state folder.

The folder holds ``market.json`` (what was built), ``chain.json`` (anvil writes it in place every
2 s), ``chain.good.json`` (a copy that was read back whole) and ``lock``. A kill in the middle of
anvil's writing tears ``chain.json``; the copy is then taken instead.
"""

import fcntl
import json
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final

import msgspec

from arbsite.base.errors import Rejected
from arbsite.base.files import write_atomic
from contracts.localchain.anvil import STATES_KEPT, Anvil
from contracts.localchain.chain import LocalChain
from contracts.localchain.deploy import deploy
from contracts.localchain.deployed import Market
from contracts.localchain.market import plan_market

DEFAULT_SEED: Final = 1
FORMAT: Final = 1


class OtherMarket(Rejected):
    """The state folder holds a market other than the one asked for."""

    def __init__(self, folder: Path, *, what: str, held: object, asked: object) -> None:
        self.folder = folder
        super().__init__(
            f"{folder} holds the market with {what} {held}, not {asked}: "
            "leave the option out, or give another --state-dir"
        )


class FolderBusy(Rejected):
    """Another node keeps its state in this folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(f"{folder} is in use by another localchain: stop it, or give another")


class Node:
    """A running node with its market. Use as a context manager."""

    def __init__(
        self,
        *,
        port: int,
        chain_id: int,
        seed: int | None = None,
        folder: Path | None = None,
        states_kept: int = STATES_KEPT,
    ) -> None:
        """Raises: what `Anvil` raises; OtherMarket; FolderBusy; ChainRefused."""
        self._folder = folder
        self._state = folder / "chain.json" if folder else None
        self.resumed = False
        with ExitStack() as undo:
            kept = None
            if folder is not None and self._state is not None:
                undo.enter_context(_locked(folder))
                kept = _kept(folder, seed=seed, chain_id=chain_id)
                if kept is None:
                    self._state.unlink(missing_ok=True)
            self._start(port=port, chain_id=chain_id, states_kept=states_kept)
            undo.callback(lambda: self.anvil.stop())
            if kept and self._state and not self._stands(kept):
                # Killed before the first state that holds the market: begin again, from nothing.
                self.anvil.stop()
                self._state.unlink(missing_ok=True)
                self._start(port=port, chain_id=chain_id, states_kept=states_kept)
                seed, kept = kept.seed, None
            self.market = kept or self._build(seed, chain_id)
            self._undo = undo.pop_all()

    def keep(self) -> bool:
        """Copy the state that anvil wrote last, if it is whole; whether it was."""
        if self._folder is None:
            return False
        data = _whole(self._folder / "chain.json")
        if data is None:
            return False
        write_atomic(self._folder / "chain.good.json", data)
        return True

    def stop(self) -> None:
        """End the node; its state is written first."""
        self.anvil.stop()
        self.keep()
        self._undo.close()

    def __enter__(self) -> "Node":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def _start(self, *, port: int, chain_id: int, states_kept: int) -> None:
        self.anvil = Anvil(port=port, chain_id=chain_id, state=self._state, states_kept=states_kept)
        self.chain = LocalChain(self.anvil.rpc)

    def _stands(self, market: Market) -> bool:
        self.resumed = self.chain.admin("eth_getCode", market.multicall, "latest") != "0x"
        return self.resumed

    def _build(self, seed: int | None, chain_id: int) -> Market:
        chosen = DEFAULT_SEED if seed is None else seed
        market = deploy(plan_market(chosen), chain=self.chain)
        if self._folder is not None:
            stored = {"format": FORMAT, "chainId": chain_id, "market": market.to_json()}
            write_atomic(self._folder / "market.json", json.dumps(stored))
        return market


def _kept(folder: Path, *, seed: int | None, chain_id: int) -> Market | None:
    """The market a state folder holds, its chain's state in place; None to build anew.

    Raises: OtherMarket when it is not the one asked for.
    """
    try:
        stored = json.loads((folder / "market.json").read_text())
        if stored["format"] != FORMAT:
            return None
        market = Market.from_json(stored["market"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if seed is not None and seed != market.seed:
        raise OtherMarket(folder, what="seed", held=market.seed, asked=seed)
    if chain_id != stored["chainId"]:
        raise OtherMarket(folder, what="chain id", held=stored["chainId"], asked=chain_id)
    state = folder / "chain.json"
    if _whole(state) is None:
        good = _whole(folder / "chain.good.json")
        if good is None:
            return None
        write_atomic(state, good)
    return market


def _locked(folder: Path) -> IO[bytes]:
    """Take the folder for this process; the kernel gives it back when the process ends."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = (folder / "lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise FolderBusy(folder) from None
    return lock


def _whole(path: Path) -> bytes | None:
    """A state file's bytes, or None where it is missing or torn."""
    try:
        data = path.read_bytes()
        msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (OSError, msgspec.DecodeError):
        return None
    return data
