"""The book against a fresh sync: whatever blocks come and go, the state is that of the branch."""

import os

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from prices.kernel import book as book_module
from prices.kernel.book import (
    AFTER_FEE,
    MARGINAL,
    BadReserves,
    BlockGap,
    BlockRef,
    JournalTooShort,
    PoolBook,
    PoolSpec,
    PoolState,
    ReorgTooDeep,
)
from tests.prices.kernel.builders import address, block_ref

POOLS = 5
DEPTH = 6
# The long form runs 100,000 steps: PROVE_REORG_EXAMPLES=1000.
EXAMPLES = int(os.environ.get("PROVE_REORG_EXAMPLES", "25"))

reserves = st.integers(0, 2**112 - 1)
states = st.lists(st.builds(PoolState, st.integers(0, POOLS - 1), reserves, reserves), max_size=6)


def make_book(*, depth=DEPTH):
    specs = [
        PoolSpec(address=address(i + 1), token0=i % 3, token1=3 + i % 2, fee_bps=30)
        for i in range(POOLS)
    ]
    return PoolBook(tokens=[address(90 + t) for t in range(5)], pools=specs, depth=depth)


def loaded(*, depth=DEPTH):
    book = make_book(depth=depth)
    book.load(block_ref(100), {pool: (1_000 + pool, 2_000 + pool) for pool in range(POOLS)})
    return book


class Reorgs(RuleBasedStateMachine):
    """A chain that grows and reorganises, kept beside the book as plain lists of states."""

    def __init__(self):
        super().__init__()
        self.book = loaded()
        self.blocks = [(block_ref(100), dict(enumerate(self.reserves_of(self.book))))]
        self.serial = 0

    @staticmethod
    def reserves_of(book):
        return list(zip(book.reserve0, book.reserve1, strict=True))

    @rule(changes=states)
    def a_block_comes(self, changes):
        head, state = self.blocks[-1]
        self.serial += 1
        block = BlockRef(head.number + 1, f"0x{self.serial:064x}", head.hash)
        touched = self.book.apply_block(block, changes)
        after = dict(state)
        after.update({pool: (r0, r1) for pool, r0, r1 in changes})
        assert touched == {pool for pool in after if after[pool] != state[pool]}
        self.blocks.append((block, after))

    @precondition(lambda self: self.book.undoable)
    @rule(back=st.integers(1, DEPTH))
    def the_chain_reorganises(self, back):
        back = min(back, self.book.undoable)
        before = self.blocks[-1][1]
        ancestor, state = self.blocks[-1 - back]
        touched = self.book.rollback_to(ancestor.hash)
        del self.blocks[-back:]
        assert {pool for pool in state if state[pool] != before[pool]} <= touched

    @precondition(lambda self: len(self.blocks) > self.book.undoable + 1)
    @rule()
    def too_deep_a_reorganisation_halts(self):
        target = self.blocks[-2 - self.book.undoable][0]
        version = self.book.version
        with pytest.raises((ReorgTooDeep, JournalTooShort)):
            self.book.rollback_to(target.hash)
        assert self.book.version == version

    @rule()
    def a_block_from_elsewhere_is_refused(self):
        with pytest.raises(BlockGap):
            self.book.apply_block(BlockRef(999, "0xelse", "0xwhere"), [PoolState(0, 1, 1)])

    @invariant()
    def the_state_equals_a_fresh_sync(self):
        head, state = self.blocks[-1]
        fresh = make_book()
        fresh.load(head, state)
        assert self.book.head == head
        assert self.reserves_of(self.book) == self.reserves_of(fresh)
        assert np.array_equal(self.book.rates, fresh.rates)


Reorgs.TestCase.settings = settings(max_examples=EXAMPLES, stateful_step_count=100)
TestReorgs = Reorgs.TestCase


def test_rates_follow_the_reserves_with_and_without_the_fee():
    book = loaded()
    book.apply_block(block_ref(101), [PoolState(2, 10**18, 4 * 10**6)])
    edge = 4
    assert book.rates[MARGINAL, edge] == pytest.approx(4e-12, rel=1e-15)
    assert book.rates[MARGINAL, edge + 1] == pytest.approx(2.5e11, rel=1e-15)
    assert book.rates[AFTER_FEE, edge] == pytest.approx(4e-12 * 0.997, rel=1e-15)
    assert book.rates[book_module.DEPTH, edge] == pytest.approx(
        book.reserve0[edge >> 1] / 0.997, rel=1e-15
    )


def test_an_emptied_pool_has_no_rate_either_way():
    book = loaded()
    book.apply_block(block_ref(101), [PoolState(0, 0, 5)])
    assert book.rates[:, :2].tolist() == [[0.0, 0.0]] * 3


def test_the_last_event_of_a_pool_in_a_block_wins_and_repeats_change_nothing():
    book = loaded()
    events = [PoolState(1, 5, 5), PoolState(1, 6, 7), PoolState(1, 6, 7)]
    assert book.apply_block(block_ref(101), events) == {1}
    assert (book.reserve0[1], book.reserve1[1]) == (6, 7)
    book.rollback_to(block_ref(100).hash)
    assert (book.reserve0[1], book.reserve1[1]) == (1_001, 2_001)


@pytest.mark.parametrize(
    "bad", [PoolState(9, 1, 1), PoolState(-1, 1, 1), PoolState(0, 2**112, 1), PoolState(0, 1, -1)]
)
def test_impossible_reserves_are_refused_whole(bad):
    book = loaded()
    before = book.snapshot()
    with pytest.raises(BadReserves, match="cannot hold"):
        book.apply_block(block_ref(101), [PoolState(0, 7, 7), bad])
    assert book.snapshot() == before


