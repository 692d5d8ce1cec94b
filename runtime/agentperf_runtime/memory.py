"""Where memory goes: the process, the lines that allocate, the objects that are large, the structures that waste."""

from __future__ import annotations

import array
import gc
import json
import os
import sys
import threading
import time
import tracemalloc
import types
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from agentperf_runtime.atomic_files import write_atomically
from agentperf_runtime.process_figures import MEGABYTE, now_resident_bytes, peak_resident_bytes
from agentperf_runtime.sites import Files

_FRAMES = 4  # as deep as json goes
_LISTED = 10
_KEPT_COLLECTIONS = 100
_MOST_MEASURED = 300_000  # objects that the size of one is made up of
# Of more references than the first number, objects at one of so many addresses are looked at and stand for the others.
# Primes above 32, for objects of one size are that many multiples of 16 bytes from each other, or fewer.
_MEASURED_SHARES = ((5_000_000, 10_007), (500_000, 1_009), (50_000, 101), (10_000, 37))
_ALIGNMENT = 16
_FEW = 100
_LEAST_ELEMENTS = 1_000
_MANY = 1_000  # instances
_POINTER = 8
_HEADER = 4  # pointers before an object's own, those of the garbage collector included
_HEAP_TYPE = 1 << 9  # the flag of classes that Python code made
# What slots save an instance whose attributes the interpreter keeps without a dictionary: measured on 3.11 to 3.13
# with 1 to 25 attributes (32 to 64 bytes). With more, and before 3.11, there is a dictionary.
_INLINE_ATTRIBUTES, _INLINE_SAVED = 30, 40
_SAMPLED = 200
_SMALL = range(-5, 257)
_INT64 = range(-(1 << 63), 1 << 63)
_SHARED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType, types.FrameType)


class Grown(NamedTuple):
    """A line of source whose allocations grew: by `size` bytes in `objects` of them. The path is absolute."""

    path: str
    line: int
    size: int
    objects: int

    def to_json(self) -> dict[str, Any]:
        return {"location": f"{self.path}:{self.line}", "size_mb": self.size / MEGABYTE, "count": self.objects}


