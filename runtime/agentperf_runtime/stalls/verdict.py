"""From a step that lasted too long to the stalls that are reported."""

from __future__ import annotations

import weakref

from agentperf_runtime.stalls.attribution import SURE_SAMPLES, Share
from agentperf_runtime.stalls.pauses import GarbageCollections
from agentperf_runtime.stalls.records import Reason, Stall, nanoseconds
from agentperf_runtime.stalls.running import EndedStep, RunningLoop, Step
from agentperf_runtime.stalls.scheduling import delay_between
from agentperf_runtime.stalls.stacks import nowhere


def stalls_of(
    running: RunningLoop, step: Step, ended: EndedStep, limit: float, garbage: GarbageCollections, ongoing: bool
) -> list[Stall]:
    """The stalls that `step` consists of: none when the application held the loop for less than `limit` seconds.

    A thread that waits for a processor holds the loop too, but that alone makes no stall: half of the limit has to
    be the application's. Of an `ongoing` step, which has ended only for now, the largest one.
    """
    duration = ended.ended - ended.started - running.excluded_between(ended.started, ended.ended)
    delay = delay_between(step.before, ended.reading, ended.started, ended.ended)
    is_stall = duration > limit and duration - delay > limit / 2
    if not is_stall and not step.told_at:
        return []
    shares = step.samples.shares(max(duration, 0.0), limit)
    if not shares:  # over before anybody could look
        shares = [Share(nowhere(), None, ended.started, duration, 0, True)]
    collected = garbage.seconds_between(ended.started, ended.ended)
    if duration - garbage.longest_between(ended.started, ended.ended) > limit:
        collected = 0.0  # one collection may hit anybody; whoever has several allocates that much
    if ongoing:
        return [_stall(shares[0], nanoseconds(ended.started), step, collected, True)]
    if not step.told_at:
        return [_stall(share, nanoseconds(share.began), step, collected, False) for share in shares]
    # The first one replaces what was reported while the step lasted; the others are none of it.
    began = nanoseconds(ended.started)
    first = _stall(shares[0], began, step, collected, False)
    later = [max(nanoseconds(share.began), began + 1) for share in shares[1:]]
    return [first, *(_stall(share, start, step, collected, False) for share, start in zip(shares[1:], later))]


def _stall(share: Share, start: int, step: Step, collected: float, ongoing: bool) -> Stall:
    reason: Reason = "import" if share.place.importing else "call"
    # While garbage is collected nobody can look, unless a finalizer runs long enough: that is a call.
    if collected > share.duration / 2 and (share.late or share.samples < SURE_SAMPLES):
        reason = "gc"
    return Stall(
        start=start,
        duration=nanoseconds(share.duration),
        frames=share.place.frames,
        code=share.place.code,
        lasti=share.place.lasti,
        task=share.task() if isinstance(share.task, weakref.ref) else share.task,
        samples=share.samples,
        total_samples=step.samples.count,
        confidence="after" if share.late else "sampled",
        reason=reason,
        ongoing=ongoing,
    )
