"""What the record says that a funding is decided by; read in few queries, never from the node."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Count, Max, Q, QuerySet, Sum
from django.utils import timezone

from arbsite.base.units import BlockNumber, Wei
from contracts.models import Chain
from wallets import selectors
from wallets.kernel import funding as kernel
from wallets.models import (
    Balance,
    BalanceMonitor,
    Funding,
    FundingPolicy,
    NonceSequence,
    ReserveBook,
    Transaction,
    Wallet,
)

DAY: Final = timedelta(days=1)
MINED: Final = ("included", "confirmed")
DEAD: Final = ("rejected", "expired", "cancelled", "reverted")
SWEEPS_MISSED: Final = 3
SLACK_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingFacts:
    """Everything that a plan is made of. ``addresses``: by wallet id, executors and reserves."""

    policy: kernel.FundingPolicy
    wallets: tuple[kernel.WalletFacts, ...]
    reserves: tuple[kernel.ReserveFacts, ...]
    moment: kernel.ChainMoment
    balances: Mapping[int, Balance]
    rows: Mapping[int, Wallet]


def signed_here(chain: Chain, *, may_sign: bool) -> bool:
    """Whether a funding moves money: where the L1 bills each transaction beside its gas, what is
    set aside for a transfer would not hold. Arbitrum's estimate of gas has that part within."""
    return may_sign and chain.l1_fee != "op_stack"


def simulated_why(chain: Chain, *, may_sign: bool) -> str:
    """Why fundings there are simulated and recorded only; "" where they move money."""
    if not may_sign:
        return f"nothing is signed on {chain.key}"
    if not signed_here(chain, may_sign=may_sign):
        return "what the L1 charges for a transfer is not computed yet"
    return ""


def policy_of(*, chain: Chain) -> FundingPolicy:
    """The chain's policy; the defaults, unsaved, until somebody changes one. One query."""
    return FundingPolicy.objects.filter(chain=chain).first() or FundingPolicy(chain=chain)


def limits_of(row: FundingPolicy, *, interval_s: int) -> kernel.FundingPolicy:
    """The policy as the kernel takes it; a balance counts until three sweeps were missed."""
    return kernel.FundingPolicy(
        threshold_wei=Wei(row.threshold_wei),
        target_wei=Wei(row.target_wei),
        min_transfer_wei=Wei(row.min_transfer_wei),
        cap_transfer_wei=Wei(row.cap_transfer_wei),
        cap_wallet_day_wei=Wei(row.cap_wallet_day_wei),
        cap_chain_day_wei=Wei(row.cap_chain_day_wei),
        reserve_floor_wei=Wei(row.reserve_floor_wei),
        cooldown_s=row.cooldown_s,
        balance_age_max_s=SWEEPS_MISSED * interval_s + SLACK_S,
    )


def living_topups(*, chain: Chain, may_sign: bool) -> QuerySet[Funding]:
    """Top-ups that moved money, or still may. What was only simulated counts where that is all
    that ever happens, so that a chain's caps show there too."""
    rows = Funding.objects.filter(kind="topup", reserve__chain=chain, refused="")
    rows = rows.exclude(transaction__status__in=DEAD)
    moves_money = signed_here(chain, may_sign=may_sign)
    return rows.exclude(transaction__simulated_only=True) if moves_money else rows


def facts_read(*, chain: Chain, may_sign: bool, gas_cost_wei: Wei) -> FundingFacts:
    """Read it all; inside the reserves' row locks it is what is decided by. Queries: at most 13."""
    now = timezone.now()
    killed = selectors.kill_engaged(chain_key=chain.key)
    monitor = BalanceMonitor.objects.filter(chain=chain).first() or BalanceMonitor(chain=chain)
    policy = limits_of(policy_of(chain=chain), interval_s=monitor.interval_s)
    rows = {
        wallet.pk: wallet
        for wallet in Wallet.objects.filter(chain=chain, role__in=["executor", "gas_reserve"])
        .exclude(state="retired")
        .order_by("id")
    }
    balances = selectors.balances_latest(chain_key=chain.key)
    topups = living_topups(chain=chain, may_sign=may_sign)
    executors = [wallet for wallet in rows.values() if wallet.role == "executor"]
    frozen = set(
        NonceSequence.objects.filter(chain=chain)
        .exclude(frozen="")
        .values_list("address", flat=True)
    )
    wallets = _wallets(
        executors, balances=balances, topups=topups, policy=policy, frozen=frozen, now=now
    )
    day = topups.filter(Q(closed_at__isnull=True) | Q(closed_at__gte=now - DAY))
    return FundingFacts(
        policy=policy,
        wallets=wallets,
        reserves=_reserves(rows.values(), balances=balances, topups=topups, frozen=frozen),
        moment=kernel.ChainMoment(
            killed=killed,
            funded_day_wei=Wei(int(day.aggregate(total=Sum("amount_wei"))["total"] or 0)),
            gas_cost_wei=gas_cost_wei,
            simulated_why=simulated_why(chain, may_sign=may_sign),
        ),
        balances=balances,
        rows=rows,
    )


