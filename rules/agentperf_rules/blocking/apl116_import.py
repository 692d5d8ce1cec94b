from __future__ import annotations

from agentperf_rules.base import Shape, at_most
from agentperf_rules.blocking.base import BlockingRule
from agentperf_rules.model import Confidence, Suspect


class BlockingImport(BlockingRule):
    """## What it does
    Finds `importlib.import_module` and `__import__` in async functions. In one that starts things up it is only a
    possible finding.

    ## Why is this bad?
    The first import of a module reads, compiles and runs files. That can take seconds for a large package.

    ## Example
    ```python
    import importlib

    async def plugin(name):
        return importlib.import_module(name)
    ```

    ## Use instead
    ```python
    import asyncio
    import importlib

    async def plugin(name):
        return await asyncio.to_thread(importlib.import_module, name)
    ```
    """

    code = "APL116"
    name = "blocking-import-in-async"
    severity = "low"
    what = "blocking import"
    needs = "path"

    valid = (
        """\
import asyncio
import importlib

async def plugin(name):
    return await asyncio.to_thread(importlib.import_module, name)
""",
        """\
import importlib

async def lifespan(app):
    importlib.import_module("app.routes")
    yield
""",
        """\
async def elapsed(start):
    return __import__("time").monotonic() - start
""",
    )
    invalid = (
        """\
import importlib

async def plugin(name):
    return importlib.import_module(name)  # expect
""",
    )

    def judge(self, suspect: Suspect, shape: Shape) -> Confidence | None:
        from agentperf_rules.calls import is_built_once, names_standard_module

        if names_standard_module(shape.node):
            return None
        once = is_built_once(suspect.function, shape)
        return at_most(suspect.confidence, "possible") if once else suspect.confidence
