"""Found by an interpreter that `agentperf-lint trace` starts: starts the tracer, then gives way to the real one."""

import os
import sys

_here = os.path.dirname(os.path.abspath(__file__))


def _without_this_directory() -> None:
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != _here]


def _start() -> None:
    _without_this_directory()
    runtime = os.path.dirname(os.path.dirname(_here))
    added = runtime not in sys.path
    if added:
        # The interpreter may be of another environment than the tracer: nothing else is taken from there.
        sys.path.append(runtime)
    try:
        from agentperf_runtime.autostart import start_from_environment

        start_from_environment()
    except Exception as error:
        print(f"agentperf: not traced: {error}", file=sys.stderr)
    finally:
        if added:
            sys.path.remove(runtime)


def _run_the_real_one() -> None:
    import importlib.util

    own = sys.modules.pop("sitecustomize")
    spec = importlib.util.find_spec("sitecustomize")
    if spec is None or spec.loader is None:
        sys.modules["sitecustomize"] = own
    else:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


_start()
_run_the_real_one()
