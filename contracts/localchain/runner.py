"""The wall clock of the local chain: one block per block time until told to stop."""

import os
import signal
import threading
import time
from typing import Final

from arbsite.base.errors import Retryable
from contracts.localchain.driver import Driver
from contracts.localchain.node import Node
from contracts.rpc import RpcUnavailable

KEEP_EVERY_S: Final = 15.0


class NodeGone(Retryable):
    """The node ended by itself, or stopped answering."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the local chain's node has gone ({why}): start localchain again")


def told_to_stop(*signals: signal.Signals) -> threading.Event:
    """An event that the first of these signals sets. Call it in the main thread.

    A handler runs in the main thread, between any two of its instructions: were it to set the event
    itself while that thread is about to wait for it, both would wait for the event's lock for
    ever. So it only writes to a pipe, and another thread sets the event.
    """
    told = threading.Event()
    reading, writing = os.pipe()

    def wait() -> None:
        os.read(reading, 1)
        told.set()

    threading.Thread(target=wait, name="told to stop", daemon=True).start()
    for number in signals:
        signal.signal(number, lambda *_: os.write(writing, b"."))
    return told


def run(node: Node, driver: Driver, *, block_time_s: float, stop: threading.Event) -> None:
    """Mine until ``stop`` is set or the process that started us has died.

    A block that takes longer than its time delays the next; blocks are never mined in a burst to
    catch up. Raises: NodeGone; ChainRefused.
    """
    parent = os.getppid()
    next_block_at = time.monotonic() + block_time_s
    next_keep_at = time.monotonic() + KEEP_EVERY_S
    while not stop.wait(max(0.0, next_block_at - time.monotonic())):
        if os.getppid() != parent:
            return
        try:
            driver.step()
            if driver.race is not None and not stop.wait(driver.race.delay_ms / 1000):
                driver.race_on()
        except RpcUnavailable as error:
            raise NodeGone(error.why if node.anvil.alive() else node.anvil.said()) from None
        now = time.monotonic()
        next_block_at = max(next_block_at + block_time_s, now)
        if now >= next_keep_at:
            # A torn file is being written just now: the next block tries again.
            next_keep_at = now + (KEEP_EVERY_S if node.keep() else block_time_s)
