"""A borrowed round trip through the deepest pools: read and simulated at one block, never sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from eth_utils import to_checksum_address

from arbsite.base.errors import Rejected
from arbsite.base.units import BPS_ONE, BlockNumber, Bps, TokenAmount, Wei
from contracts.kernel import abi
from contracts.kernel.abi import Call
from contracts.kernel.events import NewHead, decode_head
from contracts.kernel.jsonrpc import RpcError, hex_bytes
from contracts.models import Chain, Deployment, Pool, Token
from contracts.rpc import HttpRpc
from execution.kernel.plan import LenderCode, Plan, PlanHop, encode_execute
from execution.simulator import Simulated, Simulator
from prices.kernel.constant_product import amount_out
from prices.kernel.lenders import Lender, LenderKind, PremiumRounding
from wallets import selectors

# Aave V3's ReserveDataLegacy, which getReserveData answers in every 3.x.
_RESERVE_DATA: Final = (
    "((uint256),uint128,uint128,uint128,uint128,uint128,uint40,uint16,"
    "address,address,address,address,uint128,uint128,uint128)"
)
_FLAGS: Final = {"active": 56, "frozen": 57, "borrowing": 58, "paused": 60, "flashLoan": 63}
_ID, _ATOKEN = 7, 8
_NOBODY: Final = "0x" + "0" * 40
_SHARE: Final = 1_000  # of the pool's reserve is borrowed
_LEAST: Final = 10_000  # raw units: below it rounding hides the fees
_LATER_BLOCKS: Final = 100
_LATER_S: Final = 3_600


class NoLoan(Rejected):
    """A loan of that token cannot be tested there; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveFacts:
    """What the lender says of one token. ``liquidity``: the most it can lend, raw units."""

    reserve_id: int
    atoken: str
    flags: dict[str, bool]
    liquidity: TokenAmount
    premium_bps: Bps
    rounding: PremiumRounding

    @property
    def why_not(self) -> str:
        """Why nothing can be borrowed now; "" where it can."""
        for name, wanted in (
            ("active", True),
            ("frozen", False),
            ("paused", False),
            ("flashLoan", True),
        ):
            if self.flags[name] != wanted:
                return f"the reserve's flag {name} is {str(self.flags[name]).lower()}"
        return "" if self.liquidity else "the reserve is empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A pool as the trip meets it; reserves in raw units, of what goes in and of what comes out."""

    pool: Pool
    zero_for_one: bool
    reserve_in: TokenAmount
    reserve_out: TokenAmount

    @property
    def fee(self) -> Bps:
        """What the pool takes of what goes in."""
        return Bps(self.pool.fee_bps)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """There through the deepest pool of two tokens, back through the next one.

    Not through one pool both ways: tokens go from pair to pair, and a pair cannot pay itself.
    Amounts in raw units of the borrowed token, but ``middle``: of the other one.
    """

    there: Crossing
    home: Crossing
    other: Token
    borrowed: TokenAmount
    middle: TokenAmount
    back: TokenAmount
    gross_spread: int
    swap_fees: int
    price_impact: int
    premium: TokenAmount

    @property
    def steps(self) -> list[tuple[str, int]]:
        """Where it goes, as a waterfall goes."""
        return [
            ("gross_spread", self.gross_spread),
            ("swap_fees", self.swap_fees),
            ("price_impact", self.price_impact),
            ("flash_loan_premium", -self.premium),
        ]

    @property
    def result(self) -> int:
        """What is left before gas."""
        return self.back - self.borrowed - self.premium


@dataclass(frozen=True, slots=True, kw_only=True)
class LoanTest:
    """All that was found. ``simulated`` None: nobody may execute, ``note`` says why."""

    chain: Chain
    token: Token
    head: NewHead
    lender: str
    reserve: ReserveFacts
    trip: RoundTrip
    receiver: Deployment | None
    min_profit: int | None
    simulated: Simulated | None
    note: str = ""


def token_find(chain: Chain, name: str | None) -> Token:
    """The token by symbol or address; without a name the wrapped native coin, else the first.

    Raises: NoLoan naming what there is.
    """
    rows = Token.objects.filter(chain=chain)
    lendable = rows.filter(lendable=True).order_by("id")
    if not name:
        found = lendable.filter(address=chain.wrapped_native).first() or lendable.first()
        if found is None:
            raise NoLoan(f"no token of {chain.key} can be borrowed: run `import_market` again")
        return found
    matching = list(rows.filter(address__iexact=name)) or list(rows.filter(symbol__iexact=name))
    if len(matching) > 1:
        addresses = ", ".join(token.address for token in matching)
        raise NoLoan(f"{len(matching)} tokens call themselves {name!r}: give one of {addresses}")
    if not matching:
        known = ", ".join(lendable.values_list("symbol", flat=True)) or "none"
        raise NoLoan(f"{chain.key} has no token {name[:60]!r}; lendable: {known}")
    return matching[0]


