from __future__ import annotations

from agentperf_rules.loops.base import LoopRule


class LlmInLoop(LoopRule):
    """## What it does
    Finds LLM and embedding calls that are made one after the other, once per element of a loop, directly or through
    helpers. Agent loops, in which each call depends on the last, are not reported.

    ## Why is this bad?
    Each call takes seconds, and their sum is what the user waits for. Embedding APIs take a list of inputs at once.

    ## Example
    ```python
    async def summaries(client, documents):
        return [await client.responses.create(model="gpt-4o-mini", input=document) for document in documents]
    ```

    ## Use instead
    ```python
    import asyncio

    async def summaries(client, documents):
        calls = [client.responses.create(model="gpt-4o-mini", input=document) for document in documents]
        return await asyncio.gather(*calls)
    ```
    """

    code = "APL205"
    name = "llm-in-loop"
    severity = "high"
    what = "LLM call"
    batch = "start the calls together with asyncio.gather (and a limit), or use the batch API"

    valid = (
        """\
from openai import AsyncOpenAI

async def converse(client: AsyncOpenAI, questions):
    messages = []
    for question in questions:
        messages.append({"role": "user", "content": question})
        answer = await client.chat.completions.create(model="gpt-4o-mini", messages=messages)
        messages.append(answer.choices[0].message)
""",
    )
    invalid = (
        """\
from openai import AsyncOpenAI

async def summaries(client: AsyncOpenAI, documents):
    for document in documents:
        print(await client.responses.create(model="gpt-4o-mini", input=document))  # expect
""",
    )
