"""One chain's market held in memory: book, cycles, costs and lives, whoever feeds it.

The feed (stream) and the poller (HTTP) drive the same object, so both decide alike.
Single-threaded; reads no database and no chain.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from arbsite.base.units import BlockNumber, Bps, Gas, TokenAmount, Wei
from contracts.kernel.events import NewHead
from contracts.kernel.fees import FeeModel, base_fee_to_cost, fees_offered
from prices.chain_state import MarketRead, block_ref
from prices.feed import Advance
from prices.kernel.book import BlockRef, PoolBook, PoolState
from prices.kernel.constant_product import amount_out
from prices.kernel.costs import NO_TIP, Costs, NativeRate, Policy, TipTerms, position_caps
from prices.kernel.cycles import Cycles, from_smallest_token
from prices.kernel.lenders import FIRST_POOL, Lender, LenderKind, PremiumRounding
from prices.kernel.lives import LifeRecord
from prices.kernel.native import NativeRoutes
from prices.kernel.opportunity import Evaluation, evaluate
from prices.kernel.scan import Market, Scanner, ScanResult
from prices.registry import Registry, base_and_quote

MAX_HOPS: Final = 3
_NO_RATES: Final[Mapping[int, NativeRate]] = {}
STABLES: Final = ("USDT", "USDC", "BUSD", "DAI", "FDUSD", "USD1", "TUSD")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainCosts:
    """What the chain charges, as known now.

    ``gas``: expected gas used per lender kind and hops. ``forced_lender``: only this kind lends.
    """

    fee_model: FeeModel
    min_gas_price_wei: Wei
    gas: Mapping[tuple[LenderKind, int], Gas]
    bid_wei: Wei = field(default=Wei(0))
    tips: TipTerms = NO_TIP
    l1_fee_wei: Wei | None = None
    forced_lender: str = ""


class UsdRate(NamedTuple):
    """Display only: micro-dollars per 1e18 wei, and where that comes from."""

    micro_usd_per_native: int
    source: str


class Watcher:
    """Feed it reads and blocks, ask it what pays."""

    def __init__(
        self,
        registry: Registry,
        *,
        costs: ChainCosts,
        policy: Policy,
        max_hops: int = MAX_HOPS,
    ) -> None:
        self.registry = registry
        self.costs = costs
        self.policy = policy
        self.book = PoolBook(
            tokens=[token.address.lower() for token in registry.tokens], pools=registry.specs
        )
        self.scanner = Scanner(self.book, lendable=registry.lendable, max_hops=max_hops)
        self.cycles: Cycles = self.scanner.cycles
        self._stables = [i for i, token in enumerate(registry.tokens) if token.symbol in STABLES]
        self._routes = NativeRoutes(
            self.book, native=registry.native, tokens=registry.lendable.union(self._stables)
        )
        self.head: NewHead | None = None
        self.caps: Mapping[int, TokenAmount] = {}
        self.premium_bps = registry.premium_bps
        self.updates = 0
        self._orphans: list[LifeRecord] = []
        self._heads: dict[str, NewHead] = {}  # of blocks that the book can go back to
        self._market: tuple[int, Market] | None = None  # with the book's version
        self._held: Market | None = None
        self._flat_price: Wei | None = None  # per gas, where no header moves it
        for i, pool in enumerate(registry.pools):
            if pool.quarantined:
                self.book.quarantine(i, pool.quarantined)

    def load(self, read: MarketRead) -> frozenset[int]:
        """Take the whole market as read at one block. Returns: pools that differ from before."""
        before = self.book.snapshot()
        distrusted = self.book.untrusted is not None  # all was decided as stale meanwhile
        self.book.load(read.block, read.reserves)
        self._take_head(read.head)
        self.take_lenders(read)
        old = before.block
        if old is not None and old.number >= read.block.number and old.hash != read.block.hash:
            # The chain went another way below: lives born up there stand on nothing.
            self._orphans += self.scanner.rollback(
                BlockRef(BlockNumber(read.block.number - 1), read.block.parent_hash, "")
            )
        touched = frozenset(
            i
            for i, pair in read.reserves.items()
            if distrusted or before.reserves[i] != pair or i in before.unknown
        ) | (frozenset(self.book.unknown) - before.unknown)
        self.updates += len(touched)
        return touched

    def take_lenders(self, read: MarketRead) -> None:
        """Take loan caps and the premium as read from the chain."""
        self.caps = read.caps
        if read.premium_bps is not None:
            self.premium_bps = read.premium_bps
        self._market = self._held = None

    def advance(self, step: Advance) -> frozenset[int]:
        """Roll back to the ancestor where it is not the head, then apply the blocks.

        Returns: pools whose reserves may differ from before.
        Raises: JournalTooShort (load afresh), ReorgTooDeep (Halt), BlockGap.
        """
        touched: set[int] = set()
        if self.book.head is not None and self.book.head.hash != step.ancestor:
            touched |= self.book.rollback_to(step.ancestor)
            self._orphans += self.scanner.rollback(self.book.head)
            self.head = self._heads.get(step.ancestor, self.head)
        for block in step.blocks:
            states = []
            for event in block.events:
                index = self.book.pool_index(event.pool)
                if index is not None:
                    states.append(PoolState(index, event.reserve0, event.reserve1))
            touched |= self.book.apply_block(block_ref(block.head), states)
            self._take_head(block.head)
        self._trust()
        self.updates += len(touched)
        return frozenset(touched)

    def _trust(self) -> None:
        """The step joined what the book knows by hashes, so nothing is missing after a pause."""
        if self.book.untrusted is not None and self.book.head is not None:
            self.book.untrusted = None
            self.book.version += 1
            self.scanner.rollback(self.book.head)  # undoes nothing: all is decided anew

    def _take_head(self, head: NewHead) -> None:
        self.head = self._heads[head.hash] = head
        while len(self._heads) > self.book.depth + 1:
            del self._heads[next(iter(self._heads))]

    def market(self) -> Market:
        """Lenders, costs and policy at the book's head."""
        if self._market is None or self._market[0] != self.book.version:
            self._market = (self.book.version, self._build_market())
        return self._market[1]

    def configure(self, *, costs: ChainCosts, policy: Policy) -> None:
        """Take other costs or limits; the next scan decides every cycle anew where they differ."""
        self.costs, self.policy = costs, policy
        self._market = self._held = self._flat_price = None

    def take_gas(self, gas: Mapping[tuple[LenderKind, int], Gas]) -> None:
        """Take what was measured since; what is decided next is costed with it."""
        if gas != self.costs.gas:
            self.configure(costs=replace(self.costs, gas=gas), policy=self.policy)

    def hot(self, touched: Collection[int]) -> Iterator[Evaluation]:
        """What can be executed because of the last block, best first, each decided when asked for.

        It ends where the book moves on.
        """
        if self.head is None:
            return iter(())
        return self.scanner.hot(market=self.market(), touched=touched)

    def scan(self, touched: Collection[int]) -> ScanResult | None:
        """Bring every life to the head; None before the first load."""
        if self.head is None:
            return None
        return self.scanner.scan(market=self.market(), touched=touched)

    def again(self, path: Sequence[int]) -> Evaluation | None:
        """One cycle decided at the head; ``path``: its edges in order, from whichever token."""
        market = self.market()
        return evaluate(
            self.book,
            cycles=self.cycles,
            cycle=self.cycles.number(from_smallest_token(self.book.pools, path)),
            lenders=market.lenders,
            costs=market.costs,
            policy=market.policy,
        )

    def take_orphans(self) -> list[LifeRecord]:
        """Ends of lives whose birth left the chain, since the last call."""
        orphans, self._orphans = self._orphans, []
        return orphans

    def quote(self, pool: int) -> tuple[int, int] | None:
        """(in, out) for one whole base token at the head, or None without liquidity.

        The router's own answer: local arithmetic equals it to the unit, or the pool is quarantined.
        """
        row = self.registry.pools[pool]
        base, _ = base_and_quote(self.registry, row)
        reserves = (self.book.reserve0[pool], self.book.reserve1[pool])
        if not all(reserves):
            return None
        reserve_in, reserve_out = reserves if row.base_first else reserves[::-1]
        amount_in = 10**base.decimals
        fee = self.registry.specs[pool].fee_bps
        return amount_in, amount_out(TokenAmount(amount_in), reserve_in, reserve_out, fee)

    def usd_rate(self) -> UsdRate | None:
        """What a native coin is worth in a dollar token, for display; None without such a token."""
        rates = self.market().costs.native_rates
        for symbol in STABLES:
            for i in self._stables:
                token, rate = self.registry.tokens[i], rates.get(i)
                if token.symbol == symbol and rate is not None and rate.pools:
                    micro = 10**24 * rate.num // (rate.den * 10**token.decimals)
                    return UsdRate(micro, f"{symbol} in pool {rate.pools[0]}")
        return None

    def gas_price_wei(self) -> Wei:
        """What a payload of ours would pay per gas in the next block."""
        if self.head is None or self.head.base_fee_wei is None:
            if self._flat_price is None:
                self._flat_price = self._gas_price_wei(base_fee=None)
            return self._flat_price
        return self._gas_price_wei(
            base_fee=base_fee_to_cost(
                base_fee_wei=self.head.base_fee_wei,
                gas_used=self.head.gas_used,
                gas_limit=self.head.gas_limit,
            )
        )

    def _gas_price_wei(self, *, base_fee: Wei | None) -> Wei:
        fees = fees_offered(
            model=self.costs.fee_model,
            base_fee_wei=base_fee,
            min_gas_price_wei=self.costs.min_gas_price_wei,
            bid_wei=self.costs.bid_wei,
        )
        return fees.price_at(base_fee_wei=base_fee or Wei(0))

    def _build_market(self) -> Market:
        """The market as before, the same object, where nothing of it differs."""
        old, price = self._held, self.gas_price_wei()
        rates = self._routes.rates() if self.registry.native >= 0 else _NO_RATES
        if old and old.costs.native_rates is rates and old.costs.gas_price_wei == price:
            return old  # all else is held only as long as it stands
        costs = Costs(
            gas_price_wei=price,
            tips=self.costs.tips,
            l1_fee_wei=self.costs.l1_fee_wei,
            gas=self.costs.gas,
            native_rates=rates,
        )
        if old is None or costs != old.costs:
            caps_hold = not self.policy.max_position_wei or (
                old is not None and old.costs.native_rates == costs.native_rates
            )
            policy = old.policy if old and caps_hold else self._limits(costs.native_rates)
            lenders = old.lenders if old else self._lenders()
            self._held = old = Market(lenders=lenders, costs=costs, policy=policy)
        return old

    def _limits(self, rates: Mapping[int, NativeRate]) -> Policy:
        return replace(
            self.policy,
            risky_tokens=self.policy.risky_tokens | self.registry.risky_tokens,
            risky_pools=self.policy.risky_pools | self.registry.risky_pools,
            max_position={
                **self.policy.max_position,
                **position_caps(self.policy.max_position_wei, native_rates=rates),
            },
        )

    def _lenders(self) -> dict[int, tuple[Lender, ...]]:
        forced = self.costs.forced_lender
        lenders: dict[int, tuple[Lender, ...]] = {}
        for token in self.registry.lendable:
            sources: list[Lender] = []
            if forced in ("", LenderKind.FIRST_POOL):
                sources.append(FIRST_POOL)
            cap = self.caps.get(token)
            if forced in ("", LenderKind.AAVE_V3) and cap and self.premium_bps is not None:
                sources.append(
                    Lender(
                        kind=LenderKind.AAVE_V3,
                        address=self.registry.aave_pool.lower(),
                        premium_bps=Bps(self.premium_bps),
                        rounding=PremiumRounding(self.registry.premium_rounding or "ceil"),
                        cap=cap,
                    )
                )
            lenders[token] = tuple(sources)
        return lenders
