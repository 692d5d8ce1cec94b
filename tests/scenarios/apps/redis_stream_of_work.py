"""A consumer of a stream takes one message at a time; the producer could have sent them together."""

import os
import sqlite3

from redis import Redis

redis = Redis.from_url(os.environ["REDIS_URL"])
database = sqlite3.connect(":memory:")
database.execute("create table orders(id integer primary key, total int)")
for number in range(40):
    redis.xadd("scenario:orders", {"order": number})  # expect: n_plus_one 40
redis.xgroup_create("scenario:orders", "workers", "0")


def handle(fields):
    database.execute("insert into orders values (?, ?)", (int(fields[b"order"]), 1))


done = 0
while done < 40:
    for _, messages in redis.xreadgroup("workers", "one", {"scenario:orders": ">"}, count=1, block=100):
        for message, fields in messages:
            handle(fields)
            redis.xack("scenario:orders", "workers", message)
            done += 1
redis.delete("scenario:orders")
print("ok")
