"""Reads profiles: our own, pyinstrument's sessions and JSON, and the statistics of cProfile."""

from __future__ import annotations

import marshal
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from agentperf_lint.checklist.idle import runs_a_loop
from agentperf_lint.checklist.sources import is_library_path
from agentperf_lint.checklist.trace import Frame
from agentperf_runtime.histograms import Histogram

VERSION = 1
_OWN, _MEMORY = "agentperf-profile", "agentperf-memory"
_MEGABYTE = 1 << 20
_LEAST_SELF = 1e-6  # seconds

Profiler = Literal["agentperf", "pyinstrument", "cProfile"]


class ProfileError(Exception):
    """A profile cannot be read; the message names the file and says why."""


class Operation(msgspec.Struct, frozen=True):
    """The executions of one operation of one agent. Times in seconds, memory in bytes, `failed` counts cancelled ones.

    `memory` is what the resident memory of the process grew by during all executions together.
    """

    name: str
    executions: int
    failed: int
    total: float
    running: float
    waiting: float
    duration: Histogram
    tokens: int = 0
    memory: float = 0.0


class Spent(msgspec.Struct, frozen=True):
    """Seconds spent in one stack, innermost frame first; `waiting`: the task was not on the loop meanwhile.

    `by_line`: the lines are those that ran, not those where the functions begin.
    """

    frames: tuple[Frame, ...]
    seconds: float
    operation: str = ""
    waiting: bool = False
    by_line: bool = True


class Growth(msgspec.Struct, frozen=True):
    """Memory that was allocated at one line since a snapshot and is still held, in bytes and objects."""

    frame: Frame
    size: int
    objects: int


class Profile(msgspec.Struct, frozen=True):
    """One file. `seconds` is the wall time that it covers, `started` when that began (0: unknown).

    `cpu_seconds` and `peak_rss_bytes` are those of the process, 0 where unknown."""

    file: str
    profiler: Profiler
    seconds: float
    started: float = 0.0
    operations: tuple[Operation, ...] = ()
    spent: tuple[Spent, ...] = ()
    growth: tuple[Growth, ...] = ()
    cpu_seconds: float = 0.0
    peak_rss_bytes: int = 0
    notes: tuple[str, ...] = ()


def read_profiles(files: Sequence[str]) -> list[Profile]:
    """Reads `files`, each of any kind. Raises `ProfileError`."""
    return [_read(file) for file in dict.fromkeys(files)]


def _read(file: str) -> Profile:
    try:
        with open(file, "rb") as stream:
            content = stream.read()
    except OSError as error:
        raise ProfileError(f"profile {file!r} cannot be read: {error.strerror or error}") from error
    try:
        return _understood(file, content)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ProfileError(f"profile {file!r} is damaged ({type(error).__name__}: {error})") from error


def _understood(file: str, content: bytes) -> Profile:
    if not content.lstrip().startswith(b"{"):
        return _from_cprofile(file, _unmarshalled(file, content))
    try:
        document = msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        if content.startswith(b"{"):  # which is also how a dictionary of marshal begins
            return _from_cprofile(file, _unmarshalled(file, content))
        raise ProfileError(f"profile {file!r} is no JSON: {error}") from error
    for is_format, read in _FORMATS:
        if is_format(document):
            return read(file, document)
    raise ProfileError(f"profile {file!r} is neither ours, nor pyinstrument's, nor cProfile's")


def _from_own(file: str, document: Mapping[str, Any]) -> Profile:
    operations = tuple(map(_operation, document["operations"]))
    frames = [(str(path), int(line), str(function)) for path, line, function in document["frames"]]
    interval = float(document["interval_seconds"])
    spent = tuple(
        Spent(
            frames=tuple(frames[index] for index in each["frames"]),
            seconds=each["samples"] * interval,
            operation="" if each["operation"] is None else operations[each["operation"]].name,
            waiting=each["state"] == "waiting",
        )
        for each in document["stacks"]
    )
    newer = document["version"] > VERSION
    return Profile(
        file=file,
        profiler="agentperf",
        seconds=float(document["seconds"]),
        started=float(document["wall_start"]),
        operations=operations,
        spent=spent,
        cpu_seconds=float(document["process"]["cpu_seconds"]),
        peak_rss_bytes=int(document["process"]["peak_rss_bytes"]),
        notes=(f"{file}: version {document['version']} is newer than {VERSION}, it may hold more",) if newer else (),
    )


def _operation(row: Mapping[str, Any]) -> Operation:
    return Operation(
        name=f"{row['agent_name']}:{row['operation']}",
        executions=int(row["executions"]),
        failed=int(row["failed"]) + int(row["cancelled"]),
        total=float(row["total_seconds"]),
        running=float(row["running_seconds"]),
        waiting=float(row["waiting_seconds"]),
        duration=Histogram.from_json(row["duration"]),
        tokens=int(row["tokens_used"]),
        memory=float(row["memory_delta_mb_total"]) * _MEGABYTE,
    )


def _from_memory(file: str, document: Mapping[str, Any]) -> Profile:
    growth = (
        Growth((str(path), int(line), ""), int(size), int(objects)) for path, line, size, objects in document["growth"]
    )
    seconds, started = float(document["seconds"]), float(document["wall_start"])
    return Profile(file, "agentperf", seconds, started, growth=tuple(growth))


