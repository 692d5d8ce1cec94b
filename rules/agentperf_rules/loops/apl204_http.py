from __future__ import annotations

from agentperf_rules.loops.base import LoopRule


class HttpInLoop(LoopRule):
    """## What it does
    Finds HTTP requests that are made one after the other, once per element of a loop, directly or through helpers.
    Loops over pages, chunks, attempts or a fixed handful, polls, and calls that each depend on the last are not
    reported.

    ## Why is this bad?
    The latencies add up, although the requests do not depend on each other.

    ## Example
    ```python
    import httpx

    async def pages(client: httpx.AsyncClient, urls):
        return [(await client.get(url)).text for url in urls]
    ```

    ## Use instead
    ```python
    import asyncio
    import httpx

    async def pages(client: httpx.AsyncClient, urls):
        limit = asyncio.Semaphore(10)

        async def fetch(url):
            async with limit:
                return (await client.get(url)).text

        return await asyncio.gather(*(fetch(url) for url in urls))
    ```
    """

    code = "APL204"
    name = "http-in-loop"
    severity = "medium"
    what = "HTTP request"
    batch = "start the requests together with asyncio.gather (and a limit), or use the bulk endpoint"

    valid = (
        """\
import asyncio
import httpx

async def pages(client: httpx.AsyncClient, urls):
    return await asyncio.gather(*(client.get(url) for url in urls))
""",
        """\
import httpx

async def fetch(client: httpx.AsyncClient, url):
    for attempt in range(5):
        try:
            return await client.get(url)
        except httpx.HTTPError:
            continue
""",
    )
    invalid = (
        """\
import httpx

async def pages(client: httpx.AsyncClient, urls):
    for url in urls:
        print((await client.get(url)).text)  # expect
""",
    )
