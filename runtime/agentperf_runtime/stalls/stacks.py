"""From the stack of a loop's thread to the place in the application that holds the loop."""

from __future__ import annotations

import os
from collections.abc import Callable
from opcode import opmap
from types import CodeType, FrameType
from typing import NamedTuple

from agentperf_runtime.sites import function_of, line_in_template, path_in_template
from agentperf_runtime.stalls.records import Frame

_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_IMPORT_SYSTEM = "<frozen importlib._bootstrap>"
_DEEPEST_WALK = 1000
_FRAMES_KEPT = 64
_RESUME = opmap.get("RESUME")  # from 3.11 on, what a function begins with

IsApplication = Callable[[CodeType], bool]


class Place(NamedTuple):
    """Where a loop was found: the innermost application frame (`code` is None without one) and the stack around it.

    `owner`: the function that the code belongs to, which for a lambda or a comprehension is the one it is written in.
    """

    code: CodeType | None
    owner: CodeType | None
    line: int
    lasti: int
    importing: bool
    frames: tuple[Frame, ...]


def place_of(frame: FrameType | None, boundary: frozenset[CodeType], is_application: IsApplication) -> Place:
    """The place that `frame`, the innermost one of a thread, is at. The stack ends at a function in `boundary`.

    Nobody may keep a frame for longer than this takes: what its variables refer to would live on.
    """
    own: FrameType | None = None
    importer: FrameType | None = None
    importing = False
    frames: list[Frame] = []
    for _ in range(_DEEPEST_WALK):
        if frame is None or frame.f_code in boundary:
            break
        code = frame.f_code
        if code.co_filename == _IMPORT_SYSTEM:
            importing, importer = True, None
        elif not code.co_filename.startswith(_OWN) and is_application(code):
            own = own or frame
            importer = importer or frame
        if len(frames) < _FRAMES_KEPT and not code.co_filename.startswith(_OWN):
            frames.append(frame_of(frame))
        frame = frame.f_back
    # What is imported for the first time costs its importer, wherever in the imported modules the time goes.
    holder = importer or own
    if holder is None:
        return nowhere(tuple(frames), importing)
    return Place(holder.f_code, _owner(holder), line_of(holder), holder.f_lasti, importing, tuple(frames))


def nowhere(frames: tuple[Frame, ...] = (), importing: bool = False) -> Place:
    """A place outside the application."""
    return Place(None, None, 0, -1, importing, frames)


def has_just_begun(frame: FrameType) -> bool:
    """Whether the function of `frame` was called, and has done nothing yet.

    The interpreter's lock changes hands there: what happens before in the caller, and keeps it, is seen only then.
    """
    code = frame.f_code
    if frame.f_lineno != code.co_firstlineno:
        return False
    if _RESUME is None:
        return frame.f_lasti <= 0
    return bytes(code.co_code[frame.f_lasti : frame.f_lasti + 2]) == bytes((_RESUME, 0))


def _owner(frame: FrameType) -> CodeType:
    """The named function around the code of `frame`, as far as it is on the stack."""
    code, outer = frame.f_code, frame.f_back
    while code.co_name.startswith("<") and outer is not None:
        if code in outer.f_code.co_consts:
            code = outer.f_code
        outer = outer.f_back
    return code


def frame_of(frame: FrameType) -> Frame:
    code = frame.f_code
    path = path_in_template(code.co_filename, frame.f_lineno or code.co_firstlineno)
    return Frame(path, line_of(frame), function_of(code))


def line_of(frame: FrameType) -> int:
    code = frame.f_code
    return line_in_template(code.co_filename, frame.f_lineno or code.co_firstlineno)
