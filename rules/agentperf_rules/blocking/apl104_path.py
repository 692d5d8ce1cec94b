from __future__ import annotations

from agentperf_rules.blocking.base import BlockingRule


class BlockingPath(BlockingRule):
    """## What it does
    Finds `pathlib.Path` methods and `os`/`os.path`/`glob` functions that ask the file system, in async functions.
    Pure path arithmetic (`join`, `with_suffix`, `relative_to`) asks nothing and is not reported.

    ## Why is this bad?
    Every `exists`, `stat` or `mkdir` is a system call that waits for the file system. One on a local disk is cheap;
    a directory walk, or any of them on a network volume, is not.

    ## Example
    ```python
    from pathlib import Path

    async def sizes(folder: Path):
        return [entry.stat().st_size for entry in folder.iterdir()]
    ```

    ## Use instead
    ```python
    import asyncio
    from pathlib import Path

    def measured(folder: Path):
        return [entry.stat().st_size for entry in folder.iterdir()]

    async def sizes(folder: Path):
        return await asyncio.to_thread(measured, folder)
    ```
    """

    code = "APL104"
    name = "blocking-path-in-async"
    severity = "low"
    what = "blocking path access"

    valid = (
        """\
import os.path
from pathlib import Path

async def target(folder: Path, name: str):
    return os.path.join(folder, name), (folder / name).with_suffix(".txt")
""",
    )
    invalid = (
        """\
from pathlib import Path

async def is_configured(folder: Path):
    return (folder / "config.json").exists()  # expect
""",
        """\
import os

async def names(folder):
    return os.listdir(folder)  # expect
""",
    )
