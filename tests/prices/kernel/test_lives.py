"""One row is one life: births, changes and ends, and nothing in between."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from prices.kernel.book import PoolState
from prices.kernel.costs import NO_TIP, Policy, TipTerms
from prices.kernel.lives import LifeEvent, LifeTracker
from prices.kernel.opportunity import evaluate
from prices.kernel.scan import Market, Scanner
from prices.kernel.waterfall import Reason, Verdict
from tests.prices.kernel.builders import block_ref, make_market
from tests.prices.kernel.every_cycle import find_cycles


@pytest.fixture
def evaluation():
    market = make_market(3, tokens=6, pools=16)
    cycles = find_cycles(market.book.pools, lendable=market.lendable)
    for cycle in range(len(cycles)):
        found = evaluate(
            market.book,
            cycles=cycles,
            cycle=cycle,
            lenders=market.lenders(),
            costs=market.costs(),
            policy=Policy(),
        )
        if found is not None:
            return found._replace(verdict=Verdict.REJECTED, reason=Reason.FEES)
    raise AssertionError("this seed gives spreads")


def events(records):
    return [record.event for record in records]


def test_a_cycle_seen_first_is_born(evaluation):
    lives = LifeTracker()
    (born,) = lives.observe(block_ref(1), alive=[], evaluations=[evaluation])
    assert (born.event, born.life, born.block) == (LifeEvent.BIRTH, 1, block_ref(1))
    assert born.evaluation is evaluation
    assert evaluation.identity in lives


def test_what_only_moves_in_size_writes_nothing(evaluation):
    lives = LifeTracker()
    lives.observe(block_ref(1), alive=[], evaluations=[evaluation])
    moved = evaluation._replace(spread_bps=evaluation.spread_bps + 1)
    assert lives.observe(block_ref(2), alive=[], evaluations=[moved]) == []
    assert lives.observe(block_ref(3), alive=[evaluation.identity], evaluations=[]) == []
    assert lives.current() == {evaluation.identity: moved}


@pytest.mark.parametrize(
    ("verdict", "reason"), [(Verdict.REJECTED, Reason.GAS), (Verdict.EXECUTABLE, None)]
)
def test_a_new_verdict_or_reason_is_a_change(evaluation, verdict, reason):
    lives = LifeTracker()
    lives.observe(block_ref(1), alive=[], evaluations=[evaluation])
    changed = evaluation._replace(verdict=verdict, reason=reason)
    (record,) = lives.observe(block_ref(2), alive=[], evaluations=[changed])
    assert (record.event, record.life, record.born) == (LifeEvent.CHANGE, 1, block_ref(1))
    assert record.evaluation is changed


def test_a_cycle_no_longer_over_the_minimum_ends_and_is_born_anew(evaluation):
    lives = LifeTracker()
    lives.observe(block_ref(1), alive=[], evaluations=[evaluation])
    (end,) = lives.observe(block_ref(2), alive=[], evaluations=[])
    assert (end.event, end.block, end.evaluation) == (LifeEvent.END, block_ref(2), evaluation)
    (again,) = lives.observe(block_ref(3), alive=[], evaluations=[evaluation])
    assert (again.event, again.life) == (LifeEvent.BIRTH, 2)


def test_a_life_born_on_a_lost_block_ends_as_an_orphan(evaluation):
    lives = LifeTracker()
    lives.observe(block_ref(5), alive=[], evaluations=[evaluation])
    (end,) = lives.rollback(block_ref(4))
    assert (end.event, end.orphaned) == (LifeEvent.END, True)
    assert len(lives) == 0


def test_a_change_on_a_lost_block_is_written_anew_even_if_it_is_the_same(evaluation):
    lives = LifeTracker()
    lives.observe(block_ref(3), alive=[], evaluations=[evaluation])
    gas = evaluation._replace(reason=Reason.GAS)
    lives.observe(block_ref(5), alive=[], evaluations=[gas])
    assert lives.rollback(block_ref(4)) == []
    (again,) = lives.observe(block_ref(5, branch="b"), alive=[], evaluations=[gas])
    assert (again.event, again.block) == (LifeEvent.CHANGE, block_ref(5, branch="b"))
    assert lives.observe(block_ref(6, branch="b"), alive=[], evaluations=[gas]) == []


def test_stopping_ends_every_life(evaluation):
    lives = LifeTracker()
    lives.observe(block_ref(1), alive=[], evaluations=[evaluation])
    assert events(lives.end_all(block_ref(2))) == [LifeEvent.END]
    assert len(lives) == 0


def moved_pools(book, rng):
    pools = rng.sample(range(len(book.pools)), 2)
    for pool in pools:
        share = rng.randrange(9_950, 10_050)
        r0, r1 = book.reserve0[pool], book.reserve1[pool]
        yield PoolState(pool, r0 * share // 10_000, r1 * 10_000 // share)


@pytest.mark.parametrize("tips", [NO_TIP, TipTerms(share_bps=6_000, most_wei=10**18)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_deciding_only_what_changed_gives_what_deciding_all_gives(seed, tips):
    rng = random.Random(seed)  # noqa: S311 - reproducible cases
    market = make_market(seed, tokens=8, pools=30)
    scanner = Scanner(market.book, lendable=market.lendable)
    policy = Policy(min_spread_bps=10, min_profit_threshold_bps=5)
    touched = range(30)
    for number in range(101, 131):
        touched = market.book.apply_block(block_ref(number), moved_pools(market.book, rng))
        costs = replace(market.costs(), tips=tips)
        held = Market(lenders=market.lenders(), costs=costs, policy=policy)
        hot = list(scanner.hot(market=held, touched=touched)) if number % 2 else []
        result = scanner.scan(market=held, touched=touched)
        fresh = Scanner(market.book, lendable=market.lendable).scan(market=held, touched=[])
        living = scanner.lives.current()
        everything = {each.identity: each for each in fresh.evaluated}
        assert living.keys() == everything.keys()
        for identity, each in everything.items():
            held_life = living[identity]
            assert (held_life.verdict, held_life.reason) == (each.verdict, each.reason)
        assert [each.identity for each in result.executable] == [
            each.identity for each in fresh.executable
        ]
        assert [e.waterfall for e in result.executable] == [e.waterfall for e in fresh.executable]
        assert {each.identity for each in hot} <= {each.identity for each in result.executable}
        assert [each.net_wei for each in hot] == sorted((e.net_wei for e in hot), reverse=True)
        assert {each.identity for each in scanner.lives.executables()} == {
            identity for identity, each in living.items() if each.verdict is Verdict.EXECUTABLE
        }
        nets = [each.net_wei for each in result.executable]
        assert nets == sorted(nets, reverse=True)


def test_a_scan_after_a_rollback_decides_all_anew():
    market = make_market(5, tokens=8, pools=30)
    scanner = Scanner(market.book, lendable=market.lendable)
    held = Market(lenders=market.lenders(), costs=market.costs(), policy=Policy())
    first = scanner.scan(market=held, touched=[])
    rng = random.Random(5)  # noqa: S311 - reproducible cases
    touched = market.book.apply_block(block_ref(101), moved_pools(market.book, rng))
    scanner.scan(market=held, touched=touched)
    market.book.rollback_to(block_ref(100).hash)
    scanner.rollback(block_ref(100))
    again = scanner.scan(market=held, touched=[])
    assert {each.identity for each in again.evaluated} == {
        each.identity for each in first.evaluated
    }
    assert Counter(e.reason for e in again.evaluated) == Counter(e.reason for e in first.evaluated)


def test_a_quarantine_reaches_every_cycle_through_the_pool():
    market = make_market(3, tokens=8, pools=30)
    scanner = Scanner(market.book, lendable=market.lendable)
    held = Market(lenders=market.lenders(), costs=market.costs(), policy=Policy())
    scanner.scan(market=held, touched=[])
    market.book.quarantine(4, "differs from the chain")
    scanner.scan(market=held, touched=[4])
    crossing = [
        each for each in scanner.lives.current().values() if 4 in {hop.pool for hop in each.hops}
    ]
    assert crossing
    assert {each.reason for each in crossing} == {Reason.STALE_POOL}


def test_where_there_are_too_many_the_lives_that_lose_least_are_kept_and_the_rest_is_said():
    market = make_market(3, tokens=8, pools=30)
    held = Market(lenders=market.lenders(), costs=market.costs(), policy=Policy())
    whole = Scanner(market.book, lendable=market.lendable).scan(market=held, touched=[])
    assert whole.left_out == 0
    few = Scanner(market.book, lendable=market.lendable, most_lives=10)

    some = few.scan(market=held, touched=[])

    assert (some.alive, len(few.lives), bool(some.left_out)) == (10, 10, True)
    after_fees = sorted((rate_after_fees(each) for each in whole.evaluated), reverse=True)
    kept = sorted((rate_after_fees(each) for each in some.evaluated), reverse=True)
    assert kept == pytest.approx(after_fees[:10])
    assert len(few.cycles) == 10


def rate_after_fees(evaluation):
    rate = 1.0
    for hop in evaluation.hops:
        rate *= hop.reserve_out / hop.reserve_in * (10_000 - hop.fee_bps) / 10_000
    return rate


def test_what_was_found_ends_where_the_book_moves_on():
    rng = random.Random(1)  # noqa: S311 - reproducible cases
    market = make_market(2, tokens=5, pools=30)
    scanner = Scanner(market.book, lendable=market.lendable)
    held = Market(
        lenders=market.lenders(), costs=market.costs(), policy=Policy(min_profit_threshold_bps=5)
    )
    whole = [each.identity for each in scanner.hot(market=held, touched=range(30))]
    found = scanner.hot(market=held, touched=range(30))
    first = next(found)
    market.book.apply_block(block_ref(101), moved_pools(market.book, rng))
    assert len(whole) > 1
    assert first.identity == whole[0]
    assert list(found) == []


def test_cycles_that_are_gone_leave_nothing_behind():
    rng = random.Random(8)  # noqa: S311 - reproducible cases
    market = make_market(8, tokens=8, pools=30)
    scanner = Scanner(market.book, lendable=market.lendable)
    policy = Policy(min_spread_bps=10)
    for number in range(101, 131):
        touched = market.book.apply_block(block_ref(number), moved_pools(market.book, rng))
        held = Market(lenders=market.lenders(), costs=market.costs(), policy=policy)
        list(scanner.hot(market=held, touched=touched))
        result = scanner.scan(market=held, touched=touched)
        assert len(scanner.cycles) == result.alive == len(scanner.lives)


def test_nothing_is_scanned_before_the_first_load():
    market = make_market(1, tokens=3, pools=4)
    book = type(market.book)(tokens=market.book.tokens, pools=market.book.pools)
    scanner = Scanner(book, lendable=[0])
    held = Market(lenders=market.lenders(), costs=market.costs(), policy=Policy())
    assert scanner.scan(market=held, touched=[]) is None
