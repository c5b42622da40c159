"""Random draws that follow from their labels alone: no state, no clock, the same everywhere."""

import hashlib
import math

_U64 = 2**64


class Stream:
    """An endless stream of draws fixed by ``labels``; two streams of one label are one stream.

    Floats appear only in choosing what happens in the embedded market; amounts leave as integers.
    """

    def __init__(self, *labels: object) -> None:
        self._key = "|".join(str(label) for label in labels).encode()
        self._count = 0

    def u64(self) -> int:
        """The next whole number below 2**64."""
        digest = hashlib.sha256(self._key + b"#" + str(self._count).encode()).digest()
        self._count += 1
        return int.from_bytes(digest[:8], "big")

    def below(self, bound: int) -> int:
        """A whole number in [0, bound). The bias of the remainder is below 2**-40 here."""
        return self.u64() % bound

    def between(self, low: int, high: int) -> int:
        """A whole number in [low, high]."""
        return low + self.below(high - low + 1)

    def unit(self) -> float:
        """A number in [0, 1)."""
        return (self.u64() >> 11) / 2**53

    def poisson(self, mean: float) -> int:
        """How many events of a Poisson process with this mean."""
        count, product, floor = 0, self.unit(), math.exp(-mean)
        while product > floor:
            count += 1
            product *= self.unit()
        return count

    def log_uniform(self, low: int, high: int) -> int:
        """A whole number in [low, high] whose logarithm is uniform."""
        return min(high, int(low * math.exp(self.unit() * math.log(high / low))))
