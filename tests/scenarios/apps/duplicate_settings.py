"""The same settings are read again by every part of one page."""

import sqlite3

db = sqlite3.connect(":memory:")
db.execute("create table setting(name text primary key, value text)")
db.execute("insert into setting values ('theme', 'dark')")


def theme():
    return db.execute("select value from setting where name = ?", ("theme",)).fetchone()[0]  # expect: duplicate 10


def page():
    parts = []
    for part in ("head", "menu", "title", "text", "aside", "notes", "links", "legal", "foot", "end"):
        parts.append(f"<{part} class={theme()}>")
    return parts


assert len(page()) == 10
print("ok")
