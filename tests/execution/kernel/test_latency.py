"""Stages from one clock, percentiles by nearest rank."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution.kernel.latency import (
    Stage,
    Timeline,
    as_ms,
    histogram,
    percentile,
    summarise,
    summarise_stages,
)

samples = st.lists(st.integers(0, 10**12), min_size=1)


@given(samples, st.integers(1, 100))
def test_a_percentile_is_the_least_sample_with_so_many_at_or_below_it(values, percent):
    values.sort()
    found = percentile(values, percent=percent)
    needed = math.ceil(percent * len(values) / 100)
    assert sum(value <= found for value in values) >= needed
    assert sum(value < found for value in values) < needed


@given(samples)
def test_a_summary_rises_and_ends_at_the_largest(values):
    summary = summarise(values)
    assert summary is not None
    assert summary.count == len(values)
    assert summary.p50_us <= summary.p95_us <= summary.p99_us <= summary.max_us == max(values)


def test_known_percentiles_of_the_first_hundred():
    summary = summarise(range(100, 0, -1))
    assert summary is not None
    assert (summary.p50_us, summary.p95_us, summary.p99_us, summary.max_us) == (50, 95, 99, 100)


def test_nothing_has_no_summary():
    assert summarise([]) is None
    assert summarise_stages({"sign": []}) == {}
    with pytest.raises(ValueError, match="0 samples"):
        percentile([], percent=50)


def test_stages_are_summarised_in_their_order():
    found = summarise_stages({"total": [9], "search": [1, 2], "something else": [3]})
    assert list(found) == ["search", "total"]


def test_total_and_inclusion_follow_from_the_spans():
    timeline = Timeline(event_ns=1_000)
    timeline.span(Stage.EVENT_TO_STATE, started_ns=1_000, ended_ns=2_001)
    assert timeline.microseconds() == {"eventToState": 2}
    timeline.span(Stage.SUBMIT, started_ns=5_000, ended_ns=11_000)
    assert timeline.microseconds(included_ns=13_000) == {
        "eventToState": 2,
        "submit": 6,
        "total": 10,
        "inclusion": 2,
    }
    assert timeline.microseconds(included_ns=10_000)["inclusion"] == 0


def test_a_span_that_ends_before_it_began_is_refused():
    with pytest.raises(ValueError, match="before it began"):
        Timeline(event_ns=0).span(Stage.SIGN, started_ns=2, ended_ns=1)
    with pytest.raises(ValueError, match="derived"):
        Timeline(event_ns=0).span(Stage.TOTAL, started_ns=1, ended_ns=2)


def test_every_stage_fits_its_column():
    assert max(len(stage) for stage in Stage) <= 16
    assert as_ms(1_234_567) == 1234.567


def test_a_histogram_counts_below_each_edge_and_beyond_all():
    assert histogram([0, 9, 10, 99, 100, 5_000], edges=(10, 100, 1_000)) == [2, 2, 1, 1]
    assert histogram([]) == [0] * 16


@given(samples)
def test_a_histogram_loses_no_sample(taken):
    assert sum(histogram(taken)) == len(taken)
