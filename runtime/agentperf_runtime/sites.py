"""Where in the application an operation was called: the innermost frame that is no library's.

Walking the stack is most of what recording costs, so what is known of a file is kept by its name and every call site
is one object, found by the file and the offset of the instruction.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterable
from types import CodeType, FrameType
from typing import Any

_OWN = os.path.dirname(os.path.abspath(__file__)) + os.sep

STACK_DEPTH = 12
"""Application frames that a sampled stack keeps."""

FIRST_SAMPLES = 8
"""Operations at a new call site of which the stack is kept."""

SPREAD_SAMPLES, SPREAD_OVER = 4, 7
"""The last so many of them, and all later ones, are taken from every so-many-th operation only.

What calls a helper in a loop would take all of them otherwise, and nothing be known of who calls it next.
"""

_WALK_LIMIT = 400
"""Frames that are walked for a sampled stack: deep recursion must not make one operation expensive."""

# Work that a coroutine hands back to the thread that waits for it: what that thread did before has not called it.
_HANDED_BACK = os.path.join("asgiref", "current_thread_executor.py")

# Functions below which a stack is the event loop's: whoever started the loop did not call what runs in it.
_LOOP_FUNCTIONS = {
    os.path.join("asyncio", "events.py"): frozenset({"_run"}),
    os.path.join("asyncio", "base_events.py"): frozenset({"_run_once", "run_forever", "run_until_complete"}),
    os.path.join("asyncio", "runners.py"): frozenset({"run"}),
    os.path.join("uvloop", "__init__.py"): frozenset({"run"}),
    _HANDED_BACK: frozenset({"run"}),
}


class Site:
    """One call site: an instruction of an application's function.

    `samples` is how many of the next operations here have their stack kept; the writer gives more now and then, and
    keeps its own figures here: how often each text was seen, and the number of the site in the file `segment`.
    """

    __slots__ = ("code", "counts", "lasti", "number", "passed", "samples", "segment")

    def __init__(self, code: CodeType, lasti: int) -> None:
        self.code = code
        self.lasti = lasti
        self.samples = FIRST_SAMPLES
        self.passed = 0
        self.counts: dict[Any, int] = {}
        self.number = 0
        self.segment = -1


FileSites = dict[int, Site]
"""The sites of one application file by the first line of their function and the offset of the instruction."""

KEY_SHIFT = 20
"""A key is `co_firstlineno << KEY_SHIFT | f_lasti`."""

ENTRANCE = (1 << KEY_SHIFT) - 1
"""The offset that stands for the end of a function: what it returned is still being worked on."""

Frames = tuple[tuple[CodeType, int], ...]
"""Code objects and offsets of instructions, innermost first."""

Known = FileSites | frozenset[str] | None
"""What a file is: an application's (its sites), the event loop's (names of functions that end a stack), a library's."""


def library_prefixes() -> tuple[str, ...]:
    """Directories of the standard library and of installed packages, longest first, each with its separator."""
    paths = {os.path.dirname(os.__file__)}
    for name in ("stdlib", "platstdlib", "purelib", "platlib"):
        path = sysconfig.get_path(name)
        if path:
            paths.add(path)
    with_links = paths | {os.path.realpath(path) for path in paths}
    return tuple(sorted((path.rstrip(os.sep) + os.sep for path in with_links), key=len, reverse=True))


class Files(dict[str, Known]):
    """What is known of files by their name (`co_filename`); asks once for each.

    `applications` names installed packages (`shop`, `company.shop`) that are the application's all the same.
    """

    def __init__(self, prefixes: Iterable[str] = (), applications: Iterable[str] = ()) -> None:
        super().__init__()
        self.prefixes = tuple(prefixes) or library_prefixes()
        self._applications = tuple(name.replace(".", os.sep) for name in applications)

    def __missing__(self, filename: str) -> Known:
        known: Known = None if self._is_library(filename) else {}
        for ending, functions in _LOOP_FUNCTIONS.items():
            if known is None and filename.endswith(ending):
                known = functions
        self[filename] = known
        return known

    def _is_library(self, filename: str) -> bool:
        if filename.startswith("<"):
            return not filename.startswith(("<stdin>", "<ipython", "<doctest"))
        if self._applications and self._is_named(filename):
            return False
        if filename.startswith(_OWN) or f"{os.sep}site-packages{os.sep}" in filename:
            return True
        return f"{os.sep}dist-packages{os.sep}" in filename or filename.startswith(self.prefixes)

    def _is_named(self, filename: str) -> bool:
        for directory in ("site-packages", "dist-packages"):
            _, found, inside = filename.rpartition(f"{os.sep}{directory}{os.sep}")
            if found and any(inside.startswith((f"{name}{os.sep}", f"{name}.py")) for name in self._applications):
                return True
        return False

    def is_application(self, code: CodeType) -> bool:
        """Whether `code` belongs to the application, not to a library."""
        return type(self[code.co_filename]) is dict


_crowded: dict[tuple[int, int], Site] = {}


def site_of(sites: FileSites, code: CodeType, lasti: int) -> Site:
    """The site of an instruction, made when it is new. Functions that begin in one line may share an offset."""
    key = code.co_firstlineno << KEY_SHIFT | lasti
    site = sites.get(key)
    if site is None:
        site = sites.setdefault(key, Site(code, lasti))
    if site.code is code:
        return site
    crowded = (id(code), lasti)  # the site keeps its code alive, so that the number stays its own
    return _crowded.get(crowded) or _crowded.setdefault(crowded, Site(code, lasti))


class ThreadOrigin(threading.local):
    """Of a thread that works for others: the stack that handed it the present piece of work."""

    frames: Frames = ()
    relation: str = ""


