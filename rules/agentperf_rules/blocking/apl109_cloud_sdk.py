from __future__ import annotations

from agentperf_rules.blocking.base import BlockingRule


class BlockingCloudSdk(BlockingRule):
    """## What it does
    Finds calls of synchronous cloud SDKs (boto3, google-cloud, Azure) in async functions.

    ## Why is this bad?
    Each is at least one HTTPS request, with the SDK's own retries and pauses on top, all of it on the event loop.

    ## Example
    ```python
    import boto3

    s3 = boto3.client("s3")

    async def save(key, body):
        s3.put_object(Bucket="reports", Key=key, Body=body)
    ```

    ## Use instead
    ```python
    import asyncio
    import boto3

    s3 = boto3.client("s3")

    async def save(key, body):
        await asyncio.to_thread(s3.put_object, Bucket="reports", Key=key, Body=body)
    ```
    """

    code = "APL109"
    name = "blocking-cloud-sdk-in-async"
    severity = "high"
    what = "blocking cloud call"

    valid = (
        """\
import asyncio
import boto3

s3 = boto3.client("s3")

async def save(key, body):
    await asyncio.to_thread(s3.put_object, Bucket="reports", Key=key, Body=body)
""",
    )
    invalid = (
        """\
import boto3

s3 = boto3.client("s3")

async def save(key, body):
    s3.put_object(Bucket="reports", Key=key, Body=body)  # expect
""",
    )
