from __future__ import annotations

from typing import TYPE_CHECKING

from agentperf_rules.base import Needs, Shape
from agentperf_rules.blocking.base import BlockingRule
from agentperf_rules.model import Confidence, Suspect

if TYPE_CHECKING:
    import libcst as cst


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

    def reads(self, suspect: Suspect) -> Needs:
        return "statement" if suspect.sink == _LOOK_UP and len(suspect.chain) == 1 else "place"

    def judge(self, suspect: Suspect, shape: Shape) -> Confidence | None:
        return None if shape.node is not None and _asks_nobody(shape.node) else suspect.confidence

    valid = (
        """\
import asyncio

async def address(host):
    return await asyncio.get_running_loop().getaddrinfo(host, None)
""",
        """\
import socket

async def parsed(host):
    return socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
""",
    )
    invalid = (
        """\
import socket

async def address(host):
    return socket.gethostbyname(host)  # expect
""",
    )


_LOOK_UP = "socket.getaddrinfo"


def _asks_nobody(node: cst.CSTNode) -> bool:
    """Whether a look-up is told that it is given numbers: only these are parsed then."""
    import libcst as cst  # loaded for suspects only

    from agentperf_rules.syntax import argument, last_name, walk

    flags = argument(node, 5, "flags") if isinstance(node, cst.Call) else None
    return flags is not None and any("NUMERIC" in last_name(part) for part in walk(flags))
