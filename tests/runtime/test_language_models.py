"""openai and anthropic against endpoints like theirs: one operation for a call, tokens, and what is a conversation."""

from __future__ import annotations

from pathlib import Path

from runtime.recorded import Recorded, Trace, run

from agentperf_runtime.sources.llm import Conversations

_OPENAI = """\
import asyncio, os, openai
client = openai.OpenAI(base_url=os.environ["URL"] + "/v1", api_key="k")
aclient = openai.AsyncOpenAI(base_url=os.environ["URL"] + "/v1", api_key="k")
def asked(*texts): return [{"role": "user", "content": text} for text in texts]
"""
_ANTHROPIC = """\
import asyncio, os, anthropic
client = anthropic.Anthropic(base_url=os.environ["URL"], api_key="k")
aclient = anthropic.AsyncAnthropic(base_url=os.environ["URL"], api_key="k")
asked = {"model": "claude", "max_tokens": 9, "messages": [{"role": "user", "content": "a"}]}
"""
_FIRST = 4  # lines of these


def program(tmp_path: Path, url: str, source: str, clients: str = _OPENAI) -> list[Recorded]:
    trace = run(tmp_path, clients + source, environment={"URL": url})
    _is_clean(trace)
    return trace.of("llm")


def _is_clean(trace: Trace) -> None:
    assert not trace.all("note")
    assert trace.all("counters")[-1]["errors"] == 0
    assert not trace.of("http"), "requests are part of the call"


def test_calls_of_openai(tmp_path: Path, http_url: str) -> None:
    operations = program(
        tmp_path,
        http_url,
        """\
client.chat.completions.create(model="gpt-4o", messages=asked("a"))
client.chat.completions.create(model="gpt-4o", messages=asked("b"))
client.chat.completions.create(model="gpt-4o", messages=asked("a"), user="somebody")
client.chat.completions.with_raw_response.create(model="gpt-4o", messages=asked("a")).parse()
client.responses.create(model="gpt-5", input="a")
client.embeddings.create(model="e", input=["a", "b", "c"])
client.embeddings.create(model="e", input="a")
client.embeddings.create(model="e", input=[1, 2, 3])
client.chat.completions.create(model="busy", messages=asked("a"), user="retries")
try:
    client.with_options(max_retries=1).chat.completions.create(model="full", messages=asked("a"))
except openai.RateLimitError:
    pass
""",
    )
    a, b, again, raw, response, embedded, single, tokens, busy, full = operations
    assert [each.line - _FIRST for each in operations] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 11]
    assert a.text == b.text == "chat.completions gpt-4o"
    assert a.params == again.params == raw.params != b.params
    assert a.tokens == raw.tokens == (11, 3, 0)
    assert (response.text, response.tokens) == ("responses gpt-5", (7, 2, 0))
    assert (embedded.text, embedded.batch, embedded.tokens) == ("embeddings e", 3, (15, 0, 0))
    assert single.batch == tokens.batch == 0
    assert (busy.outcome, busy.tokens) == (0, (11, 3, 0)), "two failures and a success are one operation"
    assert (full.outcome, full.tokens) == (1, (0, 0, 0))


def test_streams_end_when_they_are_read_or_closed(tmp_path: Path, http_url: str) -> None:
    operations = program(
        tmp_path,
        http_url,
        """\
import inspect
usage = {"include_usage": True}
for chunk in client.chat.completions.create(model="m", messages=asked("a"), stream=True, stream_options=usage):
    pass
with client.chat.completions.create(model="m", messages=asked("a"), stream=True) as stream:
    assert isinstance(stream, openai.Stream)
    next(stream)
for chunk in client.chat.completions.create(model="m", messages=asked("a"), stream=True):
    break
with client.chat.completions.stream(model="m", messages=asked("a")) as stream:
    assert [event.type for event in stream][0] == "chunk"
for event in client.responses.create(model="m", input="a", stream=True):
    pass
raw = client.chat.completions.with_raw_response
for chunk in raw.create(model="m", messages=asked("a"), stream=True, stream_options=usage).parse():
    pass
raw.create(model="m", messages=asked("a"), stream=True)
""",
    )
    operations.sort(key=lambda each: each.line)  # the dropped ones are recorded when they are collected
    whole, closed, dropped, helper, response, raw, unread = operations
    assert [each.line - _FIRST for each in operations] == [3, 5, 8, 10, 12, 15, 17]
    assert [each.outcome for each in operations] == [0] * 7
    assert raw.tokens == (11, 3, 0)
    assert raw.duration > 40e6 > unread.duration
    assert whole.tokens == (11, 3, 0)
    assert whole.duration > 40e6
    assert max(closed.duration, dropped.duration) < whole.duration
    assert dropped.tokens == helper.tokens == (0, 0, 0)
    assert response.tokens == (7, 2, 0)


