"""Tortoise, peewee, databases and aiosqlite: recorded through their drivers, at the application's line."""

from __future__ import annotations

from pathlib import Path

import pytest
from runtime.recorded import Trace, run


def shown(trace: Trace) -> list[tuple[int, str, int, int]]:
    return [(each.line, each.text.partition(" ")[0], each.batch, each.outcome) for each in trace.of("sql")]


def relations(trace: Trace) -> set[tuple[int, str]]:
    return {(each["frames"][0][1], each["relation"]) for each in trace.all("stack") if each["relation"]}


TORTOISE = """\
import asyncio, sys
from tortoise import Tortoise, fields
from tortoise.models import Model
from tortoise.transactions import in_transaction

class Tournament(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(max_length=50)
    events: fields.ReverseRelation["Event"]

class Event(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(max_length=50)
    tournament = fields.ForeignKeyField("models.Tournament", related_name="events")

async def main():
    await Tortoise.init(db_url=sys.argv[1], modules={"models": ["__main__"]})
    await Tortoise.generate_schemas()
    await Tournament.bulk_create([Tournament(name=str(n)) for n in range(3)])
    first = await Tournament.create(name="x")
    await Event.bulk_create([Event(name="e", tournament_id=first.id) for n in range(6)])
    async for tournament in Tournament.all():
        await tournament.fetch_related("events")
    for event in await Event.all().limit(2):
        await event.tournament
    await Tournament.all().prefetch_related("events")
    for tournament in await Tournament.all().limit(2):
        async for event in tournament.events:
            pass
    async with in_transaction():
        await Event.filter(id=0).update(name="y")
    await asyncio.gather(*(Tournament.get_or_none(id=n) for n in range(3)))
    await Tortoise.close_connections()

asyncio.run(main())
"""


@pytest.mark.parametrize("database", ["sqlite", "asyncpg"])
def test_tortoise(tmp_path: Path, postgres: str, database: str) -> None:
    url = postgres.replace("postgresql:", "asyncpg:") if database == "asyncpg" else "sqlite://app.db"
    trace = run(tmp_path, TORTOISE, url)
    queries = [each for each in shown(trace) if each[0] > 18 and each[1] not in ("BEGIN", "COMMIT")]
    assert queries == [
        (19, "INSERT", 3, 0),
        (20, "INSERT", 0, 0),
        (21, "INSERT", 6, 0),
        (22, "SELECT", 0, 0),
        *[(23, "SELECT", 0, 0)] * 4,
        (24, "SELECT", 0, 0),
        *[(25, "SELECT", 0, 0)] * 2,
        (26, "SELECT", 0, 0),
        (26, "SELECT", 4, 0),
        (27, "SELECT", 0, 0),
        *[(28, "SELECT", 0, 0)] * 2,
        (31, "UPDATE", 0, 0),
        *[(32, "SELECT", 0, 0)] * 3,
    ]
    assert relations(trace) == {(23, "Tournament.events"), (26, "Tournament.events")}
    assert {each.root for each in trace.of("sql")} == {"task main"}
    assert not any(each.on_loop for each in trace.of("sql"))
    assert len({each.task for each in trace.of("sql") if each.line == 32}) == 3


PEEWEE = """\
import sys
from urllib.parse import urlsplit
from peewee import CharField, ForeignKeyField, Model, PostgresqlDatabase, SqliteDatabase

if sys.argv[1] == "sqlite":
    database = SqliteDatabase(":memory:")
else:
    url = urlsplit(sys.argv[1])
    database = PostgresqlDatabase(url.path[1:], user="postgres", host=url.query.partition("=")[2])

class Base(Model):
    class Meta:
        database = database

class Author(Base):
    name = CharField()

class Book(Base):
    title = CharField()
    author = ForeignKeyField(Author, backref="books")

database.create_tables([Author, Book])
with database.atomic():
    Author.insert_many([{"name": str(n)} for n in range(5)]).execute()
for author in Author.select():
    Book.create(title="t", author=author)
for book in Book.select().limit(3):
    book.author.name
for author in Author.select().limit(2):
    list(author.books)
with database.atomic(), database.atomic():
    Author.get_by_id(1)
try:
    database.execute_sql("select nothing from nowhere")
except Exception:
    pass
"""


