"""Golden values from the real Uniswap V2 pair: our output passes its check of K, one more not."""

import json
import random
from pathlib import Path

import pyrevm
import pytest

from prices.kernel.constant_product import amount_in, amount_out

BUILD = Path(__file__).parents[3] / "node_modules/@uniswap/v2-core/build"
MAKER = "0x" + "11" * 20
RECEIVER = "0x" + "22" * 20
SELECTORS = {
    "transfer": "a9059cbb",
    "initialize": "485cc955",
    "sync": "fff6cae9",
    "swap": "022c0d9f",
}


def bytecode(name):
    return bytes.fromhex(json.loads((BUILD / f"{name}.json").read_text())["bytecode"])


def word(value):
    return value.to_bytes(32, "big")


def as_address(text):
    return bytes(12) + bytes.fromhex(text[2:])


class Chain:
    """A pair of the real bytecode between two real V2 test tokens, in revm."""

    def __init__(self):
        self.evm = pyrevm.EVM()
        self.evm.set_balance(MAKER, 10**30)
        supply = 2**200
        tokens = [self.deploy(bytecode("ERC20") + word(supply)) for _ in range(2)]
        self.tokens = sorted(tokens, key=lambda each: int(each, 16))
        # The pair takes its deployer as the factory, the only one that may initialise it.
        self.pair = self.deploy(bytecode("UniswapV2Pair"))
        self.call(self.pair, "initialize", *(as_address(token) for token in self.tokens))

    def deploy(self, code):
        return self.evm.deploy(MAKER, code)

    def call(self, to, name, *words):
        data = bytes.fromhex(SELECTORS[name]) + b"".join(words)
        return self.evm.message_call(MAKER, to, calldata=data)

    def set_reserves(self, reserve0, reserve1):
        """Put balances and the reserve slot there: transfer, then sync."""
        for token, reserve in zip(self.tokens, (reserve0, reserve1), strict=True):
            self.call(token, "transfer", as_address(self.pair), word(reserve))
        self.call(self.pair, "sync")

    def swap_passes(self, *, zero_for_one, given, wanted):
        """Whether the pair lets ``wanted`` out for ``given``; the state is restored."""
        before = self.evm.snapshot()
        token = self.tokens[0 if zero_for_one else 1]
        self.call(token, "transfer", as_address(self.pair), word(given))
        out0, out1 = (0, wanted) if zero_for_one else (wanted, 0)
        try:
            self.call(
                self.pair,
                "swap",
                word(out0),
                word(out1),
                as_address(RECEIVER),
                word(128),
                word(0),
            )
        except RuntimeError as error:
            # "UniswapV2: K"
            assert "556e697377617056323a204b" in str(error), error  # noqa: PT017
            return False
        else:
            return True
        finally:
            self.evm.revert(before)


RNG = random.Random(20)  # noqa: S311 - reproducible cases
CASES = [
    (10**22, 5 * 10**21, 10**18),
    (2 * 10**9, 12 * 10**23, 31_415),
    (123_456_789, 987_654_321, 1_000),
    (2**111, 2**110, 2**100),
    *(
        (RNG.randrange(10**6, 2**100), RNG.randrange(10**6, 2**100), RNG.randrange(10**4, 2**90))
        for _ in range(12)
    ),
]


@pytest.mark.parametrize(("reserve0", "reserve1", "given"), CASES)
@pytest.mark.parametrize("zero_for_one", [True, False])
def test_the_pair_gives_our_output_and_not_one_unit_more(reserve0, reserve1, given, zero_for_one):
    chain = Chain()
    chain.set_reserves(reserve0, reserve1)
    reserve_in, reserve_out = (reserve0, reserve1) if zero_for_one else (reserve1, reserve0)
    given = max(min(given, 2**112 - 1 - reserve_in), 1)
    wanted = amount_out(given, reserve_in, reserve_out, 30)
    if wanted:
        assert chain.swap_passes(zero_for_one=zero_for_one, given=given, wanted=wanted)
    assert not chain.swap_passes(zero_for_one=zero_for_one, given=given, wanted=wanted + 1)


@pytest.mark.parametrize(("reserve0", "reserve1", "given"), CASES[:6])
def test_the_pair_takes_our_least_input_and_not_one_unit_less(reserve0, reserve1, given):
    chain = Chain()
    chain.set_reserves(reserve0, reserve1)
    wanted = max(min(given, reserve1 // 3), 1)
    need = amount_in(wanted, reserve0, reserve1, 30)
    assert chain.swap_passes(zero_for_one=True, given=need, wanted=wanted)
    if need > 1:
        assert not chain.swap_passes(zero_for_one=True, given=need - 1, wanted=wanted)
