"""A watcher with its writer: lives, batches, quarantines, and the book against the chain."""

from dataclasses import replace

import pytest
from django.db import OperationalError, connection

from arbsite.base.models import Alert
from contracts.kernel import abi
from contracts.localchain.chain import Sending
from contracts.localchain.deploy import BUILDER
from contracts.models import Pool, Token
from contracts.services import token_deny
from prices import recorder, services, state_check
from prices.chain_state import quote_disagreements, read_market
from prices.kernel.lives import LifeEvent
from prices.models import Monitor, Opportunity, PoolState
from prices.session import Limits, PriceSession
from prices.state_check import CheckResult

pytestmark = pytest.mark.django_db


def make_session(monitor, *, mode="stream", **change):
    monitor = Monitor.objects.select_related("chain").get(pk=monitor.pk)
    for name, value in change.items():
        setattr(monitor, name, value)
    session = PriceSession(
        monitor, mode=mode, limits=Limits(min_profit_bps=5), idle_reason="not_armed"
    )
    session.begin()
    return session


def take(session, market):
    """Read the market, decide, write."""
    touched = session.take_read(read_market(market.rpc, session.watcher.registry))
    result = session.scan(touched)
    batch = session.take_batch()
    session.write(batch)
    return result, batch


def living():
    return Opportunity.objects.filter(ended_at=None)


@pytest.fixture
def session(monitor, market):
    made = make_session(monitor)
    take(made, market)
    return made


def test_every_pool_state_is_the_chain_s_and_every_quote_the_router_s(session, market):
    read = read_market(market.rpc, session.watcher.registry)
    states = PoolState.objects.in_bulk()

    assert len(states) == len(session.watcher.registry.pools) == Pool.objects.count()
    for i, pool in enumerate(session.watcher.registry.pools):
        state = states[pool.pk]
        assert (state.reserve0, state.reserve1) == read.reserves[i]
        assert (state.quote_in, state.quote_out) == read.quotes[i]
        assert (state.block_number, state.block_hash) == (read.head.number, read.head.hash)
    assert quote_disagreements(read, session.watcher.registry) == {}


def test_a_quote_is_what_get_amounts_out_says_pool_by_pool(session, market):
    registry = session.watcher.registry
    at = {"blockHash": session.watcher.book.head.hash}
    for i, pool in enumerate(registry.pools):
        amount_in, amount_out = session.watcher.quote(i)
        row = Pool.objects.select_related("pair__base", "pair__quote").get(pk=pool.pk)
        path = [row.pair.base.address, row.pair.quote.address]
        data = abi.encode_call("getAmountsOut(uint256,address[])", amount_in, path)
        answer = market.rpc.eth_call(to=pool.router, data=data, block=at)
        assert abi.decode_result(["uint256[]"], answer)[0][-1] == amount_out


def test_a_pool_that_one_read_did_not_give_joins_with_the_next_check(monitor, market):
    session = make_session(monitor)
    whole = read_market(market.rpc, session.watcher.registry)
    lacking = {i: pair for i, pair in whole.reserves.items() if i != 0}
    session.take_read(replace(whole, reserves=lacking))
    session.scan(frozenset())
    book = session.watcher.book
    assert book.unknown == {0}
    session.take_check(CheckResult(read=whole, wrong={}))
    session.scan(frozenset())
    assert not book.unknown
    assert (book.reserve0[0], book.reserve1[0]) == whole.reserves[0]
    assert session.watcher.scanner.lives.current().keys() == lives_of(whole, monitor).keys()


def lives_of(read, monitor):
    """What a session that never missed anything holds at this read."""
    other = make_session(monitor)
    other.scan(other.take_read(read))
    return other.watcher.scanner.lives.current()


