"""Figures of the shadow check: what was simulated against what came of it, sent and unsent."""

from datetime import timedelta
from typing import Any, Final

from django.db import connection
from django.db.models import Count, Q
from django.utils import timezone

from contracts.models import Chain
from execution.models import ShadowCheck
from prices.render import iso, text
from wallets.models import Wallet

WINDOW: Final = timedelta(days=7)
LATEST: Final = 50
MOST_TAKERS: Final = 10
# An execution counts once for each exchange on its path; a revert realised nothing.
_AGREEMENT: Final = """
    WITH settled AS (
        SELECT row.lender_kind, jsonb_array_length(row.path) AS hops, row.path,
            sent.receipt->>'status' = '0x1' AS landed,
            div(row.expected_profit * row.native_rate_den, row.native_rate_num) AS simulated,
            div(row.realized_profit * row.native_rate_den, row.native_rate_num) AS realized
        FROM execution_execution row
        JOIN wallets_transaction sent ON sent.id = row.transaction_id
        WHERE row.chain_id = %(chain)s AND row.kind = 'arbitrage' AND row.created_at >= %(since)s
            AND row.realized_profit IS NOT NULL AND row.native_rate_num > 0
    )
    SELECT lender_kind, venue.dex, hops, count(*), count(*) FILTER (WHERE landed),
        coalesce(sum(simulated), 0), coalesce(sum(simulated) FILTER (WHERE landed), 0),
        coalesce(sum(realized), 0)
    FROM settled CROSS JOIN LATERAL (
        SELECT DISTINCT hop->>'dex' AS dex FROM jsonb_array_elements(path) hop
    ) venue
    GROUP BY lender_kind, venue.dex, hops ORDER BY lender_kind, hops, venue.dex
"""
_UNSENT: Final = """
    SELECT lender_kind, venue.dex, hops, count(*),
        count(*) FILTER (WHERE after_one = 'there'), count(*) FILTER (WHERE after_two = 'there'),
        count(*) FILTER (WHERE after_two = 'taken'),
        coalesce(sum(div(net_profit * native_rate_den, native_rate_num)), 0)
    FROM execution_shadowcheck CROSS JOIN LATERAL (SELECT DISTINCT unnest(dexes) AS dex) venue
    WHERE chain_id = %(chain)s AND at >= %(since)s AND native_rate_num > 0
    GROUP BY lender_kind, venue.dex, hops ORDER BY lender_kind, hops, venue.dex
"""


def shadow(*, chain: Chain) -> dict[str, Any]:
    """Everything the section shows, of the last seven days; wei as strings. Six queries."""
    since = timezone.now() - WINDOW
    rows = ShadowCheck.objects.filter(chain=chain, at__gte=since)
    there = {f"there_{n}": Count("pk", filter=Q(**{f"after_{n}": "there"})) for n in ("one", "two")}
    ends = {fate: Count("pk", filter=Q(after_two=fate)) for fate in ("taken", "gone")}
    totals = rows.aggregate(count=Count("pk"), **there, **ends)
    ours = _ours(chain)
    return {
        "days": WINDOW.days,
        "unsent": totals,
        "reasons": list(
            rows.values("reason").annotate(count=Count("pk"), **there, **ends).order_by("-count")
        ),
        "takers": [
            {**row, "ours": row["taken_by"] in ours}
            for row in rows.exclude(taken_by="")
            .values("taken_by", "taken_via")
            .annotate(taken=Count("pk"))
            .order_by("-taken")[:MOST_TAKERS]
        ],
        "kinds": _kinds(chain, since=since),
        "latest": [_shown(row, ours=ours) for row in rows.select_related("borrow_token")[:LATEST]],
    }


def _ours(chain: Chain) -> set[str]:
    return set(Wallet.objects.filter(chain=chain).values_list("address", flat=True))


def _kinds(chain: Chain, *, since: Any) -> list[dict[str, Any]]:
    """Sent and unsent side by side, per lender, exchange and path length. Two queries."""
    found: dict[tuple[str, str, int], dict[str, Any]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_AGREEMENT, {"chain": chain.key, "since": since})
        for lender, dex, hops, sent, landed, simulated, landed_simulated, realized in cursor:
            row = found.setdefault((lender, dex, hops), _kind(lender, dex, hops))
            row |= {
                "sent": sent,
                "landed": landed,
                "simulatedWei": str(int(simulated)),
                "landedSimulatedWei": str(int(landed_simulated)),
                "realizedWei": str(int(realized)),
            }
        cursor.execute(_UNSENT, {"chain": chain.key, "since": since})
        for lender, dex, hops, unsent, one, two, taken, net in cursor:
            row = found.setdefault((lender, dex, hops), _kind(lender, dex, hops))
            row |= {
                "unsent": unsent,
                "thereOne": one,
                "thereTwo": two,
                "taken": taken,
                "unsentNetWei": str(int(net)),
            }
    return [found[key] for key in sorted(found)]


def _kind(lender: str, dex: str, hops: int) -> dict[str, Any]:
    counts = dict.fromkeys(("sent", "landed", "unsent", "thereOne", "thereTwo", "taken"), 0)
    sums = ("simulatedWei", "landedSimulatedWei", "realizedWei", "unsentNetWei")
    return {"lender": lender, "dex": dex, "hops": hops, **counts, **dict.fromkeys(sums, "0")}


def _shown(row: ShadowCheck, *, ours: set[str]) -> dict[str, Any]:
    token = row.borrow_token
    return {
        "opportunityId": row.opportunity_id,
        "blockNumber": row.block_number,
        "reason": row.reason or None,
        "dexes": row.dexes,
        "lender": row.lender_kind,
        "borrowSymbol": token.symbol,
        "borrowDecimals": token.decimals,
        "netProfit": text(row.net_profit),
        "afterOne": row.after_one,
        "afterTwo": row.after_two,
        "later": [text(net) for net in row.later],
        "endedIn": row.ended_in,
        "endedBy": row.ended_by or None,
        "takenBy": row.taken_by or None,
        "takenVia": row.taken_via or None,
        "ours": row.taken_by in ours,
        "at": iso(row.at),
        "simulated": True,
    }