def test_a_reorganisation_below_the_last_load_asks_for_a_fresh_one():
    book = loaded()
    book.apply_block(block_ref(101))
    with pytest.raises(JournalTooShort, match="load afresh"):
        book.rollback_to(block_ref(99).hash)


def test_a_reorganisation_beyond_the_limit_halts():
    book = loaded(depth=2)
    for number in (101, 102, 103):
        book.apply_block(block_ref(number))
    with pytest.raises(ReorgTooDeep, match="more than 2 blocks back"):
        book.rollback_to(block_ref(100).hash)
    assert book.known_hashes() == tuple(block_ref(n).hash for n in (103, 102, 101))


def test_a_gap_names_both_blocks_and_the_mend():
    with pytest.raises(BlockGap, match=r"block 105 builds on .* at block 100 .*fetch the blocks"):
        loaded().apply_block(block_ref(105))
    with pytest.raises(BlockGap, match="no block yet"):
        make_book().apply_block(block_ref(1))


def test_a_quarantined_pool_stays_so_until_it_is_released():
    book = loaded()
    book.quarantine(3, "differs from the chain: missed log")
    assert book.stale_reason(3) == "differs from the chain: missed log"
    assert book.stale_reason(2) is None
    book.load(block_ref(101), dict.fromkeys(range(POOLS), (1, 1)))
    assert book.stale_reason(3) is not None
    book.release(3)
    assert book.stale_reason(3) is None


def test_one_pool_read_anew_ends_what_can_be_undone():
    book = loaded()
    book.apply_block(block_ref(101), [PoolState(3, 1, 1)])
    book.load_pool(PoolState(3, 5, 6), block_hash=block_ref(101).hash)
    assert (book.reserve0[3], book.reserve1[3]) == (5, 6)
    assert book.undoable == 0
    with pytest.raises(JournalTooShort):
        book.load_pool(PoolState(3, 5, 6), block_hash=block_ref(100).hash)


def test_a_pool_not_read_yet_is_unknown_and_has_no_price():
    book = make_book()
    book.load(block_ref(100), {0: (5, 5)})
    assert book.stale_reason(1) == "state not read from the chain yet"
    assert book.apply_block(block_ref(101), [PoolState(1, 7, 7)]) == frozenset()
    assert book.rates[MARGINAL, 2] == 0.0


def test_distrust_holds_for_every_pool_until_the_next_load():
    book = loaded()
    book.distrust("the log subscription is silent")
    assert book.stale_reason(0) == "the log subscription is silent"
    book.load(block_ref(101), {0: (5, 5)})
    assert book.stale_reason(0) is None


def test_a_snapshot_does_not_move_with_the_book():
    book = loaded()
    snapshot = book.snapshot()
    book.apply_block(block_ref(101), [PoolState(0, 9, 9)])
    assert snapshot.reserves[0] == (1_000, 2_000)
    assert snapshot.version < book.version
    assert snapshot.block == block_ref(100)


def test_snapshots_of_a_large_book_share_what_did_not_change_and_read_like_a_list():
    count = 3 * 512 + 7
    pools = [PoolSpec(address=address(i), token0=0, token1=1, fee_bps=30) for i in range(count)]
    book = PoolBook(tokens=["0x0", "0x1"], pools=pools)
    book.load(block_ref(100), {i: (i + 1, i + 2) for i in range(count)})
    before = book.snapshot()
    book.apply_block(block_ref(101), [PoolState(600, 5, 6)])
    after = book.snapshot()

    assert list(before.reserves) == [(i + 1, i + 2) for i in range(count)]
    assert len(after.reserves) == count
    assert after.reserves[600] == (5, 6)
    assert after.reserves[-1] == before.reserves[-1] == (count, count + 1)
    assert after.reserves[598:601] == [(599, 600), (600, 601), (5, 6)]
    assert before.reserves != after.reserves
    with pytest.raises(IndexError):
        after.reserves[count]
    # Only the chunk of the pool that moved is another object.
    shared = [a is b for a, b in zip(before.reserves._chunks, after.reserves._chunks, strict=True)]
    assert shared == [True, False, True, True]


def test_every_change_of_state_raises_the_version():
    book = loaded()
    seen = [book.version]
    for change in (
        lambda: book.apply_block(block_ref(101)),
        lambda: book.quarantine(0, "x"),
        lambda: book.release(0),
        lambda: book.distrust("x"),
        lambda: book.rollback_to(block_ref(100).hash),
    ):
        change()
        assert book.version > seen[-1]
        seen.append(book.version)


def test_a_pool_twice_or_of_one_token_is_a_bug():
    pool = PoolSpec(address=address(1), token0=0, token1=1, fee_bps=30)
    with pytest.raises(ValueError, match="twice"):
        PoolBook(tokens=[], pools=[pool, pool])
    with pytest.raises(ValueError, match="no pair"):
        PoolBook(tokens=[], pools=[PoolSpec(address="0x", token0=1, token1=1, fee_bps=30)])
    with pytest.raises(ValueError, match="depth"):
        PoolBook(tokens=[], pools=[], depth=0)


def test_addresses_find_their_pools():
    book = make_book()
    assert book.pool_index(address(3)) == 2
    assert book.pool_index(address(77)) is None
