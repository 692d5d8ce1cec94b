"""Applications of functions that a page or notebook calls: a root for each time that one runs.

The framework calls them from a queue or thread of its own, which belongs to nobody or to whoever came first.
"""

from __future__ import annotations

import os
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.sources.units import Unit, awaited, synchronous

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument


def install_gradio(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `gradio.queueing`, whose queue is started by the first request."""

    def begun(queue: Any, events: Any, *others: Any) -> str:
        function = events[0].fn
        return f"event {getattr(function, 'name', None) or getattr(function, 'api_name', None) or 'of Gradio'}"

    instrument.patches.replace(module.Queue, "process_events", awaited(instrument, Unit("job", begun)))


def install_streamlit(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `streamlit.runtime.scriptrunner.script_runner`."""

    def begun(function: Any, context: Any) -> str:
        return f"run of {os.path.basename(context.main_script_path)}"

    instrument.patches.replace(module, "exec_func_with_error_handling", synchronous(instrument, Unit("job", begun)))


def install_marimo(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `marimo._runtime.runner.cell_runner`."""
    unit = Unit("job", lambda runner, cell_id: f"cell {cell_id}")
    instrument.patches.replace(module.Runner, "run", awaited(instrument, unit))


def install_ipykernel(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `ipykernel.ipkernel`, the kernel of Jupyter's notebooks."""
    unit = Unit("job", lambda kernel, *others: "cell of a notebook")
    instrument.patches.replace(module.IPythonKernel, "do_execute", awaited(instrument, unit))
