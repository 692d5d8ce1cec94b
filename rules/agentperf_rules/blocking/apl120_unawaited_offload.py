from __future__ import annotations

from agentperf_rules.base import FixKind, Rule, Shape, callee
from agentperf_rules.model import Confidence, Suspect


class UnawaitedOffload(Rule):
    """## What it does
    Finds an offload that nothing awaits: `asyncio.to_thread(f)` as a statement of its own.

    ## Why is this bad?
    `asyncio.to_thread` is a coroutine function. Until its result is awaited the function has not even been started, so
    the work is silently lost.

    ## Example
    ```python
    import asyncio

    async def save(report):
        asyncio.to_thread(report.write)
    ```

    ## Use instead
    ```python
    import asyncio

    async def save(report):
        await asyncio.to_thread(report.write)
    ```
    """

    code = "APL120"
    name = "unawaited-offload"
    kind = "hygiene"
    severity = "high"
    needs = "statement"

    valid = (
        """\
import asyncio

async def save(report):
    await asyncio.to_thread(report.write)
    task = asyncio.create_task(asyncio.to_thread(report.write))
    return asyncio.to_thread(report.write), task
""",
    )
    invalid = (
        """\
import asyncio

async def save(report):
    asyncio.to_thread(report.write)  # expect
""",
    )

    def fix_for(self, suspect: Suspect) -> FixKind | None:
        return "await"

    def judge(self, suspect: Suspect, shape: Shape) -> Confidence | None:
        if suspect.awaited:
            return None
        if shape.node is None:
            return suspect.confidence
        from agentperf_rules.calls import is_a_statement

        return suspect.confidence if is_a_statement(shape) else None

    def describe(self, suspect: Suspect, shape: Shape) -> str:
        return f"{callee(suspect.call)} in {suspect.function} is never awaited, so its function never runs"

    def remedy(self, suspect: Suspect, shape: Shape) -> str:
        return f"await {callee(suspect.call)}(...)"
