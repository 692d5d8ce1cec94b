"""Clients of language models: openai and anthropic, whose base clients were made by one generator and are alike.

`request` of the base client is what every method comes to, with the retries below it. What a conversation adds to is
found by hashes of its messages; prompts are never kept.
"""

from __future__ import annotations

import json
import weakref
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from inspect import iscoroutinefunction
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.recorder import DONE, RAISED
from agentperf_runtime.sources.calls import Call, Pending, Result, begin, end, fail, raised
from agentperf_runtime.sources.fingerprint import fingerprint

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument

_ENDPOINTS = {
    "/chat/completions": "chat.completions",
    "/completions": "completions",
    "/responses": "responses",
    "/embeddings": "embeddings",
    "/v1/messages": "messages",
    "/v1/complete": "completions",
}
# What says how to answer, not what is asked; marks of where a provider's cache begins move along a conversation.
_NO_CONTENT = frozenset({"stream", "stream_options", "user", "metadata", "store", "cache_control", "safety_identifier"})
_MOST_ROOTS = 512
_MOST_CONVERSATIONS = 256


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `openai._base_client` or `anthropic._base_client`."""
    calls = _Calls(instrument)
    instrument.patches.replace(module.SyncAPIClient, "request", calls.request)
    instrument.patches.replace(module.AsyncAPIClient, "request", calls.async_request)
    for owner, make in ((module.Stream, _close), (module.AsyncStream, _async_close)):
        instrument.patches.replace(owner, "close", make)


class _Calls:
    """Wrappers of `request`, which share what is known of conversations."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._conversations = Conversations()

    def request(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def traced(client: Any, cast_to: Any, options: Any, **kwargs: Any) -> Any:
            pending = begin(self._instrument, "llm", _describe, (options,), {}, blocking=True)
            if pending is None:
                return original(client, cast_to, options, **kwargs)
            continues = self._continues(options)
            try:
                returned = original(client, cast_to, options, **kwargs)
            except BaseException as error:
                fail(self._instrument, pending, raised, error)
                raise
            self._end(pending, returned, continues, Chunks)
            return returned

        return traced

    def async_request(self, original: Callable[..., Any]) -> Callable[..., Any]:
        async def traced(client: Any, cast_to: Any, options: Any, **kwargs: Any) -> Any:
            pending = begin(self._instrument, "llm", _describe, (options,), {}, blocking=False)
            if pending is None:
                return await original(client, cast_to, options, **kwargs)
            continues = self._continues(options)
            try:
                returned = await original(client, cast_to, options, **kwargs)
            except BaseException as error:
                fail(self._instrument, pending, raised, error)
                raise
            self._end(pending, returned, continues, AsyncChunks)
            return returned

        return traced

    def _continues(self, options: Any) -> int:
        """1 when an earlier call of the same root is the beginning of this one."""
        try:
            root = self._instrument.scopes.current().root
            return int(self._conversations.continues(root.serial, options.json_data))
        except Exception:
            self._instrument.recorder.errors += 1
            return 0

    def _end(self, pending: Pending, returned: Any, continues: int, chunks: type[Chunks] | type[AsyncChunks]) -> None:
        def inspect(answer: Any) -> Result:
            return Result(tokens=(*tokens_of(answer), continues))

        def prolong(pending: Pending, answer: Any) -> bool:
            if hasattr(answer, "_iterator"):
                _read_through(answer, chunks, _Answer(pending, continues))
                return True
            if not _is_raw_stream(answer):
                return False
            answer.parse = _parsing(answer, chunks, _Answer(pending, continues))
            return True

        end(self._instrument, pending, inspect, returned, prolong)


def _read_through(stream: Any, chunks: type[Chunks] | type[AsyncChunks], answer: _Answer) -> None:
    """Streams are read through `_iterator`, by `for` as well as by `next`."""
    if not isinstance(stream._iterator, _Streamed):
        stream._iterator = chunks(stream._iterator, answer)


def _is_raw_stream(answer: Any) -> bool:
    """Whether it was asked for with `with_raw_response`, as frameworks do, and is yet to be read."""
    response = getattr(answer, "http_response", None)
    return response is not None and not response.is_closed and not iscoroutinefunction(answer.parse)


def _parsing(raw: Any, chunks: type[Chunks] | type[AsyncChunks], answer: _Answer) -> Callable[..., Any]:
    """`raw.parse`, which makes the stream."""
    original = raw.parse
    dropped = weakref.finalize(raw, answer.drop)

    def parse(*args: Any, **kwargs: Any) -> Any:
        parsed = original(*args, **kwargs)
        dropped.detach()
        if hasattr(parsed, "_iterator"):
            _read_through(parsed, chunks, answer)
        else:
            answer.end()
        return parsed

    return parse


def _describe(options: Any) -> Call | None:
    name = _ENDPOINTS.get(options.url.partition("?")[0])
    body = options.json_data
    if name is None or not isinstance(body, Mapping):
        return None
    batch = _inputs(body.get("input")) if name == "embeddings" else 0
    return Call(f"{name} {body.get('model', '')}", (fingerprint(body, _NO_CONTENT).value,), batch)


def _inputs(value: Any) -> int:
    """How many texts are embedded: a text may be given as the list of its tokens."""
    if not isinstance(value, (list, tuple)) or (value and isinstance(value[0], int)):
        return 0
    return len(value)


def tokens_of(answer: Any) -> tuple[int, int]:
    """Tokens that went in and came out, 0 where the answer does not tell."""
    usage = _field(answer, "usage")
    if usage is None:
        usage = _field(_field(answer, "response"), "usage") or _field(_field(answer, "message"), "usage")
    if usage is None and hasattr(answer, "http_response"):
        usage = _raw_usage(answer.http_response)
    inputs = _number(usage, "prompt_tokens") or _number(usage, "input_tokens")
    # Anthropic counts what was read from the cache or written to it apart.
    cached = _number(usage, "cache_read_input_tokens") + _number(usage, "cache_creation_input_tokens")
    return inputs + cached, _number(usage, "completion_tokens") or _number(usage, "output_tokens")


def _raw_usage(response: Any) -> Any:
    """The usage in a response that the application asked to be given unparsed."""
    if not response.is_closed or not hasattr(response, "_content"):
        return None
    try:
        answer = json.loads(response.content)
    except ValueError:
        return None
    return answer.get("usage") if isinstance(answer, dict) else None


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _number(usage: Any, name: str) -> int:
    value = _field(usage, name)
    return value if isinstance(value, int) else 0


class _Answer:
    """An answer that comes in chunks. Usage is told by one of them, or by several."""

    def __init__(self, pending: Pending, continues: int) -> None:
        self._pending = pending
        self._continues = continues
        self._inputs = self._outputs = 0

    def note(self, chunk: Any) -> None:
        """Take notice of a chunk."""
        self._pending.goes_on()
        try:
            inputs, outputs = tokens_of(chunk)
        except Exception:
            return  # tokens are not worth an answer
        self._inputs = inputs or self._inputs
        self._outputs = outputs or self._outputs

    def end(self, outcome: int = DONE) -> None:
        """It ends now."""
        self._pending.record(self._result(outcome))

    def drop(self) -> None:
        """The rest will not be read."""
        self._pending.drop(self._result(DONE))

    def _result(self, outcome: int) -> Result:
        return Result(outcome=outcome, tokens=(self._inputs, self._outputs, self._continues))


class _Streamed:
    """Stands for the iterator of a stream: the operation ends with the last chunk."""

    def __init__(self, chunks: Any, answer: _Answer) -> None:
        self._chunks = chunks
        self.answer = answer
        weakref.finalize(self, answer.drop)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_chunks":
            raise AttributeError(name)
        return getattr(self._chunks, name)


class Chunks(_Streamed):
    """Of a synchronous stream."""

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            chunk = next(self._chunks)
        except StopIteration:
            self.answer.end()
            raise
        except BaseException:
            self.answer.end(RAISED)
            raise
        self.answer.note(chunk)
        return chunk


class AsyncChunks(_Streamed):
    """Of an asynchronous stream."""

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            chunk = await self._chunks.__anext__()
        except StopAsyncIteration:
            self.answer.end()
            raise
        except BaseException:
            self.answer.end(RAISED)
            raise
        self.answer.note(chunk)
        return chunk


def _close(original: Callable[..., Any]) -> Callable[..., Any]:
    def close(stream: Any) -> Any:
        try:
            return original(stream)
        finally:
            _finish(stream)

    return close


def _async_close(original: Callable[..., Any]) -> Callable[..., Any]:
    async def close(stream: Any) -> Any:
        try:
            return await original(stream)
        finally:
            _finish(stream)

    return close


def _finish(stream: Any) -> None:
    chunks = vars(stream).get("_iterator")
    if isinstance(chunks, _Streamed):
        chunks.answer.end()


class Conversations:
    """Which calls of a root are the beginning of later ones: hashes of all that was sent, bounded in number.

    A call goes on from one earlier call. What several calls begin with is not a conversation but a common prompt, so
    only the first of them goes on from it.
    """

    def __init__(self) -> None:
        self._roots: OrderedDict[int, OrderedDict[int, None]] = OrderedDict()

    def continues(self, root: int, body: Mapping[str, Any]) -> bool:
        """Whether `body` goes on from an earlier call of the root numbered `root`; it is remembered."""
        seen = self._seen(root)
        if body.get("conversation"):
            return not _added(seen, fingerprint(body["conversation"]).value)
        if body.get("previous_response_id"):
            return _added(seen, fingerprint(body["previous_response_id"]).value)
        messages = body.get("messages") or body.get("input")
        if not isinstance(messages, (list, tuple)):
            return False
        prefixes = _prefixes(messages, _field(body, "system"), _field(body, "instructions"))
        found = next((prefix for prefix in reversed(prefixes[:-1]) if prefix in seen), None)
        if found is not None:
            del seen[found]
        if prefixes:
            _added(seen, prefixes[-1])
        return found is not None

    def _seen(self, root: int) -> OrderedDict[int, None]:
        seen = self._roots.setdefault(root, OrderedDict())
        if len(self._roots) > _MOST_ROOTS:
            self._roots.popitem(last=False)
        return seen


def _prefixes(messages: Any, *context: Any) -> list[int]:
    """A hash for each beginning of a conversation, the whole one last."""
    hashes = []
    so_far = fingerprint(context, _NO_CONTENT).value
    for message in messages:
        so_far = hash((so_far, fingerprint(message, _NO_CONTENT).value))
        hashes.append(so_far)
    return hashes


def _added(seen: OrderedDict[int, None], value: int) -> bool:
    if value in seen:
        return False
    seen[value] = None
    if len(seen) > _MOST_CONVERSATIONS:
        seen.popitem(last=False)
    return True
