"""Parts of the programs that tests run, and the roots that they leave."""

from __future__ import annotations

from runtime.recorded import Trace


def roots_of(trace: Trace, *wanted: str) -> list[tuple[str, str]]:
    """(kind and name, outcome) of the roots that ended, of the `wanted` kinds or of all but tasks."""
    return [
        (f"{kind} {end['name']}", end["outcome"])
        for kind, end in trace.ended_roots()
        if (kind in wanted if wanted else kind != "task")
    ]


CLIENT = '''
# How a server is asked for something from outside, untraced.
import http.client, subprocess, sys

def ask(port, *paths, connection="one"):
    """GET each path, over one connection or over one for each; returns the texts."""
    code = """
import http.client, sys
port, kind, paths = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
for path in paths:
    if kind == "each":
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path)
    print(connection.getresponse().read().decode())
"""
    command = [sys.executable, "-I", "-c", code, str(port), connection, *paths]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

def free_port():
    import socket
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]

def wait_for(port):
    import socket, time
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise SystemExit("no server on port %d" % port)
'''
