"""Writes of this app: what is planned, simulated or dropped, and wallets coming into being.

Nothing here signs, sends or asks a node inside a database transaction.
"""

from collections.abc import Callable, Mapping, Set
from typing import Final, Protocol

from django.db import IntegrityError, transaction
from django.db.models import Max, Sum
from django.utils import timezone

from arbsite.base import audit
from arbsite.base.errors import Rejected
from arbsite.base.fields import checksummed
from arbsite.base.models import User
from arbsite.base.units import BlockNumber, Gas, Wei
from contracts.models import Chain
from wallets import exposure, kill, push
from wallets.kernel import derivation, lifecycle
from wallets.kernel.lifecycle import Status
from wallets.models import Attempt, KillState, StatusChange, Transaction, Wallet

KINDS: Final = frozenset(
    {
        "execution", "test", "funding", "deployment", "authorisation", "administration", "sweep",
        "pause", "revoke", "rescue", "gap_fill",
    }
)  # fmt: skip
# What each role is warned about by default: gas for some dozens of its usual transactions.
THRESHOLD_WEI: Final = {
    "executor": Wei(5 * 10**16),
    "gas_reserve": Wei(5 * 10**17),
    "master": Wei(0),
}
_TRIES: Final = 20


class StaleStatus(Rejected):
    """The stored status moved on; whoever moved it did the work."""


class KeyReused(Rejected):
    """An idempotency key came back with another intent."""


class WalletRefused(Rejected):
    """That wallet cannot be made."""


class AddressSource(Protocol):
    """The signer, as far as wallets are made with it."""

    def address(self, *, seed: str, path: str) -> str:
        """The address of a seed's path."""

    def key_import(
        self, *, chain_key: str, is_local: bool, private_key: str, exposed: bool = False
    ) -> str:
        """Keep a private key; its address."""

    def exposed(self) -> Set[str]:
        """Names of secrets that others may know."""


def kill_epoch(chain_key: str) -> int:
    """The epoch that queued work carries: rises with every release, of all chains or this one."""
    found = KillState.objects.filter(scope__in=["*", chain_key]).aggregate(total=Sum("epoch"))
    return int(found["total"] or 0)


