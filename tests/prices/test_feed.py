"""The feed on a real node: contiguous blocks, reorganisations, restarts, silences."""

import asyncio
import json
from contextlib import aclosing, asynccontextmanager

import pytest
from websockets.asyncio.server import serve

from contracts.localchain.anvil import Anvil, free_port
from contracts.rpc import HttpRpc
from prices.chain_state import block_ref, read_head
from prices.feed import Advance, Down, Feed, Lost
from prices.kernel.book import PoolBook, PoolSpec, PoolState

pytestmark = pytest.mark.timeout(60)
# Emits Sync(number, number + 1) of any pool that is called: PUSH block number, log1(Sync).
SYNC = "1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1"
# number -> memory 0, number + 1 -> memory 32, log1(0, 64, Sync)
CODE = "0x" + "43600052" + "436001016020527f" + SYNC + "60406000a100"
POOL = "0x" + "ab" * 20
SENDER = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


class Follower:
    """A book that takes what the feed says; the test waits for what it should see."""

    def __init__(self, rpc, urls, *, depth=64, block_time_ms=100, silence_s=None):
        self.rpc = rpc
        spec = PoolSpec(address=POOL, token0=0, token1=1, fee_bps=25)
        self.book = PoolBook(tokens=["a", "b"], pools=[spec], depth=depth)
        self.feed = Feed(
            urls=urls, chain_id=31337, addresses=[POOL], block_time_ms=block_time_ms,
            known=self.book.known_hashes, depth=depth,
        )  # fmt: skip
        if silence_s is not None:
            self.feed.silence_s = silence_s
        self.seen = []
        self.changed = asyncio.Condition()

    async def run(self):
        async with aclosing(self.feed.steps()) as steps:
            async for step in steps:
                await self.take(step)

    async def take(self, step):
        if isinstance(step, Lost):
            head = await asyncio.to_thread(read_head, self.rpc)
            self.book.load(block_ref(head), {0: (0, 0)})
        elif isinstance(step, Advance):
            if step.ancestor != self.book.head.hash:
                self.book.rollback_to(step.ancestor)
            for block in step.blocks:
                states = [PoolState(0, e.reserve0, e.reserve1) for e in block.events]
                self.book.apply_block(block_ref(block.head), states)
        async with self.changed:
            self.seen.append(step)
            self.changed.notify_all()

    async def until(self, condition, *, within_s=45):
        async with asyncio.timeout(within_s), self.changed:
            await self.changed.wait_for(condition)

    async def at_head(self, **kwargs):
        head = (await asyncio.to_thread(read_head, self.rpc)).hash
        await self.until(lambda: self.book.head and self.book.head.hash == head, **kwargs)

    async def until_true(self, condition, *, within_s=45):
        """For what changes without a step."""
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.005)

    def of(self, kind):
        return [step for step in self.seen if isinstance(step, kind)]


@asynccontextmanager
async def following(rpc, urls, **kwargs):
    follower = Follower(rpc, urls, **kwargs)
    task = asyncio.create_task(follower.run())
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def node():
    with Anvil(port=free_port(), chain_id=31337) as anvil:
        anvil.rpc.call("anvil_setCode", [POOL, CODE])
        anvil.rpc.call("anvil_impersonateAccount", [SENDER])
        mine(anvil.rpc)
        yield anvil


def mine(rpc, *, syncs=0):
    """One block, with so many calls of the pool; its header."""
    for _ in range(syncs):
        rpc.call("eth_sendTransaction", [{"from": SENDER, "to": POOL, "gas": hex(100_000)}])
    rpc.call("evm_mine", [])
    return read_head(rpc)


def note(result):
    """A notification of a head that is none."""
    params = {"subscription": "{heads}", "result": result}
    return json.dumps({"method": "eth_subscription", "params": params})


async def mined(rpc, **kwargs):
    return await asyncio.to_thread(mine, rpc, **kwargs)


