from __future__ import annotations

from agentperf_rules.blocking.base import BlockingRule


class BlockingImport(BlockingRule):
    """## What it does
    Finds `importlib.import_module` and `__import__` in async functions.

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

    valid = (
        """\
import asyncio
import importlib

async def plugin(name):
    return await asyncio.to_thread(importlib.import_module, name)
""",
    )
    invalid = (
        """\
import importlib

async def plugin(name):
    return importlib.import_module(name)  # expect
""",
    )
