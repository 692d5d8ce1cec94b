"""Where samples fell: a tree of instructions, outermost at the top, in which equal stacks are one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from types import CodeType
from typing import Literal, NamedTuple

from agentperf_runtime.profiling.operations import Nesting, Operation
from agentperf_runtime.sites import function_of, lines_of

State = Literal["running", "waiting"]
RUNNING: State = "running"
WAITING: State = "waiting"

_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_SHIFT = 32  # an offset of an instruction is smaller than 2 to the power of this
_MOST_NODES = 50_000


class Place(NamedTuple):
    """A line of a function."""

    path: str
    line: int
    function: str


class Stack(NamedTuple):
    """A stack, outermost first, and how many samples of `nesting` in `state` were there."""

    nesting: Nesting
    state: State
    codes: tuple[tuple[CodeType, int], ...]
    samples: int


class _Node:
    """An instruction, called from where `_Node` above it is. It keeps `code`, of which the identity is a key."""

    __slots__ = ("code", "inner", "lasti", "samples")

    def __init__(self, code: CodeType | None, lasti: int) -> None:
        self.code = code
        self.lasti = lasti
        self.inner: dict[int, _Node] = {}
        self.samples: dict[tuple[Nesting, State], int] = {}


class StackTree:
    """Counts samples. At most `most` instructions are kept; of stacks that come later the outer part is.

    Nobody may look at it without its lock but the one thread that adds to it, and that one may not add without it.
    """

    def __init__(self, most: int = _MOST_NODES) -> None:
        self.lock = threading.Lock()
        self._most = most
        self.clear()

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock."""
        self.lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        self._root = _Node(None, 0)
        self._nodes = 0

    def add(self, stack: Sequence[tuple[CodeType, int]], nesting: Nesting, state: State, samples: int) -> None:
        """Count `samples` at `stack`, outermost first."""
        node = self._root
        for code, lasti in stack:
            key = id(code) << _SHIFT | lasti  # not the code itself: to hash one takes longer than all the rest
            inner = node.inner.get(key)
            if inner is None:
                if self._nodes >= self._most:
                    break
                self._nodes += 1
                inner = node.inner[key] = _Node(code, lasti)
            node = inner
        key_of_samples = nesting, state
        node.samples[key_of_samples] = node.samples.get(key_of_samples, 0) + samples

    def stacks(self) -> list[Stack]:
        """All stacks, without this package's own functions."""
        with self.lock:
            return list(self._stacks())

    def _stacks(self) -> Iterator[Stack]:
        above: list[tuple[_Node, tuple[tuple[CodeType, int], ...]]] = [(self._root, ())]
        while above:
            node, codes = above.pop()
            if node.code is not None and not node.code.co_filename.startswith(_OWN):
                codes = (*codes, (node.code, node.lasti))
            for (nesting, state), samples in node.samples.items():
                yield Stack(nesting, state, codes, samples)
            above.extend((inner, codes) for inner in node.inner.values())


def place_finder() -> Callable[[CodeType, int], Place]:
    """Tells the place of an instruction, and remembers what it told."""
    known: dict[int, Place] = {}

    def place_of(code: CodeType, lasti: int) -> Place:
        key = id(code) << _SHIFT | lasti
        place = known.get(key)
        if place is None:
            line = lines_of(code, lasti)[0] if lasti >= 0 else code.co_firstlineno
            place = known[key] = Place(code.co_filename, line, function_of(code))
        return place

    return place_of


def inside(stack: Stack, operation: Operation) -> tuple[tuple[CodeType, int], ...]:
    """The part of `stack` that is `operation`'s: from the function that its block is in; all of another task's."""
    for index, (code, _) in enumerate(stack.codes):
        if id(code) in operation.entries:
            return stack.codes[index:]
    return stack.codes
