"""A script that waits for a job, with a helper between the loop and the query."""

import sqlite3
import time

db = sqlite3.connect(":memory:")
db.execute("create table job(id integer primary key, asked integer)")
db.execute("insert into job values (1, 0)")
looks = iter(range(1, 15))


def is_done(job):
    return next(looks) > 12 and db.execute("select asked from job where id = ?", (job,)).fetchone() is not None


def state(job):
    return db.execute("select id, asked from job where id = ?", (job,)).fetchone()


def wait(job, check):
    while not check(job):
        state(job)
        time.sleep(0.02)


wait(1, is_done)
print("ok")
