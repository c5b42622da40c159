"""What each wallet may sign (INVARIANTS I7): targets, selectors, value, fee and rate; pure."""

from collections.abc import Set
from dataclasses import dataclass, field
from typing import Final

from arbsite.base.units import Wei, gwei
from contracts.kernel.abi import selector

COIN_WEI: Final = 10**18
HOUR_S: Final = 3_600
EXECUTE: Final = selector(
    "execute((uint8,address,address,uint256,uint256,uint64,uint64,bytes32[]))"
)
SWEEP: Final = selector("sweep(address)")
PAUSE: Final = selector("pause()")
SET_EXECUTOR: Final = selector("setExecutor(address,bool)")
LISTING: Final = frozenset(
    {selector("registerPools(address,address[])"), selector("delistPools(address[])")}
)
OWNERS_CALLS: Final = LISTING | {
    selector(signature)
    for signature in (
        "unpause()",
        "setFactory(address,bool)",
        "setRouter(address,bool)",
        "setLender(address,bool)",
        "setTipRecipient(address,bool)",
        "setMinProfit(address,uint256)",
        "setTreasury(address)",
        "transferOwnership(address)",
        "acceptOwnership()",
    )
}
_SELF_ONLY_KINDS: Final = frozenset({"test", "gap_fill"})
_SELF_ONLY_PURPOSES: Final = frozenset({"cancel", "gap_fill"})
_LEAVING_KINDS: Final = frozenset({"sweep", "rescue", "revoke", "gap_fill"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is to be signed, and by whom. ``to`` is "" for a deployment.

    ``exposed``: others may know the key. ``worthless``: a local chain, or a testnet.
    """

    role: str
    state: str
    address: str
    kind: str
    purpose: str
    to: str
    data: bytes
    value_wei: Wei
    max_fee_wei: Wei
    exposed: bool = False
    worthless: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Ceilings of one chain. Backstops behind the operator's own, lower limits."""

    fee_wei: Wei
    funding_wei: Wei
    tip_wei: Wei
    per_hour: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Addresses the wallet may deal with on its chain, checksummed."""

    receivers: Set[str] = field(default_factory=frozenset)  # contracts it is assigned to
    contracts: Set[str] = field(default_factory=frozenset)  # every contract of ours
    executors: Set[str] = field(default_factory=frozenset)  # our own, not retired
    reserves: Set[str] = field(default_factory=frozenset)
    treasury: str = ""  # the configured one


def limits_of(*, is_local: bool, min_gas_price_wei: Wei) -> Limits:
    """The ceilings of a chain: 500 gwei, or 100 times its floor where the floor is dear."""
    return Limits(
        fee_wei=Wei(max(gwei(500), 100 * min_gas_price_wei)),
        funding_wei=Wei((1_000 if is_local else 5) * COIN_WEI),
        tip_wei=Wei(1 * COIN_WEI),
        per_hour=40_000 if is_local else 2_000,
    )


def refused_exposed(ask: Ask, *, around: Surroundings) -> str:
    """Why a key that others may know does not sign this; "" where it may, or nobody knows it.

    Where coin has value it only moves away: its coin to a reserve or the treasury, profits of a
    contract to the treasury, and executors out of contracts.
    """
    if not ask.exposed or ask.worthless or ask.purpose in _SELF_ONLY_PURPOSES:
        return ""
    leaves = ask.kind in _LEAVING_KINDS and (
        bool(ask.data) or ask.kind == "gap_fill" or ask.to in _havens(ask, around)
    )
    if leaves:
        return ""
    return (
        f"the key of {ask.address} was exposed: on a network whose coin has value it signs nothing "
        "but moving away; run `move_away`"
    )


def over_rate(ask: Ask, *, limits: Limits, signed_last_hour: int) -> str:
    """Why this wallet has signed enough for now; "" where it has not. Ending a nonce is free."""
    if ask.purpose in _SELF_ONLY_PURPOSES or signed_last_hour < limits.per_hour:
        return ""
    return (
        f"{signed_last_hour} signatures of {ask.address} in the last hour reach the cap of "
        f"{limits.per_hour}: look what asks so often; it signs again as the hour passes"
    )


def refusal(ask: Ask, *, around: Surroundings, limits: Limits) -> str:
    """Why this may not be signed, in words with the figures; "" where it may."""
    ends_nonce = ask.purpose in _SELF_ONLY_PURPOSES
    if why := _refused_wallet(ask, ends_nonce=ends_nonce):
        return why
    if ask.max_fee_wei > limits.fee_wei:
        return f"the fee of {ask.max_fee_wei} wei per gas passes the signer's cap {limits.fee_wei}"
    if ends_nonce or ask.kind in _SELF_ONLY_KINDS:
        if ask.to != ask.address or ask.value_wei or ask.data:
            return "a test, cancel or gap fill sends 0 to the wallet itself without data"
        return ""
    if ask.role == "executor":
        return _refused_executor(ask, around=around, limits=limits)
    return _refused_reserve(ask, around=around, limits=limits)


def _refused_wallet(ask: Ask, *, ends_nonce: bool) -> str:
    if ask.role not in ("executor", "gas_reserve"):
        return f"a {ask.role} wallet signs nothing here"
    if ask.state == "frozen":
        return "the wallet is frozen: look at its alert, then run `unfreeze`"
    usable = ask.state == "active" or (ask.state == "exposed" and ask.worthless)
    if not usable and not ends_nonce and ask.kind not in _LEAVING_KINDS:
        return f"the wallet is {ask.state}: it may only move its money away"
    return ""


def _refused_executor(ask: Ask, *, around: Surroundings, limits: Limits) -> str:
    if moves_coin_away(ask, around=around):
        return "money goes back to the reserve without data" if ask.data else ""
    allowed = {
        "execution": frozenset({EXECUTE}),
        "administration": LISTING,
        "sweep": frozenset({SWEEP}),
        "rescue": frozenset({SWEEP, PAUSE}),
        "pause": frozenset({PAUSE}),
    }.get(ask.kind)
    if allowed is None:
        return f"an executor signs no {ask.kind}"
    if ask.to not in around.receivers:
        return f"{ask.to or 'a new contract'} is not a contract this executor is assigned to"
    ceiling = limits.tip_wei if ask.kind == "execution" else Wei(0)
    return _refused_call(ask, allowed=allowed, ceiling_wei=ceiling)


def moves_coin_away(ask: Ask, *, around: Surroundings) -> bool:
    """Whether this brings a wallet's own coin home: an executor's, or one no longer in use's."""
    if ask.kind not in ("sweep", "rescue"):
        return False
    if ask.state != "active" or ask.exposed:
        return ask.to in _havens(ask, around)
    return ask.role == "executor" and ask.to in around.reserves


def _havens(ask: Ask, around: Surroundings) -> Set[str]:
    """Where coin is safe: reserves other than the wallet itself, and the configured treasury."""
    return (around.reserves | {around.treasury}) - {ask.address, ""}


def _refused_reserve(ask: Ask, *, around: Surroundings, limits: Limits) -> str:
    if moves_coin_away(ask, around=around):
        return "money moves away without data" if ask.data else ""
    if ask.kind == "funding":
        if ask.to not in around.executors:
            return f"{ask.to or 'nobody'} is not one of our executors on this chain"
        if ask.data or ask.value_wei > limits.funding_wei:
            return f"a funding carries no data and at most {limits.funding_wei} wei"
        return ""
    if ask.kind == "deployment":
        if ask.to or ask.value_wei or not ask.data:
            return "a deployment has code, no target and no value"
        return ""
    allowed = {
        "authorisation": frozenset({SET_EXECUTOR}),
        "revoke": frozenset({SET_EXECUTOR}),
        "administration": OWNERS_CALLS,
        "sweep": frozenset({SWEEP}),
        "rescue": frozenset({SWEEP, PAUSE}),
        "pause": frozenset({PAUSE}),
    }.get(ask.kind)
    if allowed is None:
        return f"a gas reserve signs no {ask.kind}"
    if ask.to not in around.contracts:
        return f"{ask.to or 'a new contract'} is not a contract of ours on this chain"
    if ask.kind == "revoke" and any(ask.data[36:]):
        return "a revoke, which passes the kill switch, gives no right"
    return _refused_call(ask, allowed=allowed, ceiling_wei=Wei(0))


def _refused_call(ask: Ask, *, allowed: Set[bytes], ceiling_wei: Wei) -> str:
    if bytes(ask.data[:4]) not in allowed:
        return f"selector 0x{bytes(ask.data[:4]).hex()} is not one a {ask.kind} may call"
    if ask.value_wei > ceiling_wei:
        return f"value {ask.value_wei} wei passes the cap of {ceiling_wei}"
    return ""
