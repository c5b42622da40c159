"""Simulates in this process what it has learned, and asks the node for everything else.

The first simulation of a path is the node's; what it reads is learned beside it. From then on an
EVM in this process answers in a fraction of the time, and each verdict it gave is asked of the
node afterwards, off the hot path. It answers only where all it knows is known to be of this branch
of the chain; an unknown slot, new code or another profit than was computed is the node's to decide.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from arbsite.base.units import BlockNumber, Gas, Wei
from contracts.kernel.jsonrpc import call_object
from execution import learning
from execution.beside import Beside
from execution.blocks import PinnedBlock
from execution.evm import NotDecided, UnknownState
from execution.kernel.plan import SELECTOR, decode_execute
from execution.kernel.slots import Place
from execution.known_state import KnownState, Lesson
from execution.learning import Unlearnable
from execution.reverts import explain_revert
from execution.simulator import (
    Expected,
    Rpc,
    Simulated,
    Simulator,
    StateGone,
    profit_returned,
)

logger = logging.getLogger(__name__)
REFRESH_S: Final = 60.0  # everything that no event tells of is at most so old
BLOCKS_BEHIND: Final = 2  # what events tell of may be so many blocks behind
RETRY_TRACE_S: Final = 600.0  # a node that does not trace is asked again after this
STRIKES: Final = 3  # a path that is wrong so often is left to the node


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One simulation that was asked for, as `Simulator.simulate` takes it."""

    sender: str
    to: str
    data: bytes
    value_wei: Wei
    gas_price_wei: Wei
    block: PinnedBlock
    gas: Gas | None
    expected: Expected

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(self.expected.reserves)


