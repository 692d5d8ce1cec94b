"""What profiles show: lines where much of the time goes, operations that are slow, memory that is not given back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import msgspec

from agentperf_lint.checklist.clusters import is_silenced
from agentperf_lint.checklist.idle import is_application, is_loops_own, is_nobodys
from agentperf_lint.checklist.items import Hot, MemoryEvidence, ProfileEvidence, ProfileRun
from agentperf_lint.checklist.observed import Observed, Scene, item_at, shown_place
from agentperf_lint.checklist.profiles import Operation, Profile, Spent
from agentperf_lint.checklist.sources import is_library_path, plain_name
from agentperf_lint.checklist.trace import Frame

_HOT_SHARE = 0.1  # of the profiled time
_HOT_SECONDS = 0.1
_WORTH_TELLING = 0.1  # of what makes an item: where there is one for another reason
_LEAST_GROWTH = 1 << 20  # bytes
_PLACES_SHOWN = 5


class _Time(msgspec.Struct):
    """Seconds at one place, and the application's frames that led there."""

    running: float = 0.0
    waiting: float = 0.0
    frames: dict[Frame, None] = {}

    @property
    def seconds(self) -> float:
        return self.running + self.waiting

    def add(self, spent: Spent, frames: Iterable[Frame]) -> None:
        if spent.waiting:
            self.waiting += spent.seconds
        else:
            self.running += spent.seconds
        self.frames.update(dict.fromkeys(frames))


Places = dict[Frame, _Time]


def profile_run(profile: Profile) -> ProfileRun:
    """What a summary says of a profile."""
    return ProfileRun(profile.file, profile.profiler, profile.seconds, len(profile.operations))


def profile_items(scene: Scene, profiles: Iterable[Profile]) -> Iterator[list[Observed]]:
    """Of each profile the slow operations, the hot lines, and what memory grew by: three lists."""
    for profile in profiles:
        scene.notes.extend(profile.notes)
        for found in (_slow_operations(scene, profile), _hot_places(scene, profile), _grown(scene, profile)):
            yield [each for each in found if not _is_left_out(scene, each)]


def _is_left_out(scene: Scene, observed: Observed) -> bool:
    frames = observed.frames[:1]
    return any(scene.is_ignored(frame) for frame in frames) or is_silenced(
        scene.sources, [list(frames)], observed.item.code
    )


def _slow_operations(scene: Scene, profile: Profile) -> Iterator[Observed]:
    least = scene.settings.slow_execution * _WORTH_TELLING
    slow = [each for each in profile.operations if each.duration.mean > least]
    if not slow:
        return
    by_operation: dict[str, Places] = defaultdict(dict)
    for spent in profile.spent:
        _add(scene, spent, by_operation[spent.operation])
    for operation in slow:
        yield _slow(scene, profile, operation, by_operation[operation.name])


def _slow(scene: Scene, profile: Profile, operation: Operation, places: Places) -> Observed:
    mean = operation.duration.mean
    frame, time = max(places.items(), key=lambda each: each[1].seconds, default=(("", 0, ""), _Time()))
    evidence = ProfileEvidence(
        profiler=profile.profiler,
        seconds=operation.total,
        running_seconds=operation.running,
        waiting_seconds=operation.waiting,
        operation=operation.name,
        executions=operation.executions,
        failed=operation.failed,
        mean_seconds=mean,
        p95_seconds=operation.duration.quantile(0.95),
        worst_seconds=operation.duration.most,
        tokens=operation.tokens,
        places=_shown(places),
    )
    most = "waits" if operation.waiting > operation.running else "computes"
    if most == "waits":
        remedy = "start what does not depend on each other together, cache it, or ask for less"
    else:
        remedy = "do less of it, cache it, or give it to a process"
    item = item_at(
        "bottleneck",
        frame,
        severity="high" if mean > 2 * scene.settings.slow_execution else "medium",
        operations=operation.executions,
        total_seconds=operation.total,
        worst_seconds=operation.duration.most,
        share=_share(operation.total, profile),
        what=f"{operation.name} takes {mean:.2f} s on average and mostly {most}, {_longest_at(places)}",
        remedy=remedy,
        evidence=(evidence,),
    )
    return Observed(item, _with_callers(frame, time), notable=mean > scene.settings.slow_execution)