def _from_session(file: str, document: Mapping[str, Any]) -> Profile:
    """pyinstrument's `.pyisession`: one record for each sample, outermost frame first."""
    spent = []
    for identifiers, seconds in document["frame_records"]:
        frames = [frame for frame in map(_session_frame, identifiers) if frame is not None]
        waiting = any(identifier.startswith("[await]") for identifier in identifiers)
        spent.append(Spent(tuple(reversed(frames)), float(seconds), waiting=waiting))
    return Profile(file, "pyinstrument", float(document["duration"]), float(document["start_time"]), spent=tuple(spent))


def _session_frame(identifier: str) -> Frame | None:
    """`function NUL path NUL first line`, then attributes such as `SOH l12` for the line; None for no function."""
    place, *attributes = identifier.split("\1")
    function, path, first = place.split("\0")
    if path.startswith("<") and not path.startswith("<frozen"):
        return None if function.startswith(("[", "MainThread", "Thread")) else (path, 0, function)
    lines = [int(each[1:]) for each in attributes if each.startswith("l")]
    return path, lines[0] if lines else int(first), function


def _from_tree(file: str, document: Mapping[str, Any]) -> Profile:
    """pyinstrument's JSON: a tree of calls, in which only the lines where functions begin are known."""
    spent: list[Spent] = []
    todo: list[tuple[Mapping[str, Any], tuple[Frame, ...], bool]] = [(document["root_frame"] or {}, (), False)]
    while todo:
        node, above, waits = todo.pop()
        if not node:
            continue
        name = str(node["function"])
        waiting = waits or name == "[await]"
        here = (str(node["file_path"] or "<built-in>"), int(node["line_no"] or 0), name)
        frames = above if name.startswith("[") else (here, *above)
        children = node["children"]
        own = float(node["time"]) - sum(float(child["time"]) for child in children)
        if own > _LEAST_SELF and frames:
            spent.append(Spent(frames, own, waiting=waiting, by_line=False))
        todo.extend((child, frames, waiting) for child in children)
    return Profile(file, "pyinstrument", float(document["duration"]), float(document["start_time"]), spent=tuple(spent))


Row = tuple[int, int, float, float, Mapping[Frame, tuple[int, int, float, float]]]


def _from_cprofile(file: str, rows: Mapping[Frame, Row]) -> Profile:
    """cProfile's statistics: times by function and by caller, no stacks.

    An application's function has its own time, and all of what a library's function took when it was called from
    there, unless that calls the application back: then the time is that of whom it calls. What modules do when they
    are imported is left out.
    """
    calling_back = _calling_back(rows)
    imported = _imported(rows)
    spent = []
    for callee, (_, _, own, _, callers) in rows.items():
        if callee in imported:
            continue
        if not is_library_path(callee[0]):
            spent.append(Spent((callee,), own, by_line=False))
        elif callee not in calling_back:
            for caller, (_, _, _, cumulative) in callers.items():
                if caller not in imported:
                    spent.append(Spent((callee, caller), cumulative, by_line=False))
    seconds = sum(own for _, _, own, _, _ in rows.values())
    return Profile(file, "cProfile", seconds, spent=tuple(each for each in spent if each.seconds > 0))


def _calling_back(rows: Mapping[Frame, Row]) -> set[Frame]:
    """Functions of libraries from which the application is called, or may be as they serve, however indirectly."""
    found: set[Frame] = {frame for frame in rows if runs_a_loop(frame)}
    todo = [*found, *(frame for frame in rows if not is_library_path(frame[0]))]
    while todo:
        frame = todo.pop()
        callers = rows[frame][4] if frame in rows else {}
        new = [frame for frame in callers if is_library_path(frame[0]) and frame not in found]
        found.update(new)
        todo.extend(new)
    return found


def _imported(rows: Mapping[Frame, Row]) -> set[Frame]:
    """The bodies of modules that were imported, all but the one that took longest, and what only these call."""
    modules = sorted((frame for frame in rows if frame[2] == "<module>"), key=lambda frame: rows[frame][3])
    found = set(modules[:-1])
    before = -1
    while before != len(found):
        before = len(found)
        found.update(frame for frame, row in rows.items() if row[4] and found.issuperset(row[4]))
    return found


def _unmarshalled(file: str, content: bytes) -> Mapping[Frame, Row]:
    foreign = ProfileError(f"profile {file!r} is neither JSON nor statistics of cProfile")
    if content[:1] not in (b"{", b"\xfb"):
        raise foreign
    try:
        rows = marshal.loads(content)  # noqa: S302  # as pstats does, and only what the user names
    except (EOFError, ValueError, TypeError) as error:
        raise foreign from error
    if not isinstance(rows, dict) or not all(isinstance(key, tuple) and len(key) == 3 for key in rows):
        raise foreign
    return rows


Document = Mapping[str, Any]
_FORMATS: tuple[tuple[Callable[[Document], bool], Callable[[str, Document], Profile]], ...] = (
    (lambda document: document.get("type") == _OWN, _from_own),
    (lambda document: document.get("type") == _MEMORY, _from_memory),
    (lambda document: "frame_records" in document, _from_session),
    (lambda document: "root_frame" in document, _from_tree),
)
