"""A server that takes a known time to answer: `/wait/<ms>`. Run as `load_server.py PORT`, by `benchmarks.load`."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvicorn


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    await asyncio.sleep(int(scope["path"].rpartition("/")[2]) / 1000)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


if __name__ == "__main__":
    uvicorn.run(
        application, host="127.0.0.1", port=int(sys.argv[1]), lifespan="off", log_level="error", access_log=False
    )
