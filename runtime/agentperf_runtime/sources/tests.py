"""pytest and unittest: each test is a root, whether or not pytest's plugin is asked for more than that."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.scopes import Root, current
from agentperf_runtime.sources.units import Unit, synchronous

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument


def install_pytest(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `_pytest.runner`: fixtures of a test are set up and torn down within its root."""

    def begun(item: Any, *others: Any) -> str | None:
        return None if _in_test() else item.nodeid

    def ended(root: Root, arguments: tuple[Any, ...], reports: Any) -> str:
        return "error" if any(report.failed for report in reports) else "ok"

    instrument.patches.replace(module, "runtestprotocol", synchronous(instrument, Unit("test", begun, ended)))


def install_unittest(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `unittest.case`."""

    def begun(case: Any, *others: Any) -> str | None:
        return None if _in_test() else case.id()

    def ended(root: Root, arguments: tuple[Any, ...], result: Any) -> str:
        return "error" if _is_among(arguments[0], result) else "ok"

    instrument.patches.replace(module.TestCase, "run", synchronous(instrument, Unit("test", begun, ended)))


def _in_test() -> bool:
    """Whether a test runs already: what a test runs by itself, or pytest of unittest's, is a part of that one."""
    scope = current.get()
    return scope is not None and scope.root.kind == "test"


def _is_among(case: Any, result: Any) -> bool:
    """Whether the last failure or error that `result` tells of is one of `case`, or of a part of it."""
    told = [entries[-1][0] for entries in (result.failures, result.errors) if entries] if result is not None else []
    return any(getattr(test, "test_case", test) is case for test in told)
