"""Reads about gas money: balances, who is low, what an execution costs, fundings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median_low
from typing import Any, Final

from django.db import connection
from django.db.models import (
    Case,
    Count,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Coalesce
from django.utils import timezone

from arbsite.base.fields import Uint256Field
from arbsite.base.units import Wei
from wallets.models import Balance, Funding, FundingPolicy, Transaction, Wallet

_ZERO: Final = Value(0, output_field=Uint256Field())
# Of a chain whose policy nobody has changed yet.
_USUAL: Final = Value(FundingPolicy().threshold_wei, output_field=Uint256Field())
COST_SAMPLES: Final = 50
HISTORY_POINTS: Final = 200


def wallets_with_balances(*, chain_key: str = "") -> QuerySet[Wallet]:
    """Wallets with what is known of their gas, of one chain or of all.

    Each row also has ``last_wei``, ``last_block``, ``last_at`` (None where never read) and
    ``low_under_wei``: its own threshold, else an executor's from the chain's funding policy.
    One query when it is read; joins the chain.
    """
    newest = Balance.objects.filter(wallet=OuterRef("pk")).order_by("-at", "-id")
    policy = FundingPolicy.objects.filter(chain=OuterRef("chain"))
    rows = Wallet.objects.select_related("chain").annotate(
        last_wei=Subquery(newest.values("balance_wei")[:1]),
        last_block=Subquery(newest.values("block_number")[:1]),
        last_at=Subquery(newest.values("at")[:1]),
        low_under_wei=Case(
            When(threshold_wei__gt=0, then=F("threshold_wei")),
            When(role="executor", then=Coalesce(Subquery(policy.values("threshold_wei")), _USUAL)),
            default=_ZERO,
            output_field=Uint256Field(),
        ),
    )
    return rows.filter(chain_id=chain_key) if chain_key else rows


def wallets_low(*, chain_key: str = "") -> QuerySet[Wallet]:
    """Active wallets whose last known balance is under their threshold; see
    `wallets_with_balances`. One query."""
    rows: Any = wallets_with_balances(chain_key=chain_key).filter(state="active")
    low: QuerySet[Wallet] = rows.filter(last_wei__lt=F("low_under_wei"))
    return low


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSummary:
    """Wallets of one role on one chain: how many, what they hold, how many are low.

    ``total_wei`` is the sum of the newest known balances; retired wallets are counted apart.
    """

    chain: str
    role: str
    count: int
    retired: int
    total_wei: Wei
    low: int

    def as_json(self) -> dict[str, Any]:
        """In the contract's words."""
        return {
            "chain": self.chain,
            "role": self.role,
            "count": self.count,
            "retired": self.retired,
            "totalWei": str(self.total_wei),
            "low": self.low,
        }


def wallets_summary(*, chain_key: str = "") -> list[RoleSummary]:
    """One row for each role that a chain has wallets of. One query."""
    living = ~Q(state="retired")
    rows = (
        wallets_with_balances(chain_key=chain_key)
        .select_related(None)
        .order_by("chain_id", "role")
        .values("chain_id", "role")
        .annotate(
            living=Count("id", filter=living),
            retired=Count("id", filter=~living),
            total=Sum("last_wei", filter=living),
            low=Count("id", filter=Q(state="active", last_wei__lt=F("low_under_wei"))),
        )
    )
    return [
        RoleSummary(
            chain=row["chain_id"],
            role=row["role"],
            count=row["living"],
            retired=row["retired"],
            total_wei=Wei(int(row["total"] or 0)),
            low=row["low"],
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class BalancePoint:
    """A balance at one moment, for a chart."""

    at: datetime
    block_number: int
    balance_wei: Wei

    def as_json(self) -> dict[str, Any]:
        """In the contract's words."""
        return {
            "at": self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "blockNumber": self.block_number,
            "balanceWei": str(self.balance_wei),
        }


_HISTORY: Final = """
SELECT DISTINCT ON (bucket) at, block_number, balance_wei
  FROM (SELECT *, floor(extract(epoch FROM at) / %s) AS bucket
          FROM wallets_balance WHERE wallet_id = %s AND at >= %s) found
 ORDER BY bucket, at DESC, id DESC
"""


def balance_history(
    *, wallet_id: int, over: timedelta = timedelta(days=7), points: int = HISTORY_POINTS
) -> list[BalancePoint]:
    """The last balance of each of ``points`` equal parts of the time, oldest first. One query.

    Parts without a reading have no point: there are at most ``points`` + 1.
    """
    part_s = max(1.0, over.total_seconds() / max(1, points))
    with connection.cursor() as cursor:
        cursor.execute(_HISTORY, [part_s, wallet_id, timezone.now() - over])
        return [BalancePoint(at, block, Wei(int(wei))) for at, block, wei in cursor.fetchall()]


def execution_cost_wei(*, chain_key: str) -> Wei | None:
    """Median gas cost of the chain's last 50 successful executions; None before the first.

    One query. Rounding: of two middle ones the smaller, which was really paid.
    """
    rows = Transaction.objects.filter(
        chain_id=chain_key, kind="execution", status="confirmed", gas_used__isnull=False
    ).order_by("-id")
    paid = rows.values_list("gas_used", "gas_price_wei")[:COST_SAMPLES]
    costs = [int(used or 0) * int(price or 0) for used, price in paid]
    return Wei(median_low(costs)) if costs else None


def executions_left(*, balance_wei: Wei | None, cost_wei: Wei | None) -> int | None:
    """About how many executions a balance pays for, rounded down; None where that is unknown."""
    if balance_wei is None or not cost_wei:
        return None
    return int(balance_wei // cost_wei)


def fundings_of(*, wallet_id: int, limit: int = 50) -> list[Funding]:
    """The newest fundings that concern a wallet: to it or from it. One query.

    Each has its ``wallet``, ``reserve``, ``transaction`` (None before there is one, and for a
    deposit) and ``requested_by`` joined; see `funding_state`.
    """
    rows = Funding.objects.select_related("wallet", "reserve", "transaction", "requested_by")
    return list(rows.filter(Q(wallet_id=wallet_id) | Q(reserve_id=wallet_id))[:limit])


def fundings_recent(*, chain_key: str, limit: int = 100) -> list[Funding]:
    """A chain's newest ledger entries, joined as in `fundings_of`. One query."""
    rows = Funding.objects.select_related("wallet", "reserve", "transaction", "requested_by")
    return list(rows.filter(reserve__chain_id=chain_key)[:limit])


def funding_state(funding: Funding) -> str:
    """Where a ledger entry stands, in words: its transaction's status where it has one.

    Else ``received`` (a deposit), ``reserved`` (taken up by the next run) or ``rejected``.
    """
    if funding.kind == "deposit":
        return "received"
    if funding.transaction is not None:
        return str(funding.transaction.status)
    return "reserved" if funding.closed_at is None else "rejected"


def last_funded(*, wallet_ids: Sequence[int]) -> Mapping[int, datetime]:
    """When each wallet's newest mined funding was decided, by wallet id. One query."""
    rows = Funding.objects.filter(
        kind="topup",
        wallet_id__in=list(wallet_ids),
        transaction__status__in=["included", "confirmed"],
    ).order_by("wallet_id", "-created_at")
    return dict(rows.distinct("wallet_id").values_list("wallet_id", "created_at"))
