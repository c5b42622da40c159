"""One cycle at one state, decided: borrow token, lender, size, waterfall, verdict. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import prod
from typing import NamedTuple

from arbsite.base.units import BPS_ONE, Bps, Gas, TokenAmount, Wei
from prices.kernel.book import BlockRef, PoolBook
from prices.kernel.costs import Costs, NativeRate, Policy
from prices.kernel.cycles import Cycles
from prices.kernel.lenders import FIRST_POOL, Lender, LenderKind
from prices.kernel.sizing import Hop, Size, best_size, walk, without_fees
from prices.kernel.waterfall import (
    Paid,
    Reason,
    SpreadClass,
    Verdict,
    Waterfall,
    explain,
    first_gate,
    paid_in_native,
    spread_class,
)

Lenders = Mapping[int, Sequence[Lender]]  # by token index; equal nets go to the earlier lender


class SizedFor(StrEnum):
    """What the size is the best of, where nothing better pays (MONEY section 1)."""

    EXECUTION = "execution"
    NO_PREMIUM = "no_premium"
    NO_PREMIUM_NO_FEES = "no_premium_no_fees"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
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
    section 1. A way whose costs are not all known comes after every way whose costs are.

    Returns: None where prod S <= prod R (not an opportunity), where a pool is empty or unknown,
        or where no lender of ``lenders`` fits.
    """
    ring = cycles.path(cycle)
    hops = [Hop(*book.edge_reserves(edge), book.pools[edge >> 1].fee_bps) for edge in ring]
    rate_num = prod(hop[1] for hop in hops)
    rate_den = prod(hop[0] for hop in hops)
    if not rate_den or rate_num <= rate_den or book.head is None:
        return None
    ways = _ways(book, ring=ring, lenders=lenders, costs=costs)
    after_fee = rate_num * prod(BPS_ONE - hop[2] for hop in hops)
    pays = after_fee > rate_den * BPS_ONE ** len(hops)
    for sized_for in SizedFor if pays else (SizedFor.NO_PREMIUM_NO_FEES,):
        choice = _best(hops, ways=ways, sized_for=sized_for, costs=costs, policy=policy)
        if choice is not None:
            spread = BPS_ONE * rate_num // rate_den - BPS_ONE
            return _decided(
                book,
                cycles=cycles,
                cycle=cycle,
                choice=choice,
                hops=hops,
                spread=spread,
                sized_for=sized_for,
                costs=costs,
                policy=policy,
            )
    return None


def _ways(
    book: PoolBook, *, ring: Sequence[int], lenders: Lenders, costs: Costs
) -> list[tuple[int, int, Lender]]:
    """(rotation, borrow token, lender) of every loan that could carry the ring best."""
    ways: list[tuple[int, int, Lender]] = []
    for start, edge in enumerate(ring):
        token = book.edge_tokens(edge)[0]
        kept: list[Lender] = []
        for lender in lenders.get(token, ()):
            # A pair is locked while it lends: only the first pool may lend to its own path.
            locked = lender.kind is LenderKind.PAIR and any(
                book.pools[edge >> 1].address == lender.address for edge in ring
            )
            if not locked and not any(
                _never_worse(each, lender, gas=costs.gas, hops=len(ring)) for each in kept
            ):
                kept.append(lender)
                ways.append((start, token, lender))
    return ways


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
    best_rank: tuple[bool, int] | None = None
    for start, token, lender in ways:
        turned = [*hops[start:], *hops[:start]]
        cap = policy.max_position.get(token)
        size = _sized(turned, lender=lender, cap=cap, sized_for=sized_for)
        if size is None:
            continue
        rate = costs.native_rates.get(token)
        paid = paid_in_native(
            size.profit,
            hops=len(hops),
            kind=lender.kind,
            costs=costs,
            rate=rate,
            least=policy.threshold(size.amount),
        )
        net = size.profit + paid.total
        rank = (paid.complete, rate.scaled_worth(net) if rate else 0)
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
    choice: _Choice,
    hops: list[Hop],
    spread: int,
    sized_for: SizedFor,
    costs: Costs,
    policy: Policy,
) -> Evaluation | None:
    start, token, lender, size, rate, paid = choice
    path = cycles.path(cycle, start=start)
    turned = [*hops[start:], *hops[:start]]
    waterfall = explain(
        turned,
        size=size,
        lender=lender,
        costs=costs,
        rate=rate,
        least=policy.threshold(size.amount),
    )
    facts = _facts(book, path=path, hops=turned, amounts=size.amounts)
    reason = first_gate(
        waterfall,
        hops=turned,
        stale=any(book.stale_reason(hop.pool) is not None for hop in facts),
        token_risk=any(
            hop.token_in in policy.risky_tokens or hop.pool in policy.risky_pools for hop in facts
        ),
        token=token,
        rate=rate,
        costs=costs,
        policy=policy,
    )
    first_pool = lender.kind is LenderKind.FIRST_POOL
    if book.head is None:
        return None
    return Evaluation(
        block=book.head,
        book_version=book.version,
        cycle=cycle,
        identity=cycles.identity(cycle),
        path=path,
        hops=facts,
        borrow_token=token,
        lender=lender,
        lender_address=book.pools[facts[0].pool].address if first_pool else lender.address,
        sized_for=sized_for,
        spread_bps=spread,
        waterfall=waterfall,
        native_rate=rate,
        gas_estimate=costs.gas.get((lender.kind, len(path))),
        gas_price_wei=costs.gas_price_wei,
        tip_wei=paid.tip_wei,
        l1_fee_wei=costs.l1_fee_wei,
        net_wei=None if rate is None else rate.wei_floor(waterfall.net),
        verdict=Verdict.EXECUTABLE if reason is None else Verdict.REJECTED,
        reason=reason,
        spread_class=spread_class(reason),
    )


def _facts(
    book: PoolBook, *, path: Sequence[int], hops: Sequence[Hop], amounts: Sequence[int]
) -> tuple[HopFacts, ...]:
    return tuple(
        HopFacts(
            edge >> 1,
            edge,
            *book.edge_tokens(edge),
            Bps(hop.fee_bps),
            TokenAmount(hop.reserve_in),
            TokenAmount(hop.reserve_out),
            TokenAmount(amounts[at]),
            TokenAmount(amounts[at + 1]),
        )
        for at, (edge, hop) in enumerate(zip(path, hops, strict=True))
    )
