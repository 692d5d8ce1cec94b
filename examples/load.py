"""Serves the shop and asks it for everything, for some seconds: `python load.py SECONDS`.

The services and the users are processes of their own, so that only the shop is traced.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
USERS = """
import sys, threading, time, urllib.request
base, seconds, paths = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
end, counts = time.monotonic() + seconds, []

def use(number):
    # Everything once, then again and again until the time is over.
    count, mine = 0, paths[number:] + paths[:number]
    while count < len(mine) or time.monotonic() < end:
        urllib.request.urlopen(base + mine[count % len(mine)], timeout=30).read()
        count += 1
    counts.append(count)

users = [threading.Thread(target=use, args=(number * 5,)) for number in range(3)]
[user.start() for user in users]
[user.join() for user in users]
print(sum(counts))
"""


def prepare(directory: Path, services: str) -> None:
    """The shop's environment: a new database, and settings that have grown over the years."""
    settings = directory / "settings.json"
    numbers = random.Random(1)
    old = {f"setting {number}": f"{numbers.getrandbits(240):x}" for number in range(150_000)}
    settings.write_text(json.dumps({"name": "The Shop", **old}), encoding="utf-8")
    os.environ["SHOP_SERVICES"] = services
    os.environ["SHOP_DATABASE"] = f"sqlite+aiosqlite:///{directory}/shop.db"
    os.environ["SHOP_SETTINGS"] = str(settings)


def server_of_the_shop():
    import uvicorn
    from shop.app import app

    configuration = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning")
    configuration.load()  # imports what serving needs, before the loop runs
    return uvicorn.Server(configuration), app


async def serve(server, app, seconds: float) -> None:
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    paths = [route.path.format(**dict.fromkeys(route.param_convertors, 1)) for route in app.routes]
    paths = [path for path in paths if path.startswith(("/slow", "/fine"))]
    command = [sys.executable, "-I", "-c", USERS, f"http://127.0.0.1:{port}", str(seconds), *paths]
    users = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    output, _ = await users.communicate()
    server.should_exit = True
    await serving
    if users.returncode:
        sys.exit("the shop did not answer")
    print(f"{int(output)} requests to {len(paths)} endpoints")


def main() -> None:
    sys.path.insert(0, str(HERE))
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-I", str(HERE / "services.py")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as services:
            try:
                prepare(Path(directory), f"http://127.0.0.1:{services.stdout.readline().strip()}")
                asyncio.run(serve(*server_of_the_shop(), float(sys.argv[1])))
            finally:
                services.terminate()


main()