def loan_test(chain: Chain, *, token: Token, rpc: HttpRpc) -> LoanTest:
    """Read the lender and the deepest pool, and simulate the trip, all at one block.

    Raises: NoLoan, RpcUnavailable, RpcError.
    """
    if not chain.aave_pool:
        raise NoLoan(f"{chain.key} has no Aave V3 pool in its market file: nothing lends here")
    head = decode_head(rpc.call("eth_getBlockByNumber", ["latest", False]))
    reserve = _reserve(chain, token=token, rpc=rpc, head=head)
    if reserve.why_not:
        raise NoLoan(f"{token.symbol} cannot be borrowed on {chain.key}: {reserve.why_not}")
    trip = _trip(chain, token=token, reserve=reserve, rpc=rpc, head=head)
    receiver = Deployment.objects.filter(chain=chain, kind="receiver", active=True).first()
    min_profit, simulated, note = (
        None,
        None,
        f"not deployed: `deploy_contracts --chain {chain.key}`",
    )
    if receiver is not None:
        min_profit = _min_profit(receiver, token=token, rpc=rpc, head=head)
        executors = selectors.executors_in_order(deployment_id=receiver.pk)
        note = (
            "" if executors else f"no authorised executor: `authorize_executor --chain {chain.key}`"
        )
        if executors:
            simulated = _simulate(
                rpc,
                sender=executors[0].address,
                receiver=receiver.address,
                plan=_plan(chain, token=token, trip=trip, head=head, min_profit=min_profit or 1),
                chain=chain,
                head=head,
            )
    return LoanTest(
        chain=chain,
        token=token,
        head=head,
        lender=chain.aave_pool,
        reserve=reserve,
        trip=trip,
        receiver=receiver,
        min_profit=min_profit,
        simulated=simulated,
        note=note,
    )


def _reserve(chain: Chain, *, token: Token, rpc: HttpRpc, head: NewHead) -> ReserveFacts:
    lender = chain.aave_pool
    data, premium, virtual = _read(
        rpc,
        head,
        [
            Call(lender, abi.encode_call("getReserveData(address)", token.address)),
            Call(lender, abi.encode_call("FLASHLOAN_PREMIUM_TOTAL()")),
            # Aave before 3.1 does not know this one.
            Call(lender, abi.encode_call("getVirtualUnderlyingBalance(address)", token.address)),
        ],
    )
    if not data or not premium:
        raise NoLoan(f"{lender} does not answer as an Aave V3 pool: check the market file")
    (row,) = abi.decode_result([_RESERVE_DATA], data)
    atoken = str(to_checksum_address(row[_ATOKEN]))
    if atoken == _NOBODY:
        raise NoLoan(f"Aave on {chain.key} has no reserve of {token.symbol} {token.address}")
    (held,) = _read(rpc, head, [Call(token.address, abi.encode_call("balanceOf(address)", atoken))])
    liquidity = abi.decode_uint(held or b"")
    if virtual:
        liquidity = min(liquidity, abi.decode_uint(virtual))
    bits = row[0][0]
    return ReserveFacts(
        reserve_id=row[_ID],
        atoken=atoken,
        flags={name: bool(bits >> bit & 1) for name, bit in _FLAGS.items()},
        liquidity=TokenAmount(liquidity),
        premium_bps=Bps(abi.decode_uint(premium)),
        rounding=PremiumRounding(chain.aave_premium_rounding or PremiumRounding.CEIL),
    )