async def test_blocks_come_one_after_the_other_with_their_syncs(node):
    async with following(node.rpc, [node.ws_url]) as follower:
        await follower.at_head()
        for syncs in (0, 2, 1, 0, 3):
            await mined(node.rpc, syncs=syncs)
        await follower.at_head()
        blocks = [b for step in follower.of(Advance) for b in step.blocks]

    numbers = [block.head.number for block in blocks]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert [len(block.events) for block in blocks][-5:] == [0, 2, 1, 0, 3]
    last = blocks[-1].events[-1]
    assert (last.reserve0, last.reserve1) == (blocks[-1].head.number, blocks[-1].head.number + 1)
    assert follower.book.reserve0[0] == last.reserve0


async def test_a_gap_is_filled_by_hash_after_the_connection_was_lost(node):
    async with proxy(node.ws_url) as wire, following(node.rpc, [wire.url]) as follower:
        await follower.at_head()
        wire.refuse()
        await follower.until(lambda: follower.of(Down))
        for _ in range(7):
            await mined(node.rpc, syncs=1)
        wire.allow()
        await follower.at_head()
        assert len(follower.of(Lost)) == 1  # the first load
        assert max(len(step.blocks) for step in follower.of(Advance)) == 7
        assert follower.book.reserve0[0] == follower.book.head.number


async def test_a_reorg_ends_at_the_same_state_as_a_fresh_read(node):
    async with following(node.rpc, [node.ws_url]) as follower:
        await follower.at_head()
        for _ in range(6):
            await mined(node.rpc, syncs=1)
        await follower.at_head()
        old = follower.book.head
        await asyncio.to_thread(node.rpc.call, "anvil_reorg", [4, []])
        await mined(node.rpc)
        await follower.at_head()

        assert follower.book.head.hash != old.hash
        canonical = await asyncio.to_thread(syncs_of_chain, node.rpc)
        assert follower.book.reserve0[0] == canonical[-1][1]
        head = follower.book.head.number
        hashes = [
            (await asyncio.to_thread(read_head, node.rpc, hex(number))).hash
            for number in range(head, head - 6, -1)
        ]
        assert list(follower.book.known_hashes()[:6]) == hashes


def syncs_of_chain(rpc):
    query = {"address": POOL, "fromBlock": "0x0", "toBlock": "latest"}
    logs = rpc.call("eth_getLogs", [query])
    return [(int(log["blockNumber"], 16), int(log["data"][:66], 16)) for log in logs]


async def test_a_late_copy_of_a_passed_head_does_not_take_the_book_back(node):
    async with proxy(node.ws_url) as wire, following(node.rpc, [wire.url]) as follower:
        await follower.at_head()
        for _ in range(3):
            await mined(node.rpc, syncs=1)
        await follower.at_head()
        steps = len(follower.seen)
        await wire.repeat_head(2)
        await mined(node.rpc, syncs=1)
        await follower.at_head()

        taken = [step for step in follower.seen[steps:] if isinstance(step, Advance)]
        assert sum(len(step.blocks) for step in taken) == 1


async def test_a_restarted_node_is_followed_again_within_15_s(tmp_path):
    port, state = free_port(), tmp_path / "state.json"
    node = Anvil(port=port, chain_id=31337, state=state)
    rpc = HttpRpc([node.http_url])
    try:
        node.rpc.call("anvil_setCode", [POOL, CODE])
        node.rpc.call("anvil_impersonateAccount", [SENDER])
        for _ in range(3):
            mine(node.rpc, syncs=1)
        async with following(rpc, [node.ws_url]) as follower:
            await follower.at_head()
            await asyncio.to_thread(node.stop)
            await follower.until(lambda: follower.of(Down))
            node = await asyncio.to_thread(Anvil, port=port, chain_id=31337, state=state)
            await mined(node.rpc)
            await follower.at_head(within_s=45)
    finally:
        rpc.close()
        node.stop()


