"""Wallets and contracts with fixed values, beside the small market: what their pages show."""

from datetime import timedelta

from django.utils import timezone

from arbsite.base import audit
from contracts.models import Chain, Deployment, Dex, Token
from tests.arbsite.console.builders import EXECUTOR, ONE, RECEIVER, make_address, make_hash
from wallets.administration import builds
from wallets.models import Assignment, Balance, Funding, Transaction, Wallet

RESERVE = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
SECOND = "0x90F79bf6EB2c4f870365E785982E1f101E93b906"
COLD = "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65"
ROUTER = "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"


def make_balance(wallet, wei, *, minutes=0, block=24_817_200) -> Balance:
    row = Balance.objects.create(
        wallet=wallet,
        block_number=block - minutes,
        block_hash=make_hash(block - minutes),
        balance_wei=wei,
    )
    Balance.objects.filter(pk=row.pk).update(at=timezone.now() - timedelta(minutes=minutes))
    return row


def make_wallet(chain, address, *, role="executor", n=0, **change) -> Wallet:
    facts = {
        "label": "", "source": "derived", "seed": "local", "threshold_wei": ONE // 20,
        "derivation_path": f"m/44'/60'/{n}'/0/{n}", "derivation_index": n,
    }  # fmt: skip
    return Wallet.objects.create(chain=chain, address=address, role=role, **{**facts, **change})


def make_funding(wallet, reserve, *, n=1, status="confirmed", wei=ONE // 10) -> Funding:
    sent = Transaction.objects.create(
        chain=wallet.chain,
        wallet=reserve,
        kind="funding",
        idempotency_key=f"funding-{n}",
        to=wallet.address,
        value_wei=wei,
        status=status,
        tx_hash=make_hash(0xF00D + n),
        block_number=24_817_100 + n,
    )
    return Funding.objects.create(
        wallet=wallet,
        reserve=reserve,
        amount_wei=wei,
        transaction=sent,
        automatic=True,
        closed_at=timezone.now(),
    )


def make_estate(chain: Chain, *, paused=False, drift=False) -> dict[str, object]:
    """Two executors (the second low and unauthorised), a reserve, a cold master, both contracts."""
    first = make_wallet(chain, EXECUTOR, n=1, label="Local-Executor-1")
    second = make_wallet(chain, SECOND, n=2, label="Local-Executor-2")
    reserve = make_wallet(
        chain, RESERVE, role="gas_reserve", n=3, label="Local-Gas-reserve-1",
        threshold_wei=ONE // 2,
    )  # fmt: skip
    make_wallet(
        chain, COLD, role="master", n=4, label="Cold", source="watch", seed="",
        derivation_path="", derivation_index=None, threshold_wei=0,
    )  # fmt: skip
    for n in range(20):
        make_balance(first, ONE * (240 - 7 * n % 90) // 1000, minutes=15 * n)
    make_balance(second, ONE // 50)
    make_balance(reserve, 73 * ONE + ONE // 3)
    receiver = make_receiver(chain, reserve, executors=[first], paused=paused, drift=drift)
    Assignment.objects.create(
        wallet=first,
        deployment=receiver,
        authorized_at=timezone.now(),
        transaction=Transaction.objects.create(
            chain=chain, wallet=reserve, kind="authorisation", idempotency_key="authorise-1",
            to=RECEIVER, status="confirmed", tx_hash=make_hash(0xA11), block_number=24_817_001,
        ),
    )  # fmt: skip
    make_funding(first, reserve)
    audit.record(
        verb="wallet.create", target=first.address, via="shell", after={"role": "executor"}
    )
    return {"first": first, "second": second, "reserve": reserve, "receiver": receiver}


def make_receiver(chain, reserve, *, executors=(), paused=False, drift=False) -> Deployment:
    """Both contracts as last read, just now."""
    tokens = Token.objects.filter(chain=chain, lendable=True)
    minimum = {token.address: str(ONE // 20) for token in tokens}
    found = dict(minimum)
    if drift:
        found[next(iter(found))] = "1"
    code = builds.expected_code_hash("receiver")
    observed = {
        "codeHash": code, "owner": reserve.address, "pendingOwner": "",
        "treasury": make_address(0x7EA5) if drift else reserve.address, "router": ROUTER,
        "tipRecipient": "", "paused": paused,
        "executors": {wallet.address: True for wallet in executors},
        "factories": {dex.factory: True for dex in Dex.objects.filter(chain=chain)},
        "routers": {ROUTER: True}, "lenders": {}, "minProfit": found,
        "liquidity": {token: str(250_000 * ONE) for token in minimum},
        "poolsListed": 15, "poolsMissing": [], "desired": {"minProfit": minimum},
    }  # fmt: skip
    facts = {"observed_block": 24_817_203, "observed_at": timezone.now()}
    router = builds.expected_code_hash("router")
    Deployment.objects.create(
        chain=chain, kind="router", address=ROUTER, code_hash=router, tx_hash=make_hash(0xD1),
        observed={"codeHash": router}, **facts,
    )  # fmt: skip
    return Deployment.objects.create(
        chain=chain, kind="receiver", address=RECEIVER, owner=reserve.address,
        treasury=reserve.address, code_hash=code, tx_hash=make_hash(0xD2), observed=observed,
        **facts,
    )  # fmt: skip
