"""What COPY writes is what the decision was, to the last unit, and reads back through the ORM."""

from dataclasses import replace

import pytest
from django.db import connection, transaction
from django.utils import timezone

from arbsite.base.fields import checksummed
from prices import recorder
from prices.kernel.lives import LifeEvent
from prices.kernel.waterfall import Verdict
from prices.models import Opportunity, Sighting
from prices.opportunity_rows import escaped
from prices.recorder import Batch, Seen
from prices.watcher import UsdRate
from tests.prices.test_session import make_session, take

pytestmark = pytest.mark.django_db
HOSTILE = "T\\N\tx\ny\rz\\."


@pytest.fixture
def scanned(monitor, market):
    session = make_session(monitor, min_spread_bps=0)
    result, _ = take(session, market)
    assert result.records
    return session, result


def seen_of(records, *, first_pk, **change):
    facts = {
        "at": timezone.now(), "usd": UsdRate(600_000_000, HOSTILE), "verdict": "rejected",
        "reason": "fees", "born": True,
    }  # fmt: skip
    return [
        Seen(pk=first_pk + i, record=record, **{**facts, **change})
        for i, record in enumerate(records)
    ]


def write(session, seen, **more):
    recorder.write(
        Batch(seen=seen, **more),
        chain_key=session.chain.key,
        mode="stream",
        registry=session.watcher.registry,
    )


def test_a_row_is_its_evaluation(scanned):
    session, result = scanned
    registry = session.watcher.registry
    seen = seen_of(result.records, first_pk=10_000_000)

    write(session, seen)

    rows = Opportunity.objects.in_bulk([each.pk for each in seen])
    assert len(rows) == len(seen)
    for one in seen:
        row, each = rows[one.pk], one.record.evaluation
        assert row.cycle == each.identity
        assert (row.block_number, row.block_hash) == (each.block.number, each.block.hash)
        assert row.pools == [registry.pools[hop.pool].pk for hop in each.hops]
        assert row.zero_for_one == [not hop.edge & 1 for hop in each.hops]
        assert row.amounts == [each.borrow_amount, *(hop.amount_out for hop in each.hops)]
        assert row.reserves == [r for h in each.hops for r in (h.reserve_in, h.reserve_out)]
        assert row.borrow_token_id == registry.tokens[each.borrow_token].pk
        assert row.steps == [step.amount for step in each.waterfall.rows()]
        assert (row.net_profit, row.net_profit_bps) == (each.net_profit, each.net_profit_bps)
        assert row.lender_address == checksummed(each.lender_address)
        assert (row.native_rate_num, row.native_rate_den) == each.native_rate[:2]
        assert row.net_profit_usd_e6 == each.net_wei * 600_000_000 // 10**18
        assert row.usd_source == HOSTILE
        assert (row.verdict, row.reason) == ("rejected", "fees")
        assert (row.detected_at, row.changed_at, row.ended_at) == (one.at, one.at, None)
        assert row.l1_fee_wei == each.l1_fee_wei
        assert row.spread_class == each.spread_class.value


def test_of_two_changes_in_one_batch_the_last_stands_and_the_birth_stays(scanned):
    session, result = scanned
    (born,) = seen_of(result.records[:1], first_pk=10_000_000)
    write(session, [born])
    record = replace(born.record, event=LifeEvent.CHANGE)
    first, last = (
        replace(born, born=False, record=record, reason=reason, usd=None)
        for reason in ("gas", "premium")
    )

    write(session, [first, last])

    row = Opportunity.objects.get(pk=born.pk)
    assert row.reason == "premium"
    assert (row.usd_source, row.net_profit_usd_e6) == ("", None)
    assert row.detected_at == born.at