def test_a_life_has_one_row_from_birth_to_end(session, market):
    born = set(Opportunity.objects.values_list("pk", flat=True))
    for _ in range(12):
        market.driver.step()
        take(session, market)

    rows = Opportunity.objects.all()
    assert rows.count() == Monitor.objects.get().opportunities_detected > len(born)
    alive = living()
    assert len(session.watcher.scanner.lives) == alive.count()
    assert len(set(alive.values_list("cycle", flat=True))) == alive.count()
    assert rows.exclude(ended_at=None).exists()
    for row in rows:
        assert sum(row.steps[:-1]) == row.steps[-1] == row.net_profit
        assert row.last_block_number >= row.block_number


def test_every_birth_is_counted_under_what_stopped_it(session, market):
    for _ in range(12):
        market.driver.step()
        take(session, market)
    monitor = Monitor.objects.get()
    assert monitor.rejections["fees"] > monitor.rejections.get("premium", 0)
    assert sum(monitor.rejections.values()) == monitor.opportunities_detected


def test_a_batch_whose_commit_was_not_heard_of_is_written_once(session, market):
    for _ in range(4):
        market.driver.step()
    session.scan(session.take_read(read_market(market.rpc, session.watcher.registry)))
    batch = session.take_batch()
    session.write(batch)
    before = Monitor.objects.get()
    rows = Opportunity.objects.count()
    session.write(batch)

    after = Monitor.objects.get()
    assert (after.updates, after.opportunities_detected, after.rejections) == (
        before.updates, before.opportunities_detected, before.rejections,
    )  # fmt: skip
    assert Opportunity.objects.count() == rows == after.opportunities_detected


def test_what_could_not_be_written_is_written_at_the_end(session, market):
    for _ in range(4):
        market.driver.step()
    session.scan(session.take_read(read_market(market.rpc, session.watcher.registry)))
    batch = session.take_batch()

    def away(execute, sql, params, many, context):
        raise OperationalError("the record is away")

    with connection.execute_wrapper(away), pytest.raises(OperationalError):
        session.write(batch)
    market.driver.step()
    session.scan(session.take_read(read_market(market.rpc, session.watcher.registry)))
    session.end()

    monitor = Monitor.objects.get()
    assert Opportunity.objects.count() == monitor.opportunities_detected
    assert monitor.running == ""
    assert not living().exists()
    assert monitor.head_hash == session.watcher.head.hash


def test_ending_twice_writes_the_same(session):
    session.end("first")
    ended = list(Opportunity.objects.values_list("pk", "ended_at"))
    session.end("second")
    assert list(Opportunity.objects.values_list("pk", "ended_at")) == ended


def test_a_feeder_that_takes_over_goes_on_in_the_same_rows(session, monitor, market):
    rows = dict(living().values_list("cycle", "pk"))
    started = Monitor.objects.get().started_at
    heir = make_session(monitor)
    assert rows
    _, batch = take(heir, market)

    assert dict(living().values_list("cycle", "pk")) == rows
    assert batch.births == 0
    assert Monitor.objects.get().started_at == started


def test_a_life_that_did_not_go_on_is_ended_by_the_heir(session, monitor, market):
    cycle = living().first()
    Opportunity.objects.filter(pk=cycle.pk).update(cycle="f" * 32)
    heir = make_session(monitor)
    take(heir, market)

    assert Opportunity.objects.get(pk=cycle.pk).ended_at is not None
    assert living().count() == len(heir.watcher.scanner.lives)


def test_after_a_long_silence_lives_begin_anew(session, monitor, market):
    old = set(living().values_list("pk", flat=True))
    Monitor.objects.update(heartbeat_at="2026-01-01T00:00:00Z")
    heir = make_session(monitor)
    take(heir, market)

    assert not living().filter(pk__in=old).exists()
    assert living().count() == len(old)


def test_a_feeder_that_ends_late_leaves_the_other_mode_alone(session, monitor, market):
    Monitor.objects.update(mode="poll")
    poller = make_session(monitor, mode="poll")
    take(poller, market)
    session.end()

    assert Monitor.objects.get().running == "poll"
    assert living().count() == len(poller.watcher.scanner.lives) > 0


