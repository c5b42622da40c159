"""A local market, its registry rows, and an office that really signs and mines."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models import F

from arbsite.base.models import User
from arbsite.base.units import Wei
from contracts import probe
from contracts import services as contracts_services
from contracts.kernel import abi, market_file
from contracts.kernel.jsonrpc import RpcError
from contracts.localchain.faucet import faucet
from contracts.localchain.harness import LocalMarket, local_market
from contracts.models import Chain, Deployment
from contracts.rpc import HttpRpc
from wallets import adapters, kill, receipts, services, wishes
from wallets.administration.acting import Desk, request_act
from wallets.administration.deploy import contracts_deploy
from wallets.administration.office import Office
from wallets.keystore import Keystore
from wallets.models import Attempt, Request, Wallet
from wallets.relays.public import PublicRelay
from wallets.sender import Sender
from wallets.signer import Signer
from wallets.signer_client import Signed, SignRefused

COIN_WEI = 10**18


class InProcessDesk:
    """The real signer, asked without its socket."""

    def __init__(self, signer: Signer) -> None:
        self.signer = signer

    def sign(self, attempt_id: int) -> Signed:
        answer = self.signer.answer({"op": "sign", "attempt": attempt_id})
        if not answer["ok"]:
            raise SignRefused(answer["code"], answer["detail"])
        return Signed(raw=bytes.fromhex(answer["raw"][2:]), hash=answer["hash"])

    def address(self, *, seed: str, path: str) -> str:
        return str(self.signer.answer({"op": "address", "seed": seed, "path": path})["address"])

    def key_import(
        self, *, chain_key: str, is_local: bool, private_key: str, exposed: bool = False
    ) -> str:
        request = {"op": "import_key", "chain": chain_key, "local": is_local, "key": private_key}
        return str(self.signer.answer({**request, "exposed": exposed})["address"])

    def exposed(self) -> frozenset[str]:
        return frozenset(self.signer.answer({"op": "status"})["exposed"])

    def expose(self, name: str, *, path: str = "") -> None:
        answer = self.signer.answer({"op": "expose", "name": name, "path": path})
        assert answer["ok"], answer


@pytest.fixture(scope="module")
def market() -> Iterator[LocalMarket]:
    with local_market(traders=False, rival=False) as running:
        yield running


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> Keystore:
    store = Keystore.open_or_create(
        Path(tmp_path_factory.mktemp("keystore")), passphrase=b"for tests"
    )
    for seed in ("local", "main"):
        store.seed_create(seed)
    return store


@pytest.fixture(scope="module")
def facts(market: LocalMarket) -> probe.MarketFacts:
    parsed = market_file.parse(market.file)
    return probe.probe_market(parsed, market.rpc, progress=lambda line: None)


@pytest.fixture
def chain(transactional_db: None, market: LocalMarket, facts: probe.MarketFacts) -> Chain:
    contracts_services.market_import(market=market_file.parse(market.file), facts=facts)
    kill.kill_rows_ensure(chain_keys=["local"])
    return Chain.objects.get(key="local")


@pytest.fixture
def desk(keystore: Keystore, tmp_path: Path) -> Iterator[InProcessDesk]:
    signer = Signer(
        keystore=keystore,
        connect=partial(adapters.connect, name="test-signer"),
        live_chains=frozenset(),
        journal=tmp_path / "journal",
    )
    yield InProcessDesk(signer)
    signer.forget_connection()


@pytest.fixture
def reserve(chain: Chain, desk: InProcessDesk, market: LocalMarket) -> Wallet:
    return funded(services.wallet_create(chain=chain, role="gas_reserve", signer=desk), market)


@pytest.fixture
def executor(chain: Chain, desk: InProcessDesk, market: LocalMarket) -> Wallet:
    return funded(services.wallet_create(chain=chain, role="executor", signer=desk), market)


def funded(wallet: Wallet, market: LocalMarket) -> Wallet:
    faucet(market.rpc, address=wallet.address, amount_wei=Wei(1_000 * COIN_WEI))
    return wallet


@pytest.fixture
def open_office(
    chain: Chain, desk: InProcessDesk, market: LocalMarket
) -> Iterator[Callable[..., Office]]:
    """Offices as a command would open them; each look for receipts mines a block first."""
    senders: list[Sender] = []

    def open_(**changes: object) -> Office:
        rpc = HttpRpc([market.rpc_url], chain_id=chain.eip155_id)
        sender = Sender(
            chain=adapters.chain_facts(chain),
            connect=partial(adapters.connect, name="test-sender"),
            signer=desk,
            rpc=rpc,
            relay=PublicRelay(rpc),
            notify=lambda pk: None,
        )
        senders.append(sender)

        def settle() -> None:
            market.driver.step()
            receipts.settle(chain=chain, rpc=rpc, sender=sender)

        office = Office(
            chain=chain, rpc=rpc, sender=sender, settle=settle, may_sign=True, patience_s=30
        )
        return replace(office, **changes)  # type: ignore[arg-type]

    yield open_
    for sender in senders:
        sender.close()


@pytest.fixture(scope="module")
def deployed_once() -> dict[str, object]:
    """What the first deployment of a module left, for the tests after it."""
    return {}


@pytest.fixture
def deployed(
    office: Office, reserve: Wallet, deployed_once: dict[str, object]
) -> Iterator[Deployment]:
    """A receiver set up in full; chain and rows as right after that, in every test."""
    rpc = office.rpc
    if deployed_once:
        for values in deployed_once["rows"]:  # type: ignore[attr-defined]
            Deployment.objects.create(chain=office.chain, **values)
    else:
        contracts_deploy(office)
        names = ("kind", "address", "owner", "treasury", "code_hash", "tx_hash", "observed")
        deployed_once["rows"] = list(Deployment.objects.values(*names))
        with connection.cursor() as cursor:  # what the other tests do not see either
            cursor.execute("TRUNCATE wallets_transaction, wallets_noncesequence CASCADE")
    snapshot = rpc.call("evm_snapshot", [])
    yield Deployment.objects.get(kind="receiver", active=True)
    assert rpc.call("evm_revert", [snapshot])


@pytest.fixture
def office(open_office: Callable[..., Office]) -> Office:
    return open_office()


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create(username="ada", role="admin")


@pytest.fixture
def act(open_office: Callable[..., Office], desk: InProcessDesk) -> Callable[..., Request | None]:
    """Acts as a worker would; ``changes`` are the office's."""

    def act_(made: Request, **changes: object) -> Request | None:
        at_work = Desk(open_office=lambda row: open_office(**changes), signer=desk)
        return request_act(pk=made.pk, desk=at_work)

    return act_


