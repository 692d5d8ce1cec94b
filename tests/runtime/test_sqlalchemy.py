"""SQLAlchemy on SQLite and PostgreSQL, synchronous and asynchronous."""

from __future__ import annotations

from pathlib import Path

import pytest
from runtime.recorded import Trace, run

MODELS = """\
from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import AsyncAttrs
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(AsyncAttrs, DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list["Book"]] = relationship(back_populates="author")


class Book(Base):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author] = relationship(back_populates="books")
"""

SYNCHRONOUS = """\
import sys
from concurrent.futures import ThreadPoolExecutor
from models import Author, Base, Book
from sqlalchemy import create_engine, insert, select, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session, selectinload

engine = create_engine(sys.argv[1], echo=False, pool_pre_ping=True)
Base.metadata.drop_all(engine)
Base.metadata.create_all(engine)
with Session(engine) as session:
    session.add_all([Author(name=str(n)) for n in range(30)])
    session.commit()
    ids = list(session.scalars(select(Author.id)))
    session.execute(insert(Book), [{"title": str(n), "author_id": ids[n]} for n in range(30)])
    session.commit()

with Session(engine) as session:
    for book in session.scalars(select(Book).limit(3)):
        book.author.name

with Session(engine) as session:
    authors = session.scalars(select(Author).options(selectinload(Author.books))).all()
    assert len(authors[0].books) == 1
    session.expunge_all()
    for author in session.scalars(select(Author).limit(2)):
        author.books
        session.expire(author)
        author.books
        author.name

def count(number):
    with engine.connect() as connection:
        return connection.execute(text("select count(*) from book where id > :number"), {"number": number}).scalar()

with ThreadPoolExecutor(2) as executor:
    list(executor.map(count, range(4)))
try:
    with engine.connect() as connection:
        connection.execute(text("select nothing from nowhere"))
except DatabaseError:
    pass
engine.dispose()
"""


def urls(postgres: str) -> dict[str, str]:
    return {
        "sqlite": "sqlite:///app.db",
        "psycopg": postgres.replace("postgresql:", "postgresql+psycopg:"),
        "psycopg2": postgres.replace("postgresql:", "postgresql+psycopg2:"),
        "aiosqlite": "sqlite+aiosqlite:///app.db",
        "asyncpg": postgres.replace("postgresql:", "postgresql+asyncpg:"),
        "psycopg_async": postgres.replace("postgresql:", "postgresql+psycopg_async:"),
    }


def shown(trace: Trace, start: int) -> list[tuple[int, str, int, int]]:
    """Line, first word, batch and outcome of what was executed from line `start` on, which makes the tables."""
    found = [(each.line, each.text.partition(" ")[0], each.batch, each.outcome) for each in trace.of("sql")]
    return [each for each in found if each[1] not in ("CREATE", "DROP") or each[0] > start]


def relations(trace: Trace) -> set[tuple[int, str]]:
    return {(each["frames"][0][1], each["relation"]) for each in trace.all("stack") if each["relation"]}


@pytest.mark.parametrize("driver", ["sqlite", "psycopg", "psycopg2"])
def test_synchronous(tmp_path: Path, postgres: str, driver: str) -> None:
    (tmp_path / "models.py").write_text(MODELS)
    trace = run(tmp_path, SYNCHRONOUS, urls(postgres)[driver])
    assert shown(trace, 10) == [
        (13, "INSERT", 30, 0),
        (14, "SELECT", 0, 0),
        (15, "INSERT", 30, 0),
        (19, "SELECT", 0, 0),
        *[(20, "SELECT", 0, 0)] * 3,
        (23, "SELECT", 0, 0),
        (23, "SELECT", 30, 0),
        (26, "SELECT", 0, 0),
        *[(27, "SELECT", 0, 0), (29, "SELECT", 0, 0), (29, "SELECT", 0, 0)] * 2,
        *[(34, "select", 0, 0)] * 4,
        (40, "select", 0, 1),
    ]
    assert relations(trace) == {(20, "Book.author"), (27, "Author.books"), (29, "Author.books")}
    lazy = [each for each in trace.of("sql") if each.line == 20]
    assert len({each.params for each in lazy}) == 3
    threads = [each["frames"] for each in trace.all("stack") if each["frames"][0][1] == 34]
    assert [line for _, line, _ in threads[0]] == [34, 37]
    assert trace.all("counters")[-1]["errors"] == 0


ASYNCHRONOUS = """\
import asyncio, sys
from models import Author, Base, Book
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import selectinload

def work(session):
    for book in session.scalars(select(Book).limit(3)):
        book.author.name

async def one(engine, number):
    async with engine.connect() as connection:
        await connection.execute(text("select :number + 1"), {"number": number})

async def main():
    engine = create_async_engine(sys.argv[1], pool_pre_ping=True)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        session.add_all([Author(id=n, name=str(n)) for n in range(30)])
        await session.flush()
        await session.execute(insert(Book), [{"id": n, "title": str(n), "author_id": n} for n in range(30)])
        await session.commit()
    async with AsyncSession(engine) as session:
        await session.run_sync(work)
    async with AsyncSession(engine) as session:
        for book in await session.scalars(select(Book).limit(3)):
            await book.awaitable_attrs.author
    async with AsyncSession(engine) as session:
        await session.scalars(select(Author).options(selectinload(Author.books)))
        async for row in await session.stream(select(Author.id)):
            pass
    await asyncio.gather(one(engine, 1), one(engine, 2))
    async with engine.connect() as connection:
        try:
            await connection.execute(text("select nothing from nowhere"))
        except DatabaseError:
            pass
    await engine.dispose()

asyncio.run(main())
"""


@pytest.mark.parametrize("driver", ["aiosqlite", "asyncpg", "psycopg_async"])
def test_asynchronous(tmp_path: Path, postgres: str, driver: str) -> None:
    (tmp_path / "models.py").write_text(MODELS)
    trace = run(tmp_path, ASYNCHRONOUS, urls(postgres)[driver])
    assert shown(trace, 20) == [
        (23, "INSERT", 30, 0),
        (24, "INSERT", 30, 0),
        (9, "SELECT", 0, 0),
        *[(10, "SELECT", 0, 0)] * 3,
        (29, "SELECT", 0, 0),
        *[(30, "SELECT", 0, 0)] * 3,
        (32, "SELECT", 0, 0),
        (32, "SELECT", 30, 0),
        (33, "SELECT", 0, 0),
        (14, "select", 0, 0),
        (14, "select", 0, 0),
        (38, "select", 0, 1),
    ]
    assert relations(trace) == {(10, "Book.author"), (30, "Book.author")}
    assert not any(each.on_loop for each in trace.of("sql"))
    assert {each.root for each in trace.of("sql")} == {"task main"}
    children = [each for each in trace.of("sql") if each.line == 14]
    assert len({each.task for each in children}) == len({each.params for each in children}) == 2
    helper = next(each["frames"] for each in trace.all("stack") if each["frames"][0][1] == 10)
    assert [(line, function) for _, line, function in helper] == [(10, "work"), (27, "main"), (43, "<module>")]
    assert trace.all("counters")[-1]["errors"] == 0
