"""Recording a receiver that stands on chain already, after it was looked at from all sides."""

from collections.abc import Iterable
from typing import Final

from django.db import transaction
from eth_utils import to_checksum_address
from eth_utils.crypto import keccak

from arbsite.base import audit
from arbsite.base.errors import Rejected
from contracts.kernel import abi
from contracts.kernel.jsonrpc import RpcError
from contracts.models import Deployment, Token
from wallets.administration import builds
from wallets.administration.deploy import DeployReport, read_code
from wallets.administration.mending import receiver_mend, wallet_at
from wallets.administration.observe import Observation, observe, questions_of
from wallets.administration.office import Office, treasury_of
from wallets.models import Assignment, Wallet

_EXECUTOR_SET: Final = "0x" + keccak(text="ExecutorSet(address,bool)").hex()


class NotAdoptable(Rejected):
    """What stands at the address is not to be trusted with our money, or not ours to run."""

    def __init__(self, address: str, why: str) -> None:
        self.address = address
        self.why = why
        super().__init__(f"{address} is not adopted: {why}")


def contract_adopt(office: Office, *, address: str, owner: str = "") -> DeployReport:
    """Record an existing receiver and its router, then set up what is missing.

    ``owner``: who must own it; else it must be one of our gas reserves. Its executors become
    assignments; every one of them must be a wallet of ours. What was active before is not, any
    more.

    Raises: NotAdoptable naming what is wrong, with nothing recorded; as `receiver_mend`.
    """
    seen = _examine(office, address, owner=owner)
    executors = _executors(office, address)
    office.say(f"{address} is a FlashLoanReceiver of this build, owned by {seen.owner}")
    receiver = _record(office, address=address, seen=seen, executors=executors)
    report = DeployReport(
        chain=office.chain.key,
        simulated_only=not office.may_sign,
        contracts=list(Deployment.objects.filter(chain=office.chain, active=True)),
    )
    receiver.refresh_from_db()
    made, report.drift = receiver_mend(office, receiver)
    report.transactions += made
    return report


def _examine(office: Office, address: str, *, owner: str) -> Observation:
    asked = questions_of(office.chain)
    if Wallet.objects.filter(chain=office.chain, address=address).exists():
        raise NotAdoptable(address, "it is a wallet")
    seen = observe(office.rpc, chain=office.chain, address=address, asked=asked)
    expected = builds.expected_code_hash("receiver")
    if seen.code_hash != expected:
        found = "there is no code" if not read_code(office, address) else seen.code_hash
        raise NotAdoptable(
            address, f"its code hash is not {expected} of FlashLoanReceiver ({found})"
        )
    if owner and seen.owner != owner:
        raise NotAdoptable(address, f"its owner is {seen.owner}, not {owner}")
    if not owner and wallet_at(office, seen.owner) is None:
        raise NotAdoptable(
            address,
            f"its owner {seen.owner} is no gas reserve wallet of {office.chain.key}: "
            "name it with --owner if that is as it should be",
        )
    _examine_router(office, address, seen)
    unset = [token for token, raw in seen.min_profit.items() if not raw]
    if unset and len(unset) == len(seen.min_profit):
        raise NotAdoptable(
            address, "its minimum profit is zero for every token: have its owner set it first"
        )
    if unset:
        symbols = Token.objects.filter(chain=office.chain, address__in=unset)
        names = ", ".join(symbols.values_list("symbol", flat=True))
        office.say(f"no minimum profit yet for {names}")
    return seen


def _examine_router(office: Office, address: str, seen: Observation) -> None:
    if not seen.router:
        raise NotAdoptable(address, "it lists no router")
    found = builds.code_hash("router", read_code(office, seen.router))
    if found != builds.expected_code_hash("router"):
        raise NotAdoptable(address, f"its router {seen.router} is not a MultiDexRouter of ours")


def _executors(office: Office, address: str) -> list[Wallet]:
    """Wallets of ours that may execute, from the contract's own events. Raises: NotAdoptable."""
    try:
        logs = office.rpc.call(
            "eth_getLogs",
            [
                {
                    "address": address,
                    "topics": [_EXECUTOR_SET],
                    "fromBlock": "0x0",
                    "toBlock": "latest",
                }
            ],
            timeout_s=30.0,
        )
    except RpcError as error:
        raise NotAdoptable(
            address,
            f"its executors cannot be listed, the node says: {error.message}; "
            "put an endpoint that serves all logs first",
        ) from None
    named = dict.fromkeys(to_checksum_address("0x" + log["topics"][1][-40:]) for log in logs)
    allowed = [who for who in named if _is_executor(office, address, who)]
    ours = {
        wallet.address: wallet
        for wallet in Wallet.objects.filter(chain=office.chain, role="executor", state="active")
        if wallet.source != "watch"
    }
    strangers = [who for who in allowed if who not in ours]
    if strangers:
        raise NotAdoptable(
            address,
            f"{', '.join(strangers)} may execute on it and is no executor wallet of ours: "
            "have its owner take that right away first",
        )
    return [ours[who] for who in allowed]


def _is_executor(office: Office, address: str, who: str) -> bool:
    data = abi.encode_call("isExecutor(address)", who)
    return int.from_bytes(office.rpc.eth_call(to=address, data=data)) == 1


def _record(
    office: Office, *, address: str, seen: Observation, executors: Iterable[Wallet]
) -> Deployment:
    found = {token: str(raw) for token, raw in seen.min_profit.items() if raw}
    with transaction.atomic():
        _activate(office, kind="router", address=seen.router, facts={"owner": ""})
        receiver = _activate(
            office,
            kind="receiver",
            address=address,
            facts={
                "owner": seen.owner,
                "treasury": treasury_of(office),
                "observed": {**seen.as_json(), "desired": {"minProfit": found}},
            },
        )
        for position, wallet in enumerate(executors):
            Assignment.objects.update_or_create(
                wallet=wallet,
                deployment=receiver,
                defaults={"desired": True},
                create_defaults={"desired": True, "position": position},
            )
        audit.record(
            verb="contract.adopt",
            target=address,
            actor=office.by,
            via=office.via,
            after={"chain": office.chain.key, "owner": seen.owner, "router": seen.router},
        )
    return receiver


def _activate(office: Office, *, kind: str, address: str, facts: dict[str, object]) -> Deployment:
    others = Deployment.objects.filter(chain=office.chain, kind=kind, active=True)
    others.exclude(address=address).update(active=False)
    row, created = Deployment.objects.get_or_create(
        chain=office.chain,
        address=address,
        defaults={
            "kind": kind,
            "code_hash": builds.expected_code_hash(kind),
            "adopted": True,
            **facts,
        },
    )
    if not created:
        Deployment.objects.filter(pk=row.pk).update(active=True, **facts)
    return row
