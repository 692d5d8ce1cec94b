from __future__ import annotations

from agentperf_rules.loops.base import LoopRule


class InsertInLoop(LoopRule):
    """## What it does
    Finds inserts, updates and deletes that a loop sends once per row, directly or through helpers.

    ## Why is this bad?
    Every row pays a round trip, and often a commit. Databases take thousands of rows in the same time.

    ## Example
    ```python
    for row in rows:
        cursor.execute("INSERT INTO item VALUES (?, ?)", row)
    ```

    ## Use instead
    ```python
    cursor.executemany("INSERT INTO item VALUES (?, ?)", rows)
    ```
    """

    code = "APL207"
    name = "insert-in-loop"
    severity = "medium"
    what = "database write"
    batch = "write all rows at once: executemany, COPY, bulk_create or insert().values([...])"

    valid = (
        """\
import sqlite3

def save(cursor: sqlite3.Cursor, rows):
    cursor.executemany("INSERT INTO item VALUES (?, ?)", rows)

def prepare(cursor: sqlite3.Cursor):
    for statement in ("CREATE TABLE item (id)", "CREATE INDEX item_id ON item (id)"):
        cursor.execute(statement)
""",
    )
    invalid = (
        """\
import sqlite3

def save(cursor: sqlite3.Cursor, rows):
    for row in rows:
        cursor.execute("INSERT INTO item VALUES (?, ?)", row)  # expect
    for id, name in rows:
        statement = f"update item set name = ? where id = {id}"
        cursor.execute(statement, (name,))  # expect
""",
        """\
from sqlalchemy import insert, text
from sqlalchemy.orm import Session
from app.models import User

def save(session: Session, names):
    for name in names:
        session.execute(insert(User).values(name=name))  # expect
        session.execute(text("delete from old where name = :name"), {"name": name})  # expect
""",
        """\
from django.db import models

class Book(models.Model):
    title = models.CharField(max_length=99)

def save(titles):
    for title in titles:
        Book.objects.create(title=title)  # expect
""",
    )
