"""Many statements, but none of them again and again."""

import sqlite3

db = sqlite3.connect(":memory:")
tables = ["users", "orders", "items", "prices", "stock", "events", "tags", "notes", "files", "jobs", "roles", "logs"]
for table in tables:
    db.execute(f"create table {table}(id integer primary key)")
counts = {table: db.execute(f"select count(*) from {table}").fetchone()[0] for table in tables}
assert set(counts.values()) == {0}
print("ok")
