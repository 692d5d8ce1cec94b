from __future__ import annotations

import json
import math
import random

import pytest

from agentperf_runtime.histograms import RELATIVE_ERROR, Histogram


def _of(values: list[float]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@pytest.mark.parametrize("share", [0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0])
def test_a_quantile_is_off_by_one_percent_at_most(share: float) -> None:
    random.seed(7)
    values = [random.lognormvariate(-4, 2) for _ in range(20_000)]
    nearest = sorted(values)[math.ceil(share * len(values)) - 1]
    assert _of(values).quantile(share) == pytest.approx(nearest, rel=RELATIVE_ERROR * 1.001)


def test_what_is_exact() -> None:
    histogram = _of([0.25, 0.5, 4.0])
    assert (histogram.count, histogram.total, histogram.least, histogram.most) == (3, 4.75, 0.25, 4.0)
    assert histogram.mean == pytest.approx(4.75 / 3)
    assert histogram.quantile(0) == pytest.approx(0.25, rel=RELATIVE_ERROR)
    assert histogram.quantile(1) == 4.0


def test_one_measurement_is_every_quantile() -> None:
    histogram = _of([0.123])
    assert [histogram.quantile(share) for share in (0, 0.5, 0.99, 1)] == [0.123] * 4


def test_nothing_measured() -> None:
    histogram = Histogram()
    assert (histogram.quantile(0.5), histogram.mean, histogram.share_above(0)) == (0.0, 0.0, 0.0)
    assert Histogram.from_json(histogram.to_json()).to_json() == histogram.to_json()


def test_zeros_are_measurements() -> None:
    histogram = _of([0.0, 0.0, 0.0, 1.0])
    assert (histogram.quantile(0.5), histogram.quantile(0.75), histogram.quantile(0.76)) == (0.0, 0.0, 1.0)
    assert histogram.share_above(0) == 0.25


def test_memory_is_bounded() -> None:
    random.seed(3)
    histogram = _of([10 ** random.uniform(-30, 30) for _ in range(50_000)])
    assert len(histogram.buckets) <= 2_073


def test_merged_and_read_back_it_is_the_same() -> None:
    random.seed(5)
    values = [random.expovariate(10) for _ in range(1_000)]
    first, second = _of(values[:300]), _of(values[300:])
    first.merge(Histogram.from_json(json.loads(json.dumps(second.to_json()))))
    whole = _of(values)
    assert first.buckets == whole.buckets
    assert (first.count, first.least, first.most) == (whole.count, whole.least, whole.most)


def test_the_part_that_exceeds_a_limit() -> None:
    histogram = _of([n / 100 for n in range(1, 101)])
    assert histogram.share_above(0.5) == pytest.approx(0.5, abs=0.02)
    assert histogram.share_above(1.0) == 0.0
    assert histogram.excess_above(0.5) == pytest.approx(sum(n / 100 for n in range(1, 51)), rel=0.05)
    assert histogram.excess_above(0) == pytest.approx(histogram.total)
    assert histogram.excess_above(1.0) == 0.0


@pytest.mark.parametrize("value", [-1.0, math.nan])
def test_what_cannot_be_measured_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="cannot be in a histogram"):
        Histogram().record(value)
