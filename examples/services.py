"""What the shop talks to: a payment provider, a supplier and a language model, on one port. Standard library only."""

import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

tries: Counter[str] = Counter()
lock = threading.Lock()


class Services(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path.startswith("/payments/"):
            time.sleep(0.08)
            self.answer({"status": "paid"})
        elif url.path == "/prices":
            self.answer({product: 3 for product in parse_qs(url.query)["ids"][0].split(",")})
        else:
            time.sleep(0.003)
            self.answer({"price": 3})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        if self.path.startswith("/reservations/"):
            with lock:
                tries[self.path] += 1
                is_busy = tries[self.path] % 9 != 0
            self.answer({}, 503 if is_busy else 200)
            return
        time.sleep(0.02)
        words = sum(len(message["content"].split()) for message in body["messages"])
        message = {"role": "assistant", "content": f"I have read {words} words."}
        self.answer(
            {
                "id": "1", "object": "chat.completion", "created": 1, "model": body["model"],
                "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                "usage": {"prompt_tokens": words, "completion_tokens": 5, "total_tokens": words + 5},
            }
        )  # fmt: skip

    def answer(self, value: object, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Services)
print(server.server_port, flush=True)
server.serve_forever()