def transaction_plan(
    *,
    wallet: Wallet,
    kind: str,
    to: str,
    data: bytes,
    key: str,
    value_wei: Wei = Wei(0),  # noqa: B008  an int
    last_block: BlockNumber | None = None,
    leader_epoch: int | None = None,
    private_only: bool = False,
    epoch: int | None = None,
) -> Transaction:
    """Record an intent; the same ``key`` gives the same row, however often it is asked.

    ``to`` is "" for a deployment. ``epoch``: the kill switch's when it was decided, default now.
    Queries: 3, or 1 for a repeated key.

    Raises: KeyReused when the key stands for another intent; ValueError for an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is not a kind of transaction")
    wanted = {
        "wallet_id": wallet.pk,
        "kind": kind,
        "to": checksummed(to) if to else "",
        "value_wei": value_wei,
        "data": data,
    }
    planned, created = Transaction.objects.get_or_create(
        idempotency_key=key,
        defaults={
            **wanted,
            "chain_id": wallet.chain_id,
            "last_block": last_block,
            "leader_epoch": leader_epoch,
            "kill_epoch": kill_epoch(wallet.chain_id) if epoch is None else epoch,
            "private_only": private_only,
        },
    )
    if created:
        _record(planned, old="", new=Status.PLANNED)
        return planned
    for name, value in wanted.items():
        held = getattr(planned, name)
        if (bytes(held) if name == "data" else held) != value:
            raise KeyReused(f"{key!r} stands for another transaction ({name} differs)")
    return planned


def check_gas_limit(gas_limit: Gas) -> None:
    """Raises: ValueError for a limit that nobody measured."""
    if gas_limit <= 0:
        raise ValueError("a gas limit comes from a simulation or from measured use")


def transaction_simulated(
    *,
    transaction_: Transaction,
    block_number: BlockNumber,
    block_hash: str,
    gas_limit: Gas,
    simulated_only: bool = False,
) -> None:
    """The exact payload succeeded on the state of that block; ``gas_limit`` is what it may use.

    ``simulated_only``: the chain may not sign; the row ends here. Raises: StaleStatus.
    """
    check_gas_limit(gas_limit)
    _advance(
        transaction_=transaction_,
        new=Status.SIMULATED,
        gas_limit=gas_limit,
        simulated_block=block_number,
        simulated_block_hash=block_hash,
        simulated_only=simulated_only,
    )


def transaction_rejected(*, transaction_: Transaction, reason: str) -> None:
    """Drop an intent that holds no nonce. Raises: StaleStatus, IllegalTransition."""
    with transaction.atomic():
        # The sender takes a nonce under this row's lock: the second of the two sees the first.
        Transaction.objects.select_for_update().get(pk=transaction_.pk)
        if Attempt.objects.filter(transaction=transaction_, released=False).exists():
            raise StaleStatus(f"transaction {transaction_.pk} holds a nonce: cancel it instead")
        _advance(transaction_=transaction_, new=Status.REJECTED, reason=reason)


def transaction_settled(
    *, transaction_: Transaction, new: Status, reason: str = "", facts: Mapping[str, object]
) -> None:
    """Book what the chain says. For `receipts` alone. Raises: StaleStatus, IllegalTransition."""
    _advance(transaction_=transaction_, new=new, reason=reason, **facts)


def _advance(*, transaction_: Transaction, new: Status, reason: str = "", **facts: object) -> None:
    """Move ``transaction_`` to ``new`` and record why, atomically.

    Claims the row by compare-and-set on the old status, so two watchers cannot both apply one
    receipt. Pages hear of it after commit, never before.

    Raises:
        IllegalTransition: the move is not in ``lifecycle.TRANSITIONS``.
        StaleStatus: the stored status is no longer ``transaction_.status``.
    """
    old = Status(transaction_.status)
    lifecycle.check(old, new)
    if reason:
        facts["reason"] = reason[:200]
    with transaction.atomic():
        rows = Transaction.objects.filter(pk=transaction_.pk, status=old.value)
        if not rows.update(status=new.value, updated_at=timezone.now(), **facts):
            raise StaleStatus(f"transaction {transaction_.pk} is no longer {old}")
        _record(transaction_, old=old.value, new=new, reason=reason)
    transaction_.status = new.value
    for name, value in facts.items():
        setattr(transaction_, name, value)


def _record(transaction_: Transaction, *, old: str, new: Status, reason: str = "") -> None:
    StatusChange.objects.create(
        transaction=transaction_, old=old, new=new.value, reason=reason[:200]
    )
    transaction.on_commit(lambda: push.transaction_changed(transaction_.pk), robust=True)


def wallet_create(
    *,
    chain: Chain,
    role: str,
    signer: AddressSource,
    label: str = "",
    by: User | None = None,
    via: str = "shell",
    within: Callable[[Wallet], None] | None = None,
) -> Wallet:
    """The next address of a role, from the chain's seed; an index is never used twice anywhere.

    ``within`` runs in the transaction that makes it: what it raises leaves no wallet.

    Raises: WalletRefused for a master of a chain that is not local; what the signer raises.
    """
    if role not in THRESHOLD_WEI:
        raise WalletRefused(f"role {role!r} must be one of {', '.join(THRESHOLD_WEI)}")
    if role == "master" and not chain.is_local:
        raise WalletRefused(
            f"a master wallet of {chain.key} is watch-only: keep its key cold, give --watch ADDRESS"
        )
    seed = "local" if chain.is_local else "main"
    for _ in range(_TRIES):
        index = _next_index(seed=seed, role=role)
        path = derivation.path_of(role=role, index=index)
        try:
            wallet = Wallet(
                chain=chain,
                role=role,
                label=label,
                address=signer.address(seed=seed, path=path),
                source="derived",
                seed=seed,
                derivation_path=path,
                derivation_index=index,
                threshold_wei=THRESHOLD_WEI[role],
            )
            exposure.exposure_apply(wallet, noted=signer.exposed())
            return _wallet_insert(
                wallet,
                by=by,
                via=via,
                within=within,
            )
        except IntegrityError:
            continue  # another process took the index
    raise WalletRefused(f"no free {role} index after {_TRIES} tries: try again")


def wallet_watch(
    *,
    chain: Chain,
    role: str,
    address: str,
    label: str = "",
    by: User | None = None,
    via: str = "shell",
    within: Callable[[Wallet], None] | None = None,
) -> Wallet:
    """A wallet whose key we do not have; ``within`` as for `wallet_create`.

    Raises: WalletRefused.
    """
    return _wallet_keyless(
        Wallet(chain=chain, role=role, label=label, address=_address(address), source="watch"),
        by=by,
        via=via,
        within=within,
    )


def wallet_import(
    *,
    chain: Chain,
    role: str,
    private_key: str,
    signer: AddressSource,
    exposed: bool = False,
    label: str = "",
    by: User | None = None,
    via: str = "shell",
) -> Wallet:
    """A wallet from a raw private key, which goes to the signer and nowhere else.

    ``exposed``: others may know it. A key that the keystore holds already, its row never written,
    is simply taken up.

    Raises: WalletRefused; what the signer raises, which never repeats the key.
    """
    if role not in ("executor", "gas_reserve"):
        raise WalletRefused("an imported key is an executor's or a gas reserve's")
    address = signer.key_import(
        chain_key=chain.key, is_local=chain.is_local, private_key=private_key, exposed=exposed
    )
    wallet = Wallet(chain=chain, role=role, label=label, address=address, source="imported")
    exposure.exposure_apply(wallet, noted=signer.exposed())
    return _wallet_keyless(wallet, by=by, via=via)


def _wallet_keyless(
    wallet: Wallet,
    *,
    by: User | None,
    via: str,
    within: Callable[[Wallet], None] | None = None,
) -> Wallet:
    if wallet.role not in THRESHOLD_WEI:
        raise WalletRefused(f"role {wallet.role!r} must be one of {', '.join(THRESHOLD_WEI)}")
    wallet.threshold_wei = THRESHOLD_WEI[wallet.role]
    try:
        return _wallet_insert(wallet, by=by, via=via, within=within)
    except IntegrityError:
        raise WalletRefused(f"{wallet.address} is a wallet of {wallet.chain_id} already") from None


def _wallet_insert(
    wallet: Wallet,
    *,
    by: User | None,
    via: str,
    within: Callable[[Wallet], None] | None = None,
) -> Wallet:
    with transaction.atomic():
        wallet.save(force_insert=True)
        # A chain's switch exists before anything of it can be sent.
        kill.kill_rows_ensure(chain_keys=[wallet.chain_id])
        audit.record(
            verb="wallet.create",
            target=wallet.address,
            actor=by,
            via=via,
            after={
                "chain": wallet.chain_id,
                "role": wallet.role,
                "source": wallet.source,
                "derivationPath": wallet.derivation_path,
            },
        )
        if within is not None:
            within(wallet)
        transaction.on_commit(lambda: push.wallet_changed(wallet.pk), robust=True)
    return wallet


def derivation_next(*, chain: Chain, role: str) -> str:
    """The path that the next derived wallet of a role gets, as things stand. One query."""
    seed = "local" if chain.is_local else "main"
    return derivation.path_of(role=role, index=_next_index(seed=seed, role=role))


def _next_index(*, seed: str, role: str) -> int:
    account = derivation.path_of(role=role, index=0).rpartition("/")[0] + "/"
    used = Wallet.objects.filter(seed=seed, derivation_path__startswith=account)
    highest = used.aggregate(highest=Max("derivation_index"))["highest"]
    return 0 if highest is None else int(highest) + 1


def _address(text: str) -> str:
    try:
        return checksummed(text)
    except ValueError as error:
        raise WalletRefused(str(error)) from None
