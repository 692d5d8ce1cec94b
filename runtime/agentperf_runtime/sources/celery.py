"""Celery: a root for each task, by its signals."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument

_OUTCOMES = {"SUCCESS": "ok", "FAILURE": "error"}


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `celery.signals`."""
    scopes = instrument.scopes
    opened: dict[Any, list[Any]] = {}

    def before(sender: Any = None, task_id: Any = None, **others: Any) -> None:
        # A task that retries itself eagerly runs inside of itself, under the same identifier.
        opened.setdefault(task_id, []).append(scopes.begin("celery", str(sender.name)))

    def after(task_id: Any = None, state: Any = None, **others: Any) -> None:
        roots = opened.get(task_id)
        if not roots:
            return
        root, token = roots.pop()
        if not roots:
            del opened[task_id]
        scopes.end(root, token, _OUTCOMES.get(str(state), str(state).lower()))

    module.task_prerun.connect(before, weak=False)
    instrument.patches.on_undo(lambda: module.task_prerun.disconnect(before))
    module.task_postrun.connect(after, weak=False)
    instrument.patches.on_undo(lambda: module.task_postrun.disconnect(after))
