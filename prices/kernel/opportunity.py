"""One cycle at one state, decided: borrow token, lender, size, waterfall, verdict. No I/O."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from arbsite.base.units import BPS_ONE, Bps, Gas, TokenAmount, Wei
from prices.kernel.book import BlockRef, PoolBook
from prices.kernel.costs import Costs, NativeRate, Policy
from prices.kernel.cycles import Cycles
from prices.kernel.lenders import FIRST_POOL, Lender, LenderKind
from prices.kernel.sizing import Hop, Products, Size, best_size, walk, without_fees
from prices.kernel.waterfall import (
    Paid,
    Reason,
    SpreadClass,
    Verdict,
    Waterfall,
    first_gate,
    paid_in_native,
    spread_class,
    waterfall_of,
)

Lenders = Mapping[int, Sequence[Lender]]  # by token index; equal nets go to the earlier lender


class SizedFor(StrEnum):
    """What the size is the best of, where nothing better pays (MONEY section 1)."""

    EXECUTION = "execution"
    NO_PREMIUM = "no_premium"
    NO_PREMIUM_NO_FEES = "no_premium_no_fees"


_SIZED_FOR: Final = tuple(SizedFor)
_SIZED_FREE: Final = (SizedFor.NO_PREMIUM_NO_FEES,)


class HopFacts(NamedTuple):
    """One pool crossing at the chosen size; reserves and amounts in raw token units."""

    pool: int
    edge: int
    token_in: int
    token_out: int
    fee_bps: Bps
    reserve_in: TokenAmount
    reserve_out: TokenAmount
    amount_in: TokenAmount
    amount_out: TokenAmount


class Evaluation(NamedTuple):
    """Everything an opportunity says of itself. Pools and tokens are indexes of the book.

    ``path`` begins at the borrow token. ``spread_bps`` is of marginal prices and decides nothing.
    ``net_wei``: the net in the native coin rounded down, None without a route to it.
    ``lender_address``: for a first-pool loan the address of the path's first pool.
    """

    block: BlockRef
    book_version: int
    cycle: int
    identity: str
    path: tuple[int, ...]
    hops: tuple[HopFacts, ...]
    borrow_token: int
    lender: Lender
    lender_address: str
    sized_for: SizedFor
    spread_bps: int
    waterfall: Waterfall
    native_rate: NativeRate | None
    gas_estimate: Gas | None
    gas_price_wei: Wei
    tip_wei: Wei
    l1_fee_wei: Wei | None
    net_wei: Wei | None
    verdict: Verdict
    reason: Reason | None
    spread_class: SpreadClass

    @property
    def borrow_amount(self) -> TokenAmount:
        return self.waterfall.amount

    @property
    def amount_out(self) -> TokenAmount:
        """a_n: what the last hop gives."""
        return self.hops[-1].amount_out

    @property
    def net_profit(self) -> int:
        return self.waterfall.net

    @property
    def net_profit_bps(self) -> Bps:
        return self.waterfall.net_profit_bps


class _Choice(NamedTuple):
    start: int
    token: int
    lender: Lender
    size: Size
    rate: NativeRate | None
    paid: Paid


def evaluate(
    book: PoolBook,
    *,
    cycles: Cycles,
    cycle: int,
    lenders: Lenders,
    costs: Costs,
    policy: Policy,
) -> Evaluation | None:
    """The best way to run a cycle at the book's head, and the first reason not to.

    Best: the largest net in the native coin over the lendable rotations and their lenders, among
    sizes that earn something before gas; where none does, among the fallback sizes of MONEY
    section 1. A way whose costs are not all known comes after every way whose costs are, and one
    that the contract's own minimum refuses after those that it takes.

    Returns: None where prod S <= prod R (not an opportunity), where a pool is empty or unknown,
        or where no lender of ``lenders`` fits.
    """
    if book.head is None:
        return None
    ring = cycles.path(cycle)
    hops, products = _state(book, ring)
    if not products.into or products.out <= products.into:
        return None
    ways = _ways(book, ring=ring, lenders=lenders, costs=costs)
    pays = products.out * products.kept > products.into * products.whole
    for sized_for in _SIZED_FOR if pays else _SIZED_FREE:
        choice = _best(hops, ways=ways, sized_for=sized_for, costs=costs, policy=policy)
        if choice is not None:
            return _decided(
                book,
                cycles=cycles,
                cycle=cycle,
                ring=ring,
                choice=choice,
                hops=hops,
                products=products,
                sized_for=sized_for,
                costs=costs,
                policy=policy,
            )
    return None


def _state(book: PoolBook, ring: Sequence[int]) -> tuple[list[Hop], Products]:
    """The ring's hops at the book's head, and `Products.of` them."""
    reserves0, reserves1, pools = book.reserve0, book.reserve1, book.pools
    hops, out, into, kept, whole = [], 1, 1, 1, 1
    for edge in ring:
        pool = edge >> 1
        reserve_in, reserve_out, fee_bps = reserves0[pool], reserves1[pool], pools[pool].fee_bps
        if edge & 1:
            reserve_in, reserve_out = reserve_out, reserve_in
        hops.append(Hop(reserve_in, reserve_out, fee_bps))
        out *= reserve_out
        into *= reserve_in
        kept *= BPS_ONE - fee_bps
        whole *= BPS_ONE
    return hops, Products(out, into, kept, whole)


def _ways(
    book: PoolBook, *, ring: Sequence[int], lenders: Lenders, costs: Costs
) -> list[tuple[int, int, Lender]]:
    """(rotation, borrow token, lender) of every loan that could carry the ring best."""
    ways: list[tuple[int, int, Lender]] = []
    for start, edge in enumerate(ring):
        token = book.edge_tokens(edge)[0]
        kept: list[Lender] = []
        for lender in lenders.get(token, ()):
            if lender.kind is LenderKind.PAIR and _crosses(book, ring, lender.address):
                continue
            for each in kept:
                if _never_worse(each, lender, gas=costs.gas, hops=len(ring)):
                    break
            else:
                kept.append(lender)
                ways.append((start, token, lender))
    return ways


def _crosses(book: PoolBook, ring: Sequence[int], address: str) -> bool:
    """A pair is locked while it lends: only the first pool may lend to its own path."""
    return any(book.pools[edge >> 1].address == address for edge in ring)


def _never_worse(
    lender: Lender, other: Lender, *, gas: Mapping[tuple[LenderKind, int], Gas], hops: int
) -> bool:
    """Whether the first costs no more than the other at any size, and can lend as much."""
    gas_used, other_gas = gas.get((lender.kind, hops)), gas.get((other.kind, hops))
    if gas_used is None or (other_gas is not None and gas_used > other_gas):
        return False
    if lender.cap is not None and (other.cap is None or lender.cap < other.cap):
        return False
    if lender.premium_bps == 0:
        return True
    # Of one kind and rounding, more bps never cost less; across kinds the rounding decides.
    return (
        lender.kind is other.kind
        and lender.rounding is other.rounding
        and lender.premium_bps <= other.premium_bps
    )


def _best(
    hops: list[Hop],
    *,
    ways: list[tuple[int, int, Lender]],
    sized_for: SizedFor,
    costs: Costs,
    policy: Policy,
) -> _Choice | None:
    best: _Choice | None = None
    best_rank: tuple[bool, bool, int] | None = None
    for start, token, lender in ways:
        turned = [*hops[start:], *hops[:start]] if start else hops
        cap = policy.max_position.get(token)
        size = _sized(turned, lender=lender, cap=cap, sized_for=sized_for)
        if size is None:
            continue
        rate = costs.native_rates.get(token)
        least = policy.threshold(size.amounts[0]) if costs.tips.share_bps else 0  # else not asked
        paid = paid_in_native(
            size.profit, hops=len(hops), kind=lender.kind, costs=costs, rate=rate, least=least
        )
        net = size.profit + paid.total
        meets = size.profit >= policy.contract_min_profit.get(token, 0)
        rank = (paid.complete, meets, rate.scaled_worth(net) if rate else 0)
        if best_rank is None or rank > best_rank:
            best = _Choice(start, token, lender, size, rate, paid)
            best_rank = rank
    return best


def _sized(hops: list[Hop], *, lender: Lender, cap: int | None, sized_for: SizedFor) -> Size | None:
    """The size of that kind; its amounts and premium are the true ones, fees and all."""
    if sized_for is SizedFor.EXECUTION:
        return best_size(hops, lender=lender, cap=cap)
    if lender.cap is not None:
        cap = lender.cap if cap is None else min(cap, lender.cap)
    free = hops if sized_for is SizedFor.NO_PREMIUM else without_fees(hops)
    found = best_size(free, lender=FIRST_POOL, cap=cap)
    if found is None:
        return None
    amount = found.amount
    amounts = walk(hops, amount)
    premium = lender.premium(amount)
    return Size(amounts, premium, amounts[-1] - amount - premium)


def _decided(
    book: PoolBook,
    *,
    cycles: Cycles,
    cycle: int,
    ring: tuple[int, ...],
    choice: _Choice,
    hops: list[Hop],
    products: Products,
    sized_for: SizedFor,
    costs: Costs,
    policy: Policy,
) -> Evaluation | None:
    start, token, lender, size, rate, paid = choice
    path, turned = ring, hops
    if start:
        path, turned = (*ring[start:], *ring[:start]), [*hops[start:], *hops[:start]]
    waterfall = waterfall_of(products, size=size, paid=paid)
    facts = _facts(book, path=path, hops=turned, amounts=size.amounts)
    reason = first_gate(
        waterfall,
        hops=turned,
        stale=_is_stale(book, path),
        token_risk=_at_risk(policy, facts),
        token=token,
        rate=rate,
        costs=costs,
        policy=policy,
    )
    if book.head is None:
        return None
    lends_itself = lender.kind is LenderKind.FIRST_POOL
    return Evaluation(
        block=book.head,
        book_version=book.version,
        cycle=cycle,
        identity=cycles.identity(cycle),
        path=path,
        hops=facts,
        borrow_token=token,
        lender=lender,
        lender_address=book.pools[path[0] >> 1].address if lends_itself else lender.address,
        sized_for=sized_for,
        spread_bps=BPS_ONE * products.out // products.into - BPS_ONE,
        waterfall=waterfall,
        native_rate=rate,
        gas_estimate=costs.gas.get((lender.kind, len(path))),
        gas_price_wei=costs.gas_price_wei,
        tip_wei=paid.tip_wei,
        l1_fee_wei=costs.l1_fee_wei,
        net_wei=None if rate is None else rate.wei_floor(size.profit + paid.total),
        verdict=Verdict.EXECUTABLE if reason is None else Verdict.REJECTED,
        reason=reason,
        spread_class=spread_class(reason),
    )


def _is_stale(book: PoolBook, path: Sequence[int]) -> bool:
    if book.untrusted is not None:
        return True
    return bool(book.unknown or book.quarantined) and any(
        book.stale_reason(edge >> 1) is not None for edge in path
    )


def _at_risk(policy: Policy, facts: Sequence[HopFacts]) -> bool:
    tokens, pools = policy.risky_tokens, policy.risky_pools
    return bool(tokens or pools) and any(
        hop.token_in in tokens or hop.pool in pools for hop in facts
    )


def _facts(
    book: PoolBook, *, path: Sequence[int], hops: Sequence[Hop], amounts: Sequence[int]
) -> tuple[HopFacts, ...]:
    facts = []
    for at, (edge, (reserve_in, reserve_out, fee_bps)) in enumerate(zip(path, hops, strict=True)):
        token_in, token_out = book.edge_tokens(edge)
        facts.append(
            HopFacts._make(
                (
                    edge >> 1,
                    edge,
                    token_in,
                    token_out,
                    fee_bps,
                    reserve_in,
                    reserve_out,
                    amounts[at],
                    amounts[at + 1],
                )
            )
        )
    return tuple(facts)