class MemoryOptimizer:
    """Reports what memory is used for, and what could use less of it.

    Between `start()` and `stop()`, or as a context manager, tracemalloc records where objects are allocated (`frames`
    callers each): code that does nothing but allocate is then 20 times slower and needs more memory, so that this is
    for a test or for minutes in staging. All else costs nothing until it is asked for. Nothing is collected unless
    `optimize_memory` is told to, and nothing that is tracked is kept alive.
    """

    def __init__(self, frames: int = _FRAMES) -> None:
        self.frames = frames
        self.large_objects: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
        self.gc_stats: deque[dict[str, Any]] = deque(maxlen=_KEPT_COLLECTIONS)
        self._tracked: dict[str, dict[str, Any]] = {}
        self._unseen: set[str] = set()
        self._before: tracemalloc.Snapshot | None = None
        self._is_recording = False
        self._wall_start = time.time()
        self._started = time.perf_counter()
        self._collecting_since = 0.0
        self._lock = threading.Lock()

    def start(self) -> MemoryOptimizer:
        """Begin to record allocations, and take the snapshot that `growth()` compares with."""
        if not self._is_recording:
            _Recording.begin(self.frames)
            self._is_recording = True
        if self._observe_collection not in gc.callbacks:
            gc.callbacks.append(self._observe_collection)
        self._wall_start, self._started = time.time(), time.perf_counter()
        self._before = _snapshot()
        return self

    def stop(self) -> None:
        """End recording. What grew is no longer known then."""
        if self._observe_collection in gc.callbacks:
            gc.callbacks.remove(self._observe_collection)
        if self._is_recording:
            _Recording.end()
        self._is_recording, self._before = False, None

    def __enter__(self) -> MemoryOptimizer:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    def track_large_object(self, obj_id: str, obj: Any) -> None:
        """Have `obj` in the reports under `obj_id` for as long as it lives, which tracking does not prolong.

        Of lists, dictionaries and other objects that cannot be referred to weakly the size at this moment is kept, and
        whether they live on is unknown.
        """
        known = {"id": obj_id, "type": type(obj).__qualname__, "size_mb": size_of(obj) / MEGABYTE}
        known["suggestions"] = suggestions_for(obj)
        with self._lock:
            self._tracked[obj_id] = known
            self._unseen.discard(obj_id)
            try:
                self.large_objects[obj_id] = obj
            except TypeError:
                self._unseen.add(obj_id)

    def optimize_memory(self, collect: bool = False) -> dict[str, Any]:
        """Forget what no longer lives; with `collect`, run a full collection of garbage, which stops all threads.

        Returns `memory_before_mb`, `memory_after_mb`, `memory_freed_mb`, `objects_collected` (0 unless asked to) and
        `weak_refs_cleared`: how many of the tracked objects are gone. Memory that Python freed may stay with the
        process: its allocator gives back whole arenas only.
        """
        before = now_resident_bytes()
        collected = gc.collect() if collect else 0
        after = now_resident_bytes()
        with self._lock:
            gone = [each for each in self._tracked if each not in self.large_objects and each not in self._unseen]
            for each in gone:
                del self._tracked[each]
        if collect:
            self.gc_stats.append(
                {"timestamp": time.time(), "collected": collected, "memory_freed": (before - after) / MEGABYTE}
            )
        return {
            "memory_before_mb": before / MEGABYTE,
            "memory_after_mb": after / MEGABYTE,
            "memory_freed_mb": (before - after) / MEGABYTE,
            "objects_collected": collected,
            "weak_refs_cleared": len(gone),
        }

    def get_memory_report(self) -> dict[str, Any]:
        """What is known now.

        `current_memory_mb` and `peak_memory_mb` are resident memory; `top_consumers` and `growth` the lines that hold
        most and that grew most (empty unless recording), each `location`, `size_mb`, `count`; `gc_stats` the last
        collections while recording, `gc` the interpreter's totals; `large_objects_tracked` how many of the tracked
        objects live or may do so, `large_objects` these, the largest first, each with `suggestions`.
        """
        current = now_resident_bytes()
        living = self._living()
        now = self._now()
        return {
            "current_memory_mb": current / MEGABYTE,
            "peak_memory_mb": peak_resident_bytes(current) / MEGABYTE,
            "top_consumers": [each.to_json() for each in _by_line(now)[:_LISTED]] if now else [],
            "growth": [each.to_json() for each in self._growth(now)[:_LISTED]],
            "gc_stats": list(self.gc_stats)[-_LISTED:],
            "gc": {"enabled": gc.isenabled(), "thresholds": gc.get_threshold(), "generations": gc.get_stats()},
            "large_objects_tracked": len(living),
            "large_objects": living,
        }

    def growth(self) -> list[Grown]:
        """The lines whose allocations since `start()` are still held, most bytes first; empty unless recording.

        A line is that of the application nearest to the allocation. Takes time with the number of allocations: about a
        second for a million.
        """
        return self._growth(self._now())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what grew as JSON, for `agentperf-lint report --profile`. Raises OSError."""
        document = {
            "type": "agentperf-memory",
            "version": 1,
            "pid": os.getpid(),
            "wall_start": self._wall_start,
            "seconds": time.perf_counter() - self._started,
            "growth": [list(each) for each in self.growth()],
        }
        write_atomically(path, json.dumps(document))

    @staticmethod
    def optimize_data_structure(data: Any) -> Any:
        """`data` in a form that needs less memory and holds the same values; `data` itself where there is none.

        A list of integers of 64 bits or of floats becomes an array. Not one that mixes them: that would change values.
        """
        code = _array_code(data) if isinstance(data, list) else ""
        return array.array(code, data) if code else data

    def _now(self) -> tracemalloc.Snapshot | None:
        """None also where another one than this class has stopped tracemalloc."""
        return _snapshot() if self._before is not None and tracemalloc.is_tracing() else None

    def _growth(self, now: tracemalloc.Snapshot | None) -> list[Grown]:
        if now is None or self._before is None:
            return []
        before = {(each.path, each.line): each for each in _by_line(self._before)}
        grown = []
        for each in _by_line(now):
            held = before.get((each.path, each.line), Grown("", 0, 0, 0))
            if each.size > held.size:
                grown.append(each._replace(size=each.size - held.size, objects=max(0, each.objects - held.objects)))
        return sorted(grown, key=lambda each: -each.size)

    def _living(self) -> list[dict[str, Any]]:
        with self._lock:
            living = [
                {**known, "alive": None if name in self._unseen else True}
                for name, known in self._tracked.items()
                if name in self._unseen or name in self.large_objects
            ]
        return sorted(living, key=lambda known: -float(known["size_mb"]))

    def _observe_collection(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._collecting_since = time.perf_counter()
        elif self._collecting_since:
            self.gc_stats.append(
                {
                    "timestamp": time.time(),
                    "generation": info.get("generation", 0),
                    "collected": info.get("collected", 0),
                    "seconds": time.perf_counter() - self._collecting_since,
                }
            )


class _Recording:
    """Tracemalloc, which is the process's, for all that record: the last one to end stops it, if the first began it."""

    _lock = threading.Lock()
    _recorders = 0
    _is_ours = False

    @classmethod
    def begin(cls, frames: int) -> None:
        with cls._lock:
            cls._recorders += 1
            if not tracemalloc.is_tracing():
                tracemalloc.start(frames)
                cls._is_ours = True

    @classmethod
    def end(cls) -> None:
        with cls._lock:
            cls._recorders -= 1
            if not cls._recorders and cls._is_ours:
                tracemalloc.stop()
                cls._is_ours = False


