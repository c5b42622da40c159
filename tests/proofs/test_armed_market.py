"""The local market armed, with a rival that races: nothing is missed, nothing reverts unexplained.

The rival answers each block 250 ms after it and is first in the next one with its share. What paid
is found afterwards by an offline search of the recorded blocks. The long form sets PROVE_ARMED_S;
PROVE_FOLDER keeps the report and the blocks. On a machine that is busy otherwise PROVE_BLOCK_S
slows the whole market down, rival and all: what it then shows is not the promise, and says so.
"""

import json
import os
import secrets
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from eth_utils import keccak, to_checksum_address

from contracts.localchain.deployed import Market
from tests.e2e.product import Client, Product, rpc, wait_for
from tests.proofs.offline import Search, Terms, missed
from tests.proofs.recording import Recorder

SECONDS = int(os.environ.get("PROVE_ARMED_S", "120"))
pytestmark = [pytest.mark.e2e, pytest.mark.prove, pytest.mark.timeout(SECONDS + 1800)]
BLOCK_S = float(os.environ.get("PROVE_BLOCK_S", "1"))
RIVAL = f"{round(250 * BLOCK_S)}:50"
LOOK_S = 2.0
UNMINED = ("expired", "cancelled")
TAKEN = "0x" + keccak(text="Taken(address,uint256,uint256)").hex().removeprefix("0x")
MIN_PROFIT = "0x" + keccak(text="minProfit(address)").hex().removeprefix("0x")[:8]
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
LISTED = "/api/executions?kind=arbitrage&limit=200"
SEEN = "/api/opportunities?verdict=executable&limit=200"


class Run:
    """The armed stretch: what the product said of its executions, and what the chain showed."""

    def __init__(self, product, client, *, folder):
        self.product, self.client = product, client
        self.node = product.market()["chain"]["rpcHttp"][0]
        kept = json.loads((product.data_dir / "local/state/market.json").read_text())
        self.market = Market.from_json(kept["market"])
        self.executions, self.replays, self.seen = {}, {}, {}
        self.recorder = Recorder(self.node, kept=folder / "armed-blocks.jsonl")
        self.config, self.looks_lost = None, 0
        self.loads = [os.getloadavg()]

    def watch(self, seconds):
        """Look on; a revert is replayed while the node still has the state it was decided on."""
        until = time.monotonic() + seconds
        with self.recorder:
            while time.monotonic() < until:
                try:
                    self.armed()
                    self.look()
                except OSError:  # the console is slow: what it would have said is asked again
                    self.looks_lost += 1
                self.recorder.pause(LOOK_S)
            self.armed()
            self.last = self.recorder.blocks[-1].number
            assert self.client.post("/api/fast-mode/disable")[0] == 200
            wait_for("all booked", self.all_booked, within_s=300)
        self.loads.append(os.getloadavg())

    def armed(self):
        mode = self.client.get("/api/fast-mode/status")
        assert mode["state"] == "armed", mode
        self.config = mode["config"]

    def look(self):
        for row in self.client.get(LISTED)["results"]:
            self.executions[row["id"]] = row
            reverted = row["status"] == "reverted" and row["opportunityBlockNumber"]
            if reverted and row["id"] not in self.replays:
                self.replays[row["id"]] = self.replay(row)
        self.seen |= {row["id"]: row for row in self.client.get(SEEN)["results"]}

    def all_booked(self):
        self.look()
        return all(row["netProfitWei"] or row["status"] in UNMINED for row in self.sent())

    def sent(self):
        """Executions that were decided on a recorded block."""
        first = self.recorder.blocks[0].number
        return [
            row
            for row in self.executions.values()
            if row["txHash"] and row["opportunityBlockNumber"] >= first
        ]

    def mined(self):
        """Those of them that are in a block."""
        return [row for row in self.sent() if row["blockNumber"]]

    def replay(self, row):
        """The very call on the very state; what it says, "" where it succeeds."""
        sent = rpc(self.node, "eth_getTransactionByHash", row["txHash"])
        call = {"from": sent["from"], "to": sent["to"], "data": sent["input"], "gas": sent["gas"]}
        try:
            rpc(self.node, "eth_call", call, hex(row["opportunityBlockNumber"]))
        except AssertionError as error:
            return str(error)[:300]
        return ""

    def busy(self):
        """Blocks after which an execution was on its way: decided on, and not mined yet."""
        return {
            number
            for row in self.executions.values()
            if row["txHash"]
            for number in range(
                row["opportunityBlockNumber"], row["blockNumber"] or row["lastBlock"] + 1
            )
        }

    def least(self, receiver):
        """The contract's own minimum of each lent token."""
        tokens = [self.market.token(symbol).address for symbol in self.market.lent]
        data = {token: MIN_PROFIT + token[2:].lower().rjust(64, "0") for token in tokens}
        return {
            token: int(rpc(self.node, "eth_call", {"to": receiver, "data": words}, "latest"), 16)
            for token, words in data.items()
        }


