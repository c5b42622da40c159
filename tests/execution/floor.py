"""A local market with everything that trades on it: rows, signer, contracts, engine, driver."""

import asyncio
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from django.conf import settings
from django.db import connection, connections

from arbsite import wiring
from arbsite.base.units import Wei
from contracts import probe
from contracts import services as contracts_services
from contracts.kernel import market_file
from contracts.localchain.anvil import free_port
from contracts.localchain.driver import Driver
from contracts.localchain.faucet import faucet
from contracts.localchain.harness import LocalMarket, local_market
from contracts.localchain.market_file import market_file as market_file_of
from contracts.localchain.node import Node
from contracts.models import Chain, Deployment
from execution import fast_mode
from execution.engine import Engine
from execution.models import Execution, PnlEntry
from prices import services as price_services
from wallets import adapters, kill, receipts, services
from wallets.administration.authorise import executor_authorise
from wallets.administration.deploy import contracts_deploy
from wallets.administration.office import Office
from wallets.keystore import Keystore
from wallets.models import Wallet
from wallets.signer import Signer
from wallets.signer_server import SignerServer

COIN_WEI = 10**18
PASSPHRASE = b"a passphrase of this test"
CHAIN_ID = 31337


def await_(what, *, until_s=60.0, step_s=0.02):
    """The first true answer of ``what``; fails when time is up."""
    deadline = time.monotonic() + until_s
    while True:
        if found := what():
            return found
        assert time.monotonic() < deadline, f"nothing came of {what}"
        threading.Event().wait(step_s)


class Running:
    """An engine in a thread with a loop of its own."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.error: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="engine")
        self._thread.start()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self.engine.run())
        except BaseException as error:
            self.error = error
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self, within_s: float = 10.0) -> float:
        """Stop it; the seconds that took. Raises what ended it before."""
        started = time.monotonic()
        if self.alive:
            self._loop.call_soon_threadsafe(self.engine.stopping.set)
        self._thread.join(within_s)
        assert not self.alive, "the engine does not stop"
        if self.error is not None:
            raise self.error
        return time.monotonic() - started


class Pump:
    """Mines the market's blocks from a thread, one each ``block_s``, until paused."""

    def __init__(self, driver: Driver, *, block_s: float) -> None:
        self.driver = driver
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(block_s,), name="pump")
        self._thread.start()

    def _run(self, block_s: float) -> None:
        try:
            while not self._stop.wait(block_s):
                self.driver.step()
        except BaseException as error:
            self._error = error

    def __enter__(self) -> "Pump":
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join(30)
        if self._error is not None:
            raise self._error


@dataclass
class Floor:
    """Everything that stands. ``chain`` is read anew where a test needs fresh columns."""

    market: LocalMarket
    chain: Chain
    executor: Wallet
    reserve: Wallet
    receiver: Deployment
    engines: list[Running] = field(default_factory=list)

    @property
    def rpc(self):
        return self.market.rpc

    def start(self) -> Running:
        running = Running(wiring.engine(Chain.objects.get(key=self.chain.key)))
        self.engines.append(running)
        return running

    def stop(self) -> None:
        engines, self.engines = self.engines, []
        for running in engines:
            running.stop()

    def pump(self, block_s: float = 0.4) -> Pump:
        return Pump(self.market.driver, block_s=block_s)

    def authorise_another(self) -> Wallet:
        """One more executor with gas, authorised after those that are."""
        wallet = _wallet(self.market, self.chain, role="executor")
        executor_authorise(_office(self.market, self.chain), wallet=wallet)
        return wallet

    def office(self) -> Office:
        """Whoever administers the chain."""
        return _office(self.market, self.chain)

    def settle(self):
        sender = adapters.sender(self.chain)
        return receipts.settle(chain=self.chain, rpc=self.rpc, sender=sender)

    def traded(self) -> list[Execution]:
        rows = Execution.objects.select_related("transaction").filter(kind="arbitrage")
        return list(rows.filter(transaction__isnull=False).order_by("pk"))

    def included(self) -> list[Execution]:
        return [row for row in self.traded() if row.net_profit_wei is not None]


def _wallet(market: LocalMarket, chain: Chain, *, role: str) -> Wallet:
    made = services.wallet_create(chain=chain, role=role, signer=adapters.signer())
    faucet(market.rpc, address=made.address, amount_wei=Wei(1_000 * COIN_WEI))
    return made


def _office(market: LocalMarket, chain: Chain) -> Office:
    """An office in which each look for receipts mines a block first."""
    sender = adapters.sender(chain)

    def settle() -> None:
        market.driver.step()
        receipts.settle(chain=chain, rpc=market.rpc, sender=sender)

    return Office(
        chain=chain, rpc=market.rpc, sender=sender, settle=settle, may_sign=True, patience_s=30
    )


