"""From an event to a transaction's bytes through the product's own parts: P7 of the speed targets.

As P6 is measured: a node of loopback writes the next event once it was told of the last trade. What
is between is what the engine is made of: feed, session, desk in its thread, sender, PostgreSQL, and
the signer in a process of its own. The node has no contracts: what is simulated is a path of the
same kind on the local market's bytecode, as there. Between two events, which nobody times, stands
what a round of settling leaves: the executor is free again, and the gate's facts are read anew.
"""

import asyncio
import json
import os
import time
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from itertools import islice
from statistics import median

import pytest
from django.db import connection
from django.utils import timezone

from arbsite.base.units import BlockNumber, Gas, TokenAmount
from arbsite.stack import paths
from contracts import adapters as contracts_adapters
from contracts.models import Deployment, Dex, Pair, Pool, Token
from execution.acting import Acting
from execution.collector import Collector
from execution.desk import Desk
from execution.engine import CONTROL_S
from execution.kernel.latency import percentile
from execution.models import Execution
from execution.simulator import Simulated
from execution.threads import Threads
from prices.chain_state import MarketRead, block_ref
from prices.feed import Feed
from prices.models import Monitor
from prices.session import Limits, PriceSession
from tests.benchmarks.mock_node import header_json, mock_node
from tests.benchmarks.path_market import head_at, make_registry, story_of
from tests.benchmarks.simulation_bench import learned_path
from tests.execution.rows import armed, make_chain, make_gas_use, make_hash
from tests.execution.traded_market import traded_market
from tests.wallets.conftest import await_no_sessions
from tests.wallets.test_canary import signer_process
from wallets import adapters, services
from wallets.models import Assignment, Attempt, ChainLeader, Transaction

pytestmark = [
    pytest.mark.prove,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(600),
]
POOLS = 245
TRADES = int(os.environ.get("PROVE_TRADES", "240"))
WARM = 20
CHAIN_ID = 31_337
RECEIVER = "0x" + "42" * 20
WRITE_EVERY = 20  # blocks, as the engine writes ten times a second
LENDER, HOPS = "first_pool", 2


class OnOtherBytecode:
    """Simulates a path of the same kind where there is bytecode, and says what was computed."""

    def __init__(self, learned):
        self.learned = learned

    def note_block(self, **head):
        """It knows all that it needs."""

    def make_way(self):
        """Nothing runs beside."""

    def go_on(self):
        """Nothing runs beside."""

    def close(self):
        self.learned.simulator.close()

    def simulate(self, *, block_hash, gas, expected, **_asked):
        self.learned.again()
        return Simulated(
            ok=True, profit=expected.profit, gas_estimate=Gas(0), gas_limit=gas, revert=None,
            block_number=BlockNumber(int(block_hash, 16)), block_hash=block_hash, by="evm",
        )  # fmt: skip


def make_market(http_url, signer):
    """The chain of a made market as the registry keeps it, with an armed executor."""
    made, reserves = make_registry(POOLS)
    chain = make_chain(
        wrapped_native=made.tokens[0].address, rpc_http=[http_url], block_time_ms=450
    )
    Monitor.objects.filter(chain=chain).update(min_spread_bps=5)
    proven = {"risk": "proven", "proven_at": timezone.now()}
    tokens = [
        Token.objects.create(
            chain=chain, address=each.address, symbol=each.symbol, decimals=18,
            lendable=each.lendable, **proven,
        )
        for each in made.tokens
    ]  # fmt: skip
    dexes = {
        name: Dex.objects.create(
            chain=chain, key=name, name=name, kind="uniswap_v2", fee_bps=25,
            factory=f"0x{0xF0 + n:040x}", router=f"0x{0xE0 + n:040x}", callback="uniswapV2Call",
        )
        for n, name in enumerate(sorted({row.dex for row in made.pools}))
    }  # fmt: skip
    for row in made.pools:
        one, other = tokens[row.token0], tokens[row.token1]
        pair, _ = Pair.objects.get_or_create(chain=chain, base=one, quote=other)
        Pool.objects.create(
            chain=chain, dex=dexes[row.dex], pair=pair, address=row.address, token0=one,
            token1=other, fee_bps=row.fee_bps, fee_proven_at=timezone.now(),
        )  # fmt: skip
    wallet = services.wallet_create(chain=chain, role="executor", signer=signer)
    receiver = Deployment.objects.create(
        chain=chain, kind="receiver", address=RECEIVER, owner=wallet.address, code_hash=make_hash(9)
    )
    Assignment.objects.create(
        wallet=wallet, deployment=receiver, desired=True, authorized_at=timezone.now()
    )
    for hops in (2, 3):
        make_gas_use(chain, lender=LENDER, hops=hops, largest=100_000 + 100_000 * hops)
    ChainLeader.objects.create(chain=chain, epoch=1, holder="this test")
    armed(chain)
    return chain, made, reserves


