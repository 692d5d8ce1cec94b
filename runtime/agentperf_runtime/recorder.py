"""Records operations: what it does in the traced process is to note a tuple in a queue.

Everything that can be found out later is: the writer's thread resolves lines and removes literals, the report groups
and judges.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterable
from threading import get_ident
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

from agentperf_runtime import scopes
from agentperf_runtime.scopes import Scope, Scopes
from agentperf_runtime.sites import KEY_SHIFT, SPREAD_OVER, SPREAD_SAMPLES, Files, Frames, Site, Stacks, site_of

if TYPE_CHECKING:
    from agentperf_runtime.middleware.operations import OperationCounter

_perf = time.perf_counter_ns
_getframe = sys._getframe

DONE, RAISED = 0, 1

_GUESSES, _GUESSED_CALLERS = 4, 1_000


class Operation(NamedTuple):
    """The fields of what the queue holds for one operation, in order (plain tuples: made faster)."""

    kind: str
    text: str
    start: int
    end: int
    params: int
    batch: int
    rows: int
    outcome: int
    scope: Scope
    site: Site | None
    on_loop: int
    tokens: tuple[int, int, int] | None


class SampledStack(NamedTuple):
    """The application's frames above one operation."""

    site: Site
    frames: Frames
    relation: str


class Recorder:
    """The queue between the application and the writer, bounded by `max_pending` entries.

    `record` is what sources call; it never raises. `salt` makes the hashes of parameters useless outside. `recent` has
    the site that was met last for each offset of an instruction, `guesses` how far away the application may be.
    `observer` is shown what the writer takes from the queue.
    """

    def __init__(self, stacks: Stacks, salt: int, max_pending: int = 200_000) -> None:
        self.queue: deque[Any] = deque()
        self.max_pending = max_pending
        self.dropped = 0
        self.errors = 0
        self.stacks = stacks
        self.salt = salt
        self.scopes: Scopes | None = None
        self.observer: OperationCounter | None = None
        self.recent: dict[int, Site] = {}
        self.guesses: dict[int, tuple[tuple[int, CodeType], ...]] = {}
        self._callers: list[CodeType] = []

    def put(self, entry: Any) -> None:
        """Queue anything that the writer knows (a root: it ended), unless the queue is full."""
        if len(self.queue) < self.max_pending:
            self.queue.append(entry)
        else:
            self.dropped += 1

    def hash_of(self, parameters: Any) -> tuple[int, int]:
        """A salted hash of a call's parameters and the length of the longest list among them."""
        if not parameters:
            return 0, 0
        kind = parameters.__class__
        try:
            if kind is tuple:
                return hash((self.salt, parameters)), 0
            if kind is list:
                return hash((self.salt, tuple(parameters))), 0
            if kind is dict:
                return hash((self.salt, frozenset(parameters.items()))), 0
        except TypeError:
            pass  # there are lists and the like among them
        try:
            value, longest = _frozen(parameters, 0)
            return hash((self.salt, value)), longest
        except Exception:
            return 0, 0

    def started(self) -> int:
        """The present time, ns."""
        return _perf()

    def record(
        self,
        kind: str,
        text: str,
        start: int,
        params: int = 0,
        batch: int = 0,
        rows: int = -1,
        outcome: int = DONE,
        tokens: tuple[int, int, int] | None = None,
        *,
        blocking: bool = True,
        depth: int = 2,
        site: Site | None = None,
        end: int = 0,
    ) -> None:
        """Note one operation that began at `start` (ns) and has just ended.

        `depth`: how many frames lie between here and the caller of the operation. `blocking` is False for operations
        that were awaited. `site`: the call site where it was taken beforehand.
        """
        try:
            end = end or _perf()
            scope = scopes.current.get()
            if scope is None:
                scope = self._thread_scope()
            if scope.muted:
                return
            if site is None:
                site = self.site(_getframe(depth), scope)
            on_loop = 1 if blocking and scope.ident and scope.ident == get_ident() else 0
            if len(self.queue) < self.max_pending:
                self.queue.append((kind, text, start, end, params, batch, rows, outcome, scope, site, on_loop, tokens))
            else:
                self.dropped += 1
        except Exception:
            self.errors += 1

    def site(self, frame: Any, scope: Scope | None = None) -> Site | None:
        """The call site of an operation called from `frame` (library frames are skipped)."""
        first = last = frame
        files, depth = self.stacks.files, 0
        while frame is not None:
            code = frame.f_code
            known = files[code.co_filename]
            if known is not None:
                if type(known) is dict:
                    site = known.get(code.co_firstlineno << KEY_SHIFT | frame.f_lasti)
                    if site is None or site.code is not code:
                        site = site_of(known, code, frame.f_lasti)
                    self.recent[frame.f_lasti] = site
                    if site.samples:
                        self._sample(site, first, scope)
                    elif depth:
                        self._remember(first.f_code, depth, last.f_code)
                    return site
                if code.co_name in known:
                    break
            last, frame, depth = frame, frame.f_back, depth + 1
        scope = scope or scopes.current.get()
        site = self.stacks.outer_site(frame, scope.origin if scope is not None else ())
        if site is None and scope is not None and scope.root.entrance is not None:
            site = self.stacks.entrance_site(scope.root.entrance())
        if site is not None and site.samples:
            self._sample(site, first, scope)
        return site

    def _remember(self, caller: CodeType, depth: int, library: CodeType) -> None:
        """Note that `depth` frames above `caller` the application begins, below a call from `library`.

        To look at a frame makes an object of it, which is what walking costs; one that is guessed can be looked at
        alone. A guess holds when that library's function is met there again with the application behind it.
        """
        known = self.guesses.get(id(caller), ())
        if len(self.guesses) < _GUESSED_CALLERS and len(known) < _GUESSES and (depth - 1, library) not in known:
            self.guesses[id(caller)] = ((depth - 1, library), *known)
            self._callers.append(caller)  # so that its id stays its own

    def here(self, depth: int = 1) -> Site | None:
        """The call site of whoever called the caller, for operations that end elsewhere."""
        try:
            return self.site(_getframe(depth + 1), scopes.current.get())
        except Exception:
            self.errors += 1
            return None

    def _sample(self, site: Site, frame: Any, scope: Scope | None) -> None:
        if site.samples <= SPREAD_SAMPLES:
            site.passed += 1
            if site.passed % SPREAD_OVER:
                return
        site.samples -= 1
        frames, relation = self.stacks.frames(frame, scope.origin if scope is not None else ())
        self.put(SampledStack(site, frames, relation))

    def _thread_scope(self) -> Scope:
        if self.scopes is None:
            raise RuntimeError("the recorder is not running")
        return self.scopes.of_thread()


