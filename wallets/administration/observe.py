"""What the chain says of our contracts: one batched read of one block, kept with the deployment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from contracts.kernel import abi
from contracts.kernel.abi import Call
from contracts.kernel.jsonrpc import RpcError, hex_bytes, hex_int
from contracts.models import Chain, Deployment, Dex, Pool, Token
from contracts.rpc import HttpRpc
from contracts.services import registry_touch
from wallets import push
from wallets.administration import builds
from wallets.models import Assignment, Wallet

CHUNK: Final = 400
NOBODY: Final = "0x" + "0" * 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A receiver as it stood at one block. Amounts in raw token units; addresses checksummed.

    The maps hold an answer for each address that was asked about, and no other; ``liquidity`` is
    what the lender has of each token.
    """

    block_number: int
    block_hash: str
    code_hash: str
    owner: str = ""
    pending_owner: str = ""
    treasury: str = ""
    router: str = ""
    tip_recipient: str = ""
    paused: bool = False
    executors: dict[str, bool] = field(default_factory=dict)
    factories: dict[str, bool] = field(default_factory=dict)
    routers: dict[str, bool] = field(default_factory=dict)
    lenders: dict[str, bool] = field(default_factory=dict)
    min_profit: dict[str, int] = field(default_factory=dict)
    liquidity: dict[str, int] = field(default_factory=dict)
    pools: dict[str, bool] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As it is stored and shown; amounts as strings, pools as a count and what is missing."""
        return {
            "codeHash": self.code_hash,
            "owner": self.owner,
            "pendingOwner": self.pending_owner,
            "treasury": self.treasury,
            "router": self.router,
            "tipRecipient": self.tip_recipient,
            "paused": self.paused,
            "executors": self.executors,
            "factories": self.factories,
            "routers": self.routers,
            "lenders": self.lenders,
            "minProfit": {token: str(raw) for token, raw in self.min_profit.items()},
            "liquidity": {token: str(raw) for token, raw in self.liquidity.items()},
            "poolsListed": sum(self.pools.values()),
            "poolsMissing": [pool for pool, listed in self.pools.items() if not listed],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """The addresses that a receiver is asked about."""

    executors: Sequence[str]
    factories: Sequence[str]
    routers: Sequence[str]
    lenders: Sequence[str]
    tokens: Sequence[str]
    pools: Sequence[str]
    reserves: Sequence[tuple[str, str]] = ()  # token, and where the lender keeps it


def questions_of(chain: Chain) -> Questions:
    """Everything of a chain's registry and wallets that a receiver knows. Queries: 7."""
    routers = Deployment.objects.filter(chain=chain, kind="router")
    return Questions(
        executors=_column(Wallet.objects.filter(chain=chain, role="executor")),
        factories=list(
            Dex.objects.filter(chain=chain).order_by("id").values_list("factory", flat=True)
        ),
        routers=_column(routers),
        lenders=[chain.aave_pool] if chain.aave_pool else [],
        tokens=_column(Token.objects.filter(chain=chain, lendable=True)),
        pools=_column(Pool.objects.filter(chain=chain, dex__enabled=True)),
        reserves=list(
            Token.objects.filter(chain=chain, lendable=True)
            .exclude(atoken="")
            .order_by("id")
            .values_list("address", "atoken")
        ),
    )


def observe(rpc: HttpRpc, *, chain: Chain, address: str, asked: Questions) -> Observation:
    """Read a receiver at the newest block. One request for the block, one for all the rest.

    Code that is not a receiver's answers nothing: the fields stay empty, the hash tells.
    Raises: RpcError, RpcUnavailable; BadAnswer for an answer that does not decode.
    """
    head = rpc.call("eth_getBlockByNumber", ["latest", False])
    at = {"blockHash": str(head["hash"])}
    plan = _views(asked)
    calls = [Call(address, abi.encode_call(view, *args)) for _, view, args in plan]
    for token, kept_at in asked.reserves:
        plan.append(("liquidity", _BALANCE, (token,)))
        calls.append(Call(token, abi.encode_call(_BALANCE, kept_at)))
    code = hex_bytes(rpc.call("eth_getCode", [address, at]))
    found: dict[str, Any] = {}
    for (name, view, args), answer in zip(plan, ask_all(rpc, chain, calls, at), strict=True):
        if answer is None or len(answer) != 32:
            continue
        value = _DECODERS[_RETURNS[view]](answer)
        if args:
            found.setdefault(name, {})[args[0]] = value
        else:
            found[name] = value
    return Observation(
        block_number=hex_int(head["number"]),
        block_hash=str(head["hash"]),
        code_hash=builds.code_hash("receiver", code),
        **found,
    )