@pytest.fixture
def ask(chain: Chain, ada: User) -> Callable[..., Request]:
    def ask_(kind: str, **facts: Any) -> Request:
        return wishes.request_make(kind=kind, chain=chain, by=ada, **facts)

    return ask_


def later(wait: timedelta) -> None:
    """As if so much time had passed since the last sign of life."""
    Request.objects.update(taken_at=F("taken_at") - wait * 1.1)


def send_as(market: LocalMarket, sender: str, to: str, data: bytes) -> None:
    """As someone else would, who has the key: outside our record."""
    market.rpc.call("anvil_impersonateAccount", [sender])
    try:
        request = {"from": sender, "to": to, "data": "0x" + data.hex(), "gas": hex(300_000)}
        sent = market.rpc.call("eth_sendTransaction", [request])
    except RpcError as error:
        pytest.fail(f"{sender}: {error}")
    finally:
        market.rpc.call("anvil_stopImpersonatingAccount", [sender])
    market.driver.step()
    assert market.rpc.call("eth_getTransactionReceipt", [sent])["status"] == "0x1"


def accept_as(market: LocalMarket, who: str, contract: str) -> None:
    """Take a contract over, as an owner outside would."""
    market.rpc.call("anvil_setBalance", [who, hex(COIN_WEI)])
    send_as(market, who, contract, abi.encode_call("acceptOwnership()"))


class Crash(Exception):
    """The process ends here."""


def broken_at_every_step(office: Office, run: Callable[[Office], Any]) -> tuple[int, Any]:
    """Run it again and again, each time to a step further: its every line, its every look for what
    was sent. Returns: at how many steps it broke, and what the last run gave."""
    crashed: set[object] = set()

    def crash_once(at: object) -> None:
        if at not in crashed:
            crashed.add(at)
            raise Crash

    broken = replace(
        office,
        say=lambda line: crash_once(line),
        settle=lambda: (crash_once(Attempt.objects.count()), office.settle()),
    )
    for _ in range(60):
        try:
            return len(crashed), run(broken)
        except Crash:
            continue
    raise AssertionError("it never came to its end")