def transfers(logs, token, account):
    ours, total = account.lower()[2:].rjust(64, "0"), 0
    for log in logs:
        if log["topics"][0] == TRANSFER and log["address"].lower() == token.lower():
            total += int(log["data"], 16) * log["topics"][2].endswith(ours)
            total -= int(log["data"], 16) * log["topics"][1].endswith(ours)
    return total


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    named = os.environ.get("PROVE_FOLDER")
    return Path(named) if named else tmp_path_factory.mktemp("armed-report")


@pytest.fixture(scope="module")
def run(tmp_path_factory, folder):
    seed = str(secrets.randbelow(10**9))
    product = Product(
        tmp_path_factory.mktemp("armed") / "data",
        more={"ARB_LOCAL_SEED": seed, "ARB_LOCAL_BLOCK_TIME_S": f"{BLOCK_S:g}"},
        words=("--rival", RIVAL),
    )
    try:
        product.start(within_s=900)
        client = Client(product.url)
        client.sign_in("admin", product.password)
        wait_for(
            "armed and watching",
            lambda: (
                client.get("/api/fast-mode/status")["state"] == "armed"
                and client.get("/api/prices/status")["running"]
            ),
            within_s=300,
        )
        one = Run(product, client, folder=folder)
        one.watch(SECONDS)
        one.search = searched(one)
        one.report = report(one, seed=int(seed))
        (folder / "armed.json").write_text(json.dumps(one.report, indent=1) + "\n")
        listed = ("opportunities", "missed", "reverts")
        short = {k: len(v) if k in listed else v for k, v in one.report.items()}
        print(json.dumps(short, indent=1))
        print(f"written to {folder / 'armed.json'}")
        product.stop(within_s=60)
        yield one
    finally:
        product.kill()


def recorded(run):
    """Recorded transactions by hash, each with its block's number."""
    return {each.tx_hash: (b.number, each) for b in run.recorder.blocks for each in b.sent}


def searched(run):
    """The offline search over the recorded blocks."""
    found = recorded(run)
    gas = {2: 0, 3: 0}
    for row in run.mined():
        receipt = found[row["txHash"]][1]
        if receipt.ok:
            gas[len(row["path"])] = max(gas[len(row["path"])], receipt.gas_used)
    receiver = run.sent()[0]["contract"]
    terms = Terms(
        min_bps=run.config["minProfitThresholdBps"],
        price_wei=run.market.min_gas_price_wei,
        gas={hops: used or 340_000 for hops, used in gas.items()},
        least=run.least(receiver),
    )
    names = {row["wallet"].lower(): "us" for row in run.sent()}
    names[run.market.rival.lower()] = "the rival"
    search = Search(SimpleNamespace(market=run.market), terms=terms, names=names)
    search.book.follow(
        [log for log in run.recorder.before if log["address"].lower() in search.book.place]
    )
    run.taken = {"us": [0, 0], "the rival": [0, 0]}
    for block in run.recorder.blocks:
        if block.number <= run.last:
            search.take(block)
            count_takings(run, block, search.book, names)
    return search


def count_takings(run, block, book, names):
    """Trades that earned something in a block, by taker: how many, and cents before gas."""
    for sent in block.sent:
        who = names.get(sent.sender)
        if who is None or not sent.ok:
            continue
        if who == "us":
            row = next((r for r in run.sent() if r["txHash"] == sent.tx_hash), None)
            earned = [(row["borrowToken"], int(row["realizedProfit"]))] if row else []
        else:
            logs = [log for log in sent.logs if log["topics"][0] == TAKEN]
            earned = [
                (to_checksum_address(log["topics"][1][-40:]), int(log["data"][66:], 16))
                for log in logs
            ]
        for token, amount in earned:
            run.taken[who][0] += 1
            run.taken[who][1] += book.cents(token, amount)


