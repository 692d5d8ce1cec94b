"""What a profile must not blame anybody for: loops that wait, imports, threads that wait for others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agentperf_lint.checklist.build import build_checklist
from agentperf_lint.checklist.profiles import Profile, Spent, read_profiles
from agentperf_lint.checklist.trace import Frame, Trace
from agentperf_lint.config import TraceSettings
from agentperf_rules.model import Finding

STDLIB = "/usr/lib64/python3.12"
PACKAGES = "/srv/venv/lib/python3.12/site-packages"
APPLICATION = """\
import asyncio


def serve(loop):
    loop.run_until_complete(main())


async def main():
    wait()


def wait():
    work()


def work():
    pass


serve(asyncio.new_event_loop())
"""
SELECT, SERVING = (f"{STDLIB}/selectors.py", 415, "select"), (f"{STDLIB}/socketserver.py", 232, "serve_forever")
PORTAL = (f"{PACKAGES}/anyio/from_thread.py", 280, "call"), (f"{PACKAGES}/starlette/testclient.py", 400, "request")
IN_LIBRARY = (f"{PACKAGES}/uvicorn/config.py", 3, "load")
ENTRANCES = ("/srv/venv/bin/uvicorn", 8, "<module>"), (r"C:\venv\Scripts\uvicorn.exe\__main__.py", 8, "<module>")
APP = "app.py"
SERVE, MAIN, WAIT, SCRIPT = (APP, 5, "serve"), (APP, 9, "main"), (APP, 13, "wait"), (APP, 20, "<module>")
LOOP = (
    (f"{STDLIB}/asyncio/base_events.py", 1900, "_run_once"),
    (f"{STDLIB}/asyncio/base_events.py", 600, "run_forever"),
    (f"{STDLIB}/asyncio/runners.py", 100, "run"),
)
LOCK = (("<built-in>", 0, "lock.acquire"), (f"{STDLIB}/threading.py", 300, "wait"))
IMPORT = (f"{PACKAGES}/heavy/__init__.py", 3, "<module>"), ("<frozen importlib._bootstrap>", 1176, "_find_and_load")


def lines_of(*stacks: tuple[Frame, ...], by_line: bool = True, waiting: bool = False) -> list[int]:
    """The lines that become items when a second is spent in each of `stacks`, innermost frame first."""
    spent = tuple(Spent(frames, 1.0, waiting=waiting, by_line=by_line) for frames in stacks)
    profile = Profile("profile", "pyinstrument", float(len(stacks)), 1.0, spent=spent)
    return [item.line for item in build_checklist(Trace(), TraceSettings(), profiles=[profile]).items]


@pytest.fixture(autouse=True)
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / APP).write_text(APPLICATION)


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param((*LOOP, SERVE), id="loop-of-asyncio"),
        pytest.param((LOOP[2], SERVE), id="loop-in-C-below-asyncio-run"),
        pytest.param(((f"{PACKAGES}/uvloop/__init__.py", 82, "run"), SERVE), id="uvloop"),
        pytest.param(((f"{PACKAGES}/trio/_core/_run.py", 2400, "unrolled_run"), SERVE), id="trio"),
        pytest.param((SERVE, SCRIPT), id="run_until_complete-in-C"),
        pytest.param((SELECT, SERVING, SERVE), id="accept-loop"),
        pytest.param(((f"{STDLIB}/socket.py", 295, "accept"), WAIT), id="accept"),
        pytest.param((*LOCK, (f"{STDLIB}/queue.py", 171, "get"), WAIT), id="queue"),
        pytest.param((*LOCK, WAIT), id="event"),
        pytest.param((*LOCK, (f"{STDLIB}/concurrent/futures/_base.py", 451, "result"), WAIT), id="future"),
        pytest.param((("<built-in>", 0, "input"), WAIT), id="input"),
        pytest.param((("<built-in>", 0, "SimpleQueue.get"), WAIT), id="simple-queue"),
        pytest.param((*LOCK, *PORTAL, WAIT), id="test-client"),
        pytest.param((*IMPORT, SCRIPT), id="import"),
        pytest.param((IMPORT[0], MAIN, *LOOP, SCRIPT), id="import-without-frames-of-the-import-system"),
        pytest.param((WAIT, SCRIPT, IMPORT[1], ("main.py", 1, "<module>")), id="work-of-a-module-that-is-imported"),
        pytest.param((WAIT, SCRIPT, ("main.py", 1, "<module>")), id="the-same-without-frames-of-the-import-system"),
        pytest.param((IN_LIBRARY, ENTRANCES[0]), id="console-script"),
        pytest.param((IN_LIBRARY, ENTRANCES[1]), id="console-script-of-windows"),
    ],
)  # fmt: skip
def test_nobodys(frames: tuple[Frame, ...]) -> None:
    assert lines_of(frames) == []


@pytest.mark.parametrize(
    ("frames", "line"),
    [
        pytest.param((*LOCK, MAIN, *LOOP, SERVE), 9, id="thread-that-holds-the-loop"),
        pytest.param((*LOCK, WAIT, MAIN), 13, id="below-a-coroutine-of-a-loop-in-C"),
        pytest.param((*LOCK, (f"{PACKAGES}/sqlalchemy/pool/impl.py", 170, "_do_get"), WAIT), 13, id="pool-is-empty"),
        pytest.param((("<built-in>", 0, "dict.get"), WAIT), 13, id="dict"),
        pytest.param((("<built-in>", 0, "sleep"), WAIT), 13, id="sleep"),
        pytest.param(
            (WAIT, SCRIPT, (f"{PACKAGES}/coverage/execfile.py", 211, "run")), 13, id="script-run-by-a-library"
        ),
        pytest.param((WAIT, SCRIPT, ("<frozen runpy>", 88, "_run_code")), 13, id="script"),
        pytest.param(((f"{STDLIB}/json/encoder.py", 200, "encode"), MAIN, *LOOP, SERVE), 9, id="work-on-the-loop"),
        pytest.param((("/srv/bin/deploy", 8, "main"),), 8, id="script-without-suffix"),
    ],
)
def test_somebodys(frames: tuple[Frame, ...], line: int) -> None:
    assert lines_of(frames) == [line]


def test_a_function_that_runs_a_loop_in_c() -> None:
    """pyinstrument's JSON and cProfile know the line of the function only."""
    assert lines_of(((APP, 4, "serve"), (APP, 1, "<module>")), by_line=False) == []
    assert lines_of(((APP, 16, "work"), (APP, 4, "serve")), by_line=False) == [16]


