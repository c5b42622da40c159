"""Who is topped up with how much from which reserve, or the first reason not to; pure integers.

Every amount is wei. A cap is a ceiling on what is moved; the reserve's floor is what stays behind
after the transfer, everything already promised and the gas of both. Nothing here rounds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from arbsite.base.units import BlockNumber, Wei

FRUITLESS_MAX: Final = 3  # fundings without a successful execution between them (I27)
# A transfer that moves less than this many times its own gas is a way of burning it.
GAS_WORTH: Final = 10
_NOTHING: Final = Wei(0)


class Reason(StrEnum):
    """Why a wallet gets nothing, or (as ``cut_by``) less than it lacks."""

    NOT_OURS = "not_ours"  # no active executor with a key on this chain
    KILLED = "killed"
    OPEN_FUNDING = "open_funding"  # one is under way
    STALE_BALANCE = "stale_balance"  # never read, too old, or from before the last funding's block
    NOT_LOW = "not_low"
    BURNING = "burning"  # three fundings and no successful execution between them
    COOLDOWN = "cooldown"
    NO_RESERVE = "no_reserve"  # no active reserve with a key whose balance is known
    TORN_BOOK = "torn_book"  # nor one whose ledger explains its balance
    CAP_TRANSFER = "cap_transfer"
    CAP_WALLET_DAY = "cap_wallet_day"
    CAP_CHAIN_DAY = "cap_chain_day"
    RESERVE_FLOOR = "reserve_floor"


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingPolicy:
    """One chain's limits. Days are the last 24 hours; ``balance_age_max_s`` bounds staleness.

    Raises: ValueError unless target > threshold >= 0 and the rest is not negative.
    """

    threshold_wei: Wei
    target_wei: Wei
    min_transfer_wei: Wei
    cap_transfer_wei: Wei
    cap_wallet_day_wei: Wei
    cap_chain_day_wei: Wei
    reserve_floor_wei: Wei
    cooldown_s: int
    balance_age_max_s: int

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it cannot be negative")
        if self.target_wei <= self.threshold_wei:
            raise ValueError(
                f"target_wei {self.target_wei} must be above threshold_wei {self.threshold_wei}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletFacts:
    """One wallet as the record knows it.

    ``threshold_wei``: its own, 0 for the policy's. ``last_funding_block``: where its newest mined
    funding is. ``fruitless``: mined fundings since its last successful execution.
    ``last_funding_age_s``: since the newest was decided, whatever became of it.
    """

    wallet_id: int
    ours: bool
    balance_wei: Wei | None
    balance_block: BlockNumber | None
    balance_age_s: int | None
    threshold_wei: Wei = _NOTHING
    open_funding: bool = False
    last_funding_block: BlockNumber | None = None
    last_funding_age_s: int | None = None
    funded_day_wei: Wei = _NOTHING
    fruitless: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveFacts:
    """``committed_wei``: promised from it and not yet gone from ``balance_wei``, gas included.

    ``torn``: its ledger does not explain its balance, and nobody has accepted that yet.
    """

    wallet_id: int
    balance_wei: Wei | None
    committed_wei: Wei = _NOTHING
    torn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainMoment:
    """What is the same for all. ``gas_cost_wei``: the most that one transfer's gas may cost.

    ``simulated_why``: why what is given is simulated and recorded only; "" where money moves.
    """

    killed: bool
    funded_day_wei: Wei
    gas_cost_wei: Wei
    simulated_why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Fund ``amount_wei`` from ``reserve_id`` where ``reason`` is None, else nothing.

    ``cut_by``: the cap that made it less than what the wallet lacks. ``detail`` has the figures.
    """

    wallet_id: int
    reason: Reason | None
    amount_wei: Wei = _NOTHING
    reserve_id: int | None = None
    cut_by: Reason | None = None
    detail: str = ""

    @property
    def funds(self) -> bool:
        """Whether money moves."""
        return self.reason is None


@dataclass(slots=True)
class _Purse:
    """What may still be given away while one plan is made."""

    policy: FundingPolicy
    moment: ChainMoment
    chain_left_wei: int
    torn: tuple[int, ...] = ()
    spendable: dict[int, int] = field(default_factory=dict)

    def richest(self) -> int | None:
        """The reserve with most above its floor; the older one of two equals."""
        return min(self.spendable, key=lambda pk: (-self.spendable[pk], pk), default=None)

    def take(self, reserve_id: int, amount_wei: int) -> None:
        self.spendable[reserve_id] -= amount_wei + self.moment.gas_cost_wei
        self.chain_left_wei -= amount_wei