async def test_a_node_that_began_anew_is_loaded_afresh(tmp_path):
    port = free_port()
    node = Anvil(port=port, chain_id=31337)
    rpc = HttpRpc([node.http_url])
    try:
        for _ in range(5):
            mine(node.rpc)
        async with following(rpc, [node.ws_url]) as follower:
            await follower.at_head()
            await asyncio.to_thread(node.stop)
            node = await asyncio.to_thread(Anvil, port=port, chain_id=31337)
            await asyncio.to_thread(rpc.call, "evm_setNextBlockTimestamp", [hex(2**32)])
            await mined(node.rpc)
            await follower.at_head(within_s=45)
            assert len(follower.of(Lost)) == 2
    finally:
        rpc.close()
        node.stop()


async def test_where_no_endpoint_answers_the_feed_is_down_and_says_which(node):
    dead = f"ws://127.0.0.1:{free_port()}/v3/secret-key"
    async with following(node.rpc, [dead]) as follower:
        await follower.until(lambda: follower.of(Down))
    down = follower.of(Down)[0].why
    assert "connection refused" in down
    assert "secret-key" not in down


async def test_a_refused_endpoint_is_named_and_the_next_is_asked(node):
    dead = f"ws://127.0.0.1:{free_port()}/v3/secret-key"
    async with following(node.rpc, [dead, node.ws_url]) as follower:
        await follower.at_head()
        await mined(node.rpc, syncs=1)
        await follower.at_head()
        refused, other = follower.feed.lines
        assert not follower.of(Down)
        assert (refused.up, other.up) == (False, True)
        assert refused.endpoint.last_error == "connection refused"
        assert "secret-key" not in refused.endpoint.shown


async def test_a_node_of_another_chain_is_refused():
    with_id = Anvil(port=free_port(), chain_id=1)
    try:
        async with following(with_id.rpc, [with_id.ws_url]) as follower:
            await follower.until(lambda: follower.of(Down))
        assert "serves chain id 1, not 31337" in follower.of(Down)[0].why
        assert not follower.of(Lost)
    finally:
        with_id.stop()


# Several endpoints at once


async def test_of_several_endpoints_the_first_to_tell_a_block_is_followed(node):
    async with (
        proxy(node.ws_url) as slow,
        proxy(node.ws_url) as quick,
        following(node.rpc, [slow.url, quick.url]) as follower,
    ):
        await follower.at_head()
        first, second = (line.standing for line in follower.feed.lines)
        slow.delay_s = 0.2
        for _ in range(3):
            before = second.first
            await mined(node.rpc, syncs=1)
            await follower.at_head()
            assert second.first == before + 1
        await follower.until_true(lambda: first.behind.max_us >= 200_000)
        blocks = [b for step in follower.of(Advance) for b in step.blocks]
        numbers = [block.head.number for block in blocks]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert (first.disputes, first.forks) == (0, 0)


async def test_where_one_endpoint_goes_away_nothing_is_missed_and_nothing_is_down(node):
    async with (
        proxy(node.ws_url) as one,
        proxy(node.ws_url) as other,
        following(node.rpc, [one.url, other.url]) as follower,
    ):
        await follower.at_head()
        for wire in (one, other, one):
            await follower.until_true(lambda: all(line.up for line in follower.feed.lines))
            wire.refuse()
            for _ in range(3):
                await mined(node.rpc, syncs=1)
            await follower.at_head()
            wire.allow()
        blocks = [b for step in follower.of(Advance) for b in step.blocks]
        numbers = [block.head.number for block in blocks]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert not follower.of(Down)
        assert len(follower.of(Lost)) == 1  # the first load
        assert sum(line.standing.reconnects for line in follower.feed.lines) >= 3


async def test_a_silent_endpoint_is_left_while_another_speaks(node):
    async with (
        proxy(node.ws_url) as mute,
        proxy(node.ws_url) as other,
        following(node.rpc, [mute.url, other.url], silence_s=0.5) as follower,
    ):
        await follower.at_head()
        await follower.until_true(lambda: all(line.up for line in follower.feed.lines))
        mute.drop = "newHeads"
        standing = follower.feed.lines[0].standing
        while not standing.reconnects:
            await mined(node.rpc, syncs=1)
            await follower.at_head()
        assert not follower.of(Down)


