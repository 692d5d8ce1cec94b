from __future__ import annotations

from agentperf_rules.blocking.base import BlockingRule


class CpuHeavy(BlockingRule):
    """## What it does
    Finds calls that compute for long in async functions: password hashing, compression, image and table parsing.

    ## Why is this bad?
    The event loop cannot switch tasks while Python (or a C extension) computes. A thread helps where the library lets
    go of the GIL, as hashing and compression do; otherwise a process is needed.

    ## Example
    ```python
    import bcrypt

    async def check(password, hashed):
        return bcrypt.checkpw(password, hashed)
    ```

    ## Use instead
    ```python
    import asyncio
    import bcrypt

    async def check(password, hashed):
        return await asyncio.to_thread(bcrypt.checkpw, password, hashed)
    ```
    """

    code = "APL114"
    name = "cpu-heavy-in-async"
    severity = "medium"
    what = "CPU-heavy call"

    valid = (
        """\
import asyncio
import bcrypt

async def check(password, hashed):
    return await asyncio.to_thread(bcrypt.checkpw, password, hashed)
""",
    )
    invalid = (
        """\
import bcrypt

async def check(password, hashed):
    return bcrypt.checkpw(password, hashed)  # expect
""",
    )
