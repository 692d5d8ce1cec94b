"""How processes are traced that fork, are killed, run out of room, or do not care for the tracer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from runtime.recorded import Trace, read, run
from runtime.serving import CLIENT, roots_of

from agentperf_runtime.launch import traced_environment
from agentperf_runtime.tracer import Options

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX processes")

QUERY = """
import contextlib, os, signal, sqlite3, sys, threading, time

def query(value):
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        return connection.execute("select ?", (value,)).fetchone()[0]
"""


def environment(directory: Path, **variables: str) -> dict[str, str]:
    """What a command is started with that is traced into `app.trace`."""
    return {**traced_environment(str(directory / "app.trace"), Options(), os.environ), **variables}


def write(directory: Path, source: str, name: str = "app.py") -> Path:
    (directory / name).write_text(textwrap.dedent(source), encoding="utf-8")
    return directory / name


def execute(command: Sequence[str], directory: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=directory, env=environment(directory, **variables), capture_output=True, text=True, timeout=60
    )


def trace_of(directory: Path) -> Trace:
    return Trace(directory / "app.trace")


def kinds(directory: Path) -> list[str]:
    return [each["type"] for each in trace_of(directory).records]


# --- starting ---------------------------------------------------------------------------------------------


def test_the_environment_is_enough(tmp_path: Path) -> None:
    app = write(tmp_path, QUERY + "query(1); os.mkdir('in'); os.chdir('in'); os.system(sys.executable + ' -c pass')")
    shown = subprocess.run(
        [sys.executable, app], cwd=tmp_path, env={**os.environ, "AGENTPERF_TRACE": "app.trace"}, capture_output=True
    )
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, b"", b"")
    trace = trace_of(tmp_path)
    assert [each.root for each in trace.of("sql")] == ["script main"]
    assert len(trace.files) == 2
    assert [each["type"] for each in trace.records].count("end") == 2


@pytest.mark.parametrize("options", [["-I"], ["-E"], ["-S"]])
def test_interpreters_that_ask_for_no_company(tmp_path: Path, options: list[str]) -> None:
    app = write(tmp_path, "import sys; print('agentperf_runtime' in sys.modules)")
    shown = execute([sys.executable, *options, str(app)], tmp_path)
    assert (shown.stdout, shown.stderr) == ("False\n", "")
    assert not (tmp_path / "app.trace").exists()


@pytest.mark.parametrize("value", ["0", "off", "", None])
def test_nothing_is_loaded_when_it_is_off(tmp_path: Path, value: str | None) -> None:
    code = "import sys; print([name for name in sys.modules if name.startswith('agentperf')])"
    variables = {name: text for name, text in os.environ.items() if name != "AGENTPERF_TRACE"}
    if value is not None:
        variables["AGENTPERF_TRACE"] = value
    shown = subprocess.run([sys.executable, "-c", code], env=variables, cwd=tmp_path, capture_output=True, text=True)
    assert shown.stderr == ""
    assert shown.stdout == (
        "['agentperf_runtime', 'agentperf_runtime.autostart']\n" if value in ("0", "off") else "[]\n"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["app.py", "-o", "x"], "['app.py', '-o', 'x'] __main__"),
        (["--", "app.py", "--", "-m"], "['app.py', '--', '-m'] __main__"),
        (["--sample", "1", "-m", "app", "--sample"], "['{app}', '--sample'] __main__"),
        (["--max-ops=5", "-c", "import app", "x"], "['-c', 'x'] app"),
    ],
)
def test_run(tmp_path: Path, arguments: list[str], shown: str) -> None:
    app = write(tmp_path, QUERY + "query(1); print(sys.argv, __name__); sys.exit(3 + sys.flags.optimize)")
    command = [sys.executable, "-O", "-m", "agentperf_runtime", "run", "-oapp.trace", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (4, shown.format(app=app) + "\n", "")
    assert [each.text for each in trace_of(tmp_path).of("sql")] == ["select ?"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "a script or -m MODULE is missing"),
        (["run", "--sample", "2", "app.py"], "--sample"),
        (["run", "-o", "/proc/nowhere/x", "app.py"], "cannot be written"),
        (["walk", "app.py"], "walk"),
    ],
)
def test_run_says_what_it_cannot_do(tmp_path: Path, arguments: list[str], message: str) -> None:
    command = [sys.executable, "-m", "agentperf_runtime", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_path_that_cannot_be_written(tmp_path: Path) -> None:
    app = write(tmp_path, "import sys; print('ran', 'agentperf_runtime.sources.sqlite' in sys.modules)")
    shown = execute([sys.executable, str(app)], tmp_path, AGENTPERF_TRACE=str(tmp_path / "none" / "app.trace"))
    assert (shown.returncode, shown.stdout) == (0, "ran False\n")
    assert shown.stderr.startswith("agentperf: not traced: ")
    assert shown.stderr.count("\n") == 1


def test_an_option_that_is_no_number(tmp_path: Path) -> None:
    shown = execute([sys.executable, "-c", "print('ran')"], tmp_path, AGENTPERF_SAMPLE="most")
    assert (shown.returncode, shown.stdout) == (0, "ran\n")
    assert shown.stderr == "agentperf: not traced: AGENTPERF_SAMPLE='most' is not a number\n"


def test_customizations_of_the_application(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    write(tmp_path, "import builtins; builtins.customized = ['site']", "own/sitecustomize.py")
    write(tmp_path, "import builtins; builtins.customized.append('user')", "own/usercustomize.py")
    app = write(tmp_path, QUERY + "query(1); print(customized, sys.modules['sitecustomize'].__file__)")
    variables = traced_environment(str(tmp_path / "app.trace"), Options(), {"PYTHONPATH": str(tmp_path / "own")})
    # A virtual environment has no user's directory; the name is imported all the same where one is allowed.
    shown = subprocess.run([sys.executable, app], env=variables, cwd=tmp_path, capture_output=True, text=True)
    assert shown.stderr == ""
    assert shown.stdout.startswith(("['site'] ", "['site', 'user'] "))
    assert str(tmp_path / "own" / "sitecustomize.py") in shown.stdout
    assert len(trace_of(tmp_path).of("sql")) == 1


def test_an_environment_without_us(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "other"], check=True)
    trace = run(
        tmp_path,
        QUERY
        + """
