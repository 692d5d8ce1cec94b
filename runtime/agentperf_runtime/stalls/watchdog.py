"""The thread that looks at loops whose step lasts.

It sleeps for as long as it can: until a step would be half as old as the limit, and, when no loop does anything,
until one calls. From then on it looks at the stack of the loop's thread every few milliseconds.

C code that keeps the interpreter's lock keeps this thread from looking too. It waits for the lock then, gets it when
the C code returns, and so sees the very line, late.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock, get_ident, get_native_id, start_new_thread
from collections.abc import Callable
from time import perf_counter
from types import CodeType, FrameType
from typing import Any, NamedTuple

from agentperf_runtime.stalls.activity import Activity
from agentperf_runtime.stalls.heartbeat import Heartbeat
from agentperf_runtime.stalls.lateness import Lateness
from agentperf_runtime.stalls.pauses import GarbageCollections
from agentperf_runtime.stalls.records import LoopSample, Stall
from agentperf_runtime.stalls.running import EndedStep, RunningLoop, Step
from agentperf_runtime.stalls.scheduling import ThreadSchedule
from agentperf_runtime.stalls.stacks import IsApplication, Place, frame_of, has_just_begun, place_of
from agentperf_runtime.stalls.verdict import stalls_of

_SAMPLING = 0.01  # seconds between two looks at a stack
_SAMPLING_SHARE = 0.02  # of a step's age: long stalls are looked at less often
_LONGEST_PAUSE = 0.5
_TELL_AT = 1.0  # seconds after which a stall that goes on is reported; then at twice that, and so on
_QUIET = 0.25  # seconds without a step after which the thread waits to be called
_REPORTS_A_SECOND = 200
_STOPPING_TAKES = 1.0


class Seen(NamedTuple):
    """A loop in a step, with where its thread was. `started`: of a loop with a heartbeat not known yet.

    `passed`: the stack was left out of account down to the function that called what has only just begun.
    """

    running: RunningLoop
    started: float
    passed: bool
    place: Place
    task: object


class Surroundings(NamedTuple):
    """What the watchdog has to know of asyncio and of the application.

    `current_task`: the task that runs on a loop, None for none; `identify`: what is kept of it. `boundary`: functions
    of the event loop at which the stack of a step ends.
    """

    current_task: Callable[[Any], Any]
    identify: Callable[[Any], object]
    is_application: IsApplication
    boundary: frozenset[CodeType]


class Watchdog:
    """Watches running loops and reports their stalls, from a thread of its own.

    `report` and `sample` are called on that thread. What they raise is counted in `errors`. `dropped` counts stalls
    above 200 a second, which are not reported.
    """

    def __init__(
        self,
        report: Callable[[Stall], None],
        sample: Callable[[LoopSample], None] | None,
        limit: float,
        surroundings: Surroundings,
    ) -> None:
        self.errors = 0
        self.dropped = 0
        self._report = report
        self._sample = sample
        self._limit = limit
        self._surroundings = surroundings
        self._loops: dict[int, RunningLoop] = {}
        self._garbage = GarbageCollections()
        self._sampling = min(_SAMPLING, limit / 4)
        self._begin()

    def _begin(self) -> None:
        self._pausing = self._stopping = False
        self._asleep = False
        self._call = allocate_lock()  # released to call the thread, which waits to acquire it
        self._call.acquire()
        self._ended = allocate_lock()
        self._planned = self._looked = self._busy_at = self._called_at = perf_counter()
        self._activity = Activity(self._planned)
        self._interrupted = False
        self._found: list[Stall] = []
        self._second, self._told = 0, 0

    def start(self) -> None:
        """Start the thread. It is none of `threading`'s, so that nobody counts, traces or waits for it."""
        self._garbage.install()
        self._start_thread()

    def _start_thread(self) -> None:
        self._ended.acquire()
        try:
            start_new_thread(self._run, ())
        except RuntimeError:  # the interpreter ends
            self._ended.release()

    def stop(self) -> None:
        """Report what was found so far and end the thread. Takes a few milliseconds, a second at most."""
        self._stopping = True
        self.wake()
        self._ended.acquire(timeout=_STOPPING_TAKES)
        self._garbage.uninstall()

    def pause(self) -> None:
        """End the thread for the time of a fork."""
        self._pausing = self._stopping = True
        self.wake()
        self._ended.acquire(timeout=_STOPPING_TAKES)

    def resume(self) -> None:
        """Go on where `pause` left off."""
        found = self._found
        self._begin()
        self._found = found
        self._start_thread()

    def after_fork(self, schedule: ThreadSchedule) -> None:
        """In the child, where the thread does not exist: start another one. Of the loops this thread's is left.

        `schedule`: of the calling thread.
        """
        self._loops = {key: running for key, running in self._loops.items() if running.thread == get_ident()}
        for running in self._loops.values():
            running.forget(schedule)
        self._begin()
        self._start_thread()

    def add(self, running: RunningLoop) -> None:
        self._loops[id(running)] = running
        if self._asleep:
            self.wake()

    def discard(self, running: RunningLoop) -> None:
        """The loop has left. What is still to be reported of it will be."""
        if running.ended:
            self.wake()
        else:
            self._drop(running, perf_counter())

    def _drop(self, running: RunningLoop, now: float) -> None:
        if self._loops.pop(id(running), None) is not None:
            self._activity.has_left(running, now)

    def wake(self) -> None:
        """Make the thread look now."""
        self._called_at = perf_counter()
        try:
            self._call.release()
        except RuntimeError:
            pass  # called already

    def _run(self) -> None:
        lateness = Lateness(get_native_id(), self._limit)
        try:
            while not self._stopping:
                pause: float | None = self._limit
                try:
                    pause = self._look(lateness)
                except Exception:
                    self.errors += 1
                self._wait(pause)
            if not self._pausing:
                self._finish(lateness)
        except Exception:
            self.errors += 1
        finally:
            lateness.close()
            self._ended.release()

    def _wait(self, pause: float | None) -> None:
        """Wait `pause` seconds, or until called; None: until called."""
        if pause is not None:
            # From when the look began: whatever came between was a delay too.
            self._planned = self._looked + pause
            self._call.acquire(timeout=max(0.0, self._planned - perf_counter()))
            return
        self._called_at = perf_counter()
        self._asleep = True
        loops = list(self._loops.values())
        for running in loops:
            running.timer.call_back(True)
        # A step that began before its loop knew that it has to call is seen here.
        if not self._stopping and not any(running.timer.started() or running.gone for running in loops):
            self._call.acquire()
        self._asleep = False
        self._planned = self._busy_at = self._called_at
        for running in loops:
            running.timer.call_back(False)
            if running.last is not None:  # it did nothing meanwhile
                running.last = running.last._replace(time=self._planned)

    def _look(self, lateness: Lateness) -> float | None:
        """Look at all loops. Returns the seconds until the next look, None: nothing to do until called."""
        self._looked = now = perf_counter()
        loops = list(self._loops.values())
        # First of all and in one go: whatever lets go of the interpreter's lock lets the loop run on to other lines.
        seen = self._see(loops, now)
        latest = self._planned if lateness.judge(loops, self._planned, now) else now
        lateness.remember()
        pause = self._limit / 2
        for each in seen:
            pause = min(pause, self._note(each, latest, now))
        # To ask the operating system is to let go of the lock. Whoever had it since is judged first, by another look.
        self._interrupted = not self._interrupted and perf_counter() - now > self._limit / 4
        if self._interrupted:
            return 0.0
        for running in loops:
            running.check()
            self._settle(running)
            if running.gone:
                self._drop(running, now)
            else:
                pause = min(pause, self._until_due(running, now))
        for running in loops:
            running.last = running.schedule.read()
        self._tell(now)
        return pause if now - self._busy_at < _QUIET else None

    def _see(self, loops: list[RunningLoop], now: float) -> list[Seen]:
        frames = None
        seen: list[Seen] = []
        for running in loops:
            started = running.timer.started()
            heart = isinstance(running.timer, Heartbeat)
            if not heart and (not started or now - started < self._limit / 2):
                continue
            frames = frames or sys._current_frames()
            frame = frames.get(running.thread)
            if isinstance(running.timer, Heartbeat) and running.timer.is_waiting(frame):
                running.timer.look(True, now, now, now)
                continue
            caller = self._holder(running, started, frame, now)
            found = Seen(running, started, caller is not frame, *self._place(running, caller))
            if running.timer.started() == started:
                seen.append(found)
        return seen

    def _holder(self, running: RunningLoop, started: float, frame: FrameType | None, now: float) -> FrameType | None:
        """`frame`, or the one around it that may have taken the time since the last look, where that is long."""
        step = running.step
        last = step.samples.last if step is not None and step.started == started else started
        if last and now - last > self._limit:
            while frame is not None and frame.f_back is not None and has_just_begun(frame):
                frame = frame.f_back
        return frame

    def _place(self, running: RunningLoop, frame: FrameType | None) -> tuple[Place, object]:
        around = self._surroundings
        task = around.current_task(running.loop)
        place = place_of(frame, around.boundary, around.is_application)
        if place.code is None and task is not None:
            place = self._outermost(place, task)
        return place, None if task is None else around.identify(task)

    def _outermost(self, place: Place, task: Any) -> Place:
        """`place`, found where the stack does not lead back to the task (a greenlet): the task's own coroutine."""
        frame: FrameType | None = getattr(task.get_coro(), "cr_frame", None)
        if frame is None or not self._surroundings.is_application(frame.f_code):
            return place
        found = frame_of(frame)
        return Place(frame.f_code, frame.f_code, found.line, frame.f_lasti, place.importing, (*place.frames, found))

    def _note(self, seen: Seen, latest: float, now: float) -> float:
        """Add what was seen to the loop's step. Returns the seconds until the loop should be looked at again."""
        running, started = seen.running, seen.started
        self._settle(running, but=started)
        if isinstance(running.timer, Heartbeat):
            running.find_thread(running.timer)
            started = started or running.timer.look(False, latest - self._limit / 2, latest, now)
        step = running.step_since(started)
        excluded = running.excluded_between(step.samples.last, now)
        step.samples.add(now, seen.place, seen.task, excluded, running.kept_lock or seen.passed)
        age = now - started
        if age >= max(_TELL_AT, 2 * step.told_at) and age > self._limit:
            self._tell_ongoing(running, step, now)
        return min(max(self._sampling, age * _SAMPLING_SHARE), _LONGEST_PAUSE)

    def _tell_ongoing(self, running: RunningLoop, step: Step, now: float) -> None:
        so_far = EndedStep(step.started, now, running.schedule.read())
        found = stalls_of(running, step, so_far, self._limit, self._garbage, ongoing=True)
        if found:
            step.told_at = now - step.started
            self._found += found

    def _until_due(self, running: RunningLoop, now: float) -> float:
        """Seconds until the loop's step, if there is one, is half as old as the limit."""
        if isinstance(running.timer, Heartbeat):
            self._busy_at = now  # it does not call
            return self._limit / 2
        started = running.timer.started()
        if not started:
            return self._limit / 2
        self._busy_at = now
        running.step_since(started)
        due = started + self._limit / 2 - now
        return due if due > 0 else self._sampling

    def _settle(self, running: RunningLoop, but: float = 0.0) -> None:
        """Report the steps over the limit that have ended, up to the one that began at `but`."""
        while running.ended and running.ended[0].started != but:
            ended = running.ended.popleft()
            step = running.step
            if step is None or step.started != ended.started:
                step = Step(ended.started, running.last)
            self._found += stalls_of(running, step, ended, self._limit, self._garbage, ongoing=False)

    def _tell(self, now: float, last: bool = False) -> None:
        """Pass on what was found."""
        found, self._found = self._found, []
        for stall in found:
            if self._second != int(now):
                self._second, self._told = int(now), 0
            self._told += 1
            if self._told > _REPORTS_A_SECOND:
                self.dropped += 1
            else:
                self._pass_on(self._report, stall)
        sample = self._activity.sample(list(self._loops.values()), now, due=last)
        if sample is not None and self._sample is not None:
            self._pass_on(self._sample, sample)

    def _pass_on(self, receiver: Callable[[Any], None], record: Any) -> None:
        try:
            receiver(record)
        except Exception:
            self.errors += 1

    def _finish(self, lateness: Lateness) -> None:
        """The last look: a step that still lasts ends here."""
        self._look(lateness)
        if self._interrupted:
            self._planned = self._looked
            self._look(lateness)
        now = perf_counter()
        for running in list(self._loops.values()):
            self._settle(running)
            started = running.timer.started()
            if started and now - started > self._limit:
                until_now = EndedStep(started, now, running.schedule.read())
                step = running.step_since(started)
                self._found += stalls_of(running, step, until_now, self._limit, self._garbage, ongoing=False)
        self._tell(now, last=True)
