"""pymongo, its asynchronous API and motor, against a server that speaks their protocol."""

from __future__ import annotations

from pathlib import Path

from runtime.recorded import Recorded, run


def program(tmp_path: Path, url: str, source: str) -> list[Recorded]:
    trace = run(tmp_path, "import asyncio, os\nurl = os.environ['URL']\n" + source, environment={"URL": url})
    assert not trace.all("note")
    assert trace.all("counters")[-1]["errors"] == 0
    return trace.of("mongo")


def test_commands(tmp_path: Path, mongo_url: str) -> None:
    operations = program(
        tmp_path,
        mongo_url,
        """\
import pymongo
client = pymongo.MongoClient(url)
users = client.shop.users
users.insert_one({"_id": 1})
users.insert_many([{"_id": number, "a": "x"} for number in range(2, 300)])
users.find_one({"_id": 1})
users.find_one({"_id": 2})
users.find_one({"_id": 1})
assert len(list(users.find({}))) == 299
list(users.find({"_id": {"$in": list(range(20))}}))
users.update_one({"_id": 1}, {"$set": {"a": "y"}})
users.bulk_write([pymongo.UpdateOne({"_id": number}, {"$set": {"a": 1}}) for number in range(12)])
users.delete_many({"_id": {"$in": list(range(20))}})
list(users.aggregate([{"$match": {"a": "x"}}]))
users.find_one_and_update({"_id": 1}, {"$set": {"a": 1}})
try:
    users.insert_one({"_id": 1})
except pymongo.errors.DuplicateKeyError:
    pass
try:
    client.shop.command("fail")
except pymongo.errors.OperationFailure:
    pass
client.close()
""",
    )
    assert [(each.text, each.line, each.batch, each.outcome) for each in operations] == [
        ("insert users", 6, 0, 0),
        ("insert users", 7, 298, 0),
        ("find users", 8, 0, 0),
        ("find users", 9, 0, 0),
        ("find users", 10, 0, 0),
        ("find users", 11, 0, 0),
        ("find users", 12, 20, 0),
        ("update users", 13, 0, 0),
        ("update users", 14, 12, 0),
        ("delete users", 15, 20, 0),
        ("aggregate users", 16, 0, 0),
        ("findAndModify users", 17, 0, 0),
        ("insert users", 19, 0, 1),
        ("fail", 23, 0, 1),
    ]
    one, two, again = operations[2:5]
    assert one.params == again.params != two.params
    assert (one.rows, operations[5].rows) == (1, 101)


def test_asynchronous_api(tmp_path: Path, mongo_url: str) -> None:
    operations = program(
        tmp_path,
        mongo_url,
        """\
import pymongo

async def main():
    client = pymongo.AsyncMongoClient(url)
    posts = client.shop.posts
    await posts.insert_many([{"_id": number} for number in range(150)])
    await asyncio.gather(*(posts.find_one({"_id": number}) for number in range(3)))
    assert len([post async for post in posts.find({})]) == 150
    await client.close()

asyncio.run(main())
""",
    )
    assert [(each.text, each.line) for each in operations] == [
        ("insert posts", 8),
        *[("find posts", 9)] * 3,
        ("find posts", 10),
    ]
    assert {each.root for each in operations} == {"task main"}
    assert not any(each.on_loop for each in operations)


def test_motor_works_in_threads_for_the_line_that_awaits_it(tmp_path: Path, mongo_url: str) -> None:
    operations = program(
        tmp_path,
        mongo_url,
        """\
from motor.motor_asyncio import AsyncIOMotorClient

async def main():
    client = AsyncIOMotorClient(url)
    books = client.shop.books
    await books.insert_one({"_id": 1})
    for number in range(3):
        await books.find_one({"_id": number})
    async for book in books.find({}):
        assert book["_id"] == 1
    assert len(await books.find({}).to_list(None)) == 1
    client.close()

asyncio.run(main())
""",
    )
    assert [(each.text, each.line, each.function) for each in operations] == [
        ("insert books", 8, "main"),
        *[("find books", 10, "main")] * 3,
        ("find books", 11, "main"),
        ("find books", 13, "main"),
    ]
    assert len({each.params for each in operations[1:4]}) == 3
    assert {each.root for each in operations} == {"task main"}
    assert not any(each.on_loop for each in operations)


def test_a_synchronous_client_holds_the_loop(tmp_path: Path, mongo_url: str) -> None:
    (operation,) = program(
        tmp_path,
        mongo_url,
        """\
import pymongo

async def main():
    with pymongo.MongoClient(url) as client:
        client.shop.letters.find_one({"_id": 1})

asyncio.run(main())
""",
    )
    assert operation.on_loop
    assert operation.line == 7
