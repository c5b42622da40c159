"""Stopping a receiver, letting it go on, and bringing its profits home."""

from django.db import transaction

from arbsite.base import audit
from arbsite.base.errors import Rejected
from contracts.kernel import abi
from contracts.kernel.jsonrpc import RpcError, call_object, hex_bytes, hex_int
from contracts.models import Deployment, Token
from wallets import selectors
from wallets.administration.calls import ContractCall, call_resume, call_run
from wallets.administration.mending import NotOurOwner, wallet_at
from wallets.administration.observe import NOBODY
from wallets.administration.office import Office
from wallets.models import Transaction, Wallet


class NobodyMay(Rejected):
    """No wallet of ours may make this call."""


class AlreadySo(Rejected):
    """The contract is in that state already."""


def receiver_pause(office: Office, *, deployment: Deployment, key: str = "") -> Transaction:
    """Stop execution and callbacks. By an executor where one is, so no owner's key is needed.

    The kill switch does not stop it. Raises: AlreadySo, NobodyMay; as `calls_run`.
    """
    if begun := call_resume(office, key=key, what=f"pause {deployment.address}"):
        return begun
    if _view(office, deployment, "paused()"):
        raise AlreadySo(f"{deployment.address} is paused already")
    caller = _executor_or_owner(office, deployment)
    return _run(office, deployment, caller, kind="pause", view="pause()", key=key)


def receiver_unpause(office: Office, *, deployment: Deployment, key: str = "") -> Transaction:
    """Let execution go on; the owner's alone. Raises: AlreadySo, NotOurOwner; as `calls_run`."""
    if begun := call_resume(office, key=key, what=f"unpause {deployment.address}"):
        return begun
    if not _view(office, deployment, "paused()"):
        raise AlreadySo(f"{deployment.address} is not paused")
    owner = abi.decode_address(
        office.rpc.eth_call(to=deployment.address, data=abi.encode_call("owner()"))
    )
    wallet = wallet_at(office, owner)
    if wallet is None:
        raise NotOurOwner(address=deployment.address, owner=owner, what=["unpause()"])
    return _run(office, deployment, wallet, kind="administration", view="unpause()", key=key)


def receiver_sweep(
    office: Office, *, deployment: Deployment, token: str = NOBODY, key: str = ""
) -> Transaction:
    """Send the whole balance of a token, or of the native coin, to the treasury.

    ``token``: its address; the zero address is the native coin. Raises: NobodyMay; as
    `calls_run`.
    """
    if begun := call_resume(office, key=key, what=f"sweep {deployment.address}"):
        return begun
    caller = _executor_or_owner(office, deployment)
    return _run(office, deployment, caller, kind="sweep", view="sweep(address)", key=key, arg=token)


def sweepable(office: Office, *, deployment: Deployment) -> list[str]:
    """Every lendable token that the contract holds any of, and the native coin as `NOBODY`.

    Raises: what the node raises.
    """
    tokens = Token.objects.filter(chain=deployment.chain, lendable=True).order_by("id")
    addresses = list(tokens.values_list("address", flat=True))
    data = abi.encode_call("balanceOf(address)", deployment.address)
    answers = office.rpc.batch(
        [
            ("eth_getBalance", [deployment.address, "latest"]),
            *(("eth_call", [call_object(to=to, data=data), "latest"]) for to in addresses),
        ],
        timeout_s=20.0,
    )
    found = []
    for token, answer in zip([NOBODY, *addresses], answers, strict=True):
        if isinstance(answer, RpcError):
            raise answer
        held = hex_int(answer) if token == NOBODY else abi.decode_uint(hex_bytes(answer))
        if held:
            found.append(token)
    return found


def _run(
    office: Office,
    deployment: Deployment,
    caller: Wallet,
    *,
    kind: str,
    view: str,
    key: str,
    arg: str = "",
) -> Transaction:
    what = f"{view.partition('(')[0]} {deployment.address}"
    office.say(f"{what} by {caller.address}")
    with transaction.atomic():
        audit.record(
            verb=f"contract.{view.partition('(')[0]}",
            target=deployment.address,
            actor=office.by,
            via=office.via,
            after={"chain": office.chain.key, "caller": caller.address, "token": arg},
        )
    data = abi.encode_call(view, *([arg] if arg else []))
    return call_run(
        office,
        ContractCall(what=what, wallet=caller, kind=kind, to=deployment.address, data=data),
        key=key,
    )


def _executor_or_owner(office: Office, deployment: Deployment) -> Wallet:
    executors = selectors.executors_in_order(deployment_id=deployment.pk)
    if executors:
        return executors[0]
    owner = wallet_at(office, deployment.owner)
    if owner is None:
        raise NobodyMay(
            f"{deployment.address} has no authorised executor of ours and its owner's key is "
            "not here: authorise an executor first"
        )
    return owner


def _view(office: Office, deployment: Deployment, view: str) -> bool:
    answer = office.rpc.eth_call(to=deployment.address, data=abi.encode_call(view))
    return abi.decode_uint(answer) == 1
