"""What this process knows of a chain's state: the accounts and slots that plans of ours read.

No I/O: whoever reads the chain tells it. Not thread-safe.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from arbsite.base.units import BlockNumber, Gas, TokenAmount, Wei
from execution.blocks import PinnedBlock
from execution.evm import Account, Evm, NotDecided, Ran, UnknownState
from execution.kernel.plan import LenderCode, Plan
from execution.kernel.slots import PairPlaces, Place, packed_reserves, pair_places

_NOBODY: Final = Account(Wei(0), 0, b"")
_SOMEONE: Final = "0x" + "5a" * 20  # a coinbase where the header's is a contract or nobody
Reserves = tuple[TokenAmount, TokenAmount]


class Traced(NamedTuple):
    """An account as a trace found it, and the slots that were read."""

    account: Account
    slots: dict[int, int]


class Header(NamedTuple):
    """What a block's header says besides number and time. ``coinbase`` in lower case."""

    coinbase: str
    prevrandao: bytes
    gas_limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What one traced call read, at a block of that time in which its pairs had these reserves.

    Addresses in lower case.
    """

    traced: Mapping[str, Traced]
    plan: Plan
    sender: str
    receiver: str
    reserves: Mapping[str, Reserves]
    header: Header
    stamp_s: int


class KnownState:
    """Pairs are kept by whoever runs a call, from the book; all else by `update`.

    ``stamp_s``: the newest block time at which anything was read. No call runs before it, since
    contracts reckon with time that passed.
    """

    def __init__(self, chain_id: int) -> None:
        self.stamp_s = 0
        self._chain_id = chain_id
        self._evm: Evm | None = None
        self._entered: tuple[object, ...] = ()
        self._header = Header(_SOMEONE, bytes(32), 30_000_000)
        self._accounts: dict[str, Account] = {}
        self._slots: dict[Place, int] = {}
        self._pairs: dict[str, PairPlaces] = {}
        self._held: dict[str, Reserves] = {}
        self._groups: dict[str, set[Place]] = {}  # receiver or lent asset -> what follows it
        self.senders: set[str] = set()
        self.watched: set[str] = set()  # contracts whose logs say that a group changed

    def __bool__(self) -> bool:
        return bool(self._accounts)

    def knows(self, pairs: Iterable[str]) -> bool:
        """Whether the places of all these pairs are known."""
        return all(pair in self._pairs for pair in pairs)

    def take(self, lesson: Lesson) -> list[Place]:
        """Learn what a call read. Returns: the places of it that `update` keeps."""
        storage = {address: traced.slots for address, traced in lesson.traced.items()}
        for pair, reserves in lesson.reserves.items():
            places = pair_places(pair, storage, reserves=reserves)
            if places is not None:  # a call that ended early did not read them all
                self._pairs[pair], self._held[pair] = places, reserves
        self.stamp_s = max(self.stamp_s, lesson.stamp_s)
        for address, traced in lesson.traced.items():
            self._tell(address, traced.account)
            for slot, value in traced.slots.items():
                self._write((address, slot), value)
        self._header = lesson.header._replace(coinbase=self._coinbase(lesson.header.coinbase))
        by_book = self._by_book()
        read = [(address, slot) for address, slots in storage.items() for slot in slots]
        others = [place for place in read if place not in by_book]
        self._group(lesson, others)
        return others

    def _coinbase(self, wanted: str) -> str:
        """An account of nobody's: the EVM keeps it loaded, and some tokens refuse a zero."""
        known = self._accounts.get(wanted, _NOBODY)
        found = _SOMEONE if known.code or not int(wanted, 16) else wanted
        self._tell(found, self._accounts.get(found, _NOBODY))
        return found

    def _group(self, lesson: Lesson, others: list[Place]) -> None:
        """The receiver's own slots and whatever its tokens hold follow its events; on a loan of
        Aave's all but the receiver follows the events of the asset."""
        tokens = {place[0] for places in self._pairs.values() for place in places[1:]}
        with_receiver = {p for p in others if p[0] == lesson.receiver or p[0] in tokens}
        self._groups.setdefault(lesson.receiver, set()).update(with_receiver)
        self.senders.add(lesson.sender)
        self.watched.add(lesson.receiver)
        if lesson.plan.lender_kind is LenderCode.AAVE:
            with_asset = {p for p in others if p[0] != lesson.receiver}
            self._groups.setdefault(lesson.plan.token, set()).update(with_asset)
            self.watched.add(lesson.plan.lender)

    def _by_book(self) -> set[Place]:
        return {place for places in self._pairs.values() for place in places}

    def kept(self, groups: Iterable[str] | None = None) -> list[Place]:
        """The places that `update` keeps: those of these groups, or all."""
        if groups is None:
            by_book = self._by_book()
            return [place for place in self._slots if place not in by_book]
        return list(set[Place]().union(*(self._groups.get(each, set()) for each in groups)))

    def update(
        self, values: Mapping[Place, int], balances: Mapping[str, Wei], *, stamp_s: int
    ) -> None:
        """Take values and senders' balances as read at a block of that time."""
        for place, value in values.items():
            if self._slots.get(place) != value:
                self._write(place, value)
        for address, balance in balances.items():
            known = self._accounts.get(address, _NOBODY)
            self._tell(address, Account(balance, known.nonce, known.code))
        self.stamp_s = max(self.stamp_s, stamp_s)

    def doubt(self, pairs: Iterable[str]) -> None:
        """Have the next call through these pairs write their state anew."""
        for pair in pairs:
            self._held.pop(pair, None)

    def run(
        self,
        *,
        block: PinnedBlock,
        reserves: Mapping[str, Reserves],
        sender: str,
        to: str,
        data: bytes,
        value_wei: Wei,
        gas: Gas,
        gas_price_wei: Wei,
    ) -> Ran:
        """What the call would do in the block after that one, with its pairs at those reserves.

        Raises: UnknownState, NotDecided.
        """
        if not self.knows(reserves):
            raise UnknownState
        evm = self._evm or self._built()
        for pair, held in reserves.items():
            if self._held.get(pair) != held:
                self._hold(pair, held, stamped_s=block.timestamp_s)
        self._enter(evm, block)
        try:
            return evm.run(
                sender=sender,
                to=to,
                data=data,
                value_wei=value_wei,
                gas=gas,
                gas_price_wei=gas_price_wei,
            )
        except (UnknownState, NotDecided):
            self._evm = None
            raise

    def _enter(self, evm: Evm, block: PinnedBlock) -> None:
        timestamp_s = max(block.timestamp_s + 1, self.stamp_s)
        number = BlockNumber(block.number + 1)
        wanted = (evm, number, timestamp_s, self._header)
        if self._entered != wanted:
            evm.block(
                number=number,
                timestamp_s=timestamp_s,
                coinbase=self._header.coinbase,
                prevrandao=self._header.prevrandao,
                gas_limit=self._header.gas_limit,
            )
            self._entered = wanted

    def _hold(self, pair: str, reserves: Reserves, *, stamped_s: int) -> None:
        """A Sync sets a pair's reserves to what it holds, so all three places move together."""
        places = self._pairs[pair]
        self._write(places.reserves, packed_reserves(*reserves, stamped_s=stamped_s))
        self._write(places.balance0, reserves[0])
        self._write(places.balance1, reserves[1])
        self._held[pair] = reserves

    def _tell(self, address: str, account: Account) -> None:
        if self._accounts.get(address) != account:
            self._accounts[address] = account
            if self._evm is not None:
                self._evm.account(address, account)

    def _write(self, place: Place, value: int) -> None:
        self._slots[place] = value
        if self._evm is not None:
            self._evm.slot(*place, value)

    def _built(self) -> Evm:
        self._evm = evm = Evm(self._chain_id)
        for address, account in self._accounts.items():
            evm.account(address, account)
        for place, value in self._slots.items():
            evm.slot(*place, value)
        return evm