def deployment_observe(rpc: HttpRpc, *, deployment: Deployment) -> Observation:
    """Read a receiver and keep what was read; assignments learn whether they hold on chain.

    Raises: as `observe`.
    """
    chain = deployment.chain
    seen = observe(rpc, chain=chain, address=deployment.address, asked=questions_of(chain))
    with transaction.atomic():
        row = Deployment.objects.select_for_update().get(pk=deployment.pk)
        if row.observed_block is not None and row.observed_block > seen.block_number:
            return seen  # a slower reader must not undo what a later block said
        told = seen.as_json()
        moved = row.observed.get("minProfit") != told["minProfit"]
        row.observed = {**told, "desired": row.observed.get("desired", {})}
        row.observed_block, row.observed_at = seen.block_number, timezone.now()
        row.save(update_fields=["observed", "observed_block", "observed_at"])
        _assignments_learn(row, seen)
        if moved and row.kind == "receiver":  # what a search holds opportunities against
            registry_touch(chain_key=str(chain.key))
        transaction.on_commit(lambda: push.contract_changed(row.pk), robust=True)
    deployment.refresh_from_db()
    return seen


def observation_stored(deployment: Deployment) -> Observation | None:
    """What was last read of a receiver, without asking the chain; None where nothing was.

    Of pools only the missing ones are kept: others of the registry count as listed. One query.
    """
    held = deployment.observed
    if deployment.observed_block is None or "codeHash" not in held:
        return None
    missing = set(held.get("poolsMissing", ()))
    pools = _column(Pool.objects.filter(chain_id=deployment.chain_id, dex__enabled=True))
    return Observation(
        block_number=deployment.observed_block,
        block_hash="",
        code_hash=held["codeHash"],
        owner=held.get("owner", ""),
        pending_owner=held.get("pendingOwner", ""),
        treasury=held.get("treasury", ""),
        router=held.get("router", ""),
        tip_recipient=held.get("tipRecipient", ""),
        paused=bool(held.get("paused")),
        executors=held.get("executors", {}),
        factories=held.get("factories", {}),
        routers=held.get("routers", {}),
        lenders=held.get("lenders", {}),
        min_profit={token: int(raw) for token, raw in held.get("minProfit", {}).items()},
        liquidity={token: int(raw) for token, raw in held.get("liquidity", {}).items()},
        pools={pool: pool not in missing for pool in pools},
    )


def _assignments_learn(deployment: Deployment, seen: Observation) -> None:
    rows = Assignment.objects.filter(deployment=deployment).select_related("wallet")
    for row in rows:
        holds = seen.executors.get(row.wallet.address)
        if holds is None or holds == (row.authorized_at is not None):
            continue
        Assignment.objects.filter(pk=row.pk).update(authorized_at=timezone.now() if holds else None)
        transaction.on_commit(
            lambda pk=row.wallet_id: push.wallet_changed(pk),  # type: ignore[misc]
            robust=True,
        )


def _views(asked: Questions) -> list[tuple[str, str, tuple[str, ...]]]:
    plan: list[tuple[str, str, tuple[str, ...]]] = [
        ("owner", "owner()", ()),
        ("pending_owner", "pendingOwner()", ()),
        ("treasury", "treasury()", ()),
        ("router", "router()", ()),
        ("tip_recipient", "tipRecipient()", ()),
        ("paused", "paused()", ()),
    ]
    for name, view, addresses in (
        ("executors", "isExecutor(address)", asked.executors),
        ("factories", "isFactory(address)", asked.factories),
        ("routers", "isRouter(address)", asked.routers),
        ("lenders", "isLender(address)", asked.lenders),
        ("min_profit", "minProfit(address)", asked.tokens),
        ("pools", "isPool(address)", asked.pools),
    ):
        plan += [(name, view, (address,)) for address in dict.fromkeys(addresses)]
    return plan


def _address(answer: bytes) -> str:
    found = abi.decode_address(answer)
    return "" if found == NOBODY else found


def _flag(answer: bytes) -> bool:
    return abi.decode_uint(answer) == 1


_BALANCE: Final = "balanceOf(address)"
_DECODERS: Final[dict[str, Callable[[bytes], object]]] = {
    "address": _address,
    "bool": _flag,
    "uint256": abi.decode_uint,
}
_RETURNS: Final = {
    **dict.fromkeys(
        ("owner()", "pendingOwner()", "treasury()", "router()", "tipRecipient()"), "address"
    ),
    **dict.fromkeys(
        (
            "paused()",
            "isExecutor(address)",
            "isFactory(address)",
            "isRouter(address)",
            "isLender(address)",
            "isPool(address)",
        ),
        "bool",
    ),
    "minProfit(address)": "uint256",
    _BALANCE: "uint256",
}


def ask_all(
    rpc: HttpRpc, chain: Chain, calls: Sequence[Call], at: dict[str, str] | str
) -> list[bytes | None]:
    """Each call's answer at one block, None where it reverts: by the chain's Multicall3, else in
    batches. Raises: RpcUnavailable, RpcError."""
    if chain.multicall3:
        answer = rpc.eth_call(
            to=chain.multicall3, data=abi.encode_multicall(calls), block=at, timeout_s=20.0
        )
        return abi.decode_multicall(answer, count=len(calls))
    answers: list[bytes | None] = []
    for start in range(0, len(calls), CHUNK):
        asked = [
            ("eth_call", [{"to": call.to, "data": "0x" + call.data.hex()}, at])
            for call in calls[start : start + CHUNK]
        ]
        answers += [
            None if isinstance(answer, RpcError) else hex_bytes(answer)
            for answer in rpc.batch(asked, timeout_s=20.0)
        ]
    return answers


def _column(rows: Any) -> list[str]:
    return list(rows.order_by("id").values_list("address", flat=True))
