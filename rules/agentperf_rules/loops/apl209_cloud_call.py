from __future__ import annotations

from agentperf_rules.loops.base import LoopRule


class CloudCallInLoop(LoopRule):
    """## What it does
    Finds cloud SDK calls that a loop makes once per element, directly or through helpers.
    Loops over pages, chunks, attempts or a fixed handful, polls, and calls that each depend on the last are not
    reported.

    ## Why is this bad?
    Each is an HTTPS request, and most services bill by the request. Some have an operation for many items, which the
    message names; the latencies of others add up, although they do not depend on each other.

    ## Example
    ```python
    for key in keys:
        s3.delete_object(Bucket="reports", Key=key)
    ```

    ## Use instead
    ```python
    s3.delete_objects(Bucket="reports", Delete={"Objects": [{"Key": key} for key in keys]})
    ```
    """

    code = "APL209"
    name = "cloud-call-in-loop"
    severity = "medium"
    what = "cloud call"
    batch = "use the batch operation of the service, or start the calls together with a limit"

    valid = (
        """\
import boto3

s3 = boto3.client("s3")

def clear(keys):
    s3.delete_objects(Bucket="reports", Delete={"Objects": [{"Key": key} for key in keys]})
""",
    )
    invalid = (
        """\
import boto3

s3 = boto3.client("s3")

def clear(keys):
    for key in keys:
        s3.delete_object(Bucket="reports", Key=key)  # expect
""",
    )
