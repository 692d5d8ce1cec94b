from __future__ import annotations

from agentperf_rules.blocking.base import BlockingRule


class BlockingLlm(BlockingRule):
    """## What it does
    Finds calls of synchronous LLM clients (`openai.OpenAI`, `anthropic.Anthropic`, `litellm.completion`) in async
    functions.

    ## Why is this bad?
    A completion takes seconds. A server that waits for it on the event loop serves one user at a time.

    ## Example
    ```python
    from openai import OpenAI

    client = OpenAI()

    async def answer(messages):
        return client.chat.completions.create(model="gpt-4o-mini", messages=messages)
    ```

    ## Use instead
    ```python
    from openai import AsyncOpenAI

    client = AsyncOpenAI()

    async def answer(messages):
        return await client.chat.completions.create(model="gpt-4o-mini", messages=messages)
    ```
    """

    code = "APL110"
    name = "blocking-llm-in-async"
    severity = "high"
    what = "blocking LLM call"

    valid = (
        """\
from openai import AsyncOpenAI

client = AsyncOpenAI()

async def answer(messages):
    return await client.chat.completions.create(model="gpt-4o-mini", messages=messages)
""",
    )
    invalid = (
        """\
from openai import OpenAI

client = OpenAI()

async def answer(messages):
    return client.chat.completions.create(model="gpt-4o-mini", messages=messages)  # expect
""",
    )