def report(run, *, seed):
    """Everything in one file: what paid and who took it, what was missed, what reverted."""
    book = run.search.book
    sent, reverted = run.mined(), [r for r in run.mined() if r["status"] == "reverted"]
    gaps = [b.timestamp - a.timestamp for a, b in pairwise(run.recorder.blocks)]
    return {
        "seconds": SECONDS,
        "blockTimeS": BLOCK_S,
        "seed": seed,
        "rival": RIVAL,
        "blocks": [run.recorder.blocks[0].number, run.last],
        "longestBlockS": max(gaps),
        "loadAverage": run.loads,
        "looksLost": run.looks_lost,
        "minProfitThresholdBps": run.search.terms.min_bps,
        "gasHeldAgainstIt": run.search.terms.gas,
        "executions": len(sent),
        "neverMined": len(run.sent()) - len(sent),
        "reverted": len(reverted),
        "msFromEventToSent": spread([row["latency"]["total"] or 0 for row in sent]),
        "blocksFromDecisionToMined": spread(
            [row["blockNumber"] - row["opportunityBlockNumber"] for row in sent]
        ),
        "netProfitWei": str(sum(int(row["netProfitWei"]) for row in sent)),
        "taken": {
            who: {"trades": count, "cents": cents} for who, (count, cents) in run.taken.items()
        },
        "missed": [
            {"block": number, "opportunity": described(book, life), "said": said(run, life)}
            for life, number in missed(run.search.lives, busy=run.busy())
        ],
        "reverts": [explained(run, row) for row in reverted],
        "opportunities": [described(book, life) for life in run.search.lives],
    }


def spread(figures):
    """The median, the 95th percentile and the most."""
    ranked = sorted(figures)
    return [ranked[len(ranked) // 2], ranked[len(ranked) * 95 // 100], ranked[-1]]


def said(run, life):
    """What the product's own record says of a life: its blocks, verdict and reason."""
    pools = {run.search.book.pools[pool].address for pool, _ in life_hops(run, life)}
    return [
        {key: row[key] for key in ("id", "blockNumber", "lastBlockNumber", "verdict", "reason")}
        for row in run.seen.values()
        if {hop["pool"] for hop in row["path"]} == pools
        and row["blockNumber"] <= life.blocks[-1]
        and row["lastBlockNumber"] >= life.first
    ]


def life_hops(run, life):
    return run.search.book.cycles[life.cycle].hops


def described(book, life):
    cycle = book.cycles[life.cycle]
    return {
        "first": life.first,
        "last": life.blocks[-1],
        "path": [f"{book.pools[pool].dex}:{book.pools[pool].address}" for pool, _ in cycle.hops],
        "cents": life.cents,
        "took": life.took,
        "tx": life.tx,
    }


def explained(run, row):
    """A revert: what the same call said on its own state, and who moved its pools before it."""
    pools = {hop["pool"].lower() for hop in row["path"]}
    movers = []
    for block in run.recorder.blocks:
        if not row["opportunityBlockNumber"] < block.number <= row["blockNumber"]:
            continue
        for sent in block.sent:
            if sent.tx_hash == row["txHash"]:
                break
            if pools & {log["address"].lower() for log in sent.syncs}:
                movers.append({"from": sent.sender, "tx": sent.tx_hash})
    return {
        "execution": row["id"],
        "decidedOn": row["opportunityBlockNumber"],
        "minedIn": row["blockNumber"],
        "error": row["error"],
        "sameCallOnItsState": run.replays[row["id"]] or "succeeds",
        "movedBefore": movers,
    }


def test_profit_after_gas_is_positive_and_is_what_the_receipts_say(run):
    found = recorded(run)
    for row in run.mined():
        _, receipt = found[row["txHash"]]
        cost = receipt.gas_used * receipt.price_wei
        num, den = int(row["nativeRate"]["num"]), int(row["nativeRate"]["den"])
        earned = transfers(receipt.logs, row["borrowToken"], row["contract"])
        assert int(row["netProfitWei"]) == earned * den // num - cost

    assert len(run.mined()) >= len(run.recorder.blocks) // 30
    assert int(run.report["netProfitWei"]) > 0


def test_the_rival_takes_at_least_a_third_of_what_pays(run):
    (_, ours), (_, theirs) = run.taken["us"], run.taken["the rival"]

    assert ours > 0
    assert theirs * 3 >= ours + theirs, run.taken


def test_nothing_reverted_for_a_reason_that_was_in_the_state_it_was_simulated_on(run):
    for revert in run.report["reverts"]:
        assert revert["sameCallOnItsState"] == "succeeds", revert
        # Somebody was there before it, or it came after its last block.
        assert revert["movedBefore"] or revert["error"]["name"] == "Expired", revert


def test_nothing_that_stood_for_two_blocks_was_missed_while_nothing_was_in_flight(run):
    assert run.report["opportunities"]
    assert run.report["missed"] == []
