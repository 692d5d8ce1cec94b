"""When the requests of an open model are due: by a schedule that knows nothing of their answers."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Arrivals = Literal["constant", "poisson"]


def due_times(rate: float, ramp_up: float = 0.0, arrivals: Arrivals = "constant", seed: int = 0) -> Iterator[float]:
    """Seconds after the start at which requests are due, without end: `rate` per second.

    `constant`: at equal distances. `poisson`: at distances that are distributed exponentially, as of users who know
    nothing of each other. During `ramp_up` seconds the rate grows from 0 in proportion to the time; the arrivals are
    those of a process of rate 1 whose clock runs with the number of requests that are expected by then (the time
    change by which inhomogeneous Poisson processes are made, see Devroye: "Non-Uniform Random Variate Generation",
    1986, chapter VI.1).
    """
    expected: Iterator[float] = itertools.count()
    if arrivals == "poisson":
        draw = random.Random(seed).expovariate  # noqa: S311  # a schedule is no secret
        expected = itertools.accumulate(draw(1.0) for _ in itertools.count())
    ramped = rate * ramp_up / 2  # requests during the ramp
    for number in expected:
        if number < ramped:
            yield math.sqrt(2 * ramp_up * number / rate)
        else:
            yield ramp_up + (number - ramped) / rate
