from __future__ import annotations

from agentperf_rules.blocking.base import BlockingRule


class BlockingFile(BlockingRule):
    """## What it does
    Finds files that are opened, read, written, copied or archived synchronously in async functions.

    ## Why is this bad?
    A local file answers in microseconds most of the time, and in seconds when the disk is busy, the volume is on the
    network or the file is large. The event loop stands still meanwhile. The severity is low for small local files;
    ignore this code alone where that is all there is.

    ## Example
    ```python
    async def load(path):
        with open(path) as file:
            return file.read()
    ```

    ## Use instead
    ```python
    import asyncio

    def read(path):
        with open(path) as file:
            return file.read()

    async def load(path):
        return await asyncio.to_thread(read, path)
    ```
    """

    code = "APL103"
    name = "blocking-file-in-async"
    severity = "low"
    what = "blocking file access"

    valid = (
        """\
import asyncio
import io

def read(path):
    with open(path) as file:
        return file.read()

async def load(path):
    io.StringIO("text").read()
    return await asyncio.to_thread(read, path)
""",
    )
    invalid = (
        """\
async def load(path):
    file = open(path)  # expect
    return file
""",
        """\
import shutil

async def publish(source, target):
    shutil.copytree(source, target)  # expect
""",
    )
