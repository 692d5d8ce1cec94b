from __future__ import annotations

from agentperf_rules.base import Needs, Shape, at_most
from agentperf_rules.blocking.base import BlockingRule
from agentperf_rules.model import Confidence, Suspect

_GETTERS = ("get", "ensure", "client", "session", "shared", "cached", "default")


class BlockingClientConstruction(BlockingRule):
    """## What it does
    Finds clients whose constructor does slow work (loading certificates, reading service definitions) built in async
    functions. Building one once, at startup or behind an `if client is None`, is only a possible finding.

    ## Why is this bad?
    `httpx.AsyncClient()` loads the certificate bundle, tens of milliseconds of CPU each time; `boto3.client()` reads
    JSON files. Built per request, that is time in which the event loop does nothing else.

    ## Example
    ```python
    import httpx

    async def fetch(url):
        async with httpx.AsyncClient() as client:
            return await client.get(url)
    ```

    ## Use instead
    ```python
    import httpx

    client = httpx.AsyncClient()

    async def fetch(url):
        return await client.get(url)
    ```
    """

    code = "APL115"
    name = "blocking-client-construction-in-async"
    severity = "low"
    what = "client construction"
    needs = "path"

    valid = (
        """\
import httpx

client = httpx.AsyncClient()

async def fetch(url):
    return await client.get(url)
""",
        """\
import httpx

class Api:
    async def startup(self):
        self.client = httpx.AsyncClient()
""",
    )
    invalid = (
        """\
import boto3

async def upload(key, body):
    client = boto3.client("s3")  # expect
    return client
""",
    )

    def reads(self, suspect: Suspect) -> Needs:
        return "place" if _is_kept_by_helper(suspect) else "path"

    def judge(self, suspect: Suspect, shape: Shape) -> Confidence | None:
        from agentperf_rules.calls import is_built_once

        once = _is_kept_by_helper(suspect) or is_built_once(suspect.function, shape)
        return at_most(suspect.confidence, "possible") if once else suspect.confidence


def _is_kept_by_helper(suspect: Suspect) -> bool:
    """Whether a helper hands out the client: those mostly build it once (`get_client`), and far ones are no remedy."""
    helpers = [step.function.rpartition(".")[2].lstrip("_").removeprefix("async_") for step in suspect.chain[1:]]
    return len(helpers) > 1 or any(name.startswith(_GETTERS) for name in helpers)
