"""What the record says that an execution must respect: read in few queries, some of it kept."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

from django.db import connection
from eth_utils.address import to_checksum_address

from arbsite.base.rows import Statement, literals
from arbsite.base.units import Gas, Wei, mul_div_ceil
from contracts.models import Chain, Deployment
from execution import fast_mode, selectors
from execution.executors import Executor, executors_of
from execution.kernel.gate import GateState, Mode
from execution.memory import Memory
from execution.models import FastMode
from prices import adapters as price_adapters
from prices.kernel.lenders import LenderKind
from prices.models import GasUse
from wallets import selectors as wallet_selectors
from wallets import services as wallet_services
from wallets.models import Wallet

KEPT_S: Final = 1.0
LIMIT_NUM: Final = 5  # a gas limit is 5/4 of the most that was used: refunds are at most a fifth
LIMIT_DEN: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Rows that change by a person's hand or a receipt; at most `KEPT_S` old.

    ``kill_epoch`` is read before all others: whatever disarms or kills after it raises the epoch,
    and the sender then refuses what was planned with this one. ``gas_limits``: per lender kind and
    hops, from receipts alone; ``gas_expected``: from estimates too, for costs. ``executors`` are
    in order; ``wallet`` is the one that has the turn, the first until somebody chose.
    ``balances``: what each wallet held as last read, only where a tip may be paid of it.
    """

    kill_epoch: int
    mode: FastMode
    deployment: Deployment | None
    executors: tuple[Executor, ...]
    wallet: Wallet | None
    gas_limits: dict[tuple[str, int], Gas]
    gas_expected: dict[tuple[LenderKind, int], Gas]
    consecutive_failures: int
    balances: Mapping[int, Wei]
    read_at: float

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() - self.read_at < KEPT_S


def standing_read(chain: Chain) -> Standing:
    """Read it all. Queries: 8, or 9 where tips are offered."""
    read_at = time.monotonic()
    epoch = wallet_services.kill_epoch(chain.key)
    mode = fast_mode.fast_mode_ensure(chain=chain)
    deployment, executors = contract_of(chain)
    uses = list(GasUse.objects.filter(chain=chain))
    return Standing(
        kill_epoch=epoch,
        mode=mode,
        deployment=deployment,
        executors=executors,
        wallet=executors[0].wallet if executors else None,
        gas_limits={
            (use.lender_kind, use.hops): Gas(mul_div_ceil(use.largest_gas, LIMIT_NUM, LIMIT_DEN))
            for use in uses
            if use.source == "receipt"
        },
        gas_expected=price_adapters.gas_expected(uses),
        consecutive_failures=selectors.consecutive_failures(
            chain=chain, since=mode.counts_from, most=mode.config.max_consecutive_failures
        ),
        balances=_balances(chain) if mode.config.tip_share_bps else {},
        read_at=read_at,
    )


def _balances(chain: Chain) -> dict[int, Wei]:
    found = wallet_selectors.balances_latest(chain_key=chain.key)
    return {pk: Wei(int(row.balance_wei)) for pk, row in found.items()}


def contract_of(chain: Chain) -> tuple[Deployment | None, tuple[Executor, ...]]:
    """The chain's receiver and the executors that may call it, in order. Four queries."""
    deployment = Deployment.objects.filter(chain=chain, kind="receiver", active=True).first()
    if deployment is None:
        return None, ()
    return deployment, executors_of(deployment_id=deployment.pk)


class GateFacts(NamedTuple):
    """What the gate asks of the record at each decision, as read at one moment."""

    killed: bool
    mode: Mode | None
    now_ms: int
    denied: bool
    in_flight: selectors.InFlight
    executions_last_hour: int


