"""A balance is read again because it was changed in between."""

import sqlite3

db = sqlite3.connect(":memory:")
db.execute("create table account(id integer primary key, balance integer)")
db.execute("insert into account values (1, 0)")


def balance():
    return db.execute("select balance from account where id = ?", (1,)).fetchone()[0]


def deposit():
    db.execute("update account set balance = balance + 1 where id = ?", (1,))


seen = []
for _ in range(12):
    deposit()
    seen.append(balance())
assert seen[-1] == 12
print("ok")