class Stacks:
    """Walks stacks. `relations` reads, from a library's frame, which relation of a model it loads.

    `relations` maps names of functions to (ending of the file's name, reader); a reader may raise whatever it likes.
    """

    def __init__(self, files: Files) -> None:
        self.files = files
        self.thread_origin = ThreadOrigin()
        self.relations: dict[str, tuple[str, Callable[[FrameType], str]]] = {}
        self.parent_frame: Callable[[], FrameType | None] = _no_frame

    def frames(self, frame: FrameType | None, task_origin: Frames, in_loop: bool = True) -> tuple[Frames, str]:
        """The application's frames from `frame` outwards and on into what created the task or fed the thread.

        Returns them with the relation whose loading is on the way, or "". `in_loop`: False where no loop runs yet,
        so that what is about to start it belongs to the stack.
        """
        found: list[tuple[CodeType, int]] = []
        files, relations = self.files, self.relations
        relation = ""
        hopped = False
        for _ in range(_WALK_LIMIT):
            if frame is None:
                parent = None if hopped else self.parent_frame()
                if parent is None:
                    break
                frame, hopped = parent, True
            code = frame.f_code
            known = files[code.co_filename]
            if known is None:
                if not relation and code.co_name in relations:
                    relation = self._relation(frame)
            elif type(known) is dict:
                found.append((code, frame.f_lasti))
                if len(found) == STACK_DEPTH:
                    return tuple(found), relation
            elif in_loop and code.co_name in known:
                return tuple([*found, *(self._handed_back(code) or task_origin)][:STACK_DEPTH]), relation
            frame = frame.f_back
        origin = self.thread_origin
        return tuple([*found, *(origin.frames or task_origin)][:STACK_DEPTH]), relation or origin.relation

    def _relation(self, frame: FrameType) -> str:
        ending, reader = self.relations[frame.f_code.co_name]
        if not frame.f_code.co_filename.endswith(ending):
            return ""
        try:
            return reader(frame)
        except Exception:
            return ""  # a hint that could not be had

    def outer_site(self, end: FrameType | None, task_origin: Frames) -> Site | None:
        """The site for an operation without an application frame before `end`, the loop's or None for a whole stack."""
        frame = end or self.parent_frame()
        while frame is not None:
            code = frame.f_code
            known = self.files[code.co_filename]
            if isinstance(known, dict):
                return site_of(known, code, frame.f_lasti)
            if known is not None and code.co_name in known:
                return self._first_site(self._handed_back(code) or task_origin)
            frame = frame.f_back
        return self._first_site(self.thread_origin.frames or task_origin)

    def entrance_site(self, code: CodeType | None) -> Site | None:
        """The site of the end of an application's function, for what is done with what it has returned."""
        sites = self.files[code.co_filename] if code is not None else None
        return site_of(sites, code, ENTRANCE) if code is not None and type(sites) is dict else None

    def _handed_back(self, code: CodeType) -> Frames:
        return self.thread_origin.frames if code.co_filename.endswith(_HANDED_BACK) else ()

    def _first_site(self, frames: Frames) -> Site | None:
        for code, lasti in frames[:1]:
            sites = self.files[code.co_filename]
            if isinstance(sites, dict):
                return site_of(sites, code, lasti)
        return None


def _no_frame() -> FrameType | None:
    return None


template_lines: dict[str, tuple[tuple[int, int], ...]] = {}
"""Of files that were compiled from a template under its name: pairs of a line there and the compiled one it begins."""


template_paths: dict[str, tuple[tuple[str, int], ...]] = {}
"""Of files that were compiled from templates under another name: paths, and the compiled line from which on each is."""


def path_of(code: CodeType, lasti: int) -> str:
    """The file of the instruction at offset `lasti`, as it is named; of a template's code, the template's."""
    if code.co_filename not in template_paths:
        return code.co_filename
    return path_in_template(code.co_filename, _compiled_lines(code, lasti)[0])


def path_in_template(filename: str, line: int) -> str:
    """The file of which `line` of a file was made; `filename` itself where it is no template's."""
    parts = template_paths.get(filename)
    if parts is None:
        return filename
    return max(((begin, path) for path, begin in parts if begin <= line), default=(0, parts[0][0]))[1]


def lines_of(code: CodeType, lasti: int) -> tuple[int, int]:
    """First and last line of the instruction at offset `lasti`, 1-based; of a template's code, the template's."""
    first, last = _compiled_lines(code, lasti)
    if code.co_filename in template_lines:
        return line_in_template(code.co_filename, first), line_in_template(code.co_filename, last)
    return first, last


def line_in_template(filename: str, line: int) -> int:
    """The line of a template that `line` of its code was made of; `line` itself where it is no template's."""
    pairs = template_lines.get(filename)
    if pairs is None:
        return line
    return max(((compiled, written) for written, compiled in pairs if compiled <= line), default=(0, 1))[1]


def _compiled_lines(code: CodeType, lasti: int) -> tuple[int, int]:
    if lasti == ENTRANCE:
        last = max((line or 0 for _, _, line in code.co_lines()), default=code.co_firstlineno)
        return last, last
    if sys.version_info >= (3, 11):
        # One entry for each two bytes of bytecode.
        for index, (line, end_line, _, _) in enumerate(code.co_positions()):
            if index * 2 == lasti:
                first = line or code.co_firstlineno
                return first, max(first, end_line or first)
    for start, end, line in code.co_lines():
        if start <= lasti < end and line is not None:
            return line, line
    return code.co_firstlineno, code.co_firstlineno


def function_of(code: CodeType) -> str:
    """The qualified name of a function (on Python 3.10, which does not keep it, the bare one)."""
    name: str = getattr(code, "co_qualname", code.co_name)
    return name.replace(".<locals>.", ".")
