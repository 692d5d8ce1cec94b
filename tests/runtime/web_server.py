"""A web server for the tests, a program of its own: prints the URL that it is reached under."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

Event = tuple[str, dict[str, Any]]

_PARTS = 5


class _Handler(BaseHTTPRequestHandler):
    """`/status/<code>`, `/redirect/<n>`, `/slow/<ms>`, `/parts` (five of them), `/broken` (half a body), `/flaky/<key>`
    (503 twice, then 200), the endpoints of language models, and anything else is an object.
    """

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    tries: ClassVar[Counter[str]] = Counter()

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        head, _, tail = self.path.strip("/").partition("?")[0].partition("/")
        if head == "status":
            self._answer(int(tail), {"status": tail})
        elif head == "redirect" and tail != "0":
            self._answer(302, {}, {"Location": f"/redirect/{int(tail) - 1}"})
        elif head == "slow":
            time.sleep(int(tail) / 1000)
            self._answer(200, {})
        elif head == "parts":
            self._parts(b"part" for _ in range(_PARTS))
        elif head == "broken":
            self._answer(200, {}, {"Content-Length": "1000"})
            self.close_connection = True
        elif head == "flaky":
            self.tries[tail] += 1
            self._answer(503 if self.tries[tail] < 3 else 200, {})
        else:
            self._answer(200, {"path": self.path})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        answer = _MODELS.get(path)
        if answer is None:
            self._answer(200, {"length": len(body)})
            return
        asked = json.loads(body)
        if asked["model"] == "busy":
            self.tries[asked["user"]] += 1
            if self.tries[asked["user"]] < 3:
                self._answer(429, {"error": {"message": "busy"}}, {"Retry-After": "0.01"})
                return
        if asked["model"] == "full":
            self._answer(429, {"error": {"message": "busy"}}, {"Retry-After": "0.01"})
            return
        if asked.get("stream"):
            named = path != "/v1/chat/completions"
            self._parts(_event(each, named) for each in answer[1](asked))
        else:
            self._answer(200, answer[0](asked))

    def _answer(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
        self.send_response(status)
        for name, content in headers.items():
            self.send_header(name, content)
        self.end_headers()
        self.wfile.write(body)

    def _parts(self, parts: Iterator[bytes]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for part in parts:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.flush()
                time.sleep(0.01)
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True  # the client has heard enough


def _event(event: Event | None, is_named: bool) -> bytes:
    if event is None:
        return b"data: [DONE]\n\n"
    name = f"event: {event[0]}\n" if is_named else ""
    return f"{name}data: {json.dumps(event[1])}\n\n".encode()


def _chat(asked: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": "yes"}
    return {
        "id": "c1", "object": "chat.completion", "created": 1, "model": asked["model"],
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14},
    }  # fmt: skip


def _chat_events(asked: dict[str, Any]) -> Iterator[Event | None]:
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": asked["model"]}
    for word in ("yes", "and", "no"):
        reason = "stop" if word == "no" else None
        yield "", {**chunk, "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": reason}]}
    if asked.get("stream_options", {}).get("include_usage"):
        usage = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
        yield "", {**chunk, "choices": [], "usage": usage}
    yield None


def _response(asked: dict[str, Any]) -> dict[str, Any]:
    part = {"type": "output_text", "text": "yes", "annotations": []}
    return {
        "id": "r1", "object": "response", "created_at": 1, "model": asked["model"], "status": "completed",
        "output": [{"id": "m1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}],
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
        "usage": {
            "input_tokens": 7, "output_tokens": 2, "total_tokens": 9,
            "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0},
        },
    }  # fmt: skip


def _response_events(asked: dict[str, Any]) -> Iterator[Event | None]:
    started = {**_response(asked), "output": [], "status": "in_progress", "usage": None}
    yield "response.created", {"type": "response.created", "sequence_number": 0, "response": started}
    done = {"type": "response.completed", "sequence_number": 1, "response": _response(asked)}
    yield "response.completed", done


def _embeddings(asked: dict[str, Any]) -> dict[str, Any]:
    texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    data = [{"object": "embedding", "index": index, "embedding": [0.5, 0.25]} for index in range(len(texts))]
    usage = {"prompt_tokens": 5 * len(texts), "total_tokens": 5 * len(texts)}
    return {"object": "list", "model": asked["model"], "data": data, "usage": usage}


def _message(asked: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "m1", "type": "message", "role": "assistant", "model": asked["model"],
        "content": [{"type": "text", "text": "yes"}], "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 4, "cache_read_input_tokens": 100},
    }  # fmt: skip


def _message_events(asked: dict[str, Any]) -> Iterator[Event | None]:
    message = {**_message(asked), "content": [], "stop_reason": None}
    message["usage"] = {"input_tokens": 9, "output_tokens": 1}
    yield "message_start", {"type": "message_start", "message": message}
    block = {"type": "text", "text": ""}
    yield "content_block_start", {"type": "content_block_start", "index": 0, "content_block": block}
    for word in ("yes", "and", "no"):
        delta = {"type": "text_delta", "text": word}
        yield "content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta}
    yield "content_block_stop", {"type": "content_block_stop", "index": 0}
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    yield "message_delta", {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 6}}
    yield "message_stop", {"type": "message_stop"}


_MODELS: dict[str, Any] = {
    "/v1/chat/completions": (_chat, _chat_events),
    "/v1/responses": (_response, _response_events),
    "/v1/embeddings": (_embeddings, None),
    "/v1/messages": (_message, _message_events),
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that goes away is what some tests are about


if __name__ == "__main__":
    with _Server(("127.0.0.1", 0), _Handler) as server:
        sys.stdout.write(f"http://127.0.0.1:{server.server_address[1]}\n")
        sys.stdout.flush()
        server.serve_forever()
