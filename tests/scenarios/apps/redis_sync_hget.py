import os

import redis

cache = redis.Redis.from_url(os.environ["REDIS_URL"])
cache.hset("profile:1", mapping={f"field {n}": n for n in range(40)})


def profile(fields):
    return {field: cache.hget("profile:1", field) for field in fields}  # expect: n_plus_one 40


assert len(profile([f"field {n}" for n in range(40)])) == 40
print("ok")
