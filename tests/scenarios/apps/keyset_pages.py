"""Every page begins behind the last row of the one before."""

import sqlite3

db = sqlite3.connect(":memory:")
db.execute("create table log(id integer primary key, line text)")
db.executemany("insert into log values (?, ?)", [(n, f"line {n}") for n in range(1, 401)])


def pages():
    last = 0
    while True:
        rows = db.execute("select id, line from log where id > ? order by id limit 25", (last,)).fetchall()
        if not rows:
            return
        yield rows
        last = rows[-1][0]


assert sum(len(page) for page in pages()) == 400
print("ok")
