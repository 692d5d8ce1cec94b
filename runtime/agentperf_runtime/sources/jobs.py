"""Workers and servers without a request in their code: a root for each job of a queue, message, and call of a tool.

They run the application's functions from loops of their own, so that nothing else tells where one ends.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime import scopes
from agentperf_runtime.sources.units import Unit, awaited, synchronous

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument


def install_apscheduler(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `apscheduler.executors.base`, or one of the executors that have taken its functions already."""

    def begun(job: Any, *others: Any) -> str:
        return str(job.name)

    for name, traced in (("run_job", synchronous), ("run_coroutine_job", awaited)):
        if hasattr(module, name) and not hasattr(getattr(module, name), "__wrapped__"):
            instrument.patches.replace(module, name, traced(instrument, Unit("job", begun)))


def install_arq(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `arq.worker`: which function a job is for is known when the job was read."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def deserialize_job_raw(*args: Any, **kwargs: Any) -> Any:
            read = original(*args, **kwargs)
            scope = scopes.current.get()
            if scope is not None and scope.root.kind == "job" and scope.root.sampled:
                scope.root.name = str(read[0])
            return read

        return deserialize_job_raw

    unit = Unit("job", lambda worker, *others: "of arq")
    instrument.patches.replace(module.Worker, "run_job", awaited(instrument, unit))
    instrument.patches.replace(module, "deserialize_job_raw", make)


def install_dramatiq(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `dramatiq.worker`."""
    unit = Unit("job", lambda worker, message: str(message.actor_name))
    instrument.patches.replace(module._WorkerThread, "process_message", synchronous(instrument, unit))


def install_huey(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `huey.api`."""
    unit = Unit("job", lambda huey, task, *others: str(task.name))
    instrument.patches.replace(module.Huey, "_execute", synchronous(instrument, unit))


def install_mcp(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `mcp.server.lowlevel.server`, version 1: a root for each request of a session."""

    def begun(server: Any, message: Any, request: Any, *others: Any) -> str:
        return _mcp_name(request.method, getattr(getattr(request, "params", None), "name", None))

    if hasattr(module.Server, "_handle_request"):
        instrument.patches.replace(module.Server, "_handle_request", awaited(instrument, Unit("request", begun)))


def install_mcp_runner(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `mcp.server.runner`, version 2."""

    def begun(runner: Any, context: Any, method: str, params: Any, *others: Any) -> str:
        return _mcp_name(method, params.get("name") if params else None)

    instrument.patches.replace(module.ServerRunner, "_on_request", awaited(instrument, Unit("request", begun)))


def _mcp_name(method: str, name: Any) -> str:
    """Names of tools and prompts are the application's; those of resources are what a client asks for."""
    return f"MCP {method} {name}" if isinstance(name, str) and method != "resources/read" else f"MCP {method}"


def install_rq(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `rq.worker`, and `rq.worker.base` where that is a package."""
    owner = getattr(module, "BaseWorker", None) or module.Worker
    if "perform_job" not in vars(owner):
        owner = module.Worker
    unit = Unit("job", lambda worker, job, *others: str(job.func_name))
    instrument.patches.replace(owner, "perform_job", synchronous(instrument, unit))


def install_saq(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `saq.worker`, which makes every function a coroutine function before it calls it."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def ensure_coroutine_function(func: Any, *args: Any, **kwargs: Any) -> Any:
            name = str(getattr(func, "__qualname__", "of saq"))
            traced = awaited(instrument, Unit("job", lambda *others, **named: name))
            return traced(original(func, *args, **kwargs))

        return ensure_coroutine_function

    instrument.patches.replace(module, "ensure_coroutine_function", make)


def install_socketio(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `socketio.server`: a root for each event."""
    unit = Unit("websocket", _socketio_event)
    instrument.patches.replace(module.Server, "_trigger_event", synchronous(instrument, unit))


def install_async_socketio(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `socketio.async_server`."""
    unit = Unit("websocket", _socketio_event)
    instrument.patches.replace(module.AsyncServer, "_trigger_event", awaited(instrument, unit))


def _socketio_event(server: Any, event: str, *others: Any) -> str | None:
    """Which events there are is the client's choice, so only those that somebody listens to have a name."""
    handlers = [event for each in server.handlers.values() if event in each]
    return f"event {event}" if handlers or event in ("connect", "disconnect") else "event"


def install_taskiq(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `taskiq.receiver.receiver`."""
    unit = Unit("job", lambda receiver, target, message, *others: str(message.task_name))

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        traced = awaited(instrument, unit)(original)

        def run_task(receiver: Any, target: Any, message: Any, *args: Any, **kwargs: Any) -> Any:
            return traced(receiver, target, message, *args, **kwargs)

        return run_task

    instrument.patches.replace(module.Receiver, "run_task", make)
