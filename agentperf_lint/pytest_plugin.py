"""pytest: `--agentperf` traces every test as a root of its own; a marker limits its queries, an option judges the rest.

Without the option nothing but this module is loaded, and nothing is done.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from agentperf_lint.checklist.per_test import ItemOfTest
    from agentperf_lint.checklist.trace import GrowingTrace
    from agentperf_runtime.tracer import Tracer

_KINDS = ("n_plus_one", "duplicate", "stall", "bottleneck", "cold_import", "budget")
_NAME = "agentperf-session"
_SHOWN_STATEMENTS = 10
_LONGEST_STATEMENT = 160


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("agentperf", "what tests do to databases, services and the event loop")
    group.addoption(
        "--agentperf", action="store_true", help="trace each test, for `agentperf-lint report --trace FILE`"
    )
    group.addoption(
        "--agentperf-trace", metavar="FILE", help="where the trace goes (agentperf.trace); implies --agentperf"
    )
    for action, effect in (("fail", "fail when a test shows"), ("warn", "tell when a test shows")):
        group.addoption(
            f"--agentperf-{action}",
            metavar="KINDS",
            type=_kinds,
            default=(),
            help=f"{effect} one of these: {', '.join(_KINDS)}; implies --agentperf",
        )


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [kind for kind in kinds if kind not in _KINDS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(_KINDS)}")
    return kinds


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "agentperf(max_queries=N, allow=[PATTERN, ...]): with --agentperf, fail when the test runs more queries; allow "
        "kinds (n_plus_one), statements or path:function, which are neither counted nor judged",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Starts before conftest files are imported: what they import from a library shall be traced too."""
    options = early_config.known_args_namespace
    if options.agentperf or options.agentperf_trace or options.agentperf_fail or options.agentperf_warn:
        early_config.pluginmanager.register(_Session(options), _NAME)


class _Session:
    """A test session, or that of one worker, or the one that has others work for it."""

    def __init__(self, options: Any) -> None:
        from agentperf_runtime import tracer
        from agentperf_runtime.launch import remove_traces

        self._is_worker = "PYTEST_XDIST_WORKER" in os.environ
        has_workers = bool(getattr(options, "numprocesses", None) or getattr(options, "tx", None))
        running = tracer.active()
        self._path = os.path.abspath(options.agentperf_trace or (running.path if running else "agentperf.trace"))
        self._fail: tuple[str, ...] = options.agentperf_fail
        self._warn: tuple[str, ...] = options.agentperf_warn
        self._tracer: Tracer | None = running
        self._started = False
        self._growing: GrowingTrace | None = None
        self._allowed: dict[str, list[str]] = {}
        self._found: list[ItemOfTest] = []
        self._problem = ""
        self._failed: set[str] = set()
        if running is None:
            if not self._is_worker:
                remove_traces(self._path)
            if self._is_worker or not has_workers:
                self._tracer = tracer.start(self._path)
                self._started = True

    # --- while tests run ------------------------------------------------------------------------------------

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, None]:
        if self._tracer is None:
            yield
            return
        self._failed.discard(item.nodeid)
        root, token = self._tracer.scopes.begin("test", item.nodeid)
        yield
        self._tracer.scopes.end(root, token, "error" if item.nodeid in self._failed else "ok")

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, None]:
        started = time.perf_counter_ns()
        yield
        item.stash[_CALLED] = started, time.perf_counter_ns()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
        outcome = yield
        report: pytest.TestReport = outcome.get_result()
        marker = _Marker(item)
        if call.when == "call" and report.passed and marker.max_queries is not None and self._tracer is not None:
            complaint = self._too_many(self._tracer, item.stash[_CALLED], marker)
            if complaint:
                report.outcome = "failed"
                report.longrepr = complaint
        if report.failed:
            self._failed.add(item.nodeid)
        if call.when == "setup" and marker.allow:
            report.agentperf_allow = marker.allow  # type: ignore[attr-defined]  # reaches the session that judges

    def _too_many(self, tracer: Tracer, called: tuple[int, int], marker: _Marker) -> str:
        from agentperf_lint.checklist.per_test import queries_between
        from agentperf_lint.checklist.trace import GrowingTrace

        tracer.flush()
        if self._growing is None or self._growing.path != tracer.file:
            self._growing = GrowingTrace(tracer.file)
        piece = self._growing.read()
        start, end = (reading - piece.header.clock_start for reading in called)
        counted = queries_between(piece, start, end, marker.allow)
        total = sum(each.count for each in counted)
        if marker.max_queries is None or total <= marker.max_queries:
            return ""
        lines = [f"{total} queries, {marker.max_queries} are allowed:"]
        for each in counted[:_SHOWN_STATEMENTS]:
            statement = each.statement[:_LONGEST_STATEMENT]
            lines.append(f"  {each.count} x {statement}  at {each.path}:{each.line} in {each.function}")
        if len(counted) > _SHOWN_STATEMENTS:
            lines.append(f"  and {len(counted) - _SHOWN_STATEMENTS} other ones")
        return "\n".join(lines)

    # --- afterwards -----------------------------------------------------------------------------------------

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        allowed = getattr(report, "agentperf_allow", None)
        if allowed:
            self._allowed[report.nodeid] = list(allowed)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._tracer is not None:
            self._tracer.flush()
            if self._started:
                self._tracer.stop()
                self._tracer = None
        if self._is_worker or not (self._fail or self._warn):
            return
        try:
            self._judge(session)
        except Exception as error:
            self._problem = f"{type(error).__name__}: {error}"
        is_bad = self._problem or any(each.item.kind in self._fail for each in self._found)
        if is_bad and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _judge(self, session: pytest.Session) -> None:
        from agentperf_lint.checklist.per_test import items_of_tests
        from agentperf_lint.checklist.trace import read_traces
        from agentperf_lint.config import budgets_of, load_config

        root = session.config.rootpath
        config = load_config(root)
        kinds = {*self._fail, *self._warn}
        self._found = items_of_tests(
            read_traces([self._path]), config.trace, kinds, self._allowed, [str(root)], budgets_of(config),
            config.file or "",
        )  # fmt: skip

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("agentperf")
        if self._problem:
            terminalreporter.line(f"The trace could not be judged: {self._problem}", red=True)
        for each in self._found:
            item = each.item
            terminalreporter.line(
                f"{each.test}: {item.code} {item.path}:{item.line} {item.message}", red=self._is_fatal(item)
            )
            terminalreporter.line(f"    {item.remedy}")
        terminalreporter.line(f"trace: {self._path}")

    def _is_fatal(self, item: Any) -> bool:
        return item.kind in self._fail


class _Marker:
    """What the marks of a test say; the nearest one counts, allowances add up."""

    def __init__(self, item: pytest.Item) -> None:
        self.max_queries: int | None = None
        self.allow: list[str] = []
        for mark in item.iter_markers("agentperf"):
            if self.max_queries is None:
                self.max_queries = mark.kwargs.get("max_queries")
            self.allow += mark.kwargs.get("allow", ())


_CALLED = pytest.StashKey[tuple[int, int]]()
