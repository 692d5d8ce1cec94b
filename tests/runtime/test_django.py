"""Django's ORM on SQLite and PostgreSQL, synchronous and asynchronous."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from runtime.recorded import Trace, run

SETTINGS = """\
import os
from urllib.parse import urlsplit

url = os.environ["DATABASE"]
database = {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.db"}
if url != "sqlite":
    database = {
        "ENGINE": "django.db.backends.postgresql", "NAME": urlsplit(url).path[1:], "USER": "postgres",
        "HOST": url.rpartition("=")[2],
    }
DATABASES = {"default": database}
INSTALLED_APPS = ["shop"]
USE_TZ = True
"""

MODELS = """\
from django.db import connection, models


class Author(models.Model):
    name = models.CharField(max_length=50)
    bio = models.TextField(default="")


class Tag(models.Model):
    name = models.CharField(max_length=50)


class Book(models.Model):
    title = models.CharField(max_length=50)
    author = models.ForeignKey(Author, models.CASCADE, related_name="books")
    tags = models.ManyToManyField(Tag)


def make_tables():
    with connection.cursor() as cursor:
        for table in ("shop_book_tags", "shop_book", "shop_tag", "shop_author"):
            cursor.execute(f"drop table if exists {table}")
    with connection.schema_editor() as editor:
        for model in (Author, Tag, Book):
            editor.create_model(model)
    Author.objects.bulk_create([Author(name=str(n)) for n in range(20)])
    authors = list(Author.objects.all())
    Book.objects.bulk_create([Book(title=str(n), author=author) for n, author in enumerate(authors)])
    Tag.objects.bulk_create([Tag(name="a")])
    for book in Book.objects.all():
        book.tags.add(Tag.objects.get())
"""

SYNCHRONOUS = """\
import django
django.setup()
from shop.models import Author, Book, Tag, connection, make_tables
from django.db import transaction
make_tables()

for book in Book.objects.all()[:3]:
    book.author.name
for author in Author.objects.all()[:3]:
    list(author.books.all())
    author.books.count()
for book in Book.objects.select_related("author").prefetch_related("tags"):
    list(book.tags.all())
for book in Book.objects.all()[:2]:
    for tag in book.tags.all():
        pass
    if book.tags.exists():
        pass
for author in Author.objects.only("name")[:2]:
    author.bio
assert sum(1 for author in Author.objects.order_by("id").iterator(chunk_size=3)) == 20
with transaction.atomic():
    with transaction.atomic():
        Author.objects.create(name="x")
with connection.cursor() as cursor:
    cursor.execute("select '%' || name from shop_author where name like '%%'")
    cursor.execute("select name from shop_author where name like '%%' and id > %s", [3])
try:
    Author.objects.raw("select nothing from nowhere")[0]
except Exception:
    pass
"""

ASYNCHRONOUS = """\
import asyncio
import django
django.setup()
from asgiref.sync import sync_to_async
from shop.models import Author, Book, Tag, make_tables

def titles(author):
    return [book.title for book in author.books.all()]

async def one(pk):
    return await Author.objects.aget(pk=pk)

async def main():
    await sync_to_async(make_tables)()
    authors = []
    async for author in Author.objects.order_by("id")[:3]:
        authors.append(author)
    for author in authors:
        await sync_to_async(titles)(author)
        await author.books.acount()
    await Author.objects.aget(pk=authors[0].pk)
    assert len([book async for book in Book.objects.order_by("id").aiterator(chunk_size=5)]) == 20
    await asyncio.gather(*(one(author.pk) for author in authors))
    try:
        await Author.objects.aget(pk=-1)
    except Author.DoesNotExist:
        pass

asyncio.run(main())
"""


def traced(directory: Path, program: str, database: str, postgres: str) -> Trace:
    (directory / "shop").mkdir()
    (directory / "shop" / "models.py").write_text(MODELS)
    (directory / "settings.py").write_text(SETTINGS)
    url = postgres if database == "postgres" else "sqlite"
    return run(directory, program, environment={"DATABASE": url, "DJANGO_SETTINGS_MODULE": "settings"})


def shown(trace: Trace) -> list[tuple[int, str, int, int]]:
    """Line, first word, batch and outcome of what the program executes, without what makes its tables."""
    found = [each for each in trace.of("sql") if each.file == "app.py"]
    return [(each.line, each.text.partition(" ")[0], each.batch, each.outcome) for each in found]


def relations(trace: Trace) -> set[tuple[int, str]]:
    stacks = [each for each in trace.all("stack") if each["frames"][0][0].endswith("app.py")]
    return {(each["frames"][0][1], each["relation"]) for each in stacks if each["relation"]}


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_synchronous(tmp_path: Path, postgres: str, database: str) -> None:
    trace = traced(tmp_path, SYNCHRONOUS, database, postgres)
    begin = [(22, "BEGIN", 0, 0)] if database == "sqlite" else []
    assert shown(trace) == [
        (7, "SELECT", 0, 0),
        *[(8, "SELECT", 0, 0)] * 3,
        (9, "SELECT", 0, 0),
        *[(10, "SELECT", 0, 0), (11, "SELECT", 0, 0)] * 3,
        (12, "SELECT", 0, 0),
        (12, "SELECT", 20, 0),
        (14, "SELECT", 0, 0),
        *[(15, "SELECT", 0, 0), (17, "SELECT", 0, 0)] * 2,
        (19, "SELECT", 0, 0),
        *[(20, "SELECT", 0, 0)] * 2,
        (21, "SELECT", 0, 0),
        *begin,
        (23, "SAVEPOINT", 0, 0),
        (24, "INSERT", 0, 0),
        (23, "RELEASE", 0, 0),
        (26, "select", 0, 0),
        (27, "select", 0, 0),
        (29, "select", 0, 1),
    ]
    assert relations(trace) == {
        (8, "Book.author"),
        (10, "Author.books"),
        (11, "Author.books"),
        (12, "Book.tags"),
        (15, "Book.tags"),
        (20, "Author.bio"),
    }
    assert len({each.params for each in trace.of("sql") if each.line == 8 and each.file == "app.py"}) == 3
    bulk = {
        each.text.split('"')[1]: each.batch for each in trace.of("sql") if each.text.startswith("INSERT") and each.batch
    }
    assert bulk == {"shop_author": 20, "shop_book": 20}
    assert trace.all("counters")[-1]["errors"] == 0


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_asynchronous(tmp_path: Path, postgres: str, database: str) -> None:
    trace = traced(tmp_path, ASYNCHRONOUS, database, postgres)
    assert shown(trace) == [
        (16, "SELECT", 0, 0),
        *[(8, "SELECT", 0, 0), (20, "SELECT", 0, 0)] * 3,
        (21, "SELECT", 0, 0),
        (22, "SELECT", 0, 0),
        *[(11, "SELECT", 0, 0)] * 3,
        (25, "SELECT", 0, 0),
    ]
    assert relations(trace) == {(8, "Author.books"), (20, "Author.books")}
    own = [each for each in trace.of("sql") if each.file == "app.py"]
    assert {each.root for each in own} == {"task main"}
    assert not any(each.on_loop for each in own)
    children = [each for each in own if each.line == 11]
    assert len({each.task for each in children}) == len({each.params for each in children}) == 3
    in_thread = next(each["frames"] for each in trace.all("stack") if each["frames"][0][2] == "titles")
    assert [line for _, line, _ in in_thread] == [8, 19, 29]
    assert trace.all("counters")[-1]["errors"] == 0


def test_what_the_framework_loads_is_told_at_the_view(tmp_path: Path) -> None:
    """A view that leaves everything to the library's has no line on the stack: its class is where it came from."""
    trace = run(
        tmp_path,
        """
import django
from django.conf import settings
settings.configure(
    ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
django.setup()
from django.db import connection
from django.http import HttpResponse
from django.urls import path
from django.views import View

# As a library's code.
library = '''
class Listing(View):
    def get(self, request):
        with connection.cursor() as cursor:
            cursor.execute("select 1")
        return HttpResponse("listed")
'''
exec(compile(library, "<generated>", "exec"))

class Orders(Listing):
    pass

class Items(Listing):
    def get(self, request):
        connection.ensure_connection()
        return super().get(request)

urlpatterns = [path("orders", Orders.as_view()), path("items", Items.as_view())]

def call():  # as a server does, which has no line of the application either
    from django.core.wsgi import get_wsgi_application
    return get_wsgi_application()

served = call()
library = '''
def ask(application, path):
    from django.test import RequestFactory
    environ = RequestFactory()._base_environ(PATH_INFO=path)
    return b"".join(application(environ, lambda status, headers: None))
'''
exec(compile(library, "<generated>", "exec"))
import threading
for name in ("/orders", "/items"):
    thread = threading.Thread(target=ask, args=(served, name))
    thread.start()
    thread.join()
""",
    )
    lines = (tmp_path / "app.py").read_text(encoding="utf-8").splitlines()
    told = [(each.function, lines[each.line - 1].strip()) for each in trace.of("sql") if each.text == "select ?"]
    method = "Items.get" if sys.version_info >= (3, 11) else "get"  # 3.10 keeps no qualified names
    assert told == [("Orders", "class Orders(Listing):"), (method, "return super().get(request)")]