import asyncio
query(1)
import importlib.util
assert importlib.util.find_spec("agentperf_lint") is None
assert not any("agentperf" in path for path in sys.path), sys.path
""",
        python=str(tmp_path / "other" / "bin" / "python"),
    )
    assert [each.line for each in trace.of("sql")] == [6]


@pytest.mark.parametrize("change", ["sys.meta_path[:] = found", "sys.meta_path = found"])
def test_an_application_with_finders_of_its_own(tmp_path: Path, change: str) -> None:
    trace = run(
        tmp_path,
        f"""
import sys, time
class Finder:
    def find_spec(self, name, path=None, target=None):
        for finder in others:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
others = [finder for finder in sys.meta_path if "ImportHooks" not in type(finder).__name__]
found = [Finder()]
{change}
import sqlite3
deadline = time.monotonic() + 20
while sqlite3.connect.__module__ == "_sqlite3" and time.monotonic() < deadline:
    time.sleep(0.05)  # until the tracer looks around
sqlite3.connect(":memory:").execute("select 1")
""",
    )
    assert [each.line for each in trace.of("sql")] == [16]


def test_standard_streams_that_are_closed(tmp_path: Path) -> None:
    # Some systems open what is closed: whatever it is, it is not the trace, into which the application would print.
    write(
        tmp_path,
        QUERY
        + "query(1); os.mkdir('in')"
        + """
for number in range(3):
    if os.path.exists(f"/proc/self/fd/{number}"):
        os.makedirs("in/" + os.path.basename(os.path.realpath(f"/proc/self/fd/{number}")), exist_ok=True)
