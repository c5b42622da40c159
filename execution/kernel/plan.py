"""The plan that the receiver executes: its value, its calldata, its bounds in time; no I/O."""

import re
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final

from arbsite.base.errors import Rejected
from arbsite.base.units import BPS_ONE, UINT256_MAX, BlockNumber, Bps, TokenAmount
from contracts.kernel.abi import selector
from prices.kernel.book import PoolBook
from prices.kernel.costs import Policy
from prices.kernel.lenders import LenderKind
from prices.kernel.opportunity import Evaluation
from prices.kernel.waterfall import Verdict, on_chain_min_profit

SIGNATURE: Final = "execute((uint8,address,address,uint256,uint256,uint64,uint64,bytes32[]))"
SELECTOR: Final = selector(SIGNATURE)
MAX_HOPS: Final = 16
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_UINT64_MAX: Final = 2**64 - 1
_ADDRESS_MAX: Final = 2**160 - 1
_FEE_SHIFT: Final = 160
_DIRECTION_SHIFT: Final = 176
_WORD: Final = 32
# Words after the selector: where the struct begins, its seven values, where its hops begin, how
# many they are.
_HEAD_WORDS: Final = 10
_STRUCT_AT: Final = 0x20
_HOPS_AT: Final = 0x100
_SIZED_WORDS: Final = 4  # amount, minProfit, deadline, lastBlock: one run of bytes


class LenderCode(IntEnum):
    """``lenderKind`` as the contract numbers it."""

    AAVE = 0
    PAIR = 1
    FIRST_POOL = 2


LENDER_CODES: Final = {
    LenderKind.AAVE_V3: LenderCode.AAVE,
    LenderKind.PAIR: LenderCode.PAIR,
    LenderKind.FIRST_POOL: LenderCode.FIRST_POOL,
}


class BadPlan(Rejected):
    """Values or calldata that no plan of ours has."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"this is no plan that the receiver would execute: {why}")


class NotExecutable(Rejected):
    """An opportunity that does not pay was to become a transaction."""

    def __init__(self, *, identity: str, reason: str) -> None:
        self.identity = identity
        self.reason = reason
        super().__init__(f"cycle {identity} is not executed: {reason}; wait for a better state")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanHop:
    """One crossing. ``pair`` is a hex address of any case; kept in lower case."""

    pair: str
    fee_bps: Bps
    zero_for_one: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "pair", _lower(self.pair, name="pair"))
        if not 0 <= self.fee_bps < BPS_ONE:
            raise BadPlan(f"a fee of {self.fee_bps} bps is not in [0, {BPS_ONE})")

    def packed(self) -> int:
        """``pair | feeBps << 160 | zeroForOne << 176``."""
        return (
            int(self.pair, 16)
            | self.fee_bps << _FEE_SHIFT
            | int(self.zero_for_one) << _DIRECTION_SHIFT
        )


def unpack_hop(word: int) -> PlanHop:
    """The crossing that a word spells. Raises: BadPlan for a bit above 176 or a fee of 100 %."""
    direction = word >> _DIRECTION_SHIFT
    if not 0 <= direction <= 1:
        raise BadPlan(f"hop {word:#066x} has bits set that no hop has")
    return PlanHop(
        pair=f"0x{word & _ADDRESS_MAX:040x}",
        fee_bps=Bps(word >> _FEE_SHIFT & 0xFFFF),
        zero_for_one=direction == 1,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The contract's ``Plan``: raw units of ``token``, Unix seconds, block numbers.

    ``hops`` begins with the lending pair itself where a pair outside the path lends.
    ``min_profit`` is before gas. ``last_block``: the last block at which it may run. Addresses are
    kept in lower case. Raises: BadPlan for a value that the struct or the contract cannot take.
    """

    lender_kind: LenderCode
    lender: str
    token: str
    amount: TokenAmount
    min_profit: TokenAmount
    deadline_s: int
    last_block: BlockNumber
    hops: tuple[PlanHop, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "lender", _lower(self.lender, name="lender"))
        object.__setattr__(self, "token", _lower(self.token, name="token"))
        _check_sized(self.amount, self.min_profit, self.deadline_s, self.last_block)
        if not 0 < len(self.hops) <= MAX_HOPS:
            raise BadPlan(f"{len(self.hops)} hops, not 1 to {MAX_HOPS}")


