"""Chunks of a file, notes of migrations, and questions that are asked until the answer is right."""

import io
import os
import sqlite3
from pathlib import Path

import requests

session = requests.Session()
connection = sqlite3.connect("app.db")
Path("migrations").mkdir()
for number in range(1, 11):
    Path(f"migrations/{number:03}.sql").write_text(f"create table t{number}(id int);")


def migrate():
    connection.execute("create table schema_migrations(version text primary key)")
    for path in sorted(Path("migrations").glob("*.sql")):
        if connection.execute("select 1 from schema_migrations where version = ?", (path.stem,)).fetchone():
            continue
        connection.executescript(path.read_text())
        connection.execute("insert into schema_migrations values (?)", (path.stem,))


def store(source, size=4096):
    part = 0
    while chunk := source.read(size):
        part += 1
        connection.execute("insert into parts values (?, ?)", (part, chunk))
    return part


def finished(name):
    for attempt in range(30):
        answer = session.get(f"{os.environ['API_URL']}/jobs/{name}").json()
        if answer["state"] == "done":
            return attempt


migrate()
connection.execute("create table parts(number int, content blob)")
assert store(io.BytesIO(b"x" * 60_000)) == 15
assert finished("export") == 12
print("ok")