def threshold_of(wallet: WalletFacts, *, policy: FundingPolicy) -> Wei:
    """Under this the wallet is low: its own threshold, else the chain's."""
    return wallet.threshold_wei or policy.threshold_wei


def target_of(wallet: WalletFacts, *, policy: FundingPolicy) -> Wei:
    """What a top-up brings it to: the chain's target, and never less than twice its threshold."""
    return Wei(max(policy.target_wei, 2 * threshold_of(wallet, policy=policy)))


def plan(
    wallets: Iterable[WalletFacts],
    *,
    reserves: Sequence[ReserveFacts],
    policy: FundingPolicy,
    moment: ChainMoment,
) -> tuple[Decision, ...]:
    """One decision a wallet, in order of wallet id; the neediest is served first.

    The answer does not depend on the order of its arguments. What it gives away altogether passes
    no cap and leaves every reserve its floor.
    """
    purse = _purse(reserves, policy=policy, moment=moment)
    by_need = sorted(wallets, key=lambda w: (_fullness(w, policy=policy), w.wallet_id))
    found = [_decide(wallet, purse=purse) for wallet in by_need]
    return tuple(sorted(found, key=lambda decision: decision.wallet_id))


def decide_manual(
    wallet: WalletFacts,
    *,
    amount_wei: Wei,
    reserves: Sequence[ReserveFacts],
    policy: FundingPolicy,
    moment: ChainMoment,
) -> Decision:
    """The same limits for an amount that a person names: it is given whole or not at all.

    Being low, the cooldown and fruitless fundings are his own judgement; caps, the floor, an open
    funding, a stale balance and the kill switch are not. Raises: ValueError unless positive.
    """
    if amount_wei <= 0:
        raise ValueError(f"{amount_wei=} must be positive")
    purse = _purse(reserves, policy=policy, moment=moment)
    if refused := _unready(wallet, purse=purse) or _reserveless(wallet, purse=purse):
        return refused
    room_wei, by = _room(wallet, purse=purse)
    if amount_wei > room_wei:
        return _no(wallet, by, f"{amount_wei} wei asked, {max(0, room_wei)} wei allowed")
    return _fund(wallet, amount_wei, cut_by=None, purse=purse)


def loosened(before: FundingPolicy, now: FundingPolicy) -> tuple[str, ...]:
    """Names of the limits that let more money move than before: those ask for a second factor."""
    raised = (
        "threshold_wei", "target_wei", "cap_transfer_wei", "cap_wallet_day_wei",
        "cap_chain_day_wei", "balance_age_max_s",
    )  # fmt: skip
    lowered = ("min_transfer_wei", "reserve_floor_wei", "cooldown_s")
    return tuple(
        [name for name in raised if getattr(now, name) > getattr(before, name)]
        + [name for name in lowered if getattr(now, name) < getattr(before, name)]
    )


def _purse(
    reserves: Sequence[ReserveFacts], *, policy: FundingPolicy, moment: ChainMoment
) -> _Purse:
    return _Purse(
        policy=policy,
        moment=moment,
        chain_left_wei=policy.cap_chain_day_wei - moment.funded_day_wei,
        torn=tuple(one.wallet_id for one in reserves if one.torn),
        spendable={
            one.wallet_id: one.balance_wei - one.committed_wei - policy.reserve_floor_wei
            for one in reserves
            if one.balance_wei is not None and not one.torn
        },
    )


def _fullness(wallet: WalletFacts, *, policy: FundingPolicy) -> tuple[bool, int, int]:
    """Sorts the emptiest first, by balance in millionths of the threshold; unread ones last."""
    threshold = max(1, threshold_of(wallet, policy=policy))
    balance = wallet.balance_wei or 0
    return wallet.balance_wei is None, balance * 10**6 // threshold, balance


