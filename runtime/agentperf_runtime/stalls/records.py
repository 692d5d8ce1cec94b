"""What is reported. All times are integers, nanoseconds on the clock of `time.perf_counter_ns()`."""

from __future__ import annotations

from types import CodeType
from typing import Literal, NamedTuple

Confidence = Literal["sampled", "after"]
"""Whether the stack was seen while the loop was held, or only once the holder let go."""

Reason = Literal["call", "import", "gc"]
"""What held the loop: a call, the first import of a module, or a collection of the garbage collector."""


class Frame(NamedTuple):
    """One function of a stack. `function` is the qualified name (on Python 3.10 the bare one), `line` is 1-based."""

    path: str
    line: int
    function: str


class Stall(NamedTuple):
    """One place that held an event loop.

    `duration` is what of the step belongs to this place; when `ongoing`, what has passed so far. A later record with
    the same `start` replaces an ongoing one. Places of one step that are each over the limit are records of their own,
    everything else is the largest one's. Not counted is time in which the process was stopped or in which another
    thread kept the interpreter's lock. Time in which the thread waited for a processor is counted, but a step of which
    it makes so much that less than half of the limit is left is no stall.

    `frames` is the stack that was seen most often there, innermost first, library frames included, cut where the
    event loop called. `code` and `lasti` are its innermost application frame, or, when `reason` is "import", the one
    that imports; None and -1 when there is none. `task` is what `identify` made of the asyncio task that ran, by
    default the task itself if it still exists; None outside tasks.

    `samples` of the step's `total_samples` showed the function of `code`; both are 0 when the step was over before
    anybody could look.
    """

    start: int
    duration: int
    frames: tuple[Frame, ...]
    code: CodeType | None
    lasti: int
    task: object | None
    samples: int
    total_samples: int
    confidence: Confidence
    reason: Reason
    ongoing: bool


class LoopSample(NamedTuple):
    """What all event loops of the process did since the last sample, about a second ago.

    `iterations`: how often they waited for events (not counted is an iteration that finds work to do at once; 0 on
    uvloop, which does not tell). `busy`: time in steps, summed over the loops (on uvloop estimated). `longest`: the
    longest single step.
    """

    time: int
    iterations: int
    busy: int
    longest: int


def nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