def build(market: LocalMarket) -> Floor:
    parsed = market_file.parse(market.file)
    facts = probe.probe_market(parsed, market.rpc, progress=lambda line: None)
    contracts_services.market_import(market=parsed, facts=facts)
    chain = Chain.objects.get(key=market.file["chain"]["key"])
    contracts_services.tokens_prove(chain=chain, rpc=market.rpc)
    kill.kill_rows_ensure(chain_keys=[chain.key])
    price_services.monitor_ensure(chain=chain)
    fast_mode.fast_mode_ensure(chain=chain)
    wallets = {role: _wallet(market, chain, role=role) for role in ("executor", "gas_reserve")}
    office = _office(market, chain)
    contracts_deploy(office)
    executor_authorise(office, wallet=wallets["executor"])
    return Floor(
        market=market,
        chain=chain,
        executor=wallets["executor"],
        reserve=wallets["gas_reserve"],
        receiver=Deployment.objects.get(chain=chain, kind="receiver"),
    )


@contextmanager
def signer_running(kept: Path | None = None) -> Iterator[Path]:
    """A real signer on the socket that this process's adapters ask; its data folder.

    ``kept``: a keystore's folder from before; without it a new one is made.
    """
    folder = Path(tempfile.mkdtemp(prefix="arb-s-"))
    if kept is not None:
        keystore = Keystore.open(kept, passphrase=PASSPHRASE)
    else:
        keystore = Keystore.create(folder / "keystore", passphrase=PASSPHRASE)
        for seed in ("local", "main"):
            keystore.seed_create(seed)
    before = settings.SIGNER_SOCKET
    settings.SIGNER_SOCKET = folder / "signer.sock"
    signer = Signer(
        keystore=keystore,
        connect=partial(adapters.connect, name="floor-signer"),
        live_chains=frozenset(),
        journal=folder / "journal.jsonl",
    )
    server = SignerServer(signer=signer, path=settings.SIGNER_SOCKET)
    server.start()
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield folder
    finally:
        adapters.signer().close()
        server.stop()
        thread.join(10)
        signer.forget_connection()
        settings.SIGNER_SOCKET = before
        shutil.rmtree(folder)


def market_of(node: Node) -> LocalMarket:
    """A running node's market, as the harness gives it."""
    anvil = node.anvil
    return LocalMarket(
        rpc_url=anvil.http_url,
        ws_url=anvil.ws_url,
        rpc=anvil.rpc,
        chain=node.chain,
        market=node.market,
        file=market_file_of(
            node.market,
            key="local",
            chain_id=CHAIN_ID,
            http_url=anvil.http_url,
            ws_url=anvil.ws_url,
            block_time_ms=1_000,
        ),
        driver=Driver(node.market, chain=node.chain),
        node=node,
    )


class KeptNode:
    """A market whose chain outlives its node."""

    def __init__(self, *, seed: int, folder: Path) -> None:
        self.port, self.seed, self.folder = free_port(), seed, folder
        self.node = self._start()

    def _start(self) -> Node:
        return Node(port=self.port, chain_id=CHAIN_ID, seed=self.seed, folder=self.folder)

    def kill(self) -> None:
        """End the node at once, after it has written its newest state."""
        state = self.folder / "chain.json"
        since = time.time()
        await_(lambda: state.exists() and state.stat().st_mtime > since + 0.1)
        await_(self.node.keep)
        self.node.anvil.kill()
        self.node.stop()

    def restart(self) -> LocalMarket:
        self.node = self._start()
        assert self.node.resumed
        return market_of(self.node)


@contextmanager
def kept_market(*, seed: int, folder: Path) -> Iterator[KeptNode]:
    """A node that may be killed and started again on its port."""
    kept = KeptNode(seed=seed, folder=folder)
    try:
        yield kept
    finally:
        kept.node.stop()


@contextmanager
def floor(*, seed: int, kept: KeptNode | None = None, **options: object) -> Iterator[Floor]:
    """Everything, once; the caller holds the database open and empties it afterwards."""
    layers = settings.CHANNEL_LAYERS
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    try:
        opened = nullcontext(market_of(kept.node)) if kept else local_market(seed=seed, **options)
        with opened as market, signer_running():
            made = build(market)
            try:
                yield made
            finally:
                made.stop()
                adapters.sender(made.chain).close()
        await_alone()
    finally:
        settings.CHANNEL_LAYERS = layers


def await_alone() -> None:
    """No session of ours is left on the test database, but this thread's own."""
    for other in connections.all(initialized_only=True):
        if other is not connection:
            other.close()

    def alone() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            return cursor.fetchone()[0] == 0

    await_(alone)


def ledger_of(row: Execution) -> int:
    return sum(int(entry.net_wei) for entry in PnlEntry.objects.filter(execution=row))
