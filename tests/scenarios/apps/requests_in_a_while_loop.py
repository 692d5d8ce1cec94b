import os
from collections import deque

import requests

queue = deque(range(14))
with requests.Session() as session:
    while queue:
        item = queue.popleft()
        reply = session.get(f"{os.environ['API_URL']}/items/{item}", timeout=5)  # expect: n_plus_one 14
        assert reply.json()["id"] == item
print("ok")
