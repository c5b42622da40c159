"""The shadow check: executable opportunities that were not sent, seen one and two blocks later.

Off the hot path, in a worker: the writer of opportunities leaves a sighting of each, and here it is
read from the logs what its pools did in the next two blocks. What was sent is dropped: its result
is in its receipt.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from arbsite.base.units import BlockNumber, Bps
from contracts.kernel.events import SYNC_TOPIC, decode_sync
from contracts.kernel.jsonrpc import RpcError
from contracts.models import Chain, Pool
from contracts.rpc import HttpRpc
from execution import fast_mode
from execution.kernel.shadow import LOOKS, Fate, Looked, Moved, Sight, look_again
from execution.models import Execution, ShadowCheck
from prices.kernel.lenders import Lender, LenderKind, PremiumRounding
from prices.kernel.sizing import Hop
from prices.models import Sighting

logger = logging.getLogger(__name__)
AT_ONCE: Final = 500
SPAN_BLOCKS: Final = 50  # of one request for logs
KEEP: Final = timedelta(days=14)
LATE: Final = timedelta(hours=1)  # nobody looked in time: its blocks are too far back to ask for
LINKED: Final = timedelta(minutes=1)


def shadow_look(*, chain: Chain, rpc: HttpRpc) -> int:
    """Look at every sighting that is two blocks old. Returns how many checks were kept.

    Idempotent: a sighting is removed in the commit that keeps its check. Raises: RpcUnavailable.
    """
    now = timezone.now()
    Sighting.objects.filter(chain=chain, at__lt=now - LATE).delete()
    head = int(str(_answer(rpc.call("eth_blockNumber"))), 16)
    old = Sighting.objects.filter(chain=chain, block_number__lte=head - LOOKS)
    rows = list(old.select_related("borrow_token").order_by("block_number", "pk")[:AT_ONCE])
    rows = [row for row in rows if row.block_number < rows[0].block_number + SPAN_BLOCKS]
    if not rows:
        return 0
    pools = _pools(rows)
    sent = _sent(chain, rows)
    standing = _standing(rpc, {row.block_number for row in rows})
    unsent = [
        row
        for row in rows
        if row.pk not in sent
        and standing.get(row.block_number) == row.block_hash
        and all(pk in pools for pk in row.pools)
    ]
    checks = _checks(chain, rpc, unsent, pools=pools)
    with transaction.atomic():
        ShadowCheck.objects.bulk_create(checks, ignore_conflicts=True)
        Sighting.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return len(checks)


def shadow_prune() -> int:
    """Remove checks past their keep. Returns how many."""
    return ShadowCheck.objects.filter(at__lt=timezone.now() - KEEP).delete()[0]


def _answer(answer: Any) -> Any:
    if isinstance(answer, RpcError):
        raise answer
    return answer


def _pools(rows: Iterable[Sighting]) -> dict[int, Pool]:
    wanted = {pk for row in rows for pk in row.pools}
    return {pool.pk: pool for pool in Pool.objects.select_related("dex").filter(pk__in=wanted)}


def _sent(chain: Chain, rows: Sequence[Sighting]) -> set[int]:
    """Sightings that became an execution with a signed payload, within the looks. One query.

    By the path as well as by the row: an execution can be faster than its opportunity's row.
    """
    since = min(row.at for row in rows) - LINKED
    acted = list(
        Execution.objects.filter(
            chain=chain, created_at__gte=since, transaction__attempts__isnull=False
        )
        .values_list("opportunity_id", "key", "block_number")
        .distinct()
    )
    found = set()
    for row in rows:
        last = row.block_number + LOOKS
        for opportunity_id, key, block in acted:
            same = opportunity_id == row.opportunity_id or key.endswith(f":{row.cycle}")
            if same and (block is None or row.block_number <= block <= last):
                found.add(row.pk)
    return found


def _standing(rpc: HttpRpc, numbers: set[int]) -> dict[int, str]:
    """The chain's hashes at these heights: what was decided on another branch is not looked at."""
    asked = sorted(numbers)
    answers = rpc.batch([("eth_getBlockByNumber", [hex(number), False]) for number in asked])
    return {
        number: str(answer["hash"]).lower()
        for number, answer in zip(asked, answers, strict=True)
        if isinstance(answer, dict) and answer.get("hash")
    }


