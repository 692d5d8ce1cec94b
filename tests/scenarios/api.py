"""The server that scenario applications talk to; prints its port."""

from __future__ import annotations

import asyncio
from collections import Counter

from aiohttp import web

seen: Counter[str] = Counter()


async def item(request: web.Request) -> web.Response:
    await asyncio.sleep(0.003)
    return web.json_response({"id": int(request.match_info["id"]), "price": 3})


async def configuration(request: web.Request) -> web.Response:
    return web.json_response({"limit": 1_000})


async def flaky(request: web.Request) -> web.Response:
    key = request.query["key"]
    seen[key] += 1
    if seen[key] <= int(request.query["fail"]):
        return web.Response(status=503)
    return web.json_response({"ok": True})


async def job(request: web.Request) -> web.Response:
    number = request.match_info["id"]
    seen[number] += 1
    return web.json_response({"state": "done" if seen[number] > 12 else "running"})


async def feed(request: web.Request) -> web.Response:
    cursor = int(request.query["cursor"])
    following = f"/feed?cursor={cursor + 10}" if cursor < 110 else None
    return web.json_response({"items": list(range(cursor, cursor + 10)), "next": following})


async def slow(request: web.Request) -> web.Response:
    await asyncio.sleep(int(request.query["ms"]) / 1_000)
    return web.json_response({"ok": True})


async def chat(request: web.Request) -> web.Response:
    body = await request.json()
    words = sum(len(str(message["content"]).split()) for message in body["messages"])
    message = {"role": "assistant", "content": f"{words} words"}
    return web.json_response(
        {
            "id": "c",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": words, "completion_tokens": 2, "total_tokens": words + 2},
        }
    )


async def main() -> None:
    app = web.Application()
    app.add_routes(
        [
            web.get(r"/items/{id:\d+}", item),
            web.get("/config", configuration),
            web.get("/flaky", flaky),
            web.get("/jobs/{id}", job),
            web.get("/feed", feed),
            web.get("/slow", slow),
            web.post("/v1/chat/completions", chat),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