def test_two_batches_of_one_transaction_change_only_their_own_rows(scanned):
    session, result = scanned
    one, two = seen_of(result.records[:2], first_pk=10_000_000)
    write(session, [one, two])
    change = [
        replace(seen, born=False, record=replace(seen.record, event=LifeEvent.CHANGE))
        for seen in (one, two)
    ]
    with transaction.atomic():
        write(session, [change[0]], reasons={one.pk: ("executable", "limit")})
        write(session, [change[1]])

    assert Opportunity.objects.get(pk=one.pk).reason == "limit"


def test_an_executable_life_leaves_a_sighting_that_learns_why_it_was_not_sent(scanned):
    session, result = scanned
    Sighting.objects.all().delete()
    (seen,) = seen_of(result.records[:1], first_pk=10_000_000, reason="")
    each = seen.record.evaluation._replace(verdict=Verdict.EXECUTABLE, reason=None)
    passes = replace(seen, record=replace(seen.record, evaluation=each), verdict="executable")

    write(session, [passes])
    write(session, [], reasons={passes.pk: ("executable", "in_flight")})

    row = Sighting.objects.get()
    assert row.reason == "in_flight"
    assert (row.opportunity_id, row.cycle) == (passes.pk, each.identity)
    assert (row.block_number, row.block_hash) == (each.block.number, each.block.hash)
    assert row.reserves == [r for h in each.hops for r in (h.reserve_in, h.reserve_out)]
    assert row.expected_profit + row.costs == each.net_profit
    assert (row.native_rate_num, row.native_rate_den) == each.native_rate[:2]


def test_what_cannot_be_executed_leaves_none(scanned):
    session, result = scanned
    Sighting.objects.all().delete()
    rejected = [r for r in result.records if r.evaluation.verdict is Verdict.REJECTED]

    write(session, seen_of(rejected, first_pk=10_000_000))

    assert rejected
    assert not Sighting.objects.exists()


def test_lives_end_and_reasons_are_overruled_each_in_its_own_row(scanned):
    session, result = scanned
    seen = seen_of(result.records[:3], first_pk=10_000_000)
    write(session, seen)
    ended = replace(
        seen[0], born=False, record=replace(seen[0].record, event=LifeEvent.END), at=timezone.now()
    )

    write(session, [ended], reasons={seen[1].pk: ("executable", "in_flight")})

    rows = [Opportunity.objects.get(pk=each.pk) for each in seen]
    assert [row.ended_at for row in rows] == [ended.at, None, None]
    assert [row.reason for row in rows] == ["fees", "in_flight", "fees"]


def test_an_amount_beyond_256_bits_is_refused_and_nothing_is_written(scanned):
    session, result = scanned
    seen = seen_of(result.records[:2], first_pk=10_000_000)
    each = seen[1].record.evaluation
    hops = (each.hops[0]._replace(reserve_in=2**256), *each.hops[1:])
    broken = replace(seen[1].record, evaluation=each._replace(hops=hops))

    with pytest.raises(ValueError, match="not an unsigned 256-bit integer"), transaction.atomic():
        write(session, [seen[0], replace(seen[1], record=broken)])

    assert not Opportunity.objects.filter(pk__gte=10_000_000).exists()


def test_a_batch_costs_the_same_queries_whatever_it_holds(scanned, django_assert_max_num_queries):
    session, result = scanned
    many = seen_of(result.records, first_pk=10_000_000)
    changed = [replace(s, record=replace(s.record, event=LifeEvent.CHANGE)) for s in many]
    write(session, many)

    with django_assert_max_num_queries(12):
        write(session, [replace(each, born=False) for each in changed])


@pytest.mark.parametrize("text", [HOSTILE, "", "plain", "\\", "a\\tb"])
def test_any_text_survives_the_copy_format(text):
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE kept (said text) ON COMMIT DROP")
        with cursor.copy("COPY kept (said) FROM STDIN") as stream:
            stream.write(escaped(text) + "\n")
        cursor.execute("SELECT said FROM kept")
        assert cursor.fetchone() == (text,)
