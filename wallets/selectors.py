"""Reads of this app: the switch, what is out, wallets, balances."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Count, OuterRef, Q, Subquery

from arbsite.base.errors import Rejected, shown
from wallets.kernel import lifecycle
from wallets.kernel.lifecycle import Status
from wallets.models import Attempt, Balance, KillState, Transaction, Wallet

OPEN: Final = tuple(status.value for status in lifecycle.OPEN)


class NoSuchWallet(Rejected):
    """No wallet answers to that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentItem:
    """A payload that is out, and whether it may still land (MONEY 7)."""

    chain: str
    hash: str
    nonce: int
    kind: str
    submitted_via: str
    last_block: int | None
    state: str  # mined, mayLand, dead

    def as_json(self) -> dict[str, Any]:
        """The item as API and shell show it."""
        return {
            "chain": self.chain,
            "hash": self.hash,
            "nonce": self.nonce,
            "kind": self.kind,
            "submittedVia": self.submitted_via,
            "lastBlock": self.last_block,
            "state": self.state,
        }


def kill_engaged(*, chain_key: str) -> bool:
    """Whether anything stops this chain; a missing row does. One query."""
    clear = KillState.objects.filter(scope__in=["*", chain_key], engaged=False).count()
    return clear != 2


def kill_status(*, chain_keys: Sequence[str]) -> list[dict[str, Any]]:
    """Per scope: engaged, why, by whom, since when, what may still land. Queries: 1 + engaged."""
    rows = {row.scope: row for row in KillState.objects.all()}
    answer = []
    for scope in ["*", *chain_keys]:
        row = rows.get(scope)
        engaged = row is None or row.engaged
        answer.append(
            {
                "scope": scope,
                "engaged": engaged,
                "reason": row.reason if row else "the row is missing, which counts as engaged",
                "changedBy": row.changed_by if row else "",
                "changedAt": row.changed_at.isoformat() if row else None,
                "epoch": row.epoch if row else 0,
                "sent": [i.as_json() for i in sent_items(scope=scope)] if engaged else [],
            }
        )
    return answer


def sent_items(*, scope: str = "*") -> list[SentItem]:
    """Payloads of stopped kinds that may land or are not final; newest first. One query."""
    watched = Q(released=True) & ~Q(status="dead")  # given back, and no proof yet that it is dead
    rows = Attempt.objects.filter(Q(transaction__status__in=OPEN) | watched, raw__isnull=False)
    rows = rows.exclude(transaction__kind__in=lifecycle.NEVER_KILLED_KINDS)
    rows = rows.exclude(purpose__in=lifecycle.NEVER_KILLED_PURPOSES)
    if scope != "*":
        rows = rows.filter(transaction__chain_id=scope)
    return [
        SentItem(
            chain=row.transaction.chain_id,
            hash=row.hash or "",
            nonce=row.nonce,
            kind=row.transaction.kind,
            submitted_via=row.sent_via if row.sent_at else "",
            last_block=row.transaction.last_block,
            state=_landing(row),
        )
        for row in rows.select_related("transaction").order_by("-id")
    ]


def _landing(attempt: Attempt) -> str:
    if attempt.status == "mined":
        return "mined"
    never_handed = attempt.status == "refused" and attempt.sent_at is None
    return "dead" if attempt.status == "dead" or never_handed else "mayLand"


def transactions_open(*, chain_key: str) -> list[Transaction]:
    """Transactions that hold or may hold a nonce, with their attempts. Two queries."""
    waiting = [status.value for status in lifecycle.HOLDS_NONCE]
    rows = Transaction.objects.filter(chain_id=chain_key, status__in=waiting)
    return list(rows.select_related("wallet").prefetch_related("attempts").order_by("id"))


def payloads_given_back(*, chain_key: str) -> list[Attempt]:
    """Signed payloads whose nonce was given back and that are not proven dead. One query."""
    rows = Attempt.objects.filter(
        transaction__chain_id=chain_key, released=True, raw__isnull=False
    ).exclude(status="dead")
    return list(rows.select_related("transaction__wallet", "sequence").order_by("nonce", "id"))


def wallet_find(*, chain_key: str, name: str) -> Wallet:
    """A wallet by id or address. Raises: NoSuchWallet."""
    rows = Wallet.objects.filter(chain_id=chain_key)
    wanted = Q(pk=int(name)) if name.isascii() and name.isdigit() else Q(address__iexact=name)
    found = rows.filter(wanted).first()
    if found is None:
        raise NoSuchWallet(f"{chain_key} has no wallet {shown(name)}: see `create_wallet`")
    return found


def wallets_that_send(*, chain_key: str, role: str) -> list[Wallet]:
    """Active wallets of a role that have a key, oldest first. One query."""
    rows = Wallet.objects.filter(chain_id=chain_key, role=role, state="active")
    return list(rows.exclude(source="watch").order_by("id"))


def executors_in_order(*, deployment_id: int) -> list[Wallet]:
    """Active executors authorised on a contract, in the order they take over. One query."""
    rows = Wallet.objects.filter(
        assignments__deployment_id=deployment_id,
        assignments__desired=True,
        assignments__authorized_at__isnull=False,
        role="executor",
        state="active",
    )
    return list(rows.order_by("assignments__position", "assignments__id"))


def balances_latest(*, chain_key: str) -> Mapping[int, Balance]:
    """The newest balance of each wallet of a chain, by wallet id. One query.

    It looks at one row a wallet, however many there are.
    """
    newest = Balance.objects.filter(wallet=OuterRef("pk")).order_by("-at", "-id").values("pk")[:1]
    wallets = Wallet.objects.filter(chain_id=chain_key).order_by()
    found = wallets.annotate(newest=Subquery(newest)).values("newest")
    return {row.wallet_id: row for row in Balance.objects.filter(pk__in=found)}


def wallet_counts() -> list[dict[str, Any]]:
    """How many wallets each chain has in each role. One query."""
    rows = Wallet.objects.order_by("chain_id", "role").values("chain_id", "role")
    return [dict(row) for row in rows.annotate(count=Count("id"))]


def transactions_by_status(*, chain_key: str) -> Mapping[str, int]:
    """How many transactions stand in each status, zero-filled. One query."""
    rows = Transaction.objects.filter(chain_id=chain_key).order_by().values_list("status")
    found = dict(rows.annotate(count=Count("id")))
    return {status.value: found.get(status.value, 0) for status in Status}