def size_of(obj: Any, most: int = _MOST_MEASURED) -> int:
    """Bytes of `obj` and of all that it refers to, without modules, classes and functions.

    What others refer to as well is counted too. Of containers with more than 10,000 elements that is an estimate, from
    some of them; after `most` objects no more are looked at.
    """
    total, seen = 0, set[int]()
    todo: list[tuple[Any, int]] = [(obj, 1)]
    while todo and len(seen) < most:
        each, times = todo.pop()
        if id(each) in seen or isinstance(each, _SHARED):
            continue
        seen.add(id(each))
        total += times * _own_size(each)
        inner, share = _to_measure(_referents(each))
        todo.extend((one, times * share) for one in inner)
    return total


def _referents(obj: Any) -> list[Any]:
    found = gc.get_referents(obj)
    if type(obj) is dict:
        found.extend(list(obj))  # keys that are strings are not among the others
    return found


def _own_size(obj: Any) -> int:
    try:
        return sys.getsizeof(obj)
    except Exception:  # of the object
        return 0


def _to_measure(objects: list[Any]) -> tuple[Iterable[Any], int]:
    """Some of the `objects`, each once, and for how many different ones each of these stands."""
    share = next((share for more_than, share in _MEASURED_SHARES if len(objects) > more_than), 1)
    some = {id(each): each for each in objects if id(each) // _ALIGNMENT % share == 0} if share > 1 else {}
    if len(some) >= _FEW:
        return some.values(), share
    return {id(each): each for each in objects}.values(), 1


def suggestions_for(obj: Any) -> list[str]:
    """How a list could hold the same in less memory, in words."""
    if not isinstance(obj, list) or len(obj) < _LEAST_ELEMENTS:
        return []
    sample = obj[:: max(1, len(obj) // _SAMPLED)]
    own = {id(each): each for each in sample if not _is_kept_anyway(each)}.values()
    if 2 * len(own) < len(sample):
        return []  # most elements are the same few objects
    code = _array_code(obj)
    if code:
        # The list's pointers are as large as the array's numbers.
        saved = sum(map(sys.getsizeof, own)) * len(obj) / len(sample) / MEGABYTE
        return [f"{len(obj):,} numbers fit into array.array({code!r}, ...), {saved:.1f} MB less"]
    return [*_of_dictionaries(sample, len(obj)), *_of_instances(sample, len(obj))]


def _is_kept_anyway(value: Any) -> bool:
    """Whether the interpreter has one object for all that are equal to this one."""
    return type(value) is int and value in _SMALL


def slots_suggestions(objects: Iterable[Any] | None = None) -> list[str]:
    """Classes without `__slots__` that have a thousand instances and more, in words; the most memory to save first.

    Looks at all `objects`; at everything that the garbage collector knows when there are none given, which stops the
    thread for about 0.1 s a million.
    """
    counts: dict[type, int] = {}
    examples: dict[type, Any] = {}
    for each in gc.get_objects() if objects is None else objects:
        kind = type(each)
        counts[kind] = counts.get(kind, 0) + 1
        examples.setdefault(kind, each)
    saved = {kind: counts[kind] * _saved_by_slots(each) for kind, each in examples.items() if counts[kind] >= _MANY}
    most_first = sorted(saved, key=lambda kind: -saved[kind])
    return [_slots_suggestion(kind, counts[kind], saved[kind]) for kind in most_first if saved[kind]]


def _slots_suggestion(kind: type, count: int, saved: int) -> str:
    name = f"{kind.__module__}.{kind.__qualname__}"
    return f"{count:,} instances of {name} have no __slots__, which would save about {saved / MEGABYTE:.1f} MB"


def _saved_by_slots(example: Any) -> int:
    """Bytes that `__slots__` would save an instance such as `example`; 0 where they are no choice."""
    kind = type(example)
    if not kind.__flags__ & _HEAP_TYPE or issubclass(kind, BaseException) or kind.__dictoffset__ == 0:
        return 0
    try:
        attributes = getattr(example, "__dict__", None)
    except Exception:  # of a proxy, for instance
        return 0
    if type(attributes) is not dict:
        return 0
    count = len(attributes)
    if sys.version_info >= (3, 11) and count <= _INLINE_ATTRIBUTES:
        return _INLINE_SAVED
    return max(0, sys.getsizeof(attributes) + 2 * _POINTER - _POINTER * count)


def _of_instances(sample: Sequence[Any], count: int) -> Iterator[str]:
    kinds = {type(each) for each in sample}
    if len(kinds) == 1:
        (kind,) = kinds
        saved = _saved_by_slots(sample[0])
        if saved:
            yield _slots_suggestion(kind, count, saved * count)


def _of_dictionaries(sample: Sequence[Any], count: int) -> Iterator[str]:
    if not all(type(each) is dict for each in sample):
        return
    keys = {tuple(each) for each in sample}
    if len(keys) == 1 and sample[0] and all(isinstance(key, str) for key in sample[0]):
        saved = max(0, sys.getsizeof(sample[0]) - _POINTER * (_HEADER + len(sample[0]))) * count / MEGABYTE
        names = ", ".join(list(sample[0])[:3])
        yield f"{count:,} dictionaries with the same keys ({names}): objects with __slots__ need {saved:.1f} MB less"


def _array_code(values: Sequence[Any]) -> str:
    """What `array.array` calls the type that holds all `values`, "" for none."""
    if not values:
        return ""
    if all(type(each) is int for each in values):
        return "q" if min(values) in _INT64 and max(values) in _INT64 else ""
    return "d" if all(type(each) is float for each in values) else ""


def _snapshot() -> tracemalloc.Snapshot:
    own = (
        tracemalloc.Filter(False, each) for each in (tracemalloc.__file__, __file__, "<frozen importlib._bootstrap*")
    )
    return tracemalloc.take_snapshot().filter_traces(tuple(own))


def _by_line(snapshot: tracemalloc.Snapshot) -> list[Grown]:
    """What is held, by the line of the application that is nearest to the allocation, most bytes first."""
    files = Files()
    lines: dict[tuple[str, int], list[int]] = {}
    for statistic in snapshot.statistics("traceback"):
        frames = list(statistic.traceback)[::-1]  # innermost first
        frame = next((each for each in frames if type(files[each.filename]) is dict), frames[0])
        held = lines.setdefault((frame.filename, frame.lineno), [0, 0])
        held[0] += statistic.size
        held[1] += statistic.count
    grown = [Grown(path, line, size, count) for (path, line), (size, count) in lines.items()]
    return sorted(grown, key=lambda each: -each.size)
