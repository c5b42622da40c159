"""Blocks, one at a time: noise and rival go in, then the block is mined. No clock here."""

from dataclasses import dataclass

from arbsite.base.units import BlockNumber
from contracts.localchain.chain import LocalChain, Sending
from contracts.localchain.deployed import Market
from contracts.localchain.rival import Attempts, Race, Rival
from contracts.localchain.traders import noise_sendings


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined:
    """A block that was mined, and what the market's people sent into it."""

    number: BlockNumber
    noise: tuple[Sending, ...]
    rival: tuple[Sending, ...]


class Driver:
    """Mines the market's blocks.

    Whatever others have put into the node's pool goes into the next block with the rest, in the
    order of arrival. Noise is sent right before mining: nobody could have reacted to it.

    ``race``: the rival races instead of waiting; whoever has the clock calls `race_on` when its
    delay after a block is over.
    """

    def __init__(
        self,
        market: Market,
        *,
        chain: LocalChain,
        noise: bool = True,
        rival: bool = True,
        race: Race | None = None,
    ) -> None:
        self.market = market
        self.chain = chain
        self.noise = noise
        self.race = race if rival else None
        self._rival = Rival(market, chain=chain, race=race) if rival else None
        self._looked: BlockNumber | None = None
        self._attempts = Attempts()
        people = [trader for dex in market.dexes for trader in dex.traders]
        chain.impersonate([*people, market.rival])

    def step(self, *, timestamp: int | None = None) -> Mined:
        """Mine one block. Its noise follows from the seed and its number alone.

        Raises: ChainRefused, or RpcUnavailable when the node has gone.
        """
        head = self.chain.head()
        if head != self._looked:
            self._look(head)  # the first step, the chain moved without us, or nobody raced in time
        # Read anew for each block: where the node lost one, its nonce is used by the next.
        self.chain.forget_nonces()
        block = BlockNumber(head + 1)
        noise = noise_sendings(market=self.market, block=block) if self.noise else []
        attempts = self._attempts
        self.chain.send(noise)
        mined = self.chain.mine(timestamp=timestamp)
        if self.race is None:
            self._look(mined)
        return Mined(number=mined, noise=tuple(noise), rival=attempts.all)

    def race_on(self) -> None:
        """The racing rival's delay is over: it acts on the newest block."""
        self._look(self.chain.head())

    def steps(self, count: int) -> list[Mined]:
        """Mine ``count`` blocks."""
        return [self.step() for _ in range(count)]

    def _look(self, head: BlockNumber) -> None:
        """Let the rival see a new head; what it sends at once is in the pool before anybody's."""
        self._looked = head
        if self._rival is None:
            return
        self.chain.forget_nonces()
        self._attempts = self._rival.look(head)
        if self._attempts.first:
            self.chain.send_before_others(self._attempts.first)
        self.chain.send(self._attempts.rest)
