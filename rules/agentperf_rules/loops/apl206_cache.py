from __future__ import annotations

from agentperf_rules.loops.base import LoopRule


class CacheInLoop(LoopRule):
    """## What it does
    Finds cache reads and writes that a loop makes once per element, directly or through helpers.

    ## Why is this bad?
    Caches have commands for many keys. One by one, the network latency is paid for every key.

    ## Example
    ```python
    values = {key: cache.get(key) for key in keys}
    ```

    ## Use instead
    ```python
    values = dict(zip(keys, cache.mget(keys)))
    ```
    """

    code = "APL206"
    name = "cache-in-loop"
    severity = "medium"
    what = "cache call"
    batch = "use mget or mset, or a pipeline"

    valid = (
        """\
import redis

cache = redis.Redis()

def values(keys):
    with cache.pipeline() as pipe:
        for key in keys:
            pipe.get(key)
        return pipe.execute()

def known(keys, table: dict):
    return [table.get(key) for key in keys]
""",
    )
    invalid = (
        """\
import redis

cache = redis.Redis()

def values(keys):
    return {key: cache.get(key) for key in keys}  # expect
""",
    )
