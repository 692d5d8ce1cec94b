"""Which samples of a profile are nobody's work: loops that wait for events, imports, threads that wait for another."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from agentperf_lint.checklist.sources import Code, Sources, is_library_path
from agentperf_lint.checklist.trace import Frame

# Functions that call the application back for what comes in. What is below them and not the application's is theirs.
_LOOPS = {
    "/asyncio/base_events.py": frozenset({"_run_once", "run_forever", "run_until_complete"}),
    "/asyncio/runners.py": frozenset({"run"}),
    "/uvloop/__init__.py": frozenset({"run"}),
    "/anyio/_core/_eventloop.py": frozenset({"run"}),
    "/trio/_core/_run.py": frozenset({"run", "unrolled_run"}),
}
_SERVERS = {
    "/socketserver.py": frozenset({"serve_forever", "handle_request"}),
    "/werkzeug/serving.py": frozenset({"run_simple", "serve_forever"}),
    "/gunicorn/arbiter.py": frozenset({"run"}),
    "/waitress/server.py": frozenset({"run"}),
    "/celery/worker/worker.py": frozenset({"start"}),
}
# What waits for another thread or process, when the application calls it; also what does so deep in a library.
_WAITS = {
    "/threading.py": frozenset({"acquire", "join", "wait", "wait_for"}),
    "/queue.py": frozenset({"get", "join", "put"}),
    "/concurrent/futures/_base.py": frozenset(
        {"__exit__", "as_completed", "exception", "result", "result_iterator", "wait"}
    ),
    "/concurrent/futures/thread.py": frozenset({"shutdown"}),
    "/concurrent/futures/process.py": frozenset({"_chain_from_iterable_of_lists", "shutdown"}),
    "/multiprocessing/connection.py": frozenset({"accept", "poll", "recv", "recv_bytes", "wait"}),
    "/multiprocessing/pool.py": frozenset({"apply", "get", "join", "map", "next", "starmap", "wait"}),
    "/multiprocessing/process.py": frozenset({"join"}),
    "/multiprocessing/queues.py": frozenset({"get"}),
    "/selectors.py": frozenset({"select"}),
    "/socket.py": frozenset({"accept"}),
}
_PORTALS = {
    "/anyio/from_thread.py": frozenset({"call", "run", "start_task"}),
    "/asgiref/sync.py": frozenset({"__call__"}),
}
_WAITING_BUILTINS = frozenset({"accept", "_accept", "acquire", "input", "poll", "select", "sigwait"})
_NAME = re.compile(r"<(?:built-in )?method (?:'(?P<method>\w+)' of .*|(?:[\w.]*\.)?(?P<function>\w+))>\Z")
_IMPORTERS = ("<frozen importlib", "<built-in method builtins.__import__>")
_ENTRANCE = re.compile(r"/bin/[^/.]+\Z|/Scripts/[^/]+(?:-script\.py|\.exe/__main__\.py)\Z")

# Event loops in C, such as uvloop's, have no frames of their own.
_RUNS_A_LOOP = frozenset({"run_forever", "run_until_complete"})


def is_application(frame: Frame) -> bool:
    """Whether a frame is the application's: neither a library's, nor the script by which a package is started."""
    path, _, function = frame
    if is_library_path(path):
        return False
    return function != "<module>" or _ENTRANCE.search(path.replace("\\", "/")) is None


def runs_a_loop(frame: Frame) -> bool:
    """Whether a function is that of an event loop or a server, which waits for what comes in."""
    return _is_one_of(_LOOPS, frame) or _is_one_of(_SERVERS, frame)


def is_loops_own(frames: tuple[Frame, ...], own: int) -> bool:
    """Whether an event loop or a server is below the innermost frame of the application, `frames[own]`."""
    return any(map(runs_a_loop, frames[:own]))


def is_nobodys(frames: tuple[Frame, ...], own: int, sources: Sources, *, by_line: bool) -> bool:
    """Whether what ran at the innermost frame of the application, `frames[own]`, is not its work.

    It is none while a module is imported, while the thread waits for another one (unless that holds an event loop),
    and where a loop without frames of its own runs.
    """
    if any(_is_import(frames[index : index + 2], index < own) for index in range(len(frames))):
        return True
    if own == 0:
        return _has_loop(sources.code(frames[0][0]), frames[0][1], by_line)
    called = frames[own - 1]
    waits = _is_one_of(_WAITS, called) or _is_waiting_builtin(called)
    waits = waits or any(_is_one_of(_PORTALS, frame) for frame in frames[:own])
    return waits and not _is_on_loop(frames[own:], sources)


def _is_one_of(functions: dict[str, frozenset[str]], frame: Frame) -> bool:
    path = frame[0].replace("\\", "/")
    name = frame[2].rpartition(".")[2]
    return any(name in names and path.endswith(ending) for ending, names in functions.items())


def _is_import(frames: tuple[Frame, ...], is_called: bool) -> bool:
    """Whether a frame, the first of `frames`, imports, or is that of a module which is imported by the next one.

    `is_called`: by the application. pyinstrument leaves out the frames of the import system itself, if not told else.
    """
    path, _, function = frames[0]
    if path.startswith(_IMPORTERS) or function.startswith(_IMPORTERS):
        return True
    if function != "<module>" or path.startswith("<"):
        return False
    importer = frames[1] if len(frames) > 1 else ("", 0, "")
    by_hand = importer[2].rpartition(".")[2] in ("exec_module", "import_module")
    return is_called or by_hand or (importer[0] != "" and is_application(importer))


def _is_waiting_builtin(frame: Frame) -> bool:
    """Builtin functions are `lock.acquire` for pyinstrument, `<method 'acquire' of '_thread.lock' objects>` else."""
    path, _, function = frame
    if path not in ("<built-in>", "~"):
        return False
    found = _NAME.match(function)
    name = (found["method"] or found["function"]) if found is not None else function.rpartition(".")[2]
    return name in _WAITING_BUILTINS or (name == "get" and "SimpleQueue" in function)


def _is_on_loop(frames: tuple[Frame, ...], sources: Sources) -> bool:
    return any(_is_one_of(_LOOPS, frame) or _is_async(frame, sources) for frame in frames)


def _is_async(frame: Frame, sources: Sources) -> bool:
    code = sources.code(frame[0]) if not is_library_path(frame[0]) else None
    around = code.function_at(frame[1]) if code is not None else None
    return around is not None and isinstance(around.node, ast.AsyncFunctionDef)


def _has_loop(code: Code | None, line: int, by_line: bool) -> bool:
    return code is not None and any(
        isinstance(call.func, ast.Attribute) and call.func.attr in _RUNS_A_LOOP for call in _calls(code, line, by_line)
    )


def _calls(code: Code, line: int, by_line: bool) -> Iterator[ast.Call]:
    """The calls on a line, or in the whole function that begins there."""
    function = code.function_at(line)
    around: ast.AST | None = function.node if function is not None else code.tree
    for node in ast.walk(around) if around is not None else ():
        if isinstance(node, ast.Call) and (not by_line or node.lineno <= line <= (node.end_lineno or node.lineno)):
            yield node