def _checks(
    chain: Chain, rpc: HttpRpc, rows: Sequence[Sighting], *, pools: Mapping[int, Pool]
) -> list[ShadowCheck]:
    if not rows:
        return []
    moves = _moves(
        rpc,
        first=rows[0].block_number + 1,
        last=rows[-1].block_number + LOOKS,
        pools={pools[pk].address.lower() for row in rows for pk in row.pools},
    )
    least = Bps(fast_mode.fast_mode_ensure(chain=chain).config.min_profit_threshold_bps)
    looked = []
    for row in rows:
        sight = _sight(row, pools=pools, least=least)
        mine = [move for move in moves if move.pool in sight.pools]
        looked.append((row, look_again(sight, mine)))
    takers = _senders(rpc, {each.ended_by for _, each in looked if each.ended_by})
    return [_check(row, each, pools=pools, takers=takers) for row, each in looked]


def _sight(row: Sighting, *, pools: Mapping[int, Pool], least: Bps) -> Sight:
    path = [pools[pk] for pk in row.pools]
    kind = LenderKind(row.lender_kind)
    return Sight(
        block=BlockNumber(row.block_number),
        pools=tuple(pool.address.lower() for pool in path),
        zero_for_one=tuple(row.zero_for_one),
        hops=tuple(
            Hop(int(row.reserves[2 * i]), int(row.reserves[2 * i + 1]), pool.fee_bps)
            for i, pool in enumerate(path)
        ),
        lender=Lender(
            kind=kind,
            address="" if kind is LenderKind.FIRST_POOL else row.lender_address.lower(),
            premium_bps=Bps(row.premium_bps),
            rounding=PremiumRounding(row.premium_rounding),
        ),
        costs=int(row.costs),
        min_profit_bps=least,
    )


def _moves(rpc: HttpRpc, *, first: int, last: int, pools: set[str]) -> list[Moved]:
    """Every change of these pools' reserves in these blocks, in the order of the chain."""
    wanted = {
        "fromBlock": hex(first),
        "toBlock": hex(last),
        "address": sorted(pools),
        "topics": [SYNC_TOPIC],
    }
    found: list[tuple[int, int, Moved]] = []
    for log in _answer(rpc.call("eth_getLogs", [wanted])):
        event = decode_sync(log)
        tx_hash = str(log["transactionHash"]).lower()
        if event.removed or event.pool not in pools:
            continue
        move = Moved(event.block_number, tx_hash, event.pool, event.reserve0, event.reserve1)
        found.append((event.block_number, event.log_index, move))
    return [move for _, _, move in sorted(found, key=lambda each: each[:2])]


def _senders(rpc: HttpRpc, hashes: set[str]) -> dict[str, tuple[str, str]]:
    """(from, to) of transactions; what the node does not know is left out."""
    asked = sorted(hashes)
    if not asked:
        return {}
    answers = rpc.batch([("eth_getTransactionByHash", [tx_hash]) for tx_hash in asked])
    return {
        tx_hash: (str(answer.get("from") or ""), str(answer.get("to") or ""))
        for tx_hash, answer in zip(asked, answers, strict=True)
        if isinstance(answer, dict)
    }


def _check(
    row: Sighting,
    looked: Looked,
    *,
    pools: Mapping[int, Pool],
    takers: Mapping[str, tuple[str, str]],
) -> ShadowCheck:
    one, two = looked.looks
    taken = Fate.TAKEN in (one.fate, two.fate)
    sender, to = takers.get(looked.ended_by, ("", "")) if taken else ("", "")
    return ShadowCheck(
        chain_id=row.chain_id,
        opportunity_id=row.opportunity_id,
        block_number=row.block_number,
        block_hash=row.block_hash,
        reason=row.reason,
        dexes=[pools[pk].dex.key for pk in row.pools],
        hops=len(row.pools),
        lender_kind=row.lender_kind,
        borrow_token=row.borrow_token,
        expected_profit=row.expected_profit,
        net_profit=row.expected_profit + row.costs,
        native_rate_num=row.native_rate_num,
        native_rate_den=row.native_rate_den,
        after_one=one.fate.value,
        after_two=two.fate.value,
        later=[one.net, two.net],
        ended_in=looked.ended_in,
        ended_by=looked.ended_by,
        taken_by=sender,
        taken_via=to,
        at=row.at,
    )
