from __future__ import annotations

from agentperf_rules.base import FixKind, Rule, Shape, callee, via
from agentperf_rules.model import Suspect


class OffloadOfResult(Rule):
    """## What it does
    Finds an offload that is given the result of a blocking call instead of the function: `to_thread(f(x))`.

    ## Why is this bad?
    Arguments are evaluated first, so `f(x)` runs on the event loop and blocks it; the thread gets only its result.

    ## Example
    ```python
    import asyncio
    import requests

    async def fetch(url):
        return await asyncio.to_thread(requests.get(url))
    ```

    ## Use instead
    ```python
    import asyncio
    import requests

    async def fetch(url):
        return await asyncio.to_thread(requests.get, url)
    ```
    """

    code = "APL121"
    name = "offload-of-result"
    kind = "blocking"
    severity = "high"

    valid = (
        """\
import asyncio
from functools import partial
import requests

async def fetch(url):
    await asyncio.to_thread(partial(requests.get, url))
    return await asyncio.to_thread(lambda: requests.get(url))
""",
    )
    invalid = (
        """\
import asyncio
import requests

async def fetch(url):
    return await asyncio.to_thread(requests.get(url))  # expect
""",
    )

    def fix_for(self, suspect: Suspect) -> FixKind | None:
        return "function"

    def describe(self, suspect: Suspect, shape: Shape) -> str:
        called = callee(suspect.chain[0].call)
        where = f"in {suspect.function}{via(suspect.chain)}"
        return f"{called} runs on the event loop {where}, and the thread gets only its result"

    def remedy(self, suspect: Suspect, shape: Shape) -> str:
        return f"hand over the function itself: {callee(suspect.chain[0].call)}, and its arguments after it"
