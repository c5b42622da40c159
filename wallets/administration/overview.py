"""All our contracts of a chain at once: read from the chain, and shown with their drift."""

from typing import Any

from django.db import transaction
from django.utils import timezone

from contracts.kernel.jsonrpc import hex_bytes, hex_int
from contracts.models import Chain, Deployment
from contracts.rpc import HttpRpc
from wallets import listing, push, render
from wallets.administration import builds
from wallets.administration.drift import drift_of
from wallets.administration.observe import deployment_observe, observation_stored


def contracts_observe(rpc: HttpRpc, *, chain: Chain) -> list[Deployment]:
    """Read every active contract of a chain and keep what was read. Raises: as `observe`."""
    rows = list(listing.deployments(chain_key=chain.key))
    for row in rows:
        if row.kind == "receiver":
            deployment_observe(rpc, deployment=row)
        else:
            _router_observe(rpc, row)
    return rows


def _router_observe(rpc: HttpRpc, row: Deployment) -> None:
    """A router has no owner and no state: its code is all there is to it."""
    head, code = rpc.batch(
        [("eth_blockNumber", []), ("eth_getCode", [row.address, "latest"])], timeout_s=20.0
    )
    for answer in (head, code):
        if isinstance(answer, Exception):
            raise answer
    seen = {"codeHash": builds.code_hash("router", hex_bytes(code))}
    with transaction.atomic():
        Deployment.objects.filter(pk=row.pk).update(
            observed=seen, observed_block=hex_int(head), observed_at=timezone.now()
        )
        transaction.on_commit(lambda: push.contract_changed(row.pk), robust=True)
    row.refresh_from_db()


def contracts_shown(*, chain_key: str | None = None) -> list[dict[str, Any]]:
    """Active contracts with what differs from their rows, as last read. Queries: 1 + 8 each."""
    return [contract_shown(row) for row in listing.deployments(chain_key=chain_key)]


def contract_shown(row: Deployment) -> dict[str, Any]:
    """One contract. Queries: 8 for a receiver."""
    expected = builds.expected_code_hash(row.kind)
    return render.contract(row, expected_code_hash=expected, drift=drift_shown(row))


def drift_shown(row: Deployment) -> list[dict[str, str]] | None:
    """Where it differs, by what was last read; None where nothing was."""
    if row.kind == "router":
        found = row.observed.get("codeHash")
        expected = builds.expected_code_hash("router")
        if found is None:
            return None
        if found == expected:
            return []
        note = "this is not the router of this build: deploy again"
        return [{"key": "code", "desired": expected, "observed": found, "mend": "", "note": note}]
    seen = observation_stored(row)
    return None if seen is None else [one.as_json() for one in drift_of(row, seen)]
