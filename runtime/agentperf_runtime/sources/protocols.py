"""Servers of the application's own protocols (`asyncio.Protocol`): a root for each piece of data that comes.

Their callbacks run in the context in which the server was started, outside of tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.sources.units import Unit, synchronous

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument

_CALLBACKS = ("data_received", "datagram_received")


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `asyncio.selector_events`."""
    _install(module.BaseSelectorEventLoop, instrument)


def install_uvloop(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `uvloop`."""
    _install(module.Loop, instrument)


def _install(loop: Any, instrument: Instrument) -> None:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def create(self: Any, protocol_factory: Any, *args: Any, **kwargs: Any) -> Any:
            return original(self, _watched(instrument, protocol_factory), *args, **kwargs)

        return create

    for name in ("create_server", "create_unix_server", "create_datagram_endpoint"):
        instrument.patches.replace(loop, name, make)


def _watched(instrument: Instrument, factory: Callable[[], Any]) -> Callable[[], Any]:
    """`factory`, of whose protocols the callbacks that are the application's are units of work."""

    def made() -> Any:
        protocol = factory()
        try:
            for name in _CALLBACKS:
                _watch(instrument, protocol, name)
        except Exception:
            instrument.recorder.errors += 1
        return protocol

    return made


def _watch(instrument: Instrument, protocol: Any, name: str) -> None:
    callback = getattr(protocol, name, None)
    code = getattr(callback, "__code__", None)
    if callback is None or code is None or not instrument.recorder.stacks.files.is_application(code):
        return
    root = f"{type(protocol).__qualname__}.{name}".replace(".<locals>.", ".")
    unit = Unit("websocket", lambda *received: root)
    try:
        setattr(protocol, name, synchronous(instrument, unit)(callback))
    except AttributeError:
        pass  # a class with slots
