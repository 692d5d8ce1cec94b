from __future__ import annotations

from agentperf_rules.blocking.base import BlockingRule


class BlockingCache(BlockingRule):
    """## What it does
    Finds calls of synchronous cache clients (`redis.Redis`, memcached clients) in async functions.

    ## Why is this bad?
    A cache answers in a fraction of a millisecond until the network or the server hiccups; then every task of the
    process waits for one key.

    ## Example
    ```python
    import redis

    cache = redis.Redis()

    async def token(user):
        return cache.get(user)
    ```

    ## Use instead
    ```python
    import redis.asyncio

    cache = redis.asyncio.Redis()

    async def token(user):
        return await cache.get(user)
    ```
    """

    code = "APL108"
    name = "blocking-cache-in-async"
    severity = "high"
    what = "blocking cache call"

    valid = (
        """\
import redis.asyncio

cache = redis.asyncio.Redis()

async def token(user):
    return await cache.get(user)
""",
    )
    invalid = (
        """\
import redis

cache = redis.Redis()

async def token(user):
    return cache.get(user)  # expect
""",
    )