def test_a_reorg_ends_what_was_born_above_it(session, market):
    kept = market.rpc.call("evm_snapshot")
    before = market.chain.head()
    for _ in range(6):
        market.driver.step()
        take(session, market)
    above = set(Opportunity.objects.filter(block_number__gt=before).values_list("pk", flat=True))
    market.rpc.call("evm_revert", [kept])
    market.chain.forget_nonces()
    market.rpc.call("evm_mine")
    take(session, market)

    assert above
    assert not living().filter(pk__in=above).exists()
    assert living().count() == len(session.watcher.scanner.lives)
    fresh = read_market(market.rpc, session.watcher.registry)
    states = PoolState.objects.in_bulk()
    for i, pool in enumerate(session.watcher.registry.pools):
        assert (states[pool.pk].reserve0, states[pool.pk].reserve1) == fresh.reserves[i]


def test_changed_storage_is_quarantined_alarmed_and_stops_its_cycles(session, market):
    kept = market.rpc.call("evm_snapshot")
    try:
        market.rpc.call("evm_mine")  # what the rival had in the pool moves no reserve later
        take(session, market)
        pool = session.watcher.registry.pools[0]
        slot = reserves_slot(market, pool.address)
        word = int(market.rpc.call("eth_getStorageAt", [pool.address, slot, "latest"]), 16)
        market.rpc.call("anvil_setStorageAt", [pool.address, slot, f"0x{word - 1:064x}"])
        market.rpc.call("evm_mine")
        head = read_market(market.rpc, session.watcher.registry)
        session.watcher.book.head = head.block  # the book missed it, as with a lost log
        snapshot = session.watcher.book.snapshot()
        result = state_check.check(market.rpc, session.watcher.registry, snapshot)
        assert list(result.wrong) == [0]
        assert result.wrong[0].startswith("changed storage: book has")

        session.take_check(result)
        session.write_quarantines(result)
        session.scan(frozenset())
        session.write(session.take_batch())
    finally:
        market.rpc.call("evm_revert", [kept])
        market.chain.forget_nonces()

    row = Pool.objects.get(pk=pool.pk)
    assert row.quarantined.startswith("changed storage")
    assert row.quarantined_at is not None
    assert Alert.objects.get(key=f"quarantine:{pool.address}").severity == "critical"
    crossing = living().filter(pools__contains=[pool.pk])
    assert set(crossing.values_list("reason", flat=True)) <= {"stale_pool"}
    gone = state_check.check(market.rpc, session.watcher.registry, snapshot)
    assert gone is None  # that block left the chain: there is nothing to compare with


def reserves_slot(market, pool):
    """The slot that holds what getReserves gives, packed: found by looking."""
    data = abi.encode_call("getReserves()")
    reserve0, reserve1, _ = abi.decode_result(
        ["uint112", "uint112", "uint32"], market.rpc.eth_call(to=pool, data=data)
    )
    for slot in map(hex, range(32)):
        word = int(market.rpc.call("eth_getStorageAt", [pool, slot, "latest"]), 16)
        if word & (2**112 - 1) == reserve0 and word >> 112 & (2**112 - 1) == reserve1:
            return slot
    raise AssertionError("no slot holds the reserves")


def test_a_difference_that_is_gone_once_the_next_block_is_past_is_none(session, market):
    class Mining:
        """Answers for its next state until that is a block, however often it is asked."""

        def __init__(self):
            self.looks = 0

        def call(self, method, params=(), **kwargs):
            if method == "eth_getBlockByNumber":
                self.looks += 1
                if self.looks == 3:
                    market.driver.step()
            return market.rpc.call(method, params, **kwargs)

        def eth_call(self, **kwargs):
            answer = bytearray(market.rpc.eth_call(**kwargs))
            if self.looks < 3:
                first = 64 + int.from_bytes(answer[64:96]) + 96
                answer[first + 31] ^= 1
            return bytes(answer)

    snapshot = session.watcher.book.snapshot()
    node = Mining()
    result = state_check.check(node, session.watcher.registry, snapshot)
    assert node.looks == 3
    assert result.wrong == {}


