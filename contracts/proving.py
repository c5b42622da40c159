"""What pools enforce and tokens deliver, told by simulated swaps. Reads only; writes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from contracts.kernel import abi
from contracts.kernel.abi import BadAnswer
from contracts.kernel.jsonrpc import RpcError
from contracts.rpc import HttpRpc

Block = str | dict[str, str]
BPS: Final = 10_000
LEAST_AMOUNT: Final = 10_000  # below it, rounding hides a fee of one basis point
HOLDERS: Final = 2


class SwapProof(StrEnum):
    """What one simulated swap showed."""

    EXACT = "exact"  # the computed output arrives to the unit, and not one unit more is let go
    TAXED_IN = "taxed_in"  # less than was sent arrives at the pool, or the token refuses to be sent
    TAXED_OUT = "taxed_out"  # less than the pool let go arrives
    OTHER_FEE = "other_fee"  # the pool enforces another fee than the one claimed
    REFUSED = "refused"  # the pool lets nothing go, whatever the fee
    UNTRIED = "untried"  # dust, no other holder of the input token, or a node without overrides


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFact:
    """A pool found on chain."""

    dex: str
    router: str
    base: str
    quote: str
    address: str
    token0: str
    token1: str
    reserve0: int
    reserve1: int


@dataclass(frozen=True, slots=True)
class _Tried:
    paid: int
    received: int
    swapped: bool


def prove_swap(
    pool: PoolFact,
    *,
    fee_bps: int,
    pools: Sequence[PoolFact],
    rpc: HttpRpc,
    block: Block,
    zero_for_one: bool = True,
) -> SwapProof:
    """Whether the pool takes exactly ``fee_bps`` and both tokens arrive to the unit.

    The output computed passes, and one unit more reverts or the exchange's router quotes exactly
    the output computed (BabySwap's pairs take less than its router prices; the router's fee is then
    the one that no arithmetic of ours may beat). The swap runs with the prover's code put, for this
    call alone, at addresses that really hold the input token; one that fails decides.

    Raises: RpcUnavailable.
    """
    reserve_in, reserve_out = (
        (pool.reserve0, pool.reserve1) if zero_for_one else (pool.reserve1, pool.reserve0)
    )
    token_in = pool.token0 if zero_for_one else pool.token1
    others = _holders(pool, token_in, pools)
    if not others:
        return SwapProof.UNTRIED
    amount_in = max(LEAST_AMOUNT, min(reserve_in // 10_000, others[0][0] // 100))
    after_fee = amount_in * (BPS - fee_bps)
    computed = after_fee * reserve_out // (reserve_in * BPS + after_fee) if reserve_in else 0
    if computed == 0:
        return SwapProof.UNTRIED
    outcome = SwapProof.UNTRIED
    trial = _Trial(pool, amount_in, zero_for_one, rpc, block)
    for held, holder in others:
        if held < 2 * amount_in:
            continue  # it could not pay, and the token would be blamed
        found = trial.judge(holder, computed)
        if found not in (SwapProof.EXACT, SwapProof.UNTRIED):
            return found
        outcome = SwapProof.EXACT if found is SwapProof.EXACT else outcome
    return outcome


def _holders(pool: PoolFact, token: str, pools: Sequence[PoolFact]) -> list[tuple[int, str]]:
    """Other contracts that really hold ``token`` with how much, the richest first."""
    others = [
        (each.reserve0 if each.token0 == token else each.reserve1, each.address)
        for each in pools
        if each.address != pool.address and token in (each.token0, each.token1)
    ]
    return sorted(others, reverse=True)[:HOLDERS]


@dataclass(frozen=True, slots=True)
class _Trial:
    """One amount through one pool, from whichever holder."""

    pool: PoolFact
    amount_in: int
    zero_for_one: bool
    rpc: HttpRpc
    block: Block

    @property
    def tokens(self) -> tuple[str, str]:
        """(in, out)."""
        sides = (self.pool.token0, self.pool.token1)
        return sides if self.zero_for_one else (sides[1], sides[0])

    def judge(self, holder: str, computed: int) -> SwapProof:
        """What the computed output, one unit more, or clearly less shows."""
        first = self.swap(holder, computed)
        if first is None:
            return SwapProof.UNTRIED
        if first.paid != self.amount_in:
            return SwapProof.TAXED_IN
        if not first.swapped:
            less = self.swap(holder, computed * 9 // 10)
            return SwapProof.OTHER_FEE if less and less.swapped else SwapProof.REFUSED
        if first.received != computed:
            return SwapProof.TAXED_OUT
        beyond = self.swap(holder, computed + 1)
        if beyond is None:
            return SwapProof.UNTRIED
        if not beyond.swapped or self.quoted() == computed:
            return SwapProof.EXACT
        return SwapProof.OTHER_FEE

    def swap(self, holder: str, amount_out: int) -> _Tried | None:
        """One simulated swap; None where the node could not simulate it."""
        data = abi.encode_call(
            "prove(address,address,address,uint256,uint256,bool)",
            self.pool.address, *self.tokens, self.amount_in, amount_out, self.zero_for_one,
        )  # fmt: skip
        code = abi.artifact("SwapProver")["deployedBytecode"]
        try:
            answer = self.rpc.eth_call(
                to=holder, data=data, block=self.block, overrides={holder: {"code": code}}
            )
            paid, received, swapped = abi.decode_result(["uint256", "uint256", "bool"], answer)
        except (RpcError, BadAnswer):
            return None
        return _Tried(int(paid), int(received), bool(swapped))

    def quoted(self) -> int | None:
        """What the exchange's router says of this swap."""
        data = abi.encode_call(
            "getAmountsOut(uint256,address[])", self.amount_in, list(self.tokens)
        )
        try:
            answer = self.rpc.eth_call(to=self.pool.router, data=data, block=self.block)
            return int(abi.decode_result(["uint256[]"], answer)[0][-1])
        except (RpcError, BadAnswer, IndexError):
            return None
