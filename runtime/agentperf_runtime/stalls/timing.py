"""Times the steps of an asyncio loop, by wrapping the `select` of its selector."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

Select = Callable[..., Any]
StepEnded = Callable[[float, float], None]
"""Is told start and end (seconds on `perf_counter`) of a step over the limit, on the loop's thread."""


class Figures(NamedTuple):
    """What a loop did since the last figures: how often it waited, seconds `busy`, seconds of the `longest` step."""

    waits: int
    busy: float
    longest: float


class TimedSelect(NamedTuple):
    """A `select` that keeps the time, and how to ask it; the questions may come from any thread.

    `started()`: when the running step began (seconds), 0.0 while the loop waits. `take_figures(now)`: see `Figures`.
    `leave()`: the loop ends, and its last step with it. `forget()`: whatever was running is not this process's.
    `call_back(flag)`: whether `wake` is to be called when the loop has something to do.
    """

    select: Select
    started: Callable[[], float]
    take_figures: Callable[[float], Figures]
    leave: Callable[[], None]
    forget: Callable[[], None]
    call_back: Callable[[bool], None]


def timed_select(
    select: Select, limit: float, started: float, step_ended: StepEnded, wake: Callable[[], None]
) -> TimedSelect:
    """`select`, timed. `started`: when the step that runs now began, 0.0 when the loop waits in `select` already.

    Every iteration of every loop passes here, so the state is in variables of a closure (the fastest kind that
    another thread can read), and one clock has to do when the loop has work: `select(0)` counts as part of the next
    step then.
    """
    clock = perf_counter
    ready = 0  # asyncio's timeout when there is work, always this very object
    waits = 0
    idle = waiting = longest = 0.0
    notable = 0.0  # seconds from which on a step is looked at: longer than all before it, or than the limit
    asleep = False
    taken = clock(), 0, 0.0
    if not started:
        waiting = taken[0]

    def timed(timeout: Any = None) -> Any:
        nonlocal started
        now = clock()
        if now - started > notable:
            look_at(now)
        if timeout is ready:
            started = now
            return select(timeout)
        return wait(timeout, now)

    def wait(timeout: float | None, now: float) -> Any:
        nonlocal idle, started, waiting, waits
        waits += 1
        waiting = now
        started = 0.0
        try:
            return select(timeout)
        finally:
            started = clock()
            idle += started - now
            if asleep:
                wake()

    def look_at(now: float) -> None:
        nonlocal idle, longest, notable
        if not started:  # watched since the loop was in a `select` that was not timed yet
            idle += now - waiting
            return
        longest = max(longest, now - started)
        notable = min(longest, limit)
        if now - started > limit:
            step_ended(started, now)

    def leave() -> None:
        nonlocal started, waiting
        now = clock()
        look_at(now)
        started, waiting = 0.0, now

    def forget() -> None:
        nonlocal started, waiting
        started, waiting = 0.0, clock()

    def take_figures(now: float) -> Figures:
        nonlocal longest, notable, taken
        idle_now = idle + (now - waiting if not started else 0.0)
        since, waits_before, idle_before = taken
        taken = now, waits, idle_now
        figures = Figures(waits - waits_before, max(0.0, now - since - idle_now + idle_before), longest)
        longest = notable = 0.0
        return figures

    def call_back(flag: bool) -> None:
        nonlocal asleep
        asleep = flag

    return TimedSelect(timed, lambda: started, take_figures, leave, forget, call_back)
