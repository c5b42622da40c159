"""The rival: somebody else who trades the same cycles, from what the chain shows everybody.

It has its own capital, its own contract and its own search, and shares no code, address, file or
table with the product. Seeing an opportunity it waits 1 to 4 blocks, drawn when it first sees it,
and then takes what still nets over $0.50. One dislocation opens many cycles through the same
pools; they count as one opportunity, with one wait. It sends as soon as the block before the one
it wants is mined, so what it takes after a single block it takes before anybody slower.

A racing rival (`Race`) waits no blocks: it answers each block after some milliseconds, and of a
fixed share of what it finds the block's builder has sold it the first place.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from arbsite.base.units import BlockNumber, TokenAmount
from contracts.kernel.abi import encode_call
from contracts.localchain.chain import LocalChain, Sending
from contracts.localchain.deployed import Market
from contracts.localchain.stream import Stream

LONGEST_WAIT_BLOCKS: Final = 4
LEAST_NET_CENTS: Final = 50
MOST_DELAY_MS: Final = 10_000
PERCENT: Final = 100
GAS_USED: Final = {2: 150_000, 3: 200_000}
GAS_LIMIT: Final = 450_000
LEAST_GAIN_PERCENT: Final = 90
BPS_ONE: Final = 10_000
SYNC_TOPIC: Final = "0x1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1"
_TAKE: Final = "take((address,uint256,bool)[],address,uint256,uint256)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hop:
    pool: int
    zero_for_one: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cycle:
    token: str
    hops: tuple[_Hop, ...]

    @property
    def pools(self) -> frozenset[int]:
        return frozenset(hop.pool for hop in self.hops)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Find:
    """A cycle that pays now. ``net_micro_usd`` is after gas."""

    cycle: _Cycle
    amount_in: TokenAmount
    gain: TokenAmount
    net_micro_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """An opportunity being waited for: its pools, and the block in which it is to be taken."""

    pools: frozenset[int]
    due: BlockNumber


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """How a rival races: ``delay_ms`` after each block, and first in the next block with
    ``share_percent`` of the opportunities it finds, whoever sent before it."""

    delay_ms: int
    share_percent: int

    @classmethod
    def parse(cls, text: str) -> "Race":
        """``MS:PERCENT``, such as ``250:40``. Raises: ValueError saying what is allowed."""
        match = re.fullmatch(r"([0-9]{1,5}):([0-9]{1,3})", text, re.ASCII)
        delay, share = (int(match[1]), int(match[2])) if match else (0, PERCENT + 1)
        if delay > MOST_DELAY_MS or share > PERCENT:
            raise ValueError(
                f"{text!r} must be MS:PERCENT, such as 250:40: at most {MOST_DELAY_MS} ms and 100 %"
            )
        return cls(delay_ms=delay, share_percent=share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """What the rival sends into the next block: before all others, and in order of arrival."""

    first: tuple[Sending, ...] = ()
    rest: tuple[Sending, ...] = ()

    @property
    def all(self) -> tuple[Sending, ...]:
        return self.first + self.rest


class Rival:
    """Follows the pools from block to block and says what it sends into the next one."""

    def __init__(self, market: Market, *, chain: LocalChain, race: Race | None = None) -> None:
        self._market = market
        self._chain = chain
        self._race = race
        self._found = 0  # opportunities raced for
        self._place = {pool.address.lower(): i for i, pool in enumerate(market.pools)}
        self._fee_bps = [market.dex(pool.dex).fee_bps for pool in market.pools]
        self._reserves: list[tuple[int, int]] = []
        self._seen: tuple[int, str] | None = None
        self._cycles = _cycles(market)
        self._through: dict[int, list[int]] = {i: [] for i in range(len(market.pools))}
        for number, cycle in enumerate(self._cycles):
            for pool in cycle.pools:
                self._through[pool].append(number)
        self._paying: dict[int, _Find] = {}
        self._targets: list[_Target] = []

    def look(self, head: BlockNumber) -> Attempts:
        """What the rival sends into the block after ``head``, having looked at ``head``."""
        self._follow(head)
        if self._race is not None:
            return self._raced(self._race)
        return Attempts(rest=tuple(self._due(BlockNumber(head + 1))))

    def _due(self, block: BlockNumber) -> list[Sending]:
        due, waiting = [], []
        for find in self._chosen():
            target = self._target(find, block=block)
            if target.due <= block:
                due.append(self._sending(find))
            else:
                waiting.append(target)
        self._targets = waiting
        return due

    def _raced(self, race: Race) -> Attempts:
        first: list[Sending] = []
        rest: list[Sending] = []
        for find in self._chosen():
            sold, self._found = self._found * race.share_percent, self._found + 1
            # Evenly spread, so that any stretch of opportunities has its share.
            wins = self._found * race.share_percent // PERCENT > sold // PERCENT
            (first if wins else rest).append(self._sending(find))
        return Attempts(first=tuple(first), rest=tuple(rest))

    # ------------------------------------------------------------------ what the chain shows

    def _follow(self, head: BlockNumber) -> None:
        """Bring the reserves to ``head``: from its logs where it follows the last block seen."""
        header = self._chain.admin("eth_getBlockByNumber", hex(head), False)
        changed: Iterable[int] = range(len(self._market.pools))
        if self._seen == (head - 1, header["parentHash"]):
            changed = self._apply_logs(head)
        elif self._seen != (head, header["hash"]):
            self._read_all()
        else:
            changed = ()
        self._seen = (head, header["hash"])
        self._search(set(changed))

    def _apply_logs(self, head: BlockNumber) -> set[int]:
        wanted = {"fromBlock": hex(head), "toBlock": hex(head), "topics": [SYNC_TOPIC]}
        changed = set()
        for log in self._chain.admin("eth_getLogs", wanted):
            place = self._place.get(log["address"].lower())
            if place is not None:
                data = log["data"][2:]
                self._reserves[place] = (int(data[:64], 16), int(data[64:128], 16))
                changed.add(place)
        return changed

    def _read_all(self) -> None:
        data = "0x" + encode_call("getReserves()").hex()
        calls = [
            ("eth_call", [{"to": pool.address, "data": data}, "latest"])
            for pool in self._market.pools
        ]
        answers = self._chain.all(calls, what="reading the pools")
        self._reserves = [(int(answer[2:66], 16), int(answer[66:130], 16)) for answer in answers]

    # ------------------------------------------------------------------ its own search

    def _search(self, changed: set[int]) -> None:
        prices = self._prices_micro_usd()
        for number in sorted({n for pool in changed for n in self._through[pool]}):
            find = self._evaluate(self._cycles[number], prices)
            if find is None:
                self._paying.pop(number, None)
            else:
                self._paying[number] = find

    def _evaluate(self, cycle: _Cycle, prices: Mapping[str, float]) -> _Find | None:
        # The whole cycle as one pool: a in, b out for an input x gives e*x / (c + d*x).
        e, c, d = 1.0, 1.0, 0.0
        for hop in cycle.hops:
            reserve_in, reserve_out = self._sides(hop)
            keep = 1 - self._fee_bps[hop.pool] / BPS_ONE
            e, c, d = e * keep * reserve_out, c * reserve_in, d * reserve_in + e * keep
        if e <= c:
            return None
        amount = TokenAmount(int((math.sqrt(e * c) - c) / d))
        if amount <= 0:
            return None
        gain = self._walk(cycle, amount) - amount
        gas_micro_usd = (
            GAS_USED[len(cycle.hops)]
            * self._market.min_gas_price_wei
            * prices[self._market.wrapped_native]
        )
        net = int(gain * prices[cycle.token] - gas_micro_usd)
        if net < LEAST_NET_CENTS * 10_000:
            return None
        return _Find(cycle=cycle, amount_in=amount, gain=TokenAmount(gain), net_micro_usd=net)

    def _walk(self, cycle: _Cycle, amount: int) -> int:
        """What comes out of a cycle, raw units, each hop rounded down as the pairs do."""
        for hop in cycle.hops:
            reserve_in, reserve_out = self._sides(hop)
            kept = amount * (BPS_ONE - self._fee_bps[hop.pool])
            amount = kept * reserve_out // (reserve_in * BPS_ONE + kept)
        return amount

    def _sides(self, hop: _Hop) -> tuple[int, int]:
        reserve0, reserve1 = self._reserves[hop.pool]
        return (reserve0, reserve1) if hop.zero_for_one else (reserve1, reserve0)

    def _prices_micro_usd(self) -> dict[str, float]:
        """Millionths of a dollar per raw unit of each lent token, by its deepest dollar pool."""
        dollar = self._market.token("USDT")
        per_unit = {dollar.address: 10.0 ** (6 - dollar.decimals)}
        depth: dict[str, int] = {}
        for place, pool in enumerate(self._market.pools):
            sides = {pool.token0: 0, pool.token1: 1}
            if dollar.address not in sides:
                continue
            dollars = self._reserves[place][sides.pop(dollar.address)]
            ((token, side),) = sides.items()
            if dollars > depth.get(token, 0):
                depth[token] = dollars
                units = self._reserves[place][side]
                per_unit[token] = dollars / units * per_unit[dollar.address]
        return per_unit

    # ------------------------------------------------------------------ its waiting

    def _chosen(self) -> list[_Find]:
        """The best cycles that share no pool, best first."""
        chosen: list[_Find] = []
        taken: set[int] = set()
        for find in sorted(self._paying.values(), key=lambda find: -find.net_micro_usd):
            if taken.isdisjoint(find.cycle.pools):
                taken |= find.cycle.pools
                chosen.append(find)
        return chosen

    def _target(self, find: _Find, *, block: BlockNumber) -> _Target:
        """The opportunity this find belongs to: one already waited for, or a new one."""
        known = [target for target in self._targets if target.pools & find.cycle.pools]
        if known:
            first = min(known, key=lambda target: target.due)
            return _Target(pools=first.pools | find.cycle.pools, due=first.due)
        draw = Stream(self._market.seed, "rival", block, *sorted(find.cycle.pools))
        wait = draw.between(1, LONGEST_WAIT_BLOCKS)
        return _Target(
            pools=find.cycle.pools,
            due=BlockNumber(block + wait - 1),
        )

    def _sending(self, find: _Find) -> Sending:
        hops = [
            (self._market.pools[hop.pool].address, self._fee_bps[hop.pool], hop.zero_for_one)
            for hop in find.cycle.hops
        ]
        least_gain = max(1, find.gain * LEAST_GAIN_PERCENT // 100)
        return Sending(
            sender=self._market.rival,
            to=self._market.rival_contract,
            data=encode_call(_TAKE, hops, find.cycle.token, find.amount_in, least_gain),
            gas=GAS_LIMIT,
            gas_price=self._market.min_gas_price_wei,
        )


def _cycles(market: Market) -> list[_Cycle]:
    """Every cycle of 2 and 3 different pools that begins and ends in a token the rival holds.

    Each ring of pools and directions stands once, from the first of its tokens that is held.
    """
    held = [market.token(symbol).address for symbol in market.lent]
    rank = {token: i for i, token in enumerate(held)}
    leaving: dict[str, list[tuple[int, str, bool]]] = {}
    for place, pool in enumerate(market.pools):
        leaving.setdefault(pool.token0, []).append((place, pool.token1, True))
        leaving.setdefault(pool.token1, []).append((place, pool.token0, False))
    cycles: list[_Cycle] = []
    for start in held:
        for path in _paths(leaving, start):
            tokens = [start] + [token for _pool, token, _way in path[:-1]]
            if all(rank[start] <= rank.get(token, len(held)) for token in tokens):
                hops = tuple(_Hop(pool=pool, zero_for_one=way) for pool, _token, way in path)
                cycles.append(_Cycle(token=start, hops=hops))
    return cycles


def _paths(
    leaving: Mapping[str, Sequence[tuple[int, str, bool]]], start: str
) -> Iterable[tuple[tuple[int, str, bool], ...]]:
    for first in leaving[start]:
        for second in leaving[first[1]]:
            if second[0] == first[0]:
                continue
            if second[1] == start:
                yield (first, second)
                continue
            for third in leaving[second[1]]:
                if third[1] == start and third[0] not in (first[0], second[0]):
                    yield (first, second, third)