def test_one_line_is_one_item() -> None:
    assert lines_of(((APP, 20, "<module>"),), ((APP, 20, "<genexpr>"), (APP, 20, "<module>"))) == [20]


SCRIPT_WITH_THREADS = """\
import queue
import threading
import time

import sample

work = queue.Queue()


def worker():
    while (seconds := work.get()) is not None:
        spin(seconds)


def spin(seconds):
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def main():
    thread = threading.Thread(target=worker)
    thread.start()
    spin(0.3)
    work.put(0.3)
    work.put(None)
    thread.join()


main()
"""
IMPORTED = """\
import time


def prepared():
    until = time.perf_counter() + 0.3
    while time.perf_counter() < until:
        pass


TABLE = prepared()
"""


@pytest.mark.parametrize(
    "profiler",
    [["pyinstrument", "-r", "pyisession"], ["pyinstrument", "-r", "json"], ["pyinstrument", "-r", "json", "--show-all"],
     ["cProfile"]],
    ids=" ".join,
)  # fmt: skip
def test_a_script_with_threads(tmp_path: Path, profiler: list[str]) -> None:
    (tmp_path / "script.py").write_text(SCRIPT_WITH_THREADS)
    (tmp_path / "sample.py").write_text(IMPORTED)
    subprocess.run([sys.executable, "-m", *profiler, "-o", "profile", "script.py"], check=True, capture_output=True)
    items = build_checklist(Trace(), TraceSettings(), profiles=read_profiles(["profile"])).items
    assert {(item.path, item.function) for item in items} == {("script.py", "spin")}


def finding_at(line: int) -> Finding:
    return Finding(
        code="APL103", name="blocking-file-in-async", path=APP, line=line, column=1, end_line=line, end_column=9,
        message="blocking", remedy="", severity="high", confidence="definite", kind="blocking", function="main",
    )  # fmt: skip


def test_only_the_line_itself_is_confirmed_unless_it_is_unknown(tmp_path: Path) -> None:
    """Another line of the same function is another matter; where only the function is known, it is the function's."""
    (tmp_path / APP).write_text("async def main():\n    open('file')\n    work()\n")
    for by_line, line, status in ((True, 3, "observed"), (True, 2, "confirmed"), (False, 1, "confirmed")):
        spent = (Spent(((APP, line, "main"),), 1.0, by_line=by_line),)
        for started in (0.0, 4e9):
            profile = Profile("profile", "pyinstrument", 1.0, started, spent=spent)
            items = build_checklist(Trace(), TraceSettings(), findings=[finding_at(2)], profiles=[profile]).items
            assert items[0].status == status, (by_line, line, started)


def test_a_place_that_nobody_knows_is_no_missing_file(tmp_path: Path) -> None:
    session = {"frame_records": [[["f\0<string>\x001", "x\0<built-in>\x000"], 1.0]], "duration": 1.0, "start_time": 1.0}
    (tmp_path / "profile").write_text(json.dumps(session))
    assert build_checklist(Trace(), TraceSettings(), profiles=read_profiles(["profile"])).notes == ()