class PlanTemplate:
    """Calldata with holes: lender, token and path stand, amounts and bounds are filled in.

    Worth keeping per cycle and lender: a fill costs a microsecond.
    """

    __slots__ = ("_head", "_tail")

    def __init__(
        self, *, lender_kind: LenderCode, lender: str, token: str, hops: tuple[PlanHop, ...]
    ) -> None:
        if not 0 < len(hops) <= MAX_HOPS:
            raise BadPlan(f"{len(hops)} hops, not 1 to {MAX_HOPS}")
        self._head = SELECTOR + _words(
            _STRUCT_AT,
            lender_kind,
            int(_lower(lender, name="lender"), 16),
            int(_lower(token, name="token"), 16),
        )
        self._tail = _words(_HOPS_AT, len(hops), *(hop.packed() for hop in hops))

    def fill(
        self, *, amount: TokenAmount, min_profit: TokenAmount, deadline_s: int, last_block: int
    ) -> bytes:
        """The calldata, byte-equal to the ABI encoding. Raises: BadPlan."""
        _check_sized(amount, min_profit, deadline_s, last_block)
        sized = amount << 768 | min_profit << 512 | deadline_s << 256 | last_block
        return self._head + sized.to_bytes(_SIZED_WORDS * _WORD, "big") + self._tail


@lru_cache(maxsize=4096)
def _template(
    lender_kind: LenderCode, lender: str, token: str, hops: tuple[PlanHop, ...]
) -> PlanTemplate:
    return PlanTemplate(lender_kind=lender_kind, lender=lender, token=token, hops=hops)


def encode_execute(plan: Plan) -> bytes:
    """The calldata of ``execute(plan)``, byte-equal to the ABI encoding.

    A path that was encoded before has its skeleton still, and only its holes are filled.
    """
    return _template(plan.lender_kind, plan.lender, plan.token, plan.hops).fill(
        amount=plan.amount,
        min_profit=plan.min_profit,
        deadline_s=plan.deadline_s,
        last_block=plan.last_block,
    )


def decode_execute(data: bytes) -> Plan:
    """The plan that calldata of ``execute`` carries.

    Raises: BadPlan for anything `encode_execute` would not have written to the byte.
    """
    if data[:4] != SELECTOR:
        raise BadPlan(f"selector 0x{data[:4].hex()} is not that of execute")
    size = len(data) - 4
    if size % _WORD or not _HEAD_WORDS < size // _WORD <= _HEAD_WORDS + MAX_HOPS:
        raise BadPlan(f"{len(data)} bytes of calldata")
    words = [int.from_bytes(data[at : at + _WORD], "big") for at in range(4, len(data), _WORD)]
    kind, lender, token = words[1:4]
    if kind not in tuple(LenderCode):
        raise BadPlan(f"lender kind {kind}")
    if max(lender, token) > _ADDRESS_MAX:
        raise BadPlan("an address of more than 20 bytes")
    plan = Plan(
        lender_kind=LenderCode(kind),
        lender=f"0x{lender:040x}",
        token=f"0x{token:040x}",
        amount=TokenAmount(words[4]),
        min_profit=TokenAmount(words[5]),
        deadline_s=words[6],
        last_block=BlockNumber(words[7]),
        hops=tuple(unpack_hop(word) for word in words[_HEAD_WORDS:]),
    )
    if encode_execute(plan) != data:
        raise BadPlan("its offsets or its count of hops are not those of the encoding")
    return plan


def last_block_of(data: bytes) -> BlockNumber | None:
    """The ``lastBlock`` that calldata carries, None where it is no ``execute`` of ours."""
    try:
        return decode_execute(data).last_block
    except BadPlan:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """How long a plan may wait: ``blocks`` after the one it was decided on, ``seconds`` after it.

    ``blocks`` is the bound; ``seconds`` is the backstop, since fast blocks share a timestamp.
    """

    blocks: int
    seconds: int

    def __post_init__(self) -> None:
        if self.blocks < 1 or self.seconds < 1:
            raise ValueError(f"blocks={self.blocks} and seconds={self.seconds} are at least 1")