""",
    )
    command = f"exec {sys.executable} app.py <&- >&- 2>&-"
    shown = subprocess.run(["sh", "-c", command], env=environment(tmp_path), cwd=tmp_path)
    assert shown.returncode == 0
    assert len(trace_of(tmp_path).of("sql")) == 1
    assert set(os.listdir(tmp_path / "in")) <= {"null"}


# --- ending -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("sys.exit(7)", 7),
        ("sys.exit('sorry')", 1),
        ("raise ValueError", 1),
        ("os._exit(9)", 9),
        ("threading.Thread(target=lambda: (time.sleep(0.1), query(2))).start()", 0),
        ("threading.Thread(target=lambda: os._exit(5)).start(); time.sleep(9)", 5),
        ("import atexit; atexit.register(query, 2)", 0),
        ("os.execv(sys.executable, [sys.executable, '-c', 'raise SystemExit(6)'])", 6),
        ("signal.raise_signal(signal.SIGTERM)", -signal.SIGTERM),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    ],
)
def test_ways_to_end(tmp_path: Path, ending: str, code: int) -> None:
    app = write(tmp_path, QUERY + f"query(1); print('out', flush=True)\n{ending}")
    shown = execute([sys.executable, str(app)], tmp_path)
    assert (shown.returncode, shown.stdout) == (code, "out\n")
    assert "agentperf" not in shown.stderr
    trace = trace_of(tmp_path)
    assert len(trace.of("sql")) == (2 if "query(2)" in ending or "register" in ending else 1)
    assert ("end" in kinds(tmp_path)) == (code >= 0)


def test_a_process_that_ends_while_threads_work(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        QUERY
        + """
def work():
    while True:
        query(1)

for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.7)
""",
    )
    assert trace.records[-1]["type"] == "end"
    assert len(trace.of("sql")) > 100
    assert trace.all("counters")[-1]["errors"] == 0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_what_is_left_of_a_process_that_is_killed(tmp_path: Path, how: signal.Signals) -> None:
    app = write(
        tmp_path,
        QUERY
        + """
print("up", flush=True)
for number in range(1_000_000):
    query(number)
    with open("done", "w") as stream:
        stream.write(f"{number} {time.perf_counter_ns()}")
    time.sleep(0.002)
""",
    )
    with subprocess.Popen([sys.executable, app], cwd=tmp_path, env=environment(tmp_path)) as process:
        time.sleep(2)
        process.send_signal(how)
        assert process.wait(10) == -how
    lines = (tmp_path / "app.trace").read_text(encoding="utf-8").splitlines()
    records: list[dict[str, Any]] = [json.loads(line) for line in lines[:-1]]
    assert records[0]["type"] == "header"
    last = max(
        records[0]["clock_start"] + start for each in records if each["type"] == "ops" for start in each["start"]
    )
    done = int((tmp_path / "done").read_text().split()[1] or 0) if (tmp_path / "done").read_text() else 0
    assert done - last < 1_000_000_000


def test_a_child_that_is_stopped_by_its_signal_again(tmp_path: Path) -> None:
    app = write(
        tmp_path,
        QUERY
        + """
def stop(number, frame):
    query("stopping")
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)

signal.signal(signal.SIGTERM, stop)
print("up", flush=True)
time.sleep(30)
""",
    )
    with subprocess.Popen([sys.executable, app], cwd=tmp_path, env=environment(tmp_path), stdout=-1) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        assert process.wait(10) == -signal.SIGTERM
    assert len(trace_of(tmp_path).of("sql")) == 1


# --- room -------------------------------------------------------------------------------------------------


def test_old_pieces_are_deleted(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        QUERY
        + """
import agentperf_runtime.tracer
for number in range(100):
    for _ in range(100):
        query(number)
    agentperf_runtime.tracer.active().flush()
""",
        options=Options(max_bytes=20_000, keep=3),
    )
    assert len(trace.files) == 3
    assert all(file.stat().st_size < 40_000 for file in trace.files)
    assert not (tmp_path / "app.trace").exists()
    assert trace.all("counters")[-1]["recorded"] == 10_000
    assert 0 < len(trace.of("sql")) < 10_000  # each piece can be read by itself


FULL = (
    QUERY
    + """
import resource
import agentperf_runtime.tracer
tracer = agentperf_runtime.tracer.active()
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, unlimited))
for number in range(50):
    for _ in range(20):
        query(number)
    tracer.flush()