class PathSimulator:
    """One chain's. Thread-safe; its own thread reads from the node what it must know.

    ``counts``: how often the EVM decided (``evm``), was confirmed (``confirmed``) or disagreed with
    (``disagreed``) by the node, lacked something (``unknown``) or left it to the node
    (``undecided``); how often a path was learned (``learned``) and the node asked (``node``).
    """

    def __init__(
        self,
        node: Simulator,
        rpc: Rpc,
        *,
        chain_id: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._node = node
        self._rpc = rpc
        self._chain_id = chain_id
        self._clock = clock
        self._lock = threading.Lock()  # holds the state, the EVM in it, and what follows
        self._state = KnownState(chain_id)
        self._cancun: bool | None = None
        # The block of which everything that is known, but for the pairs, is known to be.
        self._followed: PinnedBlock | None = None
        self._newest: PinnedBlock | None = None
        self._refreshed_at = clock()
        self._traces_again_at = 0.0
        self._strikes: Counter[tuple[str, ...]] = Counter()
        self._lacking: set[tuple[str, ...]] = set()  # paths that met something unknown
        self._doubted: set[tuple[str, ...]] = set()  # paths that gave another profit
        self._beside = Beside("simulator")

    def close(self) -> None:
        """End its thread after the job in hand; what waits is dropped."""
        self._beside.close()

    def make_way(self) -> None:
        """Follow, learn and confirm nothing before `go_on`: somebody acts, or is about to."""
        self._beside.make_way()

    def go_on(self) -> None:
        """Nobody acts any more."""
        self._beside.go_on()

    def catch_up(self) -> None:
        """Wait until everything that was told and asked so far is taken."""
        self._beside.catch_up()

    def note_block(
        self, *, number: BlockNumber, block_hash: str, timestamp_s: int, parent_hash: str = ""
    ) -> PinnedBlock:
        """Tell of a header as it arrives; what is known is brought to it beside."""
        block = self._node.note_block(
            number=number, block_hash=block_hash, timestamp_s=timestamp_s, parent_hash=parent_hash
        )
        with self._lock:
            self._newest = block
        self._beside.do(self._follow, block)
        return block

    def simulate(
        self,
        *,
        sender: str,
        to: str,
        data: bytes,
        value_wei: Wei,
        gas_price_wei: Wei,
        block_hash: str,
        gas: Gas | None = None,
        expected: Expected | None = None,
    ) -> Simulated:
        """As `Simulator.simulate`; in process where ``expected`` and ``gas`` are given, the path is
        learned, and the outcome is the expected one. Raises: StateGone, RpcUnavailable."""
        if expected is None or data[:4] != SELECTOR:
            self.counts["node"] += 1
            return self._node.simulate(
                sender=sender,
                to=to,
                data=data,
                value_wei=value_wei,
                gas_price_wei=gas_price_wei,
                block_hash=block_hash,
                gas=gas,
            )
        ask = Ask(
            sender=sender,
            to=to,
            data=data,
            value_wei=value_wei,
            gas_price_wei=gas_price_wei,
            block=self._node.block_of(block_hash),
            gas=gas,
            expected=expected,
        )
        found = self.in_process(ask)
        if found is None:
            self._beside.do(self._learn, ask)
        elif not found.ok or found.profit != expected.profit:
            self._distrust(ask)
            if not self._cancun and not found.ok:
                return found  # other rules than the chain's: it may refuse, and never allows
        elif self._cancun:
            self._beside.do(self._confirm, ask, found)
            return found
        return self._ask_node(ask)

    def rehearse(
        self, *, sender: str, to: str, data: bytes, block_hash: str, expected: Expected
    ) -> None:
        """Learn what a plan reads before anybody wants it; nothing is simulated or answered."""
        ask = Ask(
            sender=sender,
            to=to,
            data=data,
            value_wei=Wei(0),
            gas_price_wei=Wei(0),
            block=self._node.block_of(block_hash),
            gas=None,
            expected=expected,
        )
        self._beside.do(self._learn, ask)

    def in_process(self, ask: Ask) -> Simulated | None:
        """What the EVM in this process says; None where it must not or cannot."""
        if ask.gas is None or self._cancun is None or self._strikes[ask.path] >= STRIKES:
            return None
        try:
            with self._lock:
                learning_it = ask.path in self._lacking or ask.path in self._doubted
                if learning_it or not self._is_current(ask.block):
                    return None
                ran = self._state.run(
                    block=ask.block,
                    reserves=ask.expected.reserves,
                    sender=ask.sender.lower(),
                    to=ask.to.lower(),
                    data=ask.data,
                    value_wei=ask.value_wei,
                    gas=ask.gas,
                    gas_price_wei=ask.gas_price_wei,
                )
        except UnknownState:
            self.counts["unknown"] += 1
            with self._lock:
                self._lacking.add(ask.path)
            return None
        except NotDecided:
            self.counts["undecided"] += 1
            return None
        profit, revert = None, None
        if ran.ok:
            profit, revert = profit_returned(ran.output)
        else:
            revert = explain_revert(ran.output)
        self.counts["evm"] += 1
        return Simulated(
            ok=revert is None,
            profit=profit,
            gas_estimate=Gas(0),
            gas_limit=ask.gas if revert is None else Gas(0),
            revert=revert,
            block_number=ask.block.number,
            block_hash=ask.block.hash,
            by="evm",
        )

    def _is_current(self, block: PinnedBlock) -> bool:
        """Whether what is known is of that block or of one of the few before it."""
        return self._followed is not None and self._descends(block, self._followed)

    def _descends(self, block: PinnedBlock, ancestor: PinnedBlock, by: int = BLOCKS_BEHIND) -> bool:
        return self._node.blocks.follows(block, ancestor, within=by)

    def _ask_node(self, ask: Ask) -> Simulated:
        self.counts["node"] += 1
        return self._node.simulate(
            sender=ask.sender,
            to=ask.to,
            data=ask.data,
            value_wei=ask.value_wei,
            gas_price_wei=ask.gas_price_wei,
            block_hash=ask.block.hash,
            gas=ask.gas,
        )

    def _distrust(self, ask: Ask) -> None:
        """Learn the path anew: what was computed and what the EVM says are two things."""
        self.counts["disagreed"] += 1
        self._strikes[ask.path] += 1
        with self._lock:
            self._doubted.add(ask.path)
        self._beside.do(self._learn, ask)

    def _learn(self, ask: Ask) -> None:
        """Read what the path reads, at the block that it was asked for. Raises: Unlearnable."""
        with self._lock:
            doubted = ask.path in self._doubted
            if self._state.knows(ask.path) and not doubted and ask.path not in self._lacking:
                return
            if self._newest is None or not self._descends(self._newest, ask.block):
                return  # what waited too long behind a slow node is not worth its time
            stamp_s = max(ask.block.timestamp_s + 1, self._state.stamp_s)
        if self._clock() < self._traces_again_at:
            return
        if self._cancun is None:
            self._cancun = learning.has_cancun_rules(self._rpc)
        request = call_object(to=ask.to, data=ask.data, sender=ask.sender, value=ask.value_wei)
        try:
            traced, header = learning.trace(self._rpc, request, block=ask.block, stamp_s=stamp_s)
        except Unlearnable as error:
            if error.lasting:
                self._traces_again_at = self._clock() + RETRY_TRACE_S
            raise
        lesson = Lesson(
            traced=traced,
            plan=decode_execute(ask.data),
            sender=ask.sender.lower(),
            receiver=ask.to.lower(),
            reserves=ask.expected.reserves,
            header=header,
            stamp_s=ask.block.timestamp_s,
        )
        with self._lock:
            others = self._state.take(lesson)
            if doubted:
                self._state.doubt(ask.path)
                others = self._state.kept()
            # Of two blocks at once nothing is decided: not before the newly learned is of that one.
            followed, self._followed = self._followed, None
        if followed is not None and (doubted or followed.hash != ask.block.hash):
            self._read(others, block=followed)
        with self._lock:
            self._followed = followed
            self._lacking.discard(ask.path)
            self._doubted.discard(ask.path)
        self.counts["learned"] += 1

    def _follow(self, block: PinnedBlock) -> None:
        """Bring what is known to that block: by its events, or all of it anew."""
        with self._lock:
            if self._newest != block:
                return  # a newer one waits already
            before = self._followed
            in_order = before is not None and self._descends(block, before, by=1)
            known, watched = bool(self._state), sorted(self._state.watched)
        if known:
            due = self._clock() - self._refreshed_at >= REFRESH_S
            groups = None
            if in_order and not due:
                groups = learning.changed_groups(self._rpc, watched, block_hash=block.hash)
            with self._lock:
                places = self._state.kept(groups)
            if groups != set():
                self._read(places, block=block)
            if groups is None:
                self._refreshed_at = self._clock()
        with self._lock:
            self._followed = block

    def _read(self, places: list[Place], *, block: PinnedBlock) -> None:
        with self._lock:
            senders = set(self._state.senders)
        values, balances = learning.read_places(self._rpc, places, senders, block_hash=block.hash)
        with self._lock:
            self._state.update(values, balances, stamp_s=block.timestamp_s)

    def _confirm(self, ask: Ask, found: Simulated) -> None:
        """Ask the node what the EVM has answered. Where it says another thing, nothing that was
        learned is believed any more."""
        try:
            said = self._ask_node(ask)
        except StateGone:
            return
        if (said.ok, said.profit) == (found.ok, found.profit):
            self.counts["confirmed"] += 1
            self._strikes.pop(ask.path, None)
            return
        logger.error(
            "the EVM in process was wrong",
            extra={"path": ask.path, "found": found.profit, "said": said.profit},
        )
        self.counts["disagreed"] += 1
        self._strikes[ask.path] += 1
        with self._lock:
            self._state = KnownState(self._chain_id)
            self._lacking.clear()
            self._doubted.clear()
