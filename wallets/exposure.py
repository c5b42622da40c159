"""Keys that others may know: noted in the keystore for ever, and shown as their wallets' state.

The keystore's note is authenticated and decides what the signer does; the state is what selectors
go by. Where coin has no value, on local chains and testnets, such a key goes on working.
"""

from collections.abc import Callable, Set
from typing import Final, Protocol

from django.db import transaction

from arbsite.base import audit
from arbsite.base.errors import Rejected
from arbsite.base.models import User
from contracts.kernel.networks import Network, network_of
from contracts.models import Chain
from wallets import push, selectors
from wallets.kernel import derivation
from wallets.models import Wallet

_OF_SEED: Final = "its seed was exposed"


class ReasonWanted(Rejected):
    """What was found out is kept."""


class NoHaven(Rejected):
    """There is nowhere safe to send its coin."""

    def __init__(self, chain_key: str) -> None:
        super().__init__(
            f"{chain_key} has no other gas reserve with a safe key: set "
            f"ARB_TREASURY_{chain_key.upper()}, or make a reserve with "
            f"`import_key --chain {chain_key} --role gas_reserve`; nothing was sent"
        )


class Noting(Protocol):
    """The signer, as far as exposure goes."""

    def expose(self, name: str, *, path: str = "") -> None:
        """Note a secret, or one path of a seed, for ever."""

    def exposed(self) -> Set[str]:
        """Names of what is noted; a single path follows its seed after a space."""


def is_worthless(chain: Chain) -> bool:
    """Whether the chain's coin has no value."""
    network = network_of(eip155_id=chain.eip155_id, local=chain.is_local)
    return network is not Network.MAINNET


def secret_of(wallet: Wallet) -> tuple[str, str]:
    """(name in the keystore, path) of a wallet's key; the path is "" for an imported one."""
    return derivation.secret_of(
        source=wallet.source,
        seed=wallet.seed,
        path=wallet.derivation_path,
        chain_key=wallet.chain_id,
        address=wallet.address,
    )


def exposure_apply(wallet: Wallet, *, noted: Set[str]) -> None:
    """Give a wallet that is not saved yet the state its key asks for."""
    name, path = secret_of(wallet)
    if not is_worthless(wallet.chain) and (name in noted or f"{name} {path}" in noted):
        wallet.state, wallet.state_reason = "exposed", "its key was exposed before"


def haven_of(*, wallet: Wallet, treasury: str) -> str:
    """Where a wallet's coin is safe: another reserve that sends, else the chain's treasury.

    ``treasury``: as configured, "" where there is none. One query. Raises: NoHaven.
    """
    reserves = selectors.wallets_that_send(chain_key=wallet.chain_id, role="gas_reserve")
    safe = [str(one.address) for one in reserves if one.pk != wallet.pk]
    if treasury:
        safe.append(treasury)
    if not safe:
        raise NoHaven(wallet.chain_id)
    return safe[0]


def wallet_expose(
    *,
    wallet: Wallet,
    reason: str,
    signer: Noting,
    by: User | None = None,
    via: str = "shell",
    within: Callable[[list[Wallet]], None] = lambda hit: None,
) -> list[Wallet]:
    """Note that others may know a wallet's key; returns every wallet that is now out of use.

    A key kept for several chains is exposed on all of them. Nothing takes it back. ``within`` is
    called in the transaction that takes them out of use; the keystore's note comes before it.

    Raises: ReasonWanted; what the signer raises.
    """
    _check(reason)
    if wallet.source != "watch":
        name, path = secret_of(wallet)
        signer.expose(name, path=path)
    same = Wallet.objects.select_related("chain").filter(address=wallet.address)
    others = [one for one in same.exclude(pk=wallet.pk) if not is_worthless(one.chain)]
    return _retire([wallet, *others], reason=reason, by=by, via=via, within=within)


def seed_expose(
    *, seed: str, reason: str, signer: Noting, by: User | None = None, via: str = "shell"
) -> list[Wallet]:
    """Note that others may know a seed, and with it each key derived from it.

    Returns the wallets that are now out of use. Raises: as `wallet_expose`.
    """
    _check(reason)
    signer.expose(derivation.seed_name(seed))
    derived = Wallet.objects.select_related("chain").filter(source="derived", seed=seed)
    hit = [one for one in derived if not is_worthless(one.chain)]
    return _retire(hit, reason=f"{_OF_SEED}: {reason}", by=by, via=via)


def _check(reason: str) -> None:
    if not reason.strip():
        raise ReasonWanted("say how it was exposed: the reason is kept and shown")


def _retire(
    hit: list[Wallet],
    *,
    reason: str,
    by: User | None,
    via: str,
    within: Callable[[list[Wallet]], None] = lambda hit: None,
) -> list[Wallet]:
    with transaction.atomic():
        for wallet in hit:
            before = {"state": wallet.state, "reason": wallet.state_reason}
            rows = Wallet.objects.filter(pk=wallet.pk).exclude(state="retired")
            rows.update(state="exposed", state_reason=reason[:200])
            audit.record(
                verb="wallet.expose",
                target=wallet.address,
                actor=by,
                via=via,
                before=before,
                after={"chain": wallet.chain_id, "state": "exposed", "reason": reason},
            )
            transaction.on_commit(lambda pk=wallet.pk: push.wallet_changed(pk), robust=True)  # type: ignore[misc]
            wallet.refresh_from_db(fields=["state", "state_reason"])
        within(hit)
    return hit
