"""What Aave lends now, as its reserves' flags and balances say, on the real Aave."""

from dataclasses import replace

import pytest
from eth_utils.crypto import keccak

from contracts.kernel.jsonrpc import RpcError
from prices import chain_state
from prices.chain_state import read_market
from prices.registry import registry_load

pytestmark = [pytest.mark.django_db, pytest.mark.e2e]
RESERVES_SLOT = 52  # of Aave's pool: the mapping whose first word is a reserve's flags
WORD = "0x{:064x}"


@pytest.fixture(autouse=True)
def _unchanged(market):
    kept = market.rpc.call("evm_snapshot")
    yield
    assert market.rpc.call("evm_revert", [kept])


@pytest.fixture
def registry(chain):
    return registry_load(chain)


def flip(market, token, *, bit):
    """Change one flag of a token's reserve in the pool's storage."""
    place = keccak(int(token.address, 16).to_bytes(32) + RESERVES_SLOT.to_bytes(32)).hex()
    slot = ["0x" + place]
    pool = market.market.aave_pool
    flags = int(market.rpc.call("eth_getStorageAt", [pool, *slot, "latest"]), 16)
    assert flags, "there are the reserve's flags"
    market.rpc.call("anvil_setStorageAt", [pool, *slot, WORD.format(flags ^ 1 << bit)])
    market.rpc.call("evm_mine")


def test_a_lent_tokens_cap_is_what_its_atoken_holds(market, registry):
    caps = read_market(market.rpc, registry).caps
    lent = [i for i, token in enumerate(registry.tokens) if token.atoken]
    assert set(caps) == set(lent)
    for i in lent:
        token = registry.tokens[i]
        data = bytes.fromhex("70a08231") + int(token.atoken, 16).to_bytes(32)
        held = market.rpc.eth_call(to=token.address, data=data, block="latest")
        assert caps[i] == int.from_bytes(held) > 0


@pytest.mark.parametrize(
    ("bit", "name"), [(56, "active"), (60, "paused"), (63, "flash loans enabled")]
)
def test_a_reserve_that_gives_no_flash_loans_is_no_lender(market, registry, bit, name):
    before = read_market(market.rpc, registry).caps
    off = next(iter(before))
    flip(market, registry.tokens[off], bit=bit)
    after = read_market(market.rpc, registry).caps
    assert set(before) - set(after) == {off}, name


@pytest.mark.parametrize("bit", [57, 58])
def test_a_frozen_reserve_or_one_without_borrowing_still_gives_flash_loans(market, registry, bit):
    before = read_market(market.rpc, registry).caps
    flip(market, registry.tokens[next(iter(before))], bit=bit)
    assert read_market(market.rpc, registry).caps == before


def test_what_aave_counts_as_its_own_bounds_the_loan_from_its_version_3_1_on():
    held, flags = (1_000).to_bytes(32), (1 << 56 | 1 << 63).to_bytes(32)
    assert chain_state._loan_cap(held, flags, None) == 1_000
    assert chain_state._loan_cap(held, flags, (7).to_bytes(32)) == 7
    assert chain_state._loan_cap(held, flags, (10**6).to_bytes(32)) == 1_000
    assert chain_state._loan_cap(held, None, None) is None
    assert chain_state._loan_cap(None, flags, None) is None


def test_without_a_multicall_the_same_is_read(market, registry):
    single = replace(registry, multicall3="")
    assert read_market(market.rpc, single).caps == read_market(market.rpc, registry).caps
    assert not isinstance(read_market(market.rpc, single).premium_bps, RpcError)
