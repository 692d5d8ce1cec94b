"""What the users of the shop do: `agentperf-lint load users:visit` calls it for each of their requests."""

import os
import urllib.request

BASE = os.environ["SHOP"]
PATHS = os.environ["SHOP_PATHS"].split()
APART = 5  # pages between two users, so that they are not in step


def visit(user: int, request: int) -> None:
    path = PATHS[(user * APART + request) % len(PATHS)]
    urllib.request.urlopen(BASE + path, timeout=30).read()