def _wallets(
    executors: Sequence[Wallet],
    *,
    balances: Mapping[int, Balance],
    topups: QuerySet[Funding],
    policy: kernel.FundingPolicy,
    frozen: Set[str],
    now: datetime,
) -> tuple[kernel.WalletFacts, ...]:
    newest = dict(
        Funding.objects.filter(kind="topup", wallet__in=executors)
        .order_by()
        .values_list("wallet_id")
        .annotate(newest=Max("created_at"))
    )
    held: dict[int, dict[str, Any]] = {
        row["wallet_id"]: dict(row)
        for row in topups.order_by()
        .values("wallet_id")
        .annotate(
            # A day is counted from when it ended, so that what took long is never forgotten early.
            day=Sum("amount_wei", filter=Q(closed_at__isnull=True) | Q(closed_at__gte=now - DAY)),
            mined_at=Max("transaction__block_number", filter=Q(transaction__status__in=MINED)),
            mined=Count("id", filter=Q(transaction__status__in=MINED)),
        )
    }
    # Whatever is open stands in the way, though it may yet turn out to move nothing.
    open_ = set(
        Funding.objects.filter(
            kind="topup", closed_at__isnull=True, wallet__in=executors
        ).values_list("wallet_id", flat=True)
    )
    many = [pk for pk, row in held.items() if row["mined"] >= kernel.FRUITLESS_MAX]
    fruitless = _fruitless(many, topups=topups)
    found = []
    for wallet in executors:
        balance, row = balances.get(wallet.pk), held.get(wallet.pk, {})
        at = newest.get(wallet.pk)
        found.append(
            kernel.WalletFacts(
                wallet_id=wallet.pk,
                ours=_sends(wallet, frozen=frozen),
                balance_wei=Wei(balance.balance_wei) if balance else None,
                balance_block=BlockNumber(balance.block_number) if balance else None,
                balance_age_s=_age_s(balance.at, now) if balance else None,
                threshold_wei=Wei(wallet.threshold_wei),
                open_funding=wallet.pk in open_,
                last_funding_block=row.get("mined_at"),
                last_funding_age_s=_age_s(at, now) if at else None,
                funded_day_wei=Wei(int(row.get("day") or 0)),
                fruitless=fruitless.get(wallet.pk, 0),
            )
        )
    return tuple(found)


def _fruitless(wallet_ids: Sequence[int], *, topups: QuerySet[Funding]) -> Mapping[int, int]:
    """Mined fundings since each wallet's last successful execution. Queries: 2, or none."""
    if not wallet_ids:
        return {}
    succeeded = dict(
        Transaction.objects.filter(wallet_id__in=wallet_ids, kind="execution", status="confirmed")
        .order_by()
        .values_list("wallet_id")
        .annotate(newest=Max("block_number"))
    )
    counts: dict[int, int] = {}
    mined = topups.filter(wallet_id__in=wallet_ids, transaction__status__in=MINED)
    for wallet_id, block in mined.values_list("wallet_id", "transaction__block_number"):
        if block is not None and block > succeeded.get(wallet_id, -1):
            counts[wallet_id] = counts.get(wallet_id, 0) + 1
    return counts


def _sends(wallet: Wallet, *, frozen: Set[str]) -> bool:
    """Whether it is active with a key of ours, and nobody else seems to use that key."""
    return wallet.state == "active" and wallet.source != "watch" and wallet.address not in frozen


def _reserves(
    rows: Iterable[Wallet],
    *,
    balances: Mapping[int, Balance],
    topups: QuerySet[Funding],
    frozen: Set[str],
) -> tuple[kernel.ReserveFacts, ...]:
    able = [one for one in rows if one.role == "gas_reserve" and _sends(one, frozen=frozen)]
    torn = set(
        ReserveBook.objects.filter(reserve__in=able)
        .exclude(problem="")
        .values_list("reserve_id", flat=True)
    )
    read_at = {pk: balance.block_number for pk, balance in balances.items()}
    lowest = min((read_at[w.pk] for w in able if w.pk in read_at), default=0)
    unseen = topups.filter(
        Q(closed_at__isnull=True) | Q(transaction__block_number__gt=lowest)
    ).exclude(transaction__simulated_only=True)
    committed: dict[int, int] = {}
    for row in unseen.select_related("transaction"):
        if not _is_seen(row.transaction, read_at.get(row.reserve_id, 0)):
            promised = row.amount_wei + row.gas_wei
            committed[row.reserve_id] = committed.get(row.reserve_id, 0) + promised
    return tuple(
        kernel.ReserveFacts(
            wallet_id=wallet.pk,
            balance_wei=Wei(balances[wallet.pk].balance_wei) if wallet.pk in balances else None,
            committed_wei=Wei(committed.get(wallet.pk, 0)),
            torn=wallet.pk in torn,
        )
        for wallet in able
    )


def _is_seen(one: Any, balance_block: int) -> bool:
    """Whether a balance read at that block has already paid for this transaction."""
    return (
        one is not None
        and one.status in MINED
        and one.block_number is not None
        and one.block_number <= balance_block
    )


def _age_s(since: datetime, now: datetime) -> int:
    return max(0, int((now - since).total_seconds()))
