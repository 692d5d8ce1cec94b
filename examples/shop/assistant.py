"""Answers to customers' questions."""

import anthropic
import openai

client = openai.OpenAI()
async_client = anthropic.AsyncAnthropic()


def _ask(question: str) -> str:
    reply = client.chat.completions.create(model="small", messages=[{"role": "user", "content": question}])
    return reply.choices[0].message.content or ""


async def answer(question: str) -> str:
    return _ask(question)  # slow: APL110


async def answer_all(questions: list[str]) -> list[str]:
    answers = []
    for question in questions:
        reply = await async_client.messages.create(  # slow: APL205
            model="small", max_tokens=200, messages=[{"role": "user", "content": question}]
        )
        answers.append(reply.content[0].text)
    return answers


async def converse(question: str) -> list[str]:
    # Each call needs the reply before it: nothing to batch.
    messages = [{"role": "user", "content": question}]
    for _ in range(3):
        reply = await async_client.messages.create(model="small", max_tokens=200, messages=messages)
        messages.append({"role": "assistant", "content": reply.content[0].text})
    return [message["content"] for message in messages]
