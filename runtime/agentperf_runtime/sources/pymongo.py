"""pymongo, its asynchronous API, and motor, which runs it in threads: by the driver's own monitoring of commands.

A listener is called where the command is run, so that the call site is above it. What a cursor fetches after its first
batch (`getMore`) belongs to the command that opened it.
"""

from __future__ import annotations

import os
import sys
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.recorder import DONE, RAISED
from agentperf_runtime.sources.calls import Call, Pending, Result, begin
from agentperf_runtime.sources.fingerprint import fingerprint

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument

_IGNORED = frozenset(
    """abortTransaction authenticate buildInfo commitTransaction endSessions getMore getnonce hello isMaster ismaster
    killCursors ping saslContinue saslStart""".split()
)
# What tells two commands of one name and collection apart.
_CONTENT = (
    "filter", "query", "pipeline", "key", "documents", "updates", "deletes", "update", "sort", "skip", "limit",
    "projection", "ops",
)  # fmt: skip
_SEQUENCES = ("documents", "updates", "deletes", "ops")
_MOST_RUNNING = 10_000
_ASYNCHRONOUS = f"{os.sep}pymongo{os.sep}asynchronous{os.sep}"
_FRAMES_TO_CLIENT = 6


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `pymongo.monitoring`: clients that are made from now on tell the listener."""
    listener = type("TracingListener", (_Listener, module.CommandListener), {})(instrument)
    module.register(listener)
    instrument.patches.on_undo(lambda: module._LISTENERS.command_listeners.remove(listener))


class _Listener:
    """A `pymongo.monitoring.CommandListener`."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._running: dict[int, Pending] = {}

    def started(self, event: Any) -> None:
        """A command is about to be sent."""
        blocking = not _is_asynchronous(sys._getframe(1))
        pending = begin(self._instrument, "mongo", _describe, (event,), {}, blocking)
        if pending is None:
            return
        pending.leave()
        if len(self._running) >= _MOST_RUNNING:
            self._running.clear()
        self._running[event.request_id] = pending

    def succeeded(self, event: Any) -> None:
        """A command was answered; writes may have failed all the same."""
        pending = self._running.pop(event.request_id, None)
        if pending is not None:
            pending.record(_answer(event.reply))

    def failed(self, event: Any) -> None:
        """A command was refused, or its connection broke."""
        pending = self._running.pop(event.request_id, None)
        if pending is not None:
            pending.record(Result(outcome=RAISED))


def _is_asynchronous(frame: FrameType | None) -> bool:
    for _ in range(_FRAMES_TO_CLIENT):
        if frame is None:
            return False
        if _ASYNCHRONOUS in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


def _describe(event: Any) -> Call | None:
    name, command = event.command_name, event.command
    if name in _IGNORED or not command:
        return None
    target = command.get(name)
    collection = target if isinstance(target, str) else ""
    content = fingerprint([(part, command[part]) for part in _CONTENT if part in command])
    key = (event.database_name, collection, content.value)
    return Call(f"{name} {collection}".strip(), key, _elements(command))


def _elements(command: Any) -> int:
    """How many documents or statements a command carries, or values the longest list of its filter."""
    count = max((len(command[part]) for part in _SEQUENCES if part in command), default=0)
    if count <= 1:
        asked = [command[part] for part in ("filter", "query", "pipeline") if part in command]
        asked += [each.get("q") for part in ("updates", "deletes") for each in command.get(part, ())]
        count = max((fingerprint(each).longest for each in asked), default=0)
    return count if count > 1 else 0


def _answer(reply: Any) -> Result:
    outcome = RAISED if reply.get("writeErrors") else DONE
    batch = reply.get("cursor", {}).get("firstBatch")
    if batch is not None:
        return Result(len(batch), outcome)
    affected = reply.get("n")
    return Result(affected if isinstance(affected, int) else -1, outcome)
