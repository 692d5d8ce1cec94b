"""HTML reports for tests: a small one that has everything, and a large one."""

from __future__ import annotations

import io
from pathlib import Path

from findings import finding
from scenes import App
from trace_builder import MS, TraceBuilder

from agentperf_lint.checklist.build import build_checklist
from agentperf_lint.checklist.items import Checklist, Item
from agentperf_lint.checklist.loads import Load, LoadRun
from agentperf_lint.checklist.observed import Scene
from agentperf_lint.checklist.profiles import Growth, Operation, Profile, Spent
from agentperf_lint.checklist.sources import Sources
from agentperf_lint.checklist.trace import Trace, read_traces
from agentperf_lint.config import TraceSettings
from agentperf_lint.render.checklist_html import ChecklistHtmlRenderer
from agentperf_rules.model import Finding, Step
from agentperf_runtime.budgets import parse_budget
from agentperf_runtime.histograms import Histogram

SOURCE = """
async def report(conn, ids):
    for id in ids:  # loop
        await conn.execute("select name from users where id = ?", (id,))  # call


async def digest(text):
    return slow("</script><script>alert(1)</script>")  # stall


async def count(conn):
    return await conn.execute("select count(*) from users")  # slow
"""


def small_trace(app: App) -> TraceBuilder:
    """Two requests with an N+1, a stall and a slow query, sampled three times."""
    trace = TraceBuilder()
    for number in range(1, 3):
        root = trace.root(name=f"GET /report/{number}")
        for element in range(10 * number):
            text = "select name from users where id = ? /* <!-- ' \" & </script> */"
            trace.op("sql", text, app.frame("call", "report"), params=1000 + element, ms=2, root=root)
        trace.end_root(root, "GET /report/{id}")
        sample(trace, lag=number, rss=50_000_000 * number)
    trace.root(name="GET /count")
    trace.stall(300, app.frame("stall", "digest"), root=3)
    trace.op("sql", "select count(*) from users", app.frame("slow", "count"), ms=700, root=3)
    trace.end_root(3)
    sample(trace, lag=300, rss=120_000_000, busy=350)
    return trace


def sample(trace: TraceBuilder, *, lag: float, rss: int, busy: float = 10) -> None:
    """What the process and its loop are like now; milliseconds and bytes."""
    trace.records.append(
        {"type": "sample", "time": int(trace.now * MS), "rss": rss, "tasks": 3, "iterations": 10,
         "busy": int(busy * MS), "lag": int(lag * MS)}
    )  # fmt: skip


def suspected_at(app: App) -> list[Finding]:
    """One finding that the trace knows nothing of, with a chain of two steps."""
    line = app.line("slow")
    chain = (Step(app.path.name, line, "count", "helper()"), Step(app.path.name, line, "helper", "time.sleep(1)"))
    return [finding(path=app.path.name, line=line, end_line=line, function="count", chain=chain)]


def checklist_of(trace: TraceBuilder, file: Path, findings: list[Finding]) -> tuple[Checklist, Scene]:
    """The checklist of `trace`, which is written to `file`, and what it was made from."""
    read = read_traces([str(trace.write(file))])
    settings = TraceSettings()
    checklist = build_checklist(read, settings, findings=findings, bases=[str(file.parent)])
    return checklist, Scene(read, settings, Sources(bases=[str(file.parent)]))


def measured_page(directory: Path) -> str:
    """The page of a profile, a memory report and a load test, without a trace; a budget is exceeded."""
    app = App(directory, SOURCE)
    times = Histogram()
    times.record(1.5, times=8)
    place = app.frame("slow", "count")
    spent = (
        Spent((place,), 9.0, "reporter:count", waiting=True),
        Spent((app.frame("stall", "digest"), place), 3.0, "reporter:count"),
    )
    operation = Operation("reporter:count", 8, 1, 12.0, 3.0, 9.0, times, tokens=4_000)
    profile = Profile("p.json", "agentperf", 20.0, operations=(operation,), spent=spent)
    memory = Profile("m.json", "agentperf", 60.0, growth=(Growth(app.frame("call", ""), 5 << 20, 1_000),))
    run = LoadRun(
        target="app:count", arrival="open", users=3, started=0.0, duration_seconds=4.0, requests=8, failed=1,
        error_rate=0.125, throughput=2.0, mean_seconds=1.5, p50_seconds=1.5, p95_seconds=1.5, p99_seconds=1.5,
        worst_seconds=1.5,
    )  # fmt: skip
    checklist = build_checklist(
        Trace(), TraceSettings(), bases=[str(directory)], profiles=[profile, memory],
        loads=[Load("l.json", run, times)], budgets=[parse_budget("p95<1s"), parse_budget("error-rate<1%")],
    )  # fmt: skip
    return html_of(checklist, Scene(Trace(), TraceSettings(), Sources(bases=[str(directory)])))


def html_of(checklist: Checklist, scene: Scene) -> str:
    """The page as text."""
    stream = io.StringIO()
    ChecklistHtmlRenderer(scene).render(checklist, stream)
    return stream.getvalue()


def small_page(directory: Path) -> str:
    """The page of `small_trace`."""
    app = App(directory, SOURCE)
    return html_of(*checklist_of(small_trace(app), directory / "small.trace", suspected_at(app)))


def large_page(directory: Path, *, items: int = 5_000, operations: int = 100_000) -> str:
    """A page with `items` items, 100 of which were observed in `operations` operations."""
    places = 100
    source = "\n".join(f"async def handler_{number}(db):\n    await db.fetch({number})\n" for number in range(places))
    app = App(directory, source, "service/handlers.py")
    trace = TraceBuilder()
    for number in range(100):
        trace.root(name=f"GET /items/{number}")
    _add_operations(trace, app, places, operations)
    findings = [
        finding(
            path=f"service/module_{number % 400}.py",
            line=number,
            end_line=number,
            statement_line=number,
            statement_end_line=number,
            function=f"Service.method_{number}",
            message=f"blocking sleep time.sleep in async function method_{number}: use asyncio.sleep",
        )
        for number in range(1, items - places + 1)
    ]
    return html_of(*checklist_of(trace, directory / "large.trace", findings))


def _add_operations(trace: TraceBuilder, app: App, places: int, operations: int) -> None:
    for place in range(places):
        text = f"select * from table_{place} where id = ?"
        trace.op("sql", text, (app.path, 3 * place + 2, f"handler_{place}"), root=1 + place % 100, params=1)
    count = operations - places
    order = range(count)
    trace.records.append(
        {
            "type": "ops", "count": count, "statement": [1 + each % places for each in order],
            "start": [int(trace.now * MS) + each * 100_000 for each in order],
            "duration": [MS // 2 + 37_000 * (each % 90) for each in order], "params": [2 + each for each in order],
            "root": [1 + each // places % 100 for each in order], "site": [1 + each % places for each in order],
        }
    )  # fmt: skip


def item_named(checklist: Checklist, kind: str) -> Item:
    """The only item of `kind`."""
    (found,) = (item for item in checklist.items if item.kind == kind)
    return found