@lru_cache(maxsize=64)
def validity_for(*, block_time_ms: int, blocks: int = 3, slack_s: int = 30) -> Validity:
    """So many blocks, and the seconds they take (rounded up) with some slack for clocks."""
    return Validity(blocks=blocks, seconds=-(-blocks * block_time_ms // 1000) + slack_s)


def plan_from(
    evaluation: Evaluation,
    *,
    book: PoolBook,
    policy: Policy,
    max_slippage_bps: Bps,
    validity: Validity,
    block_timestamp_s: int,
) -> Plan:
    """The plan of an executable opportunity, to be decided on at its block.

    ``minProfit`` is `on_chain_min_profit`: the largest of the contract's minimum, costs plus
    threshold, and the expected profit less the slippage. ``block_timestamp_s``: of that block.

    Raises: NotExecutable for an opportunity with a reason against it; BadPlan.
    """
    if evaluation.verdict is not Verdict.EXECUTABLE:
        raise NotExecutable(identity=evaluation.identity, reason=str(evaluation.reason))
    return plan_to_simulate(
        evaluation,
        book=book,
        policy=policy,
        max_slippage_bps=max_slippage_bps,
        validity=validity,
        block_timestamp_s=block_timestamp_s,
    )


def plan_to_simulate(
    evaluation: Evaluation,
    *,
    book: PoolBook,
    policy: Policy,
    max_slippage_bps: Bps,
    validity: Validity,
    block_timestamp_s: int,
) -> Plan:
    """`plan_from` for any opportunity, to be looked at and never sent. Raises: BadPlan."""
    waterfall = evaluation.waterfall
    hops = _lending_hop(evaluation, book=book)
    for hop in evaluation.hops:
        # Even edges of the book go from token0 to token1.
        hops.append(_crossing(book.pools[hop.pool].address, hop.fee_bps, not hop.edge & 1))
    return Plan(
        lender_kind=LENDER_CODES[evaluation.lender.kind],
        lender=evaluation.lender_address,
        token=book.tokens[evaluation.borrow_token],
        amount=evaluation.borrow_amount,
        min_profit=on_chain_min_profit(
            waterfall,
            amount_out=evaluation.amount_out,
            max_slippage_bps=max_slippage_bps,
            contract_min=policy.contract_min_profit.get(evaluation.borrow_token, 0),
            floor=policy.threshold(waterfall.amount),
        ),
        deadline_s=block_timestamp_s + validity.seconds,
        last_block=BlockNumber(evaluation.block.number + validity.blocks),
        hops=tuple(hops),
    )


@lru_cache(maxsize=16_384)
def _crossing(pair: str, fee_bps: Bps, zero_for_one: bool) -> PlanHop:
    """One object for each crossing: it is checked once, and templates find it by identity."""
    return PlanHop(pair=pair, fee_bps=fee_bps, zero_for_one=zero_for_one)


def _lending_hop(evaluation: Evaluation, *, book: PoolBook) -> list[PlanHop]:
    """The pair outside the path that lends, which the contract wants before the path.

    Its direction says which of its tokens is lent; its fee says what is repaid.
    """
    lender = evaluation.lender
    if lender.kind is not LenderKind.PAIR:
        return []
    index = book.pool_index(lender.address)
    if index is None or evaluation.borrow_token not in book.edge_tokens(2 * index):
        raise BadPlan(f"pair {lender.address} does not lend the borrow token")
    zero_for_one = book.pools[index].token0 == evaluation.borrow_token
    return [_crossing(lender.address, lender.premium_bps, zero_for_one)]


def _lower(address: str, *, name: str) -> str:
    lower = _address(address)
    if lower is None:
        raise BadPlan(f"its {name} is no address")
    return lower


@lru_cache(maxsize=4096)
def _address(text: str) -> str | None:
    return None if _ADDRESS.fullmatch(text) is None else text.lower()


def _check_sized(amount: int, min_profit: int, deadline_s: int, last_block: int) -> None:
    if not 0 < amount <= UINT256_MAX:
        raise BadPlan(f"amount {amount}")
    if not 0 < min_profit <= UINT256_MAX:
        raise BadPlan(f"minimum profit {min_profit}: it is always above zero")
    if not 0 < deadline_s <= _UINT64_MAX or not 0 < last_block <= _UINT64_MAX:
        raise BadPlan(f"deadline {deadline_s} or last block {last_block} is not in (0, 2^64)")


def _words(*values: int) -> bytes:
    return b"".join(value.to_bytes(_WORD, "big") for value in values)
