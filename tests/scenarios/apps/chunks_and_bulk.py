"""Lists in chunks, many rows at once, COPY, and statements in a pipeline."""

import os
import sqlite3

import psycopg

db = sqlite3.connect(":memory:")
db.execute("create table t(id integer primary key)")
db.executemany("insert into t values (?)", [(n,) for n in range(1_000)])


def chunks(values, size):
    for start in range(0, len(values), size):
        yield values[start : start + size]


found = 0
for chunk in chunks(list(range(1_000)), 80):
    marks = ",".join("?" * len(chunk))
    found += len(db.execute(f"select id from t where id in ({marks})", chunk).fetchall())
assert found == 1_000

for chunk in chunks(list(range(1_000, 1_600)), 50):
    db.execute("insert into t values " + ",".join("(?)" for _ in chunk), chunk)

with psycopg.connect(os.environ["PG_DSN"], autocommit=True) as connection:
    connection.execute("create temp table c(n int)")
    with connection.cursor().copy("copy c from stdin") as copy:
        for number in range(500):
            copy.write_row((number,))
    with connection.pipeline():
        cursors = [connection.execute("select %s::int", (number,)) for number in range(20)]
    assert sum(cursor.fetchone()[0] for cursor in cursors) == 190
    with connection.cursor() as cursor:
        cursor.executemany("insert into c values (%s)", [(number,) for number in range(30)])
print("ok")
