import sqlite3

db = sqlite3.connect(":memory:")
db.execute("create table page(id integer primary key, body text)")
db.executemany("insert into page values (?, ?)", [(n, "text") for n in range(30)])

cache = {}
for page in range(30):  # agentperf: ignore
    cache[page] = db.execute("select body from page where id = ?", (page,)).fetchone()
print("ok")