def _decide(wallet: WalletFacts, *, purse: _Purse) -> Decision:
    policy = purse.policy
    if refused := _unready(wallet, purse=purse):
        return refused
    balance = wallet.balance_wei or Wei(0)
    threshold = threshold_of(wallet, policy=policy)
    if balance >= threshold:
        return _no(wallet, Reason.NOT_LOW, f"{balance} wei, low under {threshold}")
    if wallet.fruitless >= FRUITLESS_MAX:
        return _no(wallet, Reason.BURNING, f"{wallet.fruitless} fundings and no success since")
    age = wallet.last_funding_age_s
    if age is not None and age < policy.cooldown_s:
        return _no(wallet, Reason.COOLDOWN, f"funded {age} s ago, again after {policy.cooldown_s}")
    if refused := _reserveless(wallet, purse=purse):
        return refused
    wanted_wei = target_of(wallet, policy=policy) - balance
    room_wei, by = _room(wallet, purse=purse)
    amount_wei = min(wanted_wei, room_wei)
    least_wei = max(policy.min_transfer_wei, GAS_WORTH * purse.moment.gas_cost_wei, 1)
    if amount_wei < least_wei:
        if amount_wei == wanted_wei:
            return _no(wallet, Reason.NOT_LOW, f"{wanted_wei} wei lack, worth moving {least_wei}")
        return _no(wallet, by, f"{max(0, room_wei)} wei left of {wanted_wei} that lack")
    return _fund(wallet, Wei(amount_wei), cut_by=by if room_wei < wanted_wei else None, purse=purse)


def _unready(wallet: WalletFacts, *, purse: _Purse) -> Decision | None:
    """What forbids any funding of it, whoever asks."""
    if not wallet.ours:
        return _no(wallet, Reason.NOT_OURS, "it is no active executor with a key of ours")
    if purse.moment.killed:
        return _no(wallet, Reason.KILLED, "the kill switch is engaged")
    if wallet.open_funding:
        return _no(wallet, Reason.OPEN_FUNDING, "one is under way")
    if wallet.balance_wei is None or wallet.balance_block is None or wallet.balance_age_s is None:
        return _no(wallet, Reason.STALE_BALANCE, "its balance was never read")
    funded_at = wallet.last_funding_block
    if funded_at is not None and wallet.balance_block < funded_at:
        why = f"read at block {wallet.balance_block}, before its funding at {funded_at}"
        return _no(wallet, Reason.STALE_BALANCE, why)
    if wallet.balance_age_s > purse.policy.balance_age_max_s:
        return _no(wallet, Reason.STALE_BALANCE, f"read {wallet.balance_age_s} s ago")
    return None


def _reserveless(wallet: WalletFacts, *, purse: _Purse) -> Decision | None:
    if purse.richest() is None and purse.torn:
        return _no(wallet, Reason.TORN_BOOK, "the reserve's ledger does not explain its balance")
    if purse.richest() is None:
        return _no(wallet, Reason.NO_RESERVE, "no active gas reserve whose balance is known")
    return None


def _room(wallet: WalletFacts, *, purse: _Purse) -> tuple[int, Reason]:
    """The most that may be moved now, and the limit that says so; may be negative."""
    policy, reserve_id = purse.policy, purse.richest()
    spendable = purse.spendable[reserve_id] if reserve_id is not None else 0
    limits = (
        (policy.cap_transfer_wei, Reason.CAP_TRANSFER),
        (policy.cap_wallet_day_wei - wallet.funded_day_wei, Reason.CAP_WALLET_DAY),
        (purse.chain_left_wei, Reason.CAP_CHAIN_DAY),
        (spendable - purse.moment.gas_cost_wei, Reason.RESERVE_FLOOR),
    )
    return min(limits, key=lambda limit: limit[0])


def _fund(
    wallet: WalletFacts, amount_wei: Wei, *, cut_by: Reason | None, purse: _Purse
) -> Decision:
    reserve_id = purse.richest()
    assert reserve_id is not None  # noqa: S101  `_reserveless` came first
    purse.take(reserve_id, amount_wei)
    detail = f"{wallet.balance_wei} wei at block {wallet.balance_block}"
    if purse.moment.simulated_why:
        detail += f"; simulated only: {purse.moment.simulated_why}"
    return Decision(
        wallet_id=wallet.wallet_id,
        reason=None,
        amount_wei=amount_wei,
        reserve_id=reserve_id,
        cut_by=cut_by,
        detail=detail,
    )


def _no(wallet: WalletFacts, reason: Reason, detail: str) -> Decision:
    return Decision(wallet_id=wallet.wallet_id, reason=reason, detail=detail)
