from __future__ import annotations

from agentperf_rules.blocking.base import BlockingRule


class BlockingHttp(BlockingRule):
    """## What it does
    Finds HTTP requests through synchronous clients (`requests`, `urllib`, `urllib3`, `httpx.get`, `httpx.Client`,
    `http.client`) in async functions, written there or reached through sync helpers, properties and constructors.

    ## Why is this bad?
    A request takes as long as the other side wants. Until it answers, the event loop serves nobody else, so one slow
    peer stalls the whole process.

    ## Example
    ```python
    import requests

    async def fetch_user(user_id):
        return requests.get(f"https://example.org/users/{user_id}").json()
    ```

    ## Use instead
    ```python
    import httpx

    async def fetch_user(user_id):
        async with httpx.AsyncClient() as client:
            response = await client.get(f"https://example.org/users/{user_id}")
        return response.json()
    ```
    """

    code = "APL102"
    name = "blocking-http-in-async"
    severity = "high"
    what = "blocking HTTP call"

    valid = (
        """\
import asyncio
import httpx
import requests

async def fetch(url):
    async with httpx.AsyncClient() as client:
        await client.get(url)
    return await asyncio.to_thread(requests.get, url)
""",
    )
    invalid = (
        """\
import requests

async def fetch(url):
    return requests.get(url)  # expect
""",
        """\
import requests

class Api:
    def __init__(self):
        self.session = requests.Session()

    def load(self, url):
        return self.session.get(url).json()

    async def user(self, url):
        return self.load(url)  # expect
""",
    )
