"""Blocks of a running market as any outsider can read them, kept one by one as they are mined."""

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path

from tests.contracts.localchain.brute import SYNC
from tests.e2e.product import rpc

LOOK_S = 0.1


@dataclass(frozen=True)
class Sent:
    """A mined transaction; ``syncs`` are its Sync logs, in order."""

    tx_hash: str
    sender: str
    to: str
    ok: bool
    gas_used: int
    price_wei: int
    logs: list = field(repr=False)

    @property
    def syncs(self):
        return [log for log in self.logs if log["topics"][0] == SYNC]


@dataclass(frozen=True)
class Block:
    number: int
    hash: str
    parent: str
    timestamp: int
    sent: list[Sent] = field(repr=False)


class Recorder:
    """Follows a node from a thread and writes what it saw, a line a block.

    Live, since the local node forgets receipts after some hundred blocks.
    """

    def __init__(self, node: str, *, kept: Path) -> None:
        self.node = node
        self.blocks: list[Block] = []
        self.error: BaseException | None = None
        self._kept = kept
        self._stop = threading.Event()
        head = int(rpc(node, "eth_blockNumber"), 16)
        wanted = {"fromBlock": "0x0", "toBlock": hex(head), "topics": [SYNC]}
        self.before = sorted(
            rpc(node, "eth_getLogs", wanted),
            key=lambda log: (int(log["blockNumber"], 16), int(log["logIndex"], 16)),
        )
        self._next = head + 1
        self._thread = threading.Thread(target=self._run, name="recorder")

    def __enter__(self) -> "Recorder":
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join(60)
        if self.error is not None:
            raise self.error

    def pause(self, seconds: float) -> None:
        """Wait, while the recording goes on."""
        self._stop.wait(seconds)

    def _run(self) -> None:
        try:
            with self._kept.open("w") as lines:
                while True:
                    last = self._stop.is_set()
                    try:
                        self._follow(lines)
                    except OSError:  # a busy node: the block is asked for again
                        if last:
                            raise
                    if last:
                        return
                    self._stop.wait(LOOK_S)
        except BaseException as error:
            self.error = error

    def _follow(self, lines) -> None:
        head = int(rpc(self.node, "eth_blockNumber"), 16)
        while self._next <= head:
            header = rpc(self.node, "eth_getBlockByNumber", hex(self._next), False)
            receipts = rpc(self.node, "eth_getBlockReceipts", hex(self._next))
            lines.write(json.dumps({"block": header, "receipts": receipts}) + "\n")
            self.blocks.append(block_of(header, receipts))
            self._next += 1


def block_of(header, receipts) -> Block:
    return Block(
        number=int(header["number"], 16),
        hash=header["hash"],
        parent=header["parentHash"],
        timestamp=int(header["timestamp"], 16),
        sent=[
            Sent(
                tx_hash=each["transactionHash"],
                sender=each["from"].lower(),
                to=(each["to"] or "").lower(),
                ok=each["status"] == "0x1",
                gas_used=int(each["gasUsed"], 16),
                price_wei=int(each["effectiveGasPrice"], 16),
                logs=each["logs"],
            )
            for each in sorted(receipts, key=lambda each: int(each["transactionIndex"], 16))
        ],
    )
