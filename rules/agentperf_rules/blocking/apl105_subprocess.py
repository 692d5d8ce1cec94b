from __future__ import annotations

from agentperf_rules.blocking.base import BlockingRule


class BlockingSubprocess(BlockingRule):
    """## What it does
    Finds `subprocess.run`, `check_output`, `Popen.wait`, `os.system` and their like in async functions.

    ## Why is this bad?
    The event loop waits until the other program ends.

    ## Example
    ```python
    import subprocess

    async def revision():
        return subprocess.check_output(["git", "rev-parse", "HEAD"])
    ```

    ## Use instead
    ```python
    import asyncio

    async def revision():
        process = await asyncio.create_subprocess_exec("git", "rev-parse", "HEAD", stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        return output
    ```
    """

    code = "APL105"
    name = "blocking-subprocess-in-async"
    severity = "high"
    what = "blocking subprocess call"

    valid = (
        """\
import asyncio

async def revision():
    process = await asyncio.create_subprocess_exec("git", "rev-parse", "HEAD")
    await process.wait()
""",
    )
    invalid = (
        """\
import subprocess

async def revision():
    return subprocess.check_output(["git", "rev-parse", "HEAD"])  # expect
""",
    )
