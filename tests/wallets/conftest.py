"""A real node, a real signer on its socket, real PostgreSQL: what the send path is tested on."""

import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from django.db import connection

from arbsite.base.rows import KeysAhead
from arbsite.base.units import BlockNumber, Gas, Wei
from contracts.kernel.fees import FeeModel, GasFees
from contracts.kernel.jsonrpc import hex_int
from contracts.localchain.anvil import Anvil, free_port
from contracts.models import Chain
from contracts.rpc import HttpRpc
from wallets import adapters, kill, receipts, services
from wallets.keystore import Keystore
from wallets.models import NonceSequence, Transaction, Wallet
from wallets.planning import transaction_planned
from wallets.relays.public import PublicRelay
from wallets.sender import Sender
from wallets.signer import Signer
from wallets.signer_client import SignerClient
from wallets.signer_server import SignerServer
from wallets.simulation import Proof

CHAIN_ID = 31337
FEES = GasFees(model=FeeModel.EIP1559, max_fee_wei=Wei(2 * 10**9), max_priority_fee_wei=Wei(10**9))


def make_chain(key="local", **change) -> Chain:
    facts = {
        "name": key, "eip155_id": CHAIN_ID, "native_symbol": "BNB", "is_local": True,
        "rpc_http": [], "block_time_ms": 1000, "confirmations": 3, "fee_model": "eip1559",
        "min_gas_price_wei": 10**9, "wrapped_native": "0x" + "12" * 20,
    }  # fmt: skip
    return Chain.objects.create(key=key, **{**facts, **change})


def mine(rpc, count=1):
    for _ in range(count):
        rpc.call("evm_mine", [])


@dataclass
class Desk:
    """A signer in this process, behind its real socket."""

    keystore: Keystore
    client: SignerClient
    folder: Path
    signer: Signer
    live: frozenset[str] = frozenset()

    @property
    def journal(self) -> Path:
        return self.folder / "journal.jsonl"


@dataclass
class Bench:
    """A chain with one funded executor and one funded reserve, and what sends for them."""

    chain: Chain
    rpc: HttpRpc
    desk: Desk
    sender: Sender
    executor: Wallet
    reserve: Wallet
    notified: list[int] = field(default_factory=list)
    serial: int = 0

    def plan(self, wallet=None, kind="test", to=None, data=b"", value=0, last_block=None, **facts):
        """A simulated transaction, ready to be sent."""
        self.serial += 1
        wallet = wallet or self.executor
        planned = services.transaction_plan(
            wallet=wallet, kind=kind, to=wallet.address if to is None else to, data=data,
            value_wei=Wei(value), key=f"t{self.serial}", last_block=last_block, **facts,
        )  # fmt: skip
        services.transaction_simulated(
            transaction_=planned, block_number=BlockNumber(1), block_hash="0x" + "ab" * 32,
            gas_limit=Gas(30_000 if not data else 600_000),
        )  # fmt: skip
        return planned

    def draft(self, wallet=None, kind="test", to=None, data=b"", value=0, **facts):
        """A transaction with its proof, as statements for `begin`; nothing is written."""
        self.serial += 1
        wallet = wallet or self.executor
        proof = Proof(
            block_number=BlockNumber(1), block_hash="0x" + "ab" * 32,
            gas_limit=Gas(30_000 if not data else 600_000),
        )  # fmt: skip
        return transaction_planned(
            pk=KeysAhead(Transaction, ahead=1).take(), wallet=wallet, kind=kind,
            to=wallet.address if to is None else to, data=data, value_wei=Wei(value),
            key=f"t{self.serial}", proof=proof,
            **{"epoch": services.kill_epoch(self.chain.key), **facts},
        )  # fmt: skip

    @contextmanager
    def begin(self, planned, *, asks=(), fees=FEES, rows=(), sender=None):
        """Write a draft, and ``rows`` after it, as the desk does it."""
        of, sender = planned.intent, sender or self.sender
        with sender.begin(of.nonce_of, payer=of.payer, asks=asks, fees=fees) as begun:
            begun.write(of, [*planned.statements, *rows])
            yield begun

    def settle(self):
        return receipts.settle(chain=self.chain, rpc=self.rpc, sender=self.sender)

    def mine(self, count=1):
        mine(self.rpc, count)

    def head(self):
        return hex_int(self.rpc.call("eth_blockNumber", []))

    def next_nonce(self, wallet=None):
        address = (wallet or self.executor).address
        return NonceSequence.objects.get(address=address).next_nonce

    def fresh(self, transaction_):
        return Transaction.objects.get(pk=transaction_.pk)


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    with Anvil(port=free_port(), chain_id=CHAIN_ID) as node:
        mine(node.rpc)
        yield node


@pytest.fixture
def desk(tmp_path) -> Iterator[Desk]:
    folder = Path(tempfile.mkdtemp(prefix="arb-s-"))
    keystore = Keystore.create(tmp_path / "keystore", passphrase=b"a passphrase of this test")
    keystore.seed_create("local")
    keystore.seed_create("main")
    signer = Signer(
        keystore=keystore,
        connect=partial(adapters.connect, name="test-signer"),
        live_chains=frozenset({"live"}),
        journal=folder / "journal.jsonl",
    )
    server = SignerServer(signer=signer, path=folder / "signer.sock")
    server.start()
    thread = threading.Thread(target=server.serve)
    thread.start()
    client = SignerClient(folder / "signer.sock")
    yield Desk(keystore=keystore, client=client, folder=folder, signer=signer)
    client.close()
    server.stop()
    thread.join(10)
    await_no_sessions("test-signer")
    shutil.rmtree(folder)


def await_no_sessions(name, tries=500):
    """Wait until PostgreSQL has seen the last connection of that name end."""
    for _ in range(tries):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_sleep(0.01), count(*) FROM pg_stat_activity"
                " WHERE application_name = %s AND datname = current_database()",
                [name],
            )
            if cursor.fetchone()[1] == 0:
                return
    raise AssertionError(f"connections of {name} stayed open")


def make_bench(*, anvil, desk, relay=None, private=None, key="local", **chain) -> Bench:
    row = make_chain(key, rpc_http=[anvil.http_url], **chain)
    kill.kill_rows_ensure(chain_keys=[key])
    rpc = HttpRpc([anvil.http_url], chain_id=CHAIN_ID)
    wallets = {
        role: services.wallet_create(chain=row, role=role, signer=desk.client)
        for role in ("executor", "gas_reserve")
    }
    for wallet in wallets.values():
        rpc.call("anvil_setBalance", [wallet.address, hex(10**20)])
    notified: list[int] = []
    sender = Sender(
        chain=adapters.chain_facts(row),
        connect=partial(adapters.connect, name="test-sender"),
        signer=desk.client,
        rpc=rpc,
        relay=relay or PublicRelay(rpc),
        private=private,
        notify=notified.append,
    )
    return Bench(
        chain=row, rpc=rpc, desk=desk, sender=sender, executor=wallets["executor"],
        reserve=wallets["gas_reserve"], notified=notified,
    )  # fmt: skip


@pytest.fixture
def bench(transactional_db, anvil, desk) -> Iterator[Bench]:
    made = make_bench(anvil=anvil, desk=desk)
    yield made
    made.sender.close()
    made.rpc.close()
    await_no_sessions("test-sender")


@pytest.fixture(autouse=True)
def channel_layer(settings):
    """Messages to pages stay in this process."""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