@pytest.mark.parametrize("liar", [0, 1])
async def test_endpoints_that_tell_a_block_differently_are_noted_and_never_mixed(liar, node):
    async with (
        proxy(node.ws_url) as first,
        proxy(node.ws_url) as second,
        following(node.rpc, [first.url, second.url]) as follower,
    ):
        await follower.at_head()
        await follower.until_true(lambda: all(line.up for line in follower.feed.lines))
        wires = (first, second)
        wires[liar].lie = True
        wires[1 - liar].delay_s = 0.5  # so that the lie is told first
        await mined(node.rpc, syncs=1)
        told = [line.standing for line in follower.feed.lines]
        await follower.until_true(lambda: all(each.disputes for each in told))
        await follower.at_head()

        # Nobody can say which of two lies: the operator's order does, and the other is set aside.
        assert [each.aside > 0 for each in told] == [False, True]
        loads = len(follower.of(Lost))
        assert loads == (2 if liar == 1 else 1)
        if liar == 1:
            assert "tell block" in follower.of(Lost)[1].why
            await mined(node.rpc, syncs=1)
            await follower.at_head()
            assert len(follower.of(Lost)) == loads  # the liar is not followed any more
            assert follower.book.reserve0[0] == follower.book.head.number


async def test_a_set_aside_endpoint_is_followed_alone_and_comes_back_by_agreeing(node):
    async with (
        proxy(node.ws_url) as first,
        proxy(node.ws_url) as second,
        following(node.rpc, [first.url, second.url]) as follower,
    ):
        await follower.at_head()
        await follower.until_true(lambda: all(line.up for line in follower.feed.lines))
        aside = follower.feed.lines[1].standing
        aside.aside = 2
        for left in (1, 0):
            await mined(node.rpc, syncs=1)
            await follower.until_true(lambda left=left: aside.aside == left)
        aside.aside = 100
        first.refuse()
        await follower.until_true(lambda: not follower.feed.lines[0].up)
        await mined(node.rpc, syncs=1)
        await follower.at_head()


async def test_branches_are_noted_and_a_step_is_of_one_alone(node):
    with Anvil(port=free_port(), chain_id=31337) as fork:
        for rpc in (fork.rpc, node.rpc):
            rpc.call("anvil_setCode", [POOL, CODE])
        fork.rpc.call("anvil_impersonateAccount", [SENDER])
        while read_head(fork.rpc).number < read_head(node.rpc).number:
            await mined(fork.rpc)
        async with following(node.rpc, [node.ws_url, fork.ws_url]) as follower:
            await follower.at_head()
            await follower.until_true(lambda: all(line.up for line in follower.feed.lines))
            standing = follower.feed.lines[1].standing
            for count in (1, 2, 3):  # one by one: what comes in one heap is one branch
                await mined(node.rpc, syncs=1)
                await follower.at_head()
                await mined(fork.rpc, syncs=2)
                await follower.until_true(lambda least=count: standing.forks >= least)
            hashes = {b.head.hash for step in follower.of(Advance) for b in step.blocks}
            for number in range(1, read_head(fork.rpc).number + 1):
                assert read_head(fork.rpc, hex(number)).hash not in hashes


async def test_silent_heads_are_noticed_while_the_connection_lives(node):
    async with proxy(node.ws_url) as wire, following(
        node.rpc, [wire.url], silence_s=0.5
    ) as follower:  # fmt: skip
        await follower.at_head()
        wire.drop = "newHeads"
        await follower.until(lambda: follower.of(Down))
        assert "no block for" in follower.of(Down)[0].why
        wire.drop = ""
        await mined(node.rpc, syncs=1)
        await follower.at_head()


async def test_a_silent_log_stream_is_noticed_while_heads_go_on(node):
    async with proxy(node.ws_url) as wire, following(node.rpc, [wire.url]) as follower:
        await follower.at_head()
        wire.drop = "logs"
        for _ in range(7):
            await mined(node.rpc, syncs=1)
        await follower.until(lambda: follower.of(Down))
        assert "log stream did not send" in follower.of(Down)[0].why
        wire.drop = ""
        await mined(node.rpc, syncs=1)
        await follower.at_head()
        assert follower.book.reserve0[0] == follower.book.head.number  # nothing was missed