_DEEPEST, _LONGEST = 4, 1_000


def _frozen(value: Any, depth: int) -> tuple[Any, int]:
    """`value` with hashable stand-ins for lists and the like, and the length of the longest list below the top."""
    kind = value.__class__
    if kind in (list, tuple, set, frozenset):
        if depth >= _DEEPEST:
            return (kind.__name__, len(value)), 0
        longest = len(value) if depth else 0
        parts = []
        for index, part in enumerate(value):
            if index == _LONGEST:
                parts.append(len(value))
                break
            frozen, length = _frozen(part, depth + 1)
            parts.append(frozen)
            longest = max(longest, length)
        return (frozenset(parts) if kind in (set, frozenset) else tuple(parts)), longest
    if isinstance(value, dict):
        if depth >= _DEEPEST:
            return ("dict", len(value)), 0
        pairs, longest = [], 0
        for key, part in list(value.items())[:_LONGEST]:
            frozen, length = _frozen(part, depth + 1)
            pairs.append((key, frozen))
            longest = max(longest, length)
        return frozenset(pairs), longest
    try:
        hash(value)
    except TypeError:
        return (kind.__name__, repr(value)[:200] if kind in (bytearray, memoryview) else id(value)), 0
    return value, 0


def new_stacks(applications: Iterable[str] = ()) -> Stacks:
    """Stacks that know this machine's libraries, and which of them, `applications`, are none."""
    return Stacks(Files(applications=applications))
