from __future__ import annotations

from agentperf_rules.blocking.base import BlockingRule


class BlockingSocket(BlockingRule):
    """## What it does
    Finds synchronous sockets, DNS look-ups, SMTP, FTP and SSH in async functions.

    ## Why is this bad?
    Name resolution alone can take seconds when a server does not answer, and `recv` waits for as long as the peer is
    silent.

    ## Example
    ```python
    import socket

    async def address(host):
        return socket.gethostbyname(host)
    ```

    ## Use instead
    ```python
    import asyncio

    async def address(host):
        return await asyncio.get_running_loop().getaddrinfo(host, None)
    ```
    """

    code = "APL111"
    name = "blocking-socket-in-async"
    severity = "high"
    what = "blocking network call"

    valid = (
        """\
import asyncio

async def address(host):
    return await asyncio.get_running_loop().getaddrinfo(host, None)
""",
        """\
import socket

_NUMERIC_ONLY = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV

async def parsed(host):
    return socket.getaddrinfo(host, None, flags=_NUMERIC_ONLY)
""",
    )
    invalid = (
        """\
import socket

async def address(host):
    return socket.gethostbyname(host)  # expect
""",
    )