def test_asynchronous_calls_and_streams(tmp_path: Path, http_url: str) -> None:
    operations = program(
        tmp_path,
        http_url,
        """\
async def read(stream):
    async for chunk in stream:
        pass

async def main():
    await asyncio.gather(*(aclient.chat.completions.create(model="m", messages=asked(text)) for text in "abc"))
    usage = {"include_usage": True}
    await read(await aclient.chat.completions.create(model="m", messages=asked("a"), stream=True, stream_options=usage))
    try:
        stream = await aclient.chat.completions.create(model="m", messages=asked("a"), stream=True)
        await asyncio.wait_for(read(stream), 0.015)
    except asyncio.TimeoutError:
        pass
    async with await aclient.chat.completions.create(model="m", messages=asked("a"), stream=True) as stream:
        await stream.__anext__()

asyncio.run(main())
""",
    )
    assert [each.line - _FIRST for each in operations[:3]] == [6, 6, 6]
    assert len({each.params for each in operations[:3]}) == 3
    assert {each.root for each in operations} == {"task main"}
    assert not any(each.on_loop for each in operations)
    whole, broken, closed = operations[3:]
    assert (whole.tokens, whole.outcome) == ((11, 3, 0), 0)
    assert whole.duration > 40e6
    assert (broken.outcome, broken.line - _FIRST) == (1, 10)
    assert closed.outcome == 0


def test_calls_of_anthropic(tmp_path: Path, http_url: str) -> None:
    operations = program(
        tmp_path,
        http_url,
        """\
client.messages.create(**asked)
with client.messages.stream(**asked) as stream:
    assert "".join(stream.text_stream) == "yesandno"
for event in client.messages.create(**asked, stream=True):
    pass

async def main():
    await aclient.messages.create(**asked)
    async with aclient.messages.stream(**asked) as stream:
        assert await stream.get_final_text() == "yesandno"

asyncio.run(main())
""",
        _ANTHROPIC,
    )
    assert {each.text for each in operations} == {"messages claude"}
    assert len({each.params for each in operations}) == 1
    assert [each.line - _FIRST for each in operations] == [1, 2, 4, 8, 9]
    assert [each.tokens[:2] for each in operations] == [(109, 4), (9, 6), (9, 6), (109, 4), (9, 6)]


def test_conversations_go_on(tmp_path: Path, http_url: str) -> None:
    operations = program(
        tmp_path,
        http_url,
        """\
from agentperf_runtime import root
messages = asked("a")
for turn in range(3):
    answer = client.chat.completions.create(model="m", messages=messages)
    messages += [answer.choices[0].message, *asked(f"more {turn}")]
with root("another"):
    client.chat.completions.create(model="m", messages=messages)
for item in range(3):
    client.chat.completions.create(model="m", messages=asked("common", str(item)))
""",
    )
    assert [each.tokens[2] for each in operations] == [0, 1, 1, 0, 0, 0, 0]


def test_only_the_first_call_goes_on_from_a_common_beginning() -> None:
    conversations = Conversations()
    system, one, two = ({"role": "user", "content": text} for text in ("system", "one", "two"))

    def continues(*messages: object, **body: object) -> bool:
        return conversations.continues(1, {"messages": list(messages), **body})

    assert not continues(system)
    assert continues(system, one)
    assert not continues(system, two)
    assert not continues(system, one), "the same again is no continuation"
    assert continues(system, one, two)
    assert not continues(system, one, two, one, system="another")
    assert not conversations.continues(2, {"messages": [system, one]})


def test_marks_of_a_cache_do_not_break_a_conversation() -> None:
    conversations = Conversations()
    cached = {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]}
    plain = {"role": "user", "content": [{"type": "text", "text": "a"}]}
    assert not conversations.continues(1, {"messages": [cached]})
    assert conversations.continues(1, {"messages": [plain, cached]})


def test_conversations_that_the_provider_keeps() -> None:
    conversations = Conversations()
    for body, expected in (
        ({"input": "a"}, False),
        ({"input": "b", "previous_response_id": "r1"}, True),
        ({"input": "c", "previous_response_id": "r1"}, False),
        ({"input": "d", "conversation": "c1"}, False),
        ({"input": "e", "conversation": "c1"}, True),
    ):
        assert conversations.continues(1, body) is expected


def test_what_is_remembered_is_bounded() -> None:
    conversations = Conversations()
    for root in range(2_000):
        conversations.continues(root, {"messages": [str(root)]})
    for message in range(2_000):
        conversations.continues(9_999, {"messages": [str(message)]})
    assert len(conversations._roots) <= 512
    assert len(conversations._roots[9_999]) <= 256
