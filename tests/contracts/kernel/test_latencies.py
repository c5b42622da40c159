"""Latencies in classes against the samples themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.kernel.latencies import Latencies, latencies_from

micros = st.integers(0, 10**9)


@given(st.lists(micros, min_size=1, max_size=200), st.integers(1, 100))
def test_a_percentile_is_never_below_the_true_one_and_hardly_above(samples, percent):
    found = Latencies()
    for each in samples:
        found.add(each)
    true = sorted(samples)[-(-percent * len(samples) // 100) - 1]

    told = found.percentile_us(percent)

    assert true <= told <= max(true * 1.0906 + 1, 16) or true > 2**24 * 16
    assert told <= found.max_us == max(samples)
    assert found.count == len(samples)


@given(st.lists(micros, min_size=1), st.lists(micros, min_size=1))
def test_stored_rows_add_up_to_the_whole(first, second):
    parts = [Latencies(), Latencies()]
    whole = Latencies()
    for part, samples in zip(parts, (first, second), strict=True):
        for each in samples:
            part.add(each)
            whole.add(each)
    stored = [({str(at): many for at, many in p.counts.items()}, p.max_us) for p in parts]

    assert latencies_from(stored) == whole


def test_without_any_there_is_no_percentile():
    with pytest.raises(ValueError, match="of 0 latencies"):
        Latencies().percentile_us(50)