def session_of(chain, reserves):
    """A session that stands at block 1, as the engine's does once it has read the market."""
    monitor = Monitor.objects.select_related("chain").get(chain=chain)
    session = PriceSession(monitor, mode="stream", limits=Limits(), idle_reason="")
    session.begin()
    head = head_at(1)
    session.take_read(
        MarketRead(
            head=head, block=block_ref(head), reserves=reserves, quotes={}, premium_bps=5,
            caps=dict.fromkeys(session.watcher.registry.lendable, TokenAmount(10**30)),
        )
    )  # fmt: skip
    session.scan(frozenset())
    session.write(session.take_batch())
    return session


class Rounds:
    """What a round of settling leaves, and, four times a second, the engine's control."""

    def __init__(self, chain, desk, rpc):
        self.chain, self.desk, self.rpc = chain, desk, rpc
        self.standing = desk.refresh()

    def settled(self):
        Transaction.objects.filter(chain=self.chain, status="submitted").update(status="confirmed")
        self.desk.look(self.rpc)
        self.desk.drafts.fill()
        if time.monotonic() - self.standing.read_at >= CONTROL_S:
            self.standing = self.desk.refresh()


async def carry_out(chain, session, desk, *, ws_url, rounds):
    """The steps of `Engine`, one block after the other, until enough was traded."""
    from contracts.rpc import WsRpc

    watcher, threads = session.watcher, Threads("desk", "write", "settle")
    acting = Acting(chain=chain, threads=threads, settle=lambda: None)
    acting.config = rounds.standing.mode.config
    acting.open(desk)
    feed = Feed(
        urls=[ws_url], chain_id=CHAIN_ID, addresses=watcher.registry.addresses, block_time_ms=450,
        known=watcher.book.known_hashes,
    )  # fmt: skip
    control = await WsRpc.connect(ws_url)

    async def begin():
        while not feed.lines[0].up:
            await asyncio.sleep(0.01)
        await control.call("bench_next")

    with Collector() as collector:
        collector.session_began()
        async with aclosing(feed.steps()) as steps:
            began = asyncio.ensure_future(begin())
            traded = 0
            async for step in steps:
                touched = watcher.advance(step)
                desk.saw(watcher.head)
                task = acting.hunt(session, touched, received_ns=step.received_ns)
                if task is not None:
                    await task
                    traded += 1
                    await threads.run("settle", rounds.settled)
                session.scan(touched)
                acting.place(session)
                if watcher.head.number % WRITE_EVERY == 0:
                    await threads.run("write", partial(session.write, session.take_batch()))
                collector.rest()
                if traded >= TRADES + WARM:
                    break
                await control.call("bench_next")
            await began
    found = await control.call("bench_times"), await control.call("bench_sent")
    await control.close()
    await threads.close()
    return found


@pytest.fixture
def product(settings, tmp_path):
    """The settings of this run with a signer of its own process."""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    name = connection.settings_dict["NAME"]
    database = paths.database_url(settings.ARB.data_dir).replace("/arb?", f"/{name}?")
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    settings.ARB = replace(settings.ARB, force_lender=LENDER)
    with signer_process(data, tmp_path / "log", database=database) as where:
        settings.SIGNER_SOCKET = where
        yield adapters.signer()


def test_each_event_that_pays_becomes_a_transaction_that_the_record_holds(product, tmp_path):
    made, reserves = make_registry(POOLS)
    blocks = [{"header": header_json(1), "logs": []}]
    for _, header, logs in story_of(made, reserves).blocks(2 * (TRADES + WARM) + 2):
        blocks.append({"header": header, "logs": logs})
    document = {"chainId": CHAIN_ID, "blocks": blocks}
    with traded_market() as traded, mock_node(document, tmp_path) as (ws_url, http_url):
        chain, _, reserves = make_market(http_url, product)
        session, sender = session_of(chain, reserves), adapters.sender(chain)
        rpc = contracts_adapters.rpc(chain)
        desk = Desk(
            chain=chain, may_sign=True, sender=sender, epoch=1, head=lambda: session.watcher.head,
            simulator=OnOtherBytecode(learned_path(traded, LENDER, HOPS)),
        )  # fmt: skip
        times, sent = asyncio.run(
            carry_out(chain, session, desk, ws_url=ws_url, rounds=Rounds(chain, desk, rpc))
        )
        desk.trial.simulator.close()
        desk.close()
        session.end()
        sender.close()
        await_no_sessions("arb-sender")

    held = list(Attempt.objects.order_by("nonce").values_list("hash", "status", "purpose"))
    assert [each[0] for each in held] == sent
    assert {each[1:] for each in held} == {("accepted", "first")}
    taken = sorted(round(each) for each in islice(times, WARM, None))
    rows = Execution.objects.order_by("pk").values_list("latency_us", flat=True)[WARM:]
    stages = {name: median(row[name] for row in rows) for name in rows[0] if rows[0][name]}
    print(json.dumps({
        "trades": len(taken), "stages_us": stages,
        **{f"p{at}_us": percentile(taken, percent=at) for at in (10, 50, 95, 99)},
    }))  # fmt: skip