# The book takes a denial with its next load: until then nothing through that pool is sent.
# Then what is on its way, the wallet and the path of each; last, what an hour's limit counts.
# What is on its way is few of very many: its plan has to find the index of the open ones.
_NOW: Final = f"""
SELECT (SELECT count(*) FROM wallets_killstate WHERE scope IN ('*', %(chain)s) AND NOT engaged),
       (SELECT state FROM execution_fastmode WHERE chain_id = %(chain)s),
       (SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)),
       EXISTS (
           SELECT 1 FROM contracts_pool pool
           JOIN contracts_pair pair ON pair.id = pool.pair_id
           JOIN contracts_token one ON one.id = pool.token0_id
           JOIN contracts_token other ON other.id = pool.token1_id
           WHERE pool.chain_id = %(chain)s AND pool.address = ANY(%(pools)s)
             AND (pair.denied OR one.denied OR other.denied)
       ),
       (SELECT coalesce(json_agg(json_build_array(sent.wallet_id, made.path)), '[]')::text
          FROM wallets_transaction sent
          LEFT JOIN execution_execution made ON made.transaction_id = sent.id
         WHERE sent.chain_id = %(chain)s AND sent.status IN {literals(selectors.HOLDS_WALLET)}
           AND NOT sent.simulated_only),
       CASE WHEN %(limited)s THEN (
           SELECT count(*) FROM execution_execution made
            WHERE made.chain_id = %(chain)s AND made.kind = 'arbitrage' AND made.automatic
              AND made.transaction_id IS NOT NULL
              AND made.created_at >= now() - interval '1 hour'
       ) ELSE 0 END
"""  # noqa: S608  constants


@lru_cache(maxsize=200_000)
def _as_kept(address: str) -> str:
    """As its column has it: checksummed."""
    return str(to_checksum_address(address))


def gate_question(standing: Standing, *, chain: Chain, pools: Sequence[str]) -> Statement:
    """What asks for `GateFacts`. ``pools``: addresses of the path's."""
    asked = {
        "chain": chain.key,
        "pools": [_as_kept(pool) for pool in pools],
        "limited": standing.mode.config.max_executions_per_hour > 0,
    }
    return Statement(_NOW, asked)


def gate_facts(row: tuple[Any, ...] | None) -> GateFacts:
    """The answer to `gate_question`; what cannot be read stands against everything."""
    clear, mode, now_ms, denied, on_their_way, last_hour = row or (0, "off", 0, True, "[]", 0)
    return GateFacts(
        killed=clear != 2,
        mode=Mode(mode) if mode else None,
        now_ms=now_ms,
        denied=denied,
        in_flight=selectors.in_flight_of(json.loads(on_their_way)),
        executions_last_hour=last_hour,
    )


def gate_facts_read(standing: Standing, *, chain: Chain, pools: Sequence[str]) -> GateFacts:
    """Ask now. One query."""
    question = gate_question(standing, chain=chain, pools=pools)
    with connection.cursor() as cursor:
        cursor.execute(question.sql, question.values)
        return gate_facts(cursor.fetchone())


def gate_state(
    standing: Standing, facts: GateFacts, *, head_hash: str, memory: Memory
) -> GateState:
    """What stands in the way: the rows that are kept, and what was asked of the record."""
    config = fast_mode.gate_config(standing.mode.config)
    ends = standing.mode.expires_at
    wallet_pk = standing.wallet.pk if standing.wallet else None
    return GateState(
        killed=facts.killed,
        denied=facts.denied,
        mode=facts.mode,
        config=config,
        now_ms=facts.now_ms,
        head_hash=head_hash,
        armed_until_ms=int(ends.timestamp() * 1000) if ends else None,
        executions_last_hour=facts.executions_last_hour,
        consecutive_failures=standing.consecutive_failures,
        last_execution_ms=memory.last_execution_ms,
        wallet_busy=wallet_pk in facts.in_flight.wallets,
        pools_in_flight=facts.in_flight.pools,
        pools_taken=memory.pools_taken(head_hash),
        acted_on=memory.acted_on,
    )
