"""pytest, anyio and unittest: each test is a root, whether or not pytest's plugin is asked for more than that."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.scopes import Root, Scope, current
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


def install_rewriting(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `_pytest.assertion`, whose finder would load what has a plugin (anyio, for one) unseen."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def install_importhook(*args: Any, **kwargs: Any) -> Any:
            hook = original(*args, **kwargs)
            instrument.see_imports_first()
            return hook

        return install_importhook

    instrument.patches.replace(module, "install_importhook", make)


def install_unittest(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `unittest.case`."""

    def begun(case: Any, *others: Any) -> str | None:
        return None if _in_test() else case.id()

    def ended(root: Root, arguments: tuple[Any, ...], result: Any) -> str:
        return "error" if _is_among(arguments[0], result) else "ok"

    instrument.patches.replace(module.TestCase, "run", synchronous(instrument, Unit("test", begun, ended)))


def install_anyio(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `anyio._backends._asyncio`, whose plugin for pytest runs many tests in one task."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(runner: Any, function: Any, /, *args: Any, **kwargs: Any) -> Any:
            scope = current.get()
            if scope is not None and scope.root.kind == "test":
                function = _within(scope.root, function)
            return original(runner, function, *args, **kwargs)

        return call

    if hasattr(module.TestRunner, "_call_in_runner_task"):  # versions before 4 have a task for each
        instrument.patches.replace(module.TestRunner, "_call_in_runner_task", make)


def _within(root: Root, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, whose result is to be awaited, for a task that belongs to another root."""

    async def called(*args: Any, **kwargs: Any) -> Any:
        task = current.get()
        scope = Scope(root) if task is None else Scope(root, task.task, (), task.ident)
        token = current.set(scope)
        try:
            return await function(*args, **kwargs)
        finally:
            current.reset(token)

    return called


def _in_test() -> bool:
    """Whether a test runs already: what a test runs by itself, or pytest of unittest's, is a part of that one."""
    scope = current.get()
    return scope is not None and scope.root.kind == "test"


def _is_among(case: Any, result: Any) -> bool:
    """Whether the last failure or error that `result` tells of is one of `case`, or of a part of it."""
    told = [entries[-1][0] for entries in (result.failures, result.errors) if entries] if result is not None else []
    return any(getattr(test, "test_case", test) is case for test in told)
