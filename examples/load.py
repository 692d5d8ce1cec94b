"""Serves the shop under a profiler, and has users ask it for everything: `python load.py ROUNDS`.

The services and the users are processes of their own, so that only the shop is traced. What was profiled is in
`shop.profile` afterwards, what the users measured in `shop.load`.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from agentperf_runtime import PerformanceProfiler

HERE = Path(__file__).resolve().parent
USERS = 3


def prepare(directory: Path, services: str) -> None:
    """The shop's environment: a new database, and settings that have grown over the years."""
    settings = directory / "settings.json"
    numbers = random.Random(1)
    old = {f"setting {number}": f"{numbers.getrandbits(240):x}" for number in range(150_000)}
    settings.write_text(json.dumps({"name": "The Shop", **old}), encoding="utf-8")
    os.environ["SHOP_SERVICES"] = services
    os.environ["SHOP_DATABASE"] = f"sqlite+aiosqlite:///{directory}/shop.db"
    os.environ["SHOP_SETTINGS"] = str(settings)


def profiled(app, profiler):
    """`app` with each of its requests as an operation of the profiler."""

    async def call(scope, receive, send):
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        async with profiler.profile_operation("shop", scope["path"]):
            await app(scope, receive, send)

    return call


def server_of_the_shop(profiler):
    import uvicorn
    from shop.app import app

    configuration = uvicorn.Config(profiled(app, profiler), host="127.0.0.1", port=0, log_level="warning")
    configuration.load()  # imports what serving needs, before the loop runs
    return uvicorn.Server(configuration), app


async def serve(server, app, rounds: int) -> None:
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    paths = [route.path.format(**dict.fromkeys(route.param_convertors, 1)) for route in app.routes]
    paths = [path for path in paths if path.startswith(("/slow", "/fine"))]
    command = [sys.executable, "-m", "agentperf_lint", "load", "users:visit", "--isolated"]
    options = ["--users", str(USERS), "--requests", str(rounds * len(paths)), "-o", os.path.abspath("shop.load")]
    environment = {**os.environ, "SHOP": f"http://127.0.0.1:{port}", "SHOP_PATHS": " ".join(paths)}
    environment["AGENTPERF_TRACE"] = "0"
    users = await asyncio.create_subprocess_exec(*command, *options, cwd=HERE, env=environment)
    failed = await users.wait()
    server.should_exit = True
    await serving
    if failed:
        sys.exit("the shop did not answer")


def main() -> None:
    sys.path.insert(0, str(HERE))
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-I", str(HERE / "services.py")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as services:
            try:
                prepare(Path(directory), f"http://127.0.0.1:{services.stdout.readline().strip()}")
                profiler = PerformanceProfiler()
                asyncio.run(serve(*server_of_the_shop(profiler), int(sys.argv[1])))
                profiler.save("shop.profile")
            finally:
                services.terminate()


main()
