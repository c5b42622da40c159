"""Where a receiver on chain differs from what it should be, and the call that mends each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from contracts.kernel import abi
from contracts.models import Deployment, Dex, Pool, Token
from wallets.administration import builds
from wallets.administration.observe import Observation
from wallets.models import Assignment, Wallet

POOLS_PER_CALL: Final = 40  # about 40,000 gas each


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One difference. Without ``signature`` no call of the owner's mends it, ``note`` says what.

    ``key`` names it for programs, such as ``minProfit:0x...``; the values are for people.
    ``sender``: who must make the call where that is not the present owner.
    """

    key: str
    desired: str
    observed: str
    kind: str = "administration"
    signature: str = ""
    args: tuple[Any, ...] = ()
    sender: str = ""
    note: str = ""

    @property
    def data(self) -> bytes:
        """Calldata of the call that mends it."""
        return abi.encode_call(self.signature, *self.args)

    def as_json(self) -> dict[str, str]:
        """As it is shown; ``mend`` is the function to be called, "" where none is."""
        return {
            "key": self.key,
            "desired": self.desired,
            "observed": self.observed,
            "mend": self.signature.partition("(")[0],
            "note": self.note,
        }


def drift_of(deployment: Deployment, seen: Observation) -> list[Drift]:
    """Every difference between a receiver's row and what was seen, in the order of mending.

    Pools wait until their factory is listed. Queries: 7.
    """
    if seen.code_hash != builds.expected_code_hash("receiver"):
        return [
            Drift(
                key="code",
                desired=builds.expected_code_hash("receiver"),
                observed=seen.code_hash,
                note="this is not the contract of this build: deploy again, or adopt another",
            )
        ]
    return [
        *_authority(deployment, seen),
        *_listings(deployment, seen),
        *_minimums(deployment, seen),
        *_executors(deployment, seen),
        *_pools(deployment, seen),
        *_ownership(deployment, seen),
    ]


def min_profit_desired(deployment: Deployment) -> dict[str, int]:
    """The owner's least profit by token address, raw units."""
    held = deployment.observed.get("desired", {}).get("minProfit", {})
    return {token: int(raw) for token, raw in held.items()}


def tip_recipient_desired(deployment: Deployment) -> str:
    """Whom the contract is to pay tips to; "" where nobody said."""
    return str(deployment.observed.get("desired", {}).get("tipRecipient", ""))


def _authority(deployment: Deployment, seen: Observation) -> Iterator[Drift]:
    if deployment.treasury and seen.treasury != deployment.treasury:
        yield _set("treasury", deployment.treasury, seen.treasury, "setTreasury(address)")
    router = Deployment.objects.filter(chain=deployment.chain, kind="router", active=True).first()
    if router is not None and seen.router != router.address:
        yield Drift(
            key="router",
            desired=router.address,
            observed=seen.router,
            signature="setRouter(address,bool)",
            args=(router.address, True),
        )
    for listed, is_listed in seen.routers.items():
        if is_listed and (router is None or listed != router.address):
            yield _listing("router", listed, "setRouter(address,bool)", wanted=False)
    paid = tip_recipient_desired(deployment)
    if paid and seen.tip_recipient != paid:
        yield Drift(
            key="tipRecipient",
            desired=paid,
            observed=seen.tip_recipient,
            signature="setTipRecipient(address,bool)",
            args=(paid, True),
        )


def _listings(deployment: Deployment, seen: Observation) -> Iterator[Drift]:
    wanted: dict[str, bool] = {}
    for dex in Dex.objects.filter(chain=deployment.chain).order_by("id"):
        wanted[dex.factory] = wanted.get(dex.factory, False) or dex.enabled
    for factory, is_wanted in wanted.items():
        if seen.factories.get(factory, False) != is_wanted:
            yield _listing("factory", factory, "setFactory(address,bool)", wanted=is_wanted)
    for lender, is_listed in seen.lenders.items():
        if not is_listed:
            yield _listing("lender", lender, "setLender(address,bool)", wanted=True)


def _minimums(deployment: Deployment, seen: Observation) -> Iterator[Drift]:
    desired = min_profit_desired(deployment)
    for token in Token.objects.filter(chain=deployment.chain, lendable=True).order_by("id"):
        raw, found = desired.get(token.address, 0), seen.min_profit.get(token.address, 0)
        if raw and raw != found:
            yield Drift(
                key=f"minProfit:{token.address}",
                desired=f"{raw} ({token.symbol})",
                observed=str(found),
                signature="setMinProfit(address,uint256)",
                args=(token.address, raw),
            )
        elif not raw and not found:
            yield Drift(
                key=f"minProfit:{token.address}",
                desired=f"above zero ({token.symbol})",
                observed="0",
                note="no pool prices this token in dollars: it is not borrowed until one does",
            )


def _executors(deployment: Deployment, seen: Observation) -> Iterator[Drift]:
    rows = Assignment.objects.filter(deployment=deployment, desired=True)
    desired = set(rows.values_list("wallet__address", flat=True))
    retired = set(
        Wallet.objects.filter(chain=deployment.chain, role="executor")
        .exclude(state="active")
        .values_list("address", flat=True)
    )
    for executor, allowed in seen.executors.items():
        if allowed == (executor in desired):
            continue
        if not allowed and executor in retired:
            continue
        yield Drift(
            key=f"executor:{executor}",
            desired="not allowed" if allowed else "allowed",
            observed="allowed" if allowed else "not allowed",
            kind="revoke" if allowed else "authorisation",
            signature="setExecutor(address,bool)",
            args=(executor, not allowed),
        )


def _pools(deployment: Deployment, seen: Observation) -> Iterator[Drift]:
    missing: dict[str, list[str]] = {}
    rows = Pool.objects.filter(chain=deployment.chain, dex__enabled=True)
    for factory, pool in rows.order_by("id").values_list("dex__factory", "address"):
        if not seen.pools.get(pool, False):
            missing.setdefault(factory, []).append(pool)
    for factory, pools in missing.items():
        waits = not seen.factories.get(factory, False)
        for start in range(0, len(pools), POOLS_PER_CALL):
            batch = pools[start : start + POOLS_PER_CALL]
            yield Drift(
                key=f"pools:{factory}:{start // POOLS_PER_CALL}",
                desired=f"{len(batch)} pools listed",
                observed="not listed",
                signature="" if waits else "registerPools(address,address[])",
                args=() if waits else (factory, batch),
                note="after its factory" if waits else "",
            )


def _ownership(deployment: Deployment, seen: Observation) -> Iterator[Drift]:
    if seen.owner == deployment.owner:
        return
    if seen.pending_owner == deployment.owner:
        yield Drift(
            key="owner",
            desired=deployment.owner,
            observed=seen.owner,
            signature="acceptOwnership()",
            sender=deployment.owner,
            note=f"{deployment.owner} must call acceptOwnership() on {deployment.address}",
        )
        return
    yield _set("owner", deployment.owner, seen.owner, "transferOwnership(address)")


def _set(key: str, desired: str, observed: str, signature: str) -> Drift:
    return Drift(key=key, desired=desired, observed=observed, signature=signature, args=(desired,))


def _listing(key: str, address: str, signature: str, *, wanted: bool) -> Drift:
    states: Sequence[str] = ("not listed", "listed")
    return Drift(
        key=f"{key}:{address}",
        desired=states[wanted],
        observed=states[not wanted],
        signature=signature,
        args=(address, wanted),
    )
