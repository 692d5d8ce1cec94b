from __future__ import annotations

from agentperf_rules.base import FixKind, Needs, Shape
from agentperf_rules.blocking.base import BlockingRule
from agentperf_rules.model import Confidence, Suspect


class BlockingSleep(BlockingRule):
    """## What it does
    Finds `time.sleep` in async functions, written there or reached through sync helpers.

    ## Why is this bad?
    The event loop runs one thing at a time. While it sleeps, every other task of the process waits: requests queue up,
    timeouts fire, heartbeats are missed. `time.sleep(0)` only lets go of the GIL and is not reported.

    ## Example
    ```python
    import time

    async def poll(job):
        while not job.done:
            time.sleep(1)
    ```

    ## Use instead
    ```python
    import asyncio

    async def poll(job):
        while not job.done:
            await asyncio.sleep(1)
    ```
    """

    code = "APL101"
    name = "blocking-sleep-in-async"
    severity = "high"
    what = "blocking sleep"
    needs = "statement"

    valid = (
        """\
import asyncio
import time

async def wait():
    await asyncio.sleep(1)
    time.sleep(0)
    await asyncio.to_thread(time.sleep, 1)

def pause():
    time.sleep(1)
""",
    )
    invalid = (
        """\
import time

async def wait():
    time.sleep(1)  # expect
""",
        """\
from time import sleep as pause

def settle(seconds):
    pause(seconds)

async def restart(seconds):
    settle(seconds)  # expect
""",
    )

    def reads(self, suspect: Suspect) -> Needs:
        return "statement" if len(suspect.chain) == 1 else "place"

    def judge(self, suspect: Suspect, shape: Shape) -> Confidence | None:
        from agentperf_rules.calls import sleeps_for_zero

        return None if sleeps_for_zero(shape.node) else suspect.confidence

    def fix_for(self, suspect: Suspect) -> FixKind | None:
        return "sleep" if len(suspect.chain) == 1 else super().fix_for(suspect)

    def offload(self, suspect: Suspect) -> str:
        return super().offload(suspect) if len(suspect.chain) > 1 else ""
