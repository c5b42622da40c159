"""Opportunities into their table by COPY: compact array columns, thousands of rows in one stream.

A row is text that PostgreSQL parses while the next is made. It leaves the ORM's checks behind, so
what they refuse is refused here: an amount that is not an unsigned 256-bit integer.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from django.db import connection

from arbsite.base.fields import checksummed
from arbsite.base.units import BPS_ONE, UINT256_MAX
from prices.kernel.opportunity import Evaluation
from prices.kernel.waterfall import Waterfall

BIRTH: Final = ("id", "chain_id", "cycle", "mode", "block_number", "block_hash", "detected_at")
FACTS: Final = (
    "last_block_number", "pools", "zero_for_one", "amounts", "reserves", "borrow_token_id",
    "borrow_amount", "lender_kind", "lender_address", "spread_bps", "steps", "net_profit",
    "net_profit_bps", "net_profit_usd_e6", "usd_source", "native_rate_num", "native_rate_den",
    "native_rate_pools", "gas_estimate", "gas_price_wei", "tip_wei", "l1_fee_wei", "verdict",
    "reason", "spread_class", "changed_at",
)  # fmt: skip
NULL: Final = "\\N"
CHUNK: Final = 500
# A table of this connection's own, emptied by each commit.
_STAGE: Final = """
    CREATE TEMPORARY TABLE IF NOT EXISTS opportunity_changes ON COMMIT DELETE ROWS
    AS SELECT id, {columns} FROM prices_opportunity WITH NO DATA
"""
_CHANGE: Final = """
    UPDATE prices_opportunity AS row SET ({columns}) = ROW({values})
    FROM opportunity_changes AS new WHERE row.id = new.id
"""
_END: Final = """
    UPDATE prices_opportunity AS row SET ended_at = new.at, last_block_number = new.block
    FROM unnest(%s::bigint[], %s::timestamptz[], %s::bigint[]) AS new (id, at, block)
    WHERE row.id = new.id
"""
_REASON: Final = """
    UPDATE prices_opportunity AS row SET verdict = new.verdict, reason = new.reason
    FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS new (id, verdict, reason)
    WHERE row.id = new.id
"""
_WHY_UNSENT: Final = """
    UPDATE prices_sighting AS row SET reason = new.reason
    FROM unnest(%s::bigint[], %s::text[]) AS new (id, reason) WHERE row.opportunity_id = new.id
"""


def copy(table: str, columns: Sequence[str], lines: Iterable[str]) -> None:
    """Stream lines of COPY's text format into a table, inside the caller's transaction."""
    into = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(into) as stream:
        for chunk in _chunks(lines):
            stream.write(chunk)


def _chunks(lines: Iterable[str]) -> Iterator[str]:
    held: list[str] = []
    for line in lines:
        held.append(line)
        if len(held) == CHUNK:
            yield "".join(held)
            held = []
    yield "".join(held)


def insert(lines: Iterable[str]) -> None:
    """Rows that are new, each a line of `BIRTH` and `FACTS`."""
    copy("prices_opportunity", (*BIRTH, *FACTS), lines)


def change(lines: Iterable[str]) -> None:
    """New facts of rows that stand, each a line of the id and `FACTS`; one line an id."""
    columns, values = ", ".join(FACTS), ", ".join(f"new.{name}" for name in FACTS)
    with connection.cursor() as cursor:
        cursor.execute(_STAGE.format(columns=columns))
        cursor.execute("DELETE FROM opportunity_changes")  # of an earlier batch, before its commit
    copy("opportunity_changes", ("id", *FACTS), lines)
    with connection.cursor() as cursor:
        cursor.execute(_CHANGE.format(columns=columns, values=values))


def end(ended: Sequence[tuple[int, datetime, int]]) -> None:
    """End rows: (id, when, last block)."""
    _unnest(_END, ended)


def reason(given: Sequence[tuple[int, str, str]]) -> None:
    """Overrule what rows, and their sightings, say: (id, verdict, reason)."""
    _unnest(_REASON, given)
    _unnest(_WHY_UNSENT, [(pk, why) for pk, _, why in given])


def _unnest(statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(statement, [list(column) for column in zip(*rows, strict=True)])


def facts_line(
    each: Evaluation,
    *,
    pool_pk: Callable[[int], int],
    token_pk: Callable[[int], int],
    usd_e6: int | None,
    usd_source: str,
    verdict: str,
    reason: str,
    at: str,
) -> str:
    """`FACTS` of an evaluation as one line of COPY's text format, its newline included.

    ``pool_pk``, ``token_pk``: row ids of the book's indexes. Raises: ValueError for an amount
    that is not an unsigned 256-bit integer.
    """
    hops, flow, rate = each.hops, each.waterfall, each.native_rate
    amount, net = flow.amount, flow.net
    amounts = [hops[0].amount_in, *[hop.amount_out for hop in hops]]
    reserves = [r for hop in hops for r in (hop.reserve_in, hop.reserve_out)]
    _refuse_beyond(amounts + reserves)
    rated = f"{NULL}\t{NULL}\t{{}}"
    if rate is not None:
        rated = f"{rate.num}\t{rate.den}\t{{{','.join([str(pool_pk(i)) for i in rate.pools])}}}"
    fee = each.l1_fee_wei
    return (
        f"{each.block.number}\t{{{','.join([str(pool_pk(hop.pool)) for hop in hops])}}}\t"
        f"{{{','.join(['f' if hop.edge & 1 else 't' for hop in hops])}}}\t"
        f"{{{','.join([str(a) for a in amounts])}}}\t{{{','.join([str(r) for r in reserves])}}}\t"
        f"{token_pk(each.borrow_token)}\t{amount}\t{each.lender.kind.value}\t"
        f"{_address(each.lender_address)}\t{each.spread_bps}\t{{{_steps(flow, net)}}}\t{net}\t"
        f"{BPS_ONE * net // amount}\t{NULL if usd_e6 is None else usd_e6}\t"
        f"{escaped(usd_source) if usd_source else ''}\t{rated}\t{each.gas_estimate or 0}\t"
        f"{each.gas_price_wei}\t{each.tip_wei}\t{NULL if fee is None else fee}\t{verdict}\t"
        f"{reason}\t{each.spread_class.value}\t{at}\n"
    )


def _steps(flow: Waterfall, net: int) -> str:
    gas, fee = flow.gas, flow.l1_data_fee
    return (
        f"{flow.gross_spread},{flow.swap_fees},{flow.price_impact},{flow.flash_loan_premium},"
        f"{'NULL' if gas is None else gas},{flow.relay_tip},"
        f"{'NULL' if fee is None else fee},{net}"
    )


def _refuse_beyond(figures: list[Any]) -> None:
    if min(figures) < 0 or max(figures) > UINT256_MAX:
        wrong = next(each for each in figures if not 0 <= each <= UINT256_MAX)
        raise ValueError(f"{wrong} is not an unsigned 256-bit integer")


@lru_cache(maxsize=4_096)
def _address(address: str) -> str:
    return checksummed(address) if address else ""


def escaped(text: str) -> str:
    """A text as COPY takes it: what would end a field or a line cannot."""
    if not text:
        return ""
    for raw, safe in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(raw, safe)
    return text
