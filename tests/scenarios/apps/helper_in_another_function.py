"""A repository's method, called in a loop two functions up."""

import sqlite3

db = sqlite3.connect(":memory:")
db.execute("create table author(id integer primary key, name text)")
db.executemany("insert into author values (?, ?)", [(n, f"author {n}") for n in range(40)])


class Authors:
    def get(self, author):
        return db.execute("select name from author where id = ?", (author,)).fetchone()[0]  # expect: n_plus_one 40


def label(authors, author):
    return f"by {authors.get(author)}"


def render(authors):
    lines = []
    for author in range(40):
        lines.append(label(authors, author))
    return lines


assert len(render(Authors())) == 40
print("ok")
