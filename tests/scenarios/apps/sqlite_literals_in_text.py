"""The values are formatted into the statement, so that no two texts are the same."""

import sqlite3

db = sqlite3.connect(":memory:")
db.execute("create table node(id integer primary key, parent integer)")
db.executemany("insert into node values (?, ?)", [(n, n // 2) for n in range(1, 64)])


def path(node):
    found = []
    while node:
        (node,) = db.execute(f"select parent from node where id = {node}").fetchone()
        found.append(node)
    return found


def depths(nodes):
    return [(node, db.execute(f"select count(*) from node where parent = {node}").fetchone()[0]) for node in nodes]  # expect: n_plus_one 30


assert len(depths(range(1, 31))) == 30
assert path(63) == [31, 15, 7, 3, 1, 0]
print("ok")