def _trip(
    chain: Chain, *, token: Token, reserve: ReserveFacts, rpc: HttpRpc, head: NewHead
) -> RoundTrip:
    there, home, other = _deepest_two(chain, token=token, rpc=rpc, head=head)
    x = TokenAmount(min(max(there.reserve_in // _SHARE, _LEAST), reserve.liquidity))
    middle = amount_out(x, there.reserve_in, there.reserve_out, there.fee)
    if not middle:
        raise NoLoan(f"pool {there.pool.address} of {token.symbol} is too shallow to test with")
    back = amount_out(middle, home.reserve_in, home.reserve_out, home.fee)
    # Source: MONEY section 1; exact, so the steps add up to the unit.
    num = x * there.reserve_out * home.reserve_out
    den = there.reserve_in * home.reserve_in
    keeps = (BPS_ONE - there.fee) * (BPS_ONE - home.fee)
    marginal, after_fees = num // den, num * keeps // (den * BPS_ONE**2)
    lender = Lender(
        kind=LenderKind.AAVE_V3,
        address=chain.aave_pool.lower(),
        premium_bps=reserve.premium_bps,
        rounding=reserve.rounding,
        cap=reserve.liquidity,
    )
    return RoundTrip(
        there=there,
        home=home,
        other=other,
        borrowed=x,
        middle=middle,
        back=back,
        gross_spread=marginal - x,
        swap_fees=after_fees - marginal,
        price_impact=back - after_fees,
        premium=lender.premium(x),
    )


def _deepest_two(
    chain: Chain, *, token: Token, rpc: HttpRpc, head: NewHead
) -> tuple[Crossing, Crossing, Token]:
    """Two pools of the same two tokens, of all such couples the one whose second is deepest."""
    rows = Pool.objects.filter(chain=chain, dex__enabled=True, quarantined="")
    pools = [
        pool
        for pool in rows.select_related("dex", "token0", "token1").order_by("id")
        if token.pk in (pool.token0_id, pool.token1_id)
    ]
    data = abi.encode_call("getReserves()")
    answers = _read(rpc, head, [Call(pool.address, data) for pool in pools])
    by_other: dict[Token, list[tuple[int, int, Pool]]] = {}
    for pool, answer in zip(pools, answers, strict=True):
        if not answer:
            continue
        reserve0, reserve1, _ = abi.decode_result(["uint112", "uint112", "uint32"], answer)
        first = pool.token0_id == token.pk
        own, others = (reserve0, reserve1) if first else (reserve1, reserve0)
        if own and others:
            other = pool.token1 if first else pool.token0
            by_other.setdefault(other, []).append((own, others, pool))
    couples = [
        (other, sorted(found, key=lambda each: -each[0])[:2])
        for other, found in by_other.items()
        if len(found) > 1
    ]
    if not couples:
        raise NoLoan(f"no two pools of {chain.key} trade {token.symbol} for the same token")
    other, (deep, next_deep) = max(couples, key=lambda each: each[1][1][0])
    there = Crossing(
        pool=deep[2],
        zero_for_one=deep[2].token0_id == token.pk,
        reserve_in=TokenAmount(deep[0]),
        reserve_out=TokenAmount(deep[1]),
    )
    home = Crossing(
        pool=next_deep[2],
        zero_for_one=next_deep[2].token0_id != token.pk,
        reserve_in=TokenAmount(next_deep[1]),
        reserve_out=TokenAmount(next_deep[0]),
    )
    return there, home, other


def _plan(chain: Chain, *, token: Token, trip: RoundTrip, head: NewHead, min_profit: int) -> Plan:
    return Plan(
        lender_kind=LenderCode.AAVE,
        lender=chain.aave_pool,
        token=token.address,
        amount=trip.borrowed,
        min_profit=TokenAmount(min_profit),
        deadline_s=head.timestamp_s + _LATER_S,
        last_block=BlockNumber(head.number + _LATER_BLOCKS),
        hops=tuple(
            PlanHop(pair=each.pool.address, fee_bps=each.fee, zero_for_one=each.zero_for_one)
            for each in (trip.there, trip.home)
        ),
    )


def _min_profit(receiver: Deployment, *, token: Token, rpc: HttpRpc, head: NewHead) -> int:
    data = abi.encode_call("minProfit(address)", token.address)
    (answer,) = _read(rpc, head, [Call(receiver.address, data)])
    return abi.decode_uint(answer or b"")


def _simulate(
    rpc: HttpRpc, *, sender: str, receiver: str, plan: Plan, chain: Chain, head: NewHead
) -> Simulated:
    simulator = Simulator(rpc, timeout_s=10.0)
    return simulator.simulate(
        sender=sender,
        to=receiver,
        data=encode_execute(plan),
        value_wei=Wei(0),
        gas_price_wei=Wei(max(chain.min_gas_price_wei, head.base_fee_wei or 0)),
        block_hash=head.hash,
    )


def _read(rpc: HttpRpc, head: NewHead, calls: Sequence[Call]) -> list[bytes | None]:
    at = {"blockHash": head.hash}
    asked: list[tuple[str, list[Any]]] = [
        ("eth_call", [{"to": call.to, "data": "0x" + call.data.hex()}, at]) for call in calls
    ]
    return [
        None if isinstance(answer, RpcError) else hex_bytes(answer) or None
        for answer in rpc.batch(asked, timeout_s=10.0)
    ]
