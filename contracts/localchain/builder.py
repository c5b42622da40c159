"""Transactions of one account, gathered and mined before their gas limits fill a block."""

from collections.abc import Iterable, Sequence
from typing import Final

from arbsite.base.units import Wei
from contracts.localchain.chain import ChainRefused, LocalChain, Sending, created_at

GAS_PER_BLOCK: Final = 120_000_000  # below the block's limit: what does not fit would be lost
CALL_GAS: Final = 200_000
CREATE_GAS: Final = 400_000
CREATE_GAS_PER_BYTE: Final = 240
GAS_PRICE_WEI: Final = Wei(10**9)
NOTHING: Final = Wei(0)


class Builder:
    """Queues creations and calls of ``sender``; addresses are known before anything is mined."""

    def __init__(self, chain: LocalChain, *, sender: str) -> None:
        self._chain = chain
        self.sender = sender
        self._nonce = chain.next_nonce(sender)
        self._queue: list[Sending] = []

    def create(self, code: bytes) -> str:
        """Queue a creation; the address it will have."""
        gas = CREATE_GAS + CREATE_GAS_PER_BYTE * len(code)
        return self._add(to=None, data=code, gas=gas, value=NOTHING)

    def call(self, to: str, data: bytes, *, gas: int = CALL_GAS, value: Wei = NOTHING) -> None:
        """Queue a call."""
        self._add(to=to, data=data, gas=gas, value=value)

    def flush(self) -> None:
        """Send and mine all that is queued. Raises: ChainRefused when one of them fails."""
        self.flush_together([self])

    @staticmethod
    def flush_together(builders: Sequence["Builder"]) -> None:
        """Send and mine the queues of several builders, in as few blocks as hold them."""
        chain = builders[0]._chain
        queue = [sending for builder in builders for sending in builder._queue]
        for block in _blocks(queue):
            chain.send(block)
            number = chain.mine()
            receipts = chain.receipts(number)
            failed = sum(1 for receipt in receipts if receipt["status"] != "0x1")
            if failed or len(receipts) != len(block):
                why = f"{failed} failed and {len(receipts)} of {len(block)} were mined"
                raise ChainRefused(f"the market's transactions in block {number}", why=why)
        for builder in builders:
            builder._queue.clear()

    def _add(self, *, to: str | None, data: bytes, gas: int, value: Wei) -> str:
        self._queue.append(
            Sending(
                sender=self.sender,
                to=to,
                data=data,
                gas=gas,
                gas_price=GAS_PRICE_WEI,
                value=value,
            )
        )
        address = created_at(self.sender, nonce=self._nonce)
        self._nonce += 1
        return address


def _blocks(queue: Sequence[Sending]) -> Iterable[list[Sending]]:
    block: list[Sending] = []
    gas = 0
    for sending in queue:
        if block and gas + sending.gas > GAS_PER_BLOCK:
            yield block
            block, gas = [], 0
        block.append(sending)
        gas += sending.gas
    if block:
        yield block
