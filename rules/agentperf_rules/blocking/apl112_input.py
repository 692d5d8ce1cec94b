from __future__ import annotations

from agentperf_rules.blocking.base import BlockingRule


class BlockingInput(BlockingRule):
    """## What it does
    Finds `input()` and other reads from the terminal in async functions.

    ## Why is this bad?
    Nothing else runs until a person presses Enter: timers, heartbeats and background tasks included.

    ## Example
    ```python
    async def ask():
        return input("Continue? ")
    ```

    ## Use instead
    ```python
    import asyncio

    async def ask():
        return await asyncio.to_thread(input, "Continue? ")
    ```
    """

    code = "APL112"
    name = "blocking-input-in-async"
    severity = "medium"
    what = "blocking input"

    valid = (
        """\
import asyncio

async def ask():
    return await asyncio.to_thread(input, "Continue? ")
""",
    )
    invalid = (
        """\
async def ask():
    return input("Continue? ")  # expect
""",
    )