@pytest.mark.parametrize(
    "garbage",
    [
        "not json", "[1, 2]", '{"id": 1}', '"text"', "\x00",
        note(7), note({"number": "0xzz"}), note(None),
    ],
)  # fmt: skip
async def test_garbage_ends_the_connection_and_not_the_feed(garbage, node):
    async with proxy(node.ws_url) as wire, following(node.rpc, [wire.url]) as follower:
        await follower.at_head()
        await wire.say(garbage)
        await mined(node.rpc, syncs=1)
        await follower.at_head()
        assert follower.book.reserve0[0] == follower.book.head.number


async def test_a_bug_in_following_one_endpoint_ends_the_feed_instead_of_stilling_it(node):
    follower = Follower(node.rpc, [node.ws_url])
    follower.feed.silence_s = "of no length"  # what compares it with a time meets a TypeError

    async with asyncio.timeout(15):
        with pytest.raises(TypeError):
            await follower.run()


async def test_a_long_pause_is_no_reorganisation_and_a_deep_reorganisation_is(node):
    async with proxy(node.ws_url) as wire, following(
        node.rpc, [wire.url], depth=4
    ) as follower:  # fmt: skip
        await follower.at_head()
        for _ in range(6):
            await mined(node.rpc)
        await follower.at_head()
        wire.refuse()
        await follower.until(lambda: follower.of(Down))
        for _ in range(9):
            await mined(node.rpc)
        wire.allow()
        await follower.at_head()
        assert [step.deep_reorg for step in follower.of(Lost)] == [False, False]

        for _ in range(12):
            await mined(node.rpc, syncs=1)  # empty blocks come back with the hashes they had
        await follower.at_head()
        await asyncio.to_thread(node.rpc.call, "anvil_reorg", [8, []])
        await mined(node.rpc)
        await follower.at_head()
        assert follower.of(Lost)[2].deep_reorg


class Wire:
    """Stands between feed and node, and does to frames what no node would do when asked."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.drop = ""
        self.delay_s = 0.0
        self.lie = False
        self.refusing = False
        self.clients = set()
        self.heads = []
        self.subscriptions = {}

    def refuse(self):
        self.refusing = True
        for client in self.clients:
            client.transport.abort()

    def allow(self):
        self.refusing = False

    async def say(self, text):
        text = text.replace("{heads}", self.subscriptions.get("newHeads", ""))
        for client in list(self.clients):
            await client.send(text)

    async def repeat_head(self, back):
        await self.say(self.heads[-1 - back])

    async def serve(self, client):
        from websockets.asyncio.client import connect

        if self.refusing:
            client.transport.abort()
            return
        self.clients.add(client)
        asked = {}
        async with connect(self.upstream, compression=None) as node:

            async def up():
                async for frame in client:
                    request = json.loads(frame)
                    if request["method"] == "eth_subscribe":
                        asked[request["id"]] = request["params"][0]
                    await node.send(frame)

            async def down():
                async for frame in node:
                    answer = json.loads(frame)
                    if answer.get("id") in asked:
                        self.subscriptions[asked[answer["id"]]] = answer["result"]
                    if self.lie and isinstance(answer.get("result"), list):
                        for log in answer["result"]:
                            log["data"] = "0x" + "0" * 63 + "7" + log["data"][66:]
                        frame = json.dumps(answer)
                    if "params" in answer:
                        subscription = answer["params"]["subscription"]
                        if subscription == self.subscriptions.get(self.drop):
                            continue
                        if subscription == self.subscriptions.get("newHeads"):
                            self.heads.append(frame)
                    await asyncio.sleep(self.delay_s)
                    await client.send(frame)

            tasks = [asyncio.create_task(up()), asyncio.create_task(down())]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self.clients.discard(client)


@asynccontextmanager
async def proxy(upstream):
    wire = Wire(upstream)
    async with serve(wire.serve, "127.0.0.1", 0, compression=None) as server:
        wire.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield wire