"""
)


def test_a_disk_that_is_full_for_a_while(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        FULL + "resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))\nquery('last')",
        options=Options(max_ops=200),
    )
    counters = trace.all("counters")[-1]
    assert counters["dropped"] > 0
    assert counters["recorded"] + counters["dropped"] >= 1_001
    assert len(trace.of("sql")) == counters["recorded"]
    assert trace.records[-1]["type"] == "end"


@pytest.mark.usefixtures("unmeasured")
def test_a_disk_that_stays_full(tmp_path: Path) -> None:
    app = write(tmp_path, FULL + "print('ran')")
    shown = execute([sys.executable, str(app)], tmp_path)
    assert (shown.returncode, shown.stdout) == (0, "ran\n")
    assert shown.stderr.startswith("agentperf: the trace lacks its last")
    assert shown.stderr.count("\n") == 1


def test_a_descriptor_that_becomes_the_applications(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        QUERY
        + """
import agentperf_runtime.tracer
query(1)
agentperf_runtime.tracer.active().flush()
os.closerange(3, 100)
with open("data", "w") as stream:
    query(2)
    agentperf_runtime.tracer.active().flush()
    stream.write("data")
assert open("data").read() == "data"
""",
    )
    assert len(trace.of("sql")) == 2
    assert trace.records[-1]["type"] == "end"


# --- forks ------------------------------------------------------------------------------------------------


def test_a_fork(tmp_path: Path) -> None:
    write(
        tmp_path,
        QUERY
        + """
query("before")
for _ in range(3):
    child = os.fork()
    if not child:
        query("child")
        time.sleep(0.6)
        query("child")
        sys.exit(4)
    query("parent")
    assert os.waitpid(child, 0)[1] >> 8 == 4
child = os.fork()
if not child:
    os.execv("/bin/true", ["true"])
os.waitpid(child, 0)
""",
    )
    shown = execute([sys.executable, "-W", "error", "app.py"], tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    trace = trace_of(tmp_path)
    assert len(trace.files) == 4
    assert [len(Trace(file).of("sql")) for file in trace.files[1:]] == [2, 2, 2]
    first = [each for each in trace.of("sql") if each.root_id == 1]
    assert len(first) == 4
    assert {each.root for each in trace.of("sql")} == {"script main"}
    assert len(trace.all("end")) == 4


def test_forks_of_a_program_with_a_loop(tmp_path: Path) -> None:
    write(
        tmp_path,
        QUERY
        + """
import asyncio

async def main():
    query("before")
    child = os.fork()
    if not child:
        query("child")
        time.sleep(0.2)
        os._exit(0)
    await asyncio.sleep(0.01)
    os.waitpid(child, 0)
    query("parent")

asyncio.run(main())
""",
    )
    shown = execute([sys.executable, "-W", "error", "app.py"], tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    trace = trace_of(tmp_path)
    assert [each.root for each in trace.of("sql")] == ["task main", "task main", "script main"]
    assert trace.all("stall")  # the parent waits for its child


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(tmp_path: Path, method: str) -> None:
    trace = run(
        tmp_path,
        QUERY
        + f"""
import concurrent.futures, multiprocessing

if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    process = context.Process(target=query, args=(0,))
    process.start()
    process.join()
    with context.Pool(2) as pool:
        assert pool.map(query, range(20), chunksize=1) == list(range(20))
        pool.close()
        pool.join()
    with concurrent.futures.ProcessPoolExecutor(2, context) as executor:
        assert list(executor.map(query, range(20))) == list(range(20))
""",
    )
    assert len(trace.of("sql")) == 41
    assert 4 <= len(trace.files) <= 9  # with those of the fork server and the resource tracker
    for file in trace.files:
        assert {each.root for each in Trace(file).of("sql")} <= {"script main"}


def test_workers_of_gunicorn(tmp_path: Path) -> None:
    write(
        tmp_path,
        """
import sqlite3, os
from flask import Flask
app = Flask(__name__)

