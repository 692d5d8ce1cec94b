"""Percentiles of any number of measurements in bounded memory.

The buckets are those of DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with
relative-error guarantees", VLDB 2019): their bounds grow by a constant factor, so that a quantile is off by a share of
its value and histograms of several processes can be added up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RELATIVE_ERROR = 0.01
LEAST, MOST = 1e-9, 1e9
"""Smaller measurements count as 0, larger ones go to the last bucket: 2,073 buckets at most."""

_GROWTH = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GROWTH = math.log(_GROWTH)
_MIDDLE = 2 / (1 + _GROWTH)  # of a bucket, as a part of its upper bound


class Histogram:
    """Measurements of one unit (seconds, bytes, tokens), none of them negative.

    `count`, `total`, `least` and `most` are exact, quantiles off by 1 % at most. Not locked: a histogram belongs to
    one thread, or to whoever holds its owner's lock.
    """

    __slots__ = ("buckets", "count", "least", "most", "total", "zeros")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.zeros = 0
        self.count = 0
        self.total = 0.0
        self.least = math.inf
        self.most = 0.0

    def record(self, value: float, times: int = 1) -> None:
        """Add `value`, `times` times. Raises ValueError for one that is negative or not a number."""
        if not value >= 0:
            raise ValueError(f"{value} cannot be in a histogram")
        self.count += times
        self.total += value * times
        if value < self.least:
            self.least = value
        if value > self.most:
            self.most = value
        if value < LEAST:
            self.zeros += times
            return
        bucket = math.ceil(math.log(min(value, MOST)) / _LOG_GROWTH)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + times

    def merge(self, other: Histogram) -> None:
        """Add everything that is in `other`."""
        self.count += other.count
        self.zeros += other.zeros
        self.total += other.total
        self.least = min(self.least, other.least)
        self.most = max(self.most, other.most)
        for bucket, times in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + times

    def copy(self) -> Histogram:
        """One that does not change with this one."""
        copied = Histogram()
        copied.merge(self)
        return copied

    @property
    def mean(self) -> float:
        """The arithmetic mean, 0 without measurements."""
        return self.total / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """The measurement that `share` (0 to 1) of all do not exceed, by nearest rank; 0 without measurements."""
        if not self.count:
            return 0.0
        rank = max(1, math.ceil(share * self.count))
        if rank >= self.count:
            return self.most
        rank -= self.zeros
        if rank <= 0:
            return 0.0
        for bucket in sorted(self.buckets):
            rank -= self.buckets[bucket]
            if rank <= 0:
                return min(max(_GROWTH**bucket * _MIDDLE, self.least), self.most)
        return self.most

    def share_above(self, value: float) -> float:
        """The part of the measurements, 0 to 1, that exceed `value`, to the precision of the buckets."""
        if not self.count or value >= self.most:
            return 0.0
        if value < LEAST:
            return 1 - self.zeros / self.count
        last = math.ceil(math.log(value) / _LOG_GROWTH)
        return sum(times for bucket, times in self.buckets.items() if bucket > last) / self.count

    def excess_above(self, value: float) -> float:
        """What the measurements that exceed `value` do so by, added up, to the precision of the buckets."""
        if value >= self.most:
            return 0.0
        if value < LEAST:
            return self.total - value * self.count
        last = math.ceil(math.log(value) / _LOG_GROWTH)
        above = ((bucket, times) for bucket, times in self.buckets.items() if bucket > last)
        return sum((min(_GROWTH**bucket * _MIDDLE, self.most) - value) * times for bucket, times in above)

    def to_json(self) -> dict[str, Any]:
        """Numbers, strings and lists that `from_json` reads."""
        return {
            "count": self.count,
            "total": self.total,
            "least": self.least if self.count else 0.0,
            "most": self.most,
            "zeros": self.zeros,
            "buckets": sorted(self.buckets.items()),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Histogram:
        """The histogram that `to_json` gave. Raises KeyError, TypeError or ValueError for anything else."""
        histogram = cls()
        histogram.count = int(data["count"])
        histogram.total = float(data["total"])
        histogram.most = float(data["most"])
        histogram.zeros = int(data["zeros"])
        histogram.buckets = {int(bucket): int(times) for bucket, times in data["buckets"]}
        if histogram.count:
            histogram.least = float(data["least"])
        return histogram