def _longest_at(places: Places) -> str:
    seconds = sum(time.seconds for time in places.values())
    if not seconds:
        return "nobody knows where: it was not sampled"
    return f"{max(time.seconds for time in places.values()) / seconds:.0%} of it here"


def _hot_places(scene: Scene, profile: Profile) -> Iterator[Observed]:
    places: Places = {}
    by_line = True
    for spent in profile.spent:
        if not spent.waiting:
            _add(scene, spent, places)
            by_line = by_line and spent.by_line
    least = max(_HOT_SECONDS, _HOT_SHARE * profile.seconds)
    for frame, time in places.items():
        if time.running >= least * _WORTH_TELLING:
            observed = _hot(profile, frame, time, by_line)
            yield msgspec.structs.replace(observed, notable=time.running >= least)


def _hot(profile: Profile, frame: Frame, time: _Time, by_line: bool) -> Observed:
    share = _share(time.running, profile)
    remedy = "do less of it, cache it, or take it off the loop (a thread for what waits, a process for what computes)"
    item = item_at(
        "bottleneck",
        frame,
        severity="high" if share >= 2 * _HOT_SHARE else "medium",
        total_seconds=time.running,
        share=share,
        what=f"{'this line' if by_line else 'this function'} takes {share:.0%} of the profiled time",
        remedy=remedy,
        evidence=(ProfileEvidence(profile.profiler, time.running, time.running, 0.0),),
    )
    return Observed(item, _with_callers(frame, time), by_line=by_line)


def _with_callers(frame: Frame, time: _Time) -> tuple[Frame, ...]:
    return tuple(dict.fromkeys((frame, *time.frames)))


def _grown(scene: Scene, profile: Profile) -> Iterator[Observed]:
    for growth in profile.growth:
        if growth.size < _LEAST_GROWTH or is_library_path(growth.frame[0]):
            continue
        frame = _current(scene, growth.frame)
        remedy = "give what is kept a limit, or let go of it when the request ends"
        held = f"{growth.size / (1 << 20):.1f} MB in {growth.objects:,} objects"
        item = item_at(
            "memory",
            frame,
            operations=growth.objects,
            what=f"{held} that were allocated here are still held",
            remedy=remedy,
            evidence=(MemoryEvidence(0, growth.size, profile.seconds, growth.objects),),
        )
        yield Observed(item, (frame,))


def _add(scene: Scene, spent: Spent, places: Places) -> None:
    """Counts the seconds for the innermost frame of the application, unless they are nobody's."""
    frames = spent.frames
    own = next((index for index, frame in enumerate(frames) if is_application(frame)), None)
    if own is None or is_loops_own(frames, own):
        return
    if not spent.waiting and is_nobodys(frames, own, scene.sources, by_line=spent.by_line):
        return
    application = [_current(scene, frame) for frame in frames[own:] if is_application(frame)]
    places.setdefault(application[0], _Time(frames={})).add(spent, application)


def _current(scene: Scene, frame: Frame) -> Frame:
    """Where the frame is now, with the qualified name of its function: profilers know the last part only."""
    path, line, function = scene.sources.current(frame)
    code = scene.sources.code(frame[0])
    around = code.function_at(line) if code is not None else None
    return path, line, around.name if around is not None else plain_name(function)


def _shown(places: Places) -> tuple[Hot, ...]:
    seconds = sum(time.seconds for time in places.values())
    worst = sorted(places.items(), key=lambda each: -each[1].seconds)[:_PLACES_SHOWN]
    return tuple(_hot_place(frame, time, seconds) for frame, time in worst if time.seconds)


def _hot_place(frame: Frame, time: _Time, seconds: float) -> Hot:
    place = shown_place(frame)
    waits = time.waiting > time.running
    return Hot(place.path, place.line, place.function, time.seconds, time.seconds / seconds, waits)


def _share(seconds: float, profile: Profile) -> float:
    return min(1.0, seconds / profile.seconds) if profile.seconds > 0 else 0.0