@app.get("/users/<int:user_id>")
def user(user_id):
    sqlite3.connect(":memory:").execute("select ?", (user_id,))
    return str(os.getpid())
""",
    )
    served = serve(
        tmp_path, ["gunicorn", "--workers", "2", "--bind", "127.0.0.1:{port}", "--log-level", "error", "app:app"]
    )
    trace = trace_of(tmp_path)
    assert len(trace.of("sql")) == 40
    assert len({each.root_id for each in trace.of("sql")}) > 15
    assert {name for name, _ in roots_of(trace)} == {"request GET /users/<int:user_id>"}
    assert writers(trace) == served


def test_workers_of_uvicorn(tmp_path: Path) -> None:
    write(
        tmp_path,
        """
import sqlite3, os
from fastapi import FastAPI
app = FastAPI()

@app.get("/users/{user_id}")
async def user(user_id: int):
    sqlite3.connect(":memory:").execute("select ?", (user_id,))
    return os.getpid()
""",
    )
    served = serve(tmp_path, ["uvicorn", "--workers", "2", "--port", "{port}", "--log-level", "error", "app:app"])
    trace = trace_of(tmp_path)
    assert len(trace.of("sql")) == 40
    assert {name for name, _ in roots_of(trace)} == {"request GET /users/{user_id}"}
    assert writers(trace) == served


def writers(trace: Trace) -> set[str]:
    """Identifiers of the processes that recorded queries."""
    files = [read(file) for file in trace.files]
    return {str(records[0]["pid"]) for records in files if any(each.get("kind") == "sql" for each in records)}


def serve(directory: Path, command: list[str]) -> set[str]:
    """Start a server, ask it 40 times, stop it; returns what it answered."""
    client: dict[str, Any] = {}
    exec(CLIENT, client)  # the text that programs of other tests contain
    port = client["free_port"]()
    name, *arguments = (part.format(port=port) for part in command)
    executable = Path(sys.executable).with_name(name)
    with subprocess.Popen([executable, *arguments], cwd=directory, env=environment(directory)) as process:
        try:
            client["wait_for"](port)
            paths = [f"/users/{number}" for number in range(40)]
            answers = set(client["ask"](port, *paths, connection="each"))
        finally:
            process.terminate()
        process.wait(20)
    return answers


def test_a_worker_of_celery_that_forks(tmp_path: Path) -> None:
    write(
        tmp_path,
        """
import sqlite3
from celery import Celery
app = Celery("app", broker="filesystem://", backend="file://results")
app.conf.broker_transport_options = {"data_folder_in": "queue", "data_folder_out": "queue"}

@app.task
def add(number):
    return sqlite3.connect(":memory:").execute("select ?", (number,)).fetchone()[0]
""",
    )
    for name in ("queue", "results"):
        (tmp_path / name).mkdir()
    command = [Path(sys.executable).with_name("celery"), "-A", "app", "worker", "-c", "2", "-l", "CRITICAL"]
    # Celery kills the processes of its pool: what they did in the last second may be lost.
    client = "import app, time; print([app.add.delay(n).get(timeout=30) for n in range(6)]); time.sleep(1.5)"
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            shown = subprocess.run(
                [sys.executable, "-c", client], cwd=tmp_path, capture_output=True, text=True, timeout=60
            )
        finally:
            process.terminate()
        assert process.wait(30) == 0
    assert shown.stdout == "[0, 1, 2, 3, 4, 5]\n", shown.stderr
    trace = trace_of(tmp_path)
    assert roots_of(trace, "celery") == [("celery app.add", "ok")] * 6
    assert [each.root for each in trace.of("sql")] == ["celery app.add"] * 6


def test_pytest_as_a_command(tmp_path: Path) -> None:
    write(
        tmp_path,
        QUERY + "def test_one():\n    assert query(1) == 1\ndef test_two():\n    assert query(2) == 3\n",
        "test_app.py",
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_app.py"]
    shown = execute(command, tmp_path)
    assert shown.returncode == 1
    assert "1 failed, 1 passed" in shown.stdout
    assert len([each for each in trace_of(tmp_path).of("sql") if each.file == "test_app.py"]) == 2
