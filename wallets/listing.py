"""Reads for the API and the pages: wallets with their balances, contracts with their drift."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from django.db.models import (
    Case,
    F,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)

from arbsite.base.units import Wei
from contracts.models import Deployment
from wallets import gas_selectors, render
from wallets.kernel.funding import Decision
from wallets.models import Assignment, Funding, Request, Transaction, Wallet

FUNDINGS_SHOWN: Final = 20


def wallets(*, chain_key: str = "") -> QuerySet[Any]:
    """Rows of `wallets_with_balances` that also say ``is_low``, when last funded, and what a
    rendering joins.

    ``fundings_newest``: those to the wallet. Three queries whatever the number of rows.
    """
    funded = Funding.objects.filter(
        wallet=OuterRef("pk"), kind="topup", transaction__status__in=["included", "confirmed"]
    ).order_by("-id")
    rows: Any = gas_selectors.wallets_with_balances(chain_key=chain_key)
    low = Q(state="active", last_wei__lt=F("low_under_wei"))
    found: QuerySet[Any] = rows.annotate(
        last_funded_at=Subquery(funded.values("created_at")[:1]),
        is_low=Case(When(low, then=Value(True)), default=Value(False)),
    ).prefetch_related(
        Prefetch(
            "assignments",
            Assignment.objects.select_related("deployment", "transaction").order_by("pk"),
        ),
        Prefetch("fundings", fundings()[:FUNDINGS_SHOWN], to_attr="fundings_newest"),
    )
    return found


def fundings() -> QuerySet[Funding]:
    """Top-ups, newest first, with what a rendering joins."""
    rows = Funding.objects.select_related("wallet", "reserve", "transaction", "requested_by")
    return rows.filter(kind="topup").order_by("-id")


def costs_of(rows: Iterable[Any]) -> Mapping[str, Wei | None]:
    """What one execution costs on each chain of these wallets. One query a chain."""
    keys = {row.chain_id for row in rows}
    return {key: gas_selectors.execution_cost_wei(chain_key=key) for key in sorted(keys)}


def wallets_shown(rows: Iterable[Any]) -> list[dict[str, Any]]:
    """Rows of `wallets`, rendered."""
    found = list(rows)
    costs = costs_of(found)
    return [render.wallet(row, cost_wei=costs[row.chain_id]) for row in found]


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts by chain and role, native totals by chain, and how many are low, of shown wallets."""
    chains: dict[str, dict[str, Any]] = {}
    roles: dict[str, int] = {"executor": 0, "gas_reserve": 0, "master": 0}
    for row in rows:
        entry = chains.setdefault(
            row["chain"],
            {"chain": row["chain"], "count": 0, "low": 0, "byRole": dict.fromkeys(roles, 0),
             "totalWei": 0, "unknownBalances": 0},
        )  # fmt: skip
        entry["count"] += 1
        entry["low"] += row["low"]
        entry["byRole"][row["role"]] += 1
        roles[row["role"]] += 1
        if row["balanceWei"] is None:
            entry["unknownBalances"] += 1
        else:
            entry["totalWei"] += int(row["balanceWei"])
    return {
        "total": len(rows),
        "low": sum(bool(row["low"]) for row in rows),
        "byRole": roles,
        "chains": [{**entry, "totalWei": str(entry["totalWei"])} for entry in chains.values()],
    }


def plan_shown(plan: Iterable[Decision], *, chain_key: str) -> list[dict[str, Any]]:
    """A plan of fundings, rendered with addresses. One query."""
    rows = Wallet.objects.filter(chain_id=chain_key).values_list("pk", "address")
    addresses: dict[int, str] = dict(rows)
    return [render.decision(one, addresses=addresses) for one in plan]


def requests() -> QuerySet[Request]:
    """Requests with what a rendering joins, newest first."""
    return Request.objects.select_related("chain", "wallet", "deployment", "requested_by")


def transactions_of(row: Request) -> list[Transaction]:
    """What a request had sent, by the keys that begin with its own, and by its result's ids."""
    told = row.result or {}
    named = [one["id"] for one in (*told.get("transactions", ()), told.get("transaction")) if one]
    wanted = Q(idempotency_key__startswith=row.key) | Q(pk__in=named)
    return list(Transaction.objects.filter(wanted).order_by("pk")[:50])


def request_shown(row: Request) -> dict[str, Any]:
    """One request, rendered with its transactions."""
    return render.request(row, transactions=transactions_of(row))


def drill_last(*, chain_key: str) -> dict[str, Any] | None:
    """The newest drill of a chain that a person asked for on a page, rendered. One query."""
    row = requests().filter(chain_id=chain_key, kind="drill").first()
    return render.request(row) if row is not None else None


def deployments(*, chain_key: str | None = None) -> QuerySet[Deployment]:
    """Our active contracts, receivers first within each chain."""
    rows = deployments_ever().filter(active=True)
    if chain_key is not None:
        rows = rows.filter(chain_id=chain_key)
    return rows


def deployments_ever() -> QuerySet[Deployment]:
    """All contracts that were ever ours, in the same order."""
    return Deployment.objects.select_related("chain").order_by("chain", "kind", "pk")


def receivers_replaced(*, chain_key: str) -> QuerySet[Deployment]:
    """Receivers of a chain that another took the place of, newest first."""
    rows = Deployment.objects.filter(chain_id=chain_key, kind="receiver", active=False)
    return rows.filter(replaced_by__isnull=False).distinct().order_by("-pk")
