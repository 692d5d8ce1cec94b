from __future__ import annotations

from agentperf_rules.base import Rule, Shape
from agentperf_rules.model import Suspect


class SyncWithOnAsyncClient(Rule):
    """## What it does
    Finds a plain `with` on a client that only has an asynchronous context manager.

    ## Why is this bad?
    `with httpx.AsyncClient()` fails at run time: the class has `__aenter__` and no `__enter__`.

    ## Example
    ```python
    import httpx

    async def fetch(url):
        with httpx.AsyncClient() as client:
            return await client.get(url)
    ```

    ## Use instead
    ```python
    import httpx

    async def fetch(url):
        async with httpx.AsyncClient() as client:
            return await client.get(url)
    ```
    """

    code = "APL122"
    name = "sync-with-on-async-client"
    kind = "hygiene"
    severity = "medium"

    valid = (
        """\
import httpx

async def fetch(url):
    async with httpx.AsyncClient() as client:
        return await client.get(url)
""",
    )
    invalid = (
        """\
import httpx

async def fetch(url):
    with httpx.AsyncClient() as client:  # expect
        return await client.get(url)
""",
    )

    def describe(self, suspect: Suspect, shape: Shape) -> str:
        return f"{suspect.sink} is entered with a plain `with` in {suspect.function}"

    def remedy(self, suspect: Suspect, shape: Shape) -> str:
        return "use async with"
