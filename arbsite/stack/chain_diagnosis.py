"""What `doctor --chain KEY` looks at besides: registry, node, wallets, contracts."""

from collections.abc import Iterator
from typing import Final

from arbsite.stack import postgres
from arbsite.stack.findings import Check, Finding, Level, Patient
from arbsite.stack.paths import database_url
from contracts.kernel.jsonrpc import RpcError
from contracts.kernel.networks import Network, network_of
from contracts.models import Chain, Deployment
from contracts.rpc import HttpRpc, RpcUnavailable
from wallets.models import Assignment, Wallet

_WORTH: Final = {
    Network.LOCAL: "a local chain, coins of no value",
    Network.TESTNET: "a test network, coins of no value",
    Network.MAINNET: "a main network, real money",
}


def _chain(patient: Patient) -> Chain | None:
    url = patient.arb.database_url or database_url(patient.arb.data_dir)
    if postgres.lacking(url) is not None:
        return None
    return Chain.objects.filter(key=patient.chain).first()


def registry(patient: Patient) -> Iterator[Finding]:
    """The chain is known."""
    if _chain(patient) is not None:
        yield Finding(Level.OK, f"{patient.chain} is in the registry")
        return
    mend = "make run, then python manage.py import_market FILE"
    yield Finding(Level.WRONG, f"{patient.chain} is not in the registry, or there is none", mend)


def network(patient: Patient) -> Iterator[Finding]:
    """What the chain's coins are worth, whether anything is signed, and what stands in the way."""
    chain = _chain(patient)
    if chain is None:
        return
    kind = network_of(eip155_id=chain.eip155_id, local=chain.is_local)
    yield Finding(Level.OK, f"{chain.key} is {chain.name}, chain {chain.eip155_id}: {_WORTH[kind]}")
    if kind is not Network.LOCAL and chain.key not in patient.arb.live_chains:
        mend = f"where it is meant: add {chain.key} to ARB_LIVE"
        yield Finding(Level.NOTE, f"nothing is signed on {chain.key}: results are simulated", mend)
    if chain.l1_fee != "none":
        text = f"the L1 data fee of {chain.key} is not computed yet: nothing is executable there"
        yield Finding(Level.NOTE, text)


def node_answers(patient: Patient) -> Iterator[Finding]:
    """An endpoint answers, and for the right chain. URLs are not shown: they may carry keys."""
    chain = _chain(patient)
    if chain is None:
        return
    configured = patient.arb.rpc.get(chain.key)
    urls = configured.http if configured and configured.http else chain.rpc_http
    rpc = HttpRpc(urls, timeout_s=5)
    variable = f"RPC_{chain.key.upper()}_HTTP"
    try:
        found = int(rpc.call("eth_chainId"), 16)
    except (RpcError, RpcUnavailable) as error:
        mend = f"check the node, or set {variable}"
        yield Finding(Level.WRONG, f"no endpoint of {chain.key} answers: {error}", mend)
        return
    finally:
        rpc.close()
    if found != chain.eip155_id:
        text = f"the endpoint of {chain.key} is of chain {found}, expected {chain.eip155_id}"
        yield Finding(Level.WRONG, text, f"set {variable} to a node of chain {chain.eip155_id}")
    else:
        yield Finding(Level.OK, f"an endpoint of {chain.key} answers")


def wallets(patient: Patient) -> Iterator[Finding]:
    """A gas reserve, an executor, its authorisation."""
    chain = _chain(patient)
    if chain is None:
        return
    for role in ("gas_reserve", "executor"):
        if Wallet.objects.filter(chain=chain, role=role, state="active").exists():
            yield Finding(Level.OK, f"{chain.key} has a wallet of role {role}")
        else:
            mend = f"python manage.py create_wallet --chain {chain.key} --role {role}"
            yield Finding(Level.WRONG, f"{chain.key} has no wallet of role {role}", mend)
    for wallet in Wallet.objects.filter(chain=chain, state="exposed").exclude(source="watch"):
        mend = f"python manage.py move_away --chain {chain.key} --wallet {wallet.pk}"
        yield Finding(Level.NOTE, f"{wallet.role} {wallet.address} is exposed", mend)
    if not Assignment.objects.filter(wallet__chain=chain).exists():
        mend = f"python manage.py authorize_executor --chain {chain.key} --wallet ID"
        yield Finding(Level.WRONG, f"no executor is authorised on {chain.key}", mend)


def contracts(patient: Patient) -> Iterator[Finding]:
    """Our contracts are deployed."""
    chain = _chain(patient)
    if chain is None:
        return
    kinds = set(Deployment.objects.filter(chain=chain, active=True).values_list("kind", flat=True))
    if kinds >= {"receiver", "router"}:
        yield Finding(Level.OK, f"our contracts are deployed on {chain.key}")
    else:
        mend = f"python manage.py deploy_contracts --chain {chain.key}"
        yield Finding(Level.WRONG, f"our contracts are not deployed on {chain.key}", mend)


CHAIN_CHECKS: Final[tuple[Check, ...]] = (registry, network, node_answers, wallets, contracts)