def test_a_missed_log_is_called_one(session, market):
    registry = session.watcher.registry
    book = session.watcher.book
    before = book.snapshot().reserves
    for _ in range(20):
        market.driver.step()
        read = read_market(market.rpc, registry)
        moved = [i for i, pair in read.reserves.items() if pair != before[i]]
        if moved:
            break
    book.head = read.block
    result = state_check.check(market.rpc, registry, book.snapshot())

    assert set(result.wrong) == set(moved)
    assert all("missed log" in why for why in result.wrong.values())


def flash_premium_is(market, bps):
    """Aave's own administrator sets it, as he may at any time; no pool of ours moves with it."""
    pool = market.market.aave_pool
    for signature in ("ADDRESSES_PROVIDER()", "getPoolConfigurator()"):
        answer = market.rpc.eth_call(to=pool, data=abi.encode_call(signature))
        (pool,) = abi.decode_result(["address"], answer)
    market.chain.send(
        [
            Sending(
                sender=BUILDER,
                to=pool,
                data=abi.encode_call("updateFlashloanPremiumTotal(uint128)", bps),
                gas=200_000,
                gas_price=market.market.min_gas_price_wei,
            )
        ]
    )
    market.chain.mine()


def test_a_premium_changed_on_chain_moves_terms_and_waterfalls_with_the_next_check(
    monitor, market, settings
):
    settings.ARB = replace(settings.ARB, force_lender="aave_v3")
    session = make_session(monitor)
    first, _ = take(session, market)
    registry = session.watcher.registry
    assert {each.lender.premium_bps for each in first.evaluated} == {5}
    kept = market.rpc.call("evm_snapshot")
    try:
        flash_premium_is(market, 40)
        session.take_check(CheckResult(read=read_market(market.rpc, registry), wrong={}))
        after = session.scan(frozenset())
    finally:
        market.rpc.call("evm_revert", [kept])
        market.chain.forget_nonces()

    assert session.watcher.premium_bps == 40
    assert after.evaluated
    for each in after.evaluated:
        owed = (each.borrow_amount * 40 + 5_000) // 10_000
        assert -each.waterfall.flash_loan_premium == owed > 0


def test_a_denied_token_and_a_new_pool_ask_for_a_new_session(session, monitor):
    def revision():
        return Monitor.objects.select_related("chain").get(pk=monitor.pk).revision

    assert revision() == session.revision
    token_deny(token=Token.objects.get(symbol="CAKE"), denied=True)
    assert revision() > session.revision


def test_wishes_ask_for_a_new_session(session, monitor, chain):
    services.monitoring_start(chain=chain, min_spread_bps=50)
    changed = Monitor.objects.select_related("chain").get(pk=monitor.pk)
    assert changed.revision > session.revision


def test_numbers_are_taken_for_every_cycle_there_is(monitor, market):
    session = make_session(monitor, min_spread_bps=0)
    result, batch = take(session, market)
    assert batch.births == len(session.watcher.scanner.lives)
    lives = recorder.Lives(at_once=60_000)
    lives.refill()
    record = next(r for r in result.records if r.event is LifeEvent.BIRTH)
    pk, born = lives.place(record)
    assert born
    assert not Opportunity.objects.filter(pk=pk).exists()


def test_a_pool_that_says_nothing_has_no_price_and_returns_with_its_answer(session, market):
    registry = session.watcher.registry
    pool = registry.pools[3]
    code = market.rpc.call("eth_getCode", [pool.address, "latest"])
    market.rpc.call("anvil_setCode", [pool.address, "0x"])
    market.rpc.call("evm_mine")
    take(session, market)
    assert not PoolState.objects.filter(pool_id=pool.pk).exists()

    market.rpc.call("anvil_setCode", [pool.address, code])
    market.rpc.call("evm_mine")
    take(session, market)
    assert PoolState.objects.filter(pool_id=pool.pk).exists()