@pytest.mark.parametrize("database_name", ["sqlite", "postgres"])
def test_peewee(tmp_path: Path, postgres: str, database_name: str) -> None:
    trace = run(tmp_path, PEEWEE, "sqlite" if database_name == "sqlite" else postgres)
    transaction = [(31, "BEGIN"), (31, "SAVEPOINT"), (32, "SELECT"), (31, "RELEASE"), (31, "COMMIT")]
    assert shown(trace)[3:] == [
        (23, "BEGIN", 0, 0),
        (24, "INSERT", 5, 0),
        (23, "COMMIT", 0, 0),
        (25, "SELECT", 0, 0),
        *[(26, "INSERT", 0, 0)] * 5,
        (27, "SELECT", 0, 0),
        *[(28, "SELECT", 0, 0)] * 3,
        (29, "SELECT", 0, 0),
        *[(30, "SELECT", 0, 0)] * 2,
        *[(line, verb, 0, 0) for line, verb in transaction],
        (34, "select", 0, 1),
    ]
    assert relations(trace) == {(28, "Book.author")}
    assert len({each.params for each in trace.of("sql") if each.line == 28}) == 3


PEEWEE_ASYNC = """\
import asyncio, sys
from peewee import CharField, Model
from playhouse.pwasyncio import AsyncSqliteDatabase

database = AsyncSqliteDatabase("app.db")

class Author(Model):
    name = CharField()

    class Meta:
        database = database

def work():
    for number in range(3):
        Author.select().where(Author.id == number).first()

async def main():
    async with database:
        await database.acreate_tables([Author])
        await database.run(work)
        await Author.select().where(Author.id == 5).aexecute()
        await database.aexecute_sql("select 1")
    await database.close_pool()

asyncio.run(main())
"""


def test_peewee_on_greenlets(tmp_path: Path) -> None:
    trace = run(tmp_path, PEEWEE_ASYNC)
    assert shown(trace) == [
        (19, "CREATE", 0, 0),
        *[(15, "SELECT", 0, 0)] * 3,
        (21, "SELECT", 0, 0),
        (22, "select", 0, 0),
    ]
    assert [each.function for each in trace.of("sql")][1:4] == ["work"] * 3
    assert len({each.params for each in trace.of("sql")[1:4]}) == 3
    assert not any(each.on_loop for each in trace.of("sql"))


DATABASES = """\
import asyncio, sys
from databases import Database

async def main():
    async with Database(sys.argv[1]) as database:
        await database.execute("create table t (a int)")
        await database.execute_many("insert into t values (:a)", [{"a": 1}, {"a": 2}])
        for number in range(3):
            await database.fetch_one("select a from t where a = :a", {"a": number})
        async with database.transaction():
            await database.fetch_all("select a from t")
        async for row in database.iterate("select a from t where a > 0"):
            pass

asyncio.run(main())
"""


@pytest.mark.parametrize("driver", ["sqlite", "asyncpg"])
def test_databases(tmp_path: Path, postgres: str, driver: str) -> None:
    url = "sqlite+aiosqlite:///app.db" if driver == "sqlite" else postgres.replace("postgresql:", "postgresql+asyncpg:")
    trace = run(tmp_path, DATABASES, url)
    assert [each for each in shown(trace) if each[1] not in ("BEGIN", "COMMIT")] == [
        (6, "create", 0, 0),
        (7, "insert", 2, 0),
        *[(9, "select", 0, 0)] * 3,
        (11, "select", 0, 0),
        (12, "select", 0, 0),
    ]
    assert len({each.params for each in trace.of("sql") if each.line == 9}) == 3


def test_aiosqlite(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """\
        import asyncio, aiosqlite

        async def one(db, number):
            async with db.execute("select a from t where a = ?", (number,)) as cursor:
                return await cursor.fetchone()

        async def main():
            async with aiosqlite.connect(":memory:") as db:
                await db.execute("create table t (a integer primary key)")
                await db.executemany("insert into t values (?)", [(n,) for n in range(5)])
                await db.execute_insert("insert into t values (?)", (10,))
                await db.execute_fetchall("select a from t")
                cursor = await db.cursor()
                await cursor.execute("select a from t where a > ?", (1,))
                async for row in cursor:
                    pass
                await asyncio.gather(one(db, 1), one(db, 2))
                lines = [line async for line in db.iterdump()]
                await db.executescript("select 1; select 2;")
                await db.commit()

        asyncio.run(main())
        """,
    )
    assert [each for each in shown(trace) if each[0] != 18] == [
        (9, "create", 0, 0),
        (10, "insert", 5, 0),
        (11, "insert", 0, 0),
        (12, "select", 0, 0),
        (14, "select", 0, 0),
        (4, "select", 0, 0),
        (4, "select", 0, 0),
        (19, "select", 0, 0),
    ]
    dumped = [each for each in trace.of("sql") if each.line == 18]
    assert len({each.text for each in dumped}) == len(dumped)
    assert len({each.task for each in trace.of("sql") if each.line == 4}) == 2
    assert not any(each.on_loop for each in trace.of("sql"))
