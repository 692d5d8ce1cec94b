"""What is an N+1 cluster and what only looks like one. Each case is an application and a trace of it."""

from __future__ import annotations

import pytest
from scenes import App, items_of, kinds, repeated
from trace_builder import TraceBuilder

LOOP = """
def report(conn, ids):
    for id in ids:  # loop
        conn.execute("select name from users where id = ?", (id,))  # call
"""


@pytest.fixture
def app(tmp_path):
    return App(tmp_path, LOOP)


def test_one_query_per_element_is_an_n_plus_one(tmp_path, app):
    (item,) = items_of(tmp_path, repeated(30, app.frame("call", "report"), ms=2))
    assert (item.code, item.kind, item.status, item.line) == ("APL501", "n_plus_one", "observed", app.line("call"))
    assert (item.loop.line, item.loop.kind, item.loop.function) == (app.line("loop"), "for", "report")
    assert (item.operations, item.roots) == (30, 1)
    assert item.total_seconds == item.worst_seconds == pytest.approx(0.06)
    assert item.share == pytest.approx(60 / 63, rel=0.01)
    (evidence,) = item.evidence
    assert (evidence.most, evidence.distinct, evidence.root_names) == (30, 30, ("request GET /",))
    assert "once per element of the for loop at line 2" in item.message
    assert "one query" in item.remedy


def test_five_are_not_enough_and_six_are(tmp_path, app):
    assert items_of(tmp_path, repeated(5, app.frame("call", "report"))) == []
    assert len(items_of(tmp_path, repeated(6, app.frame("call", "report")))) == 1
    assert items_of(tmp_path, repeated(6, app.frame("call", "report")), min_operations=7) == []


def test_one_query_per_request_is_none(tmp_path, app):
    trace = TraceBuilder()
    for number in range(80):
        trace.op("sql", "select ?", app.frame("call", "report"), params=number + 1, root=trace.root(), task=number + 1)
    assert items_of(tmp_path, trace) == []


def test_requests_are_added_up(tmp_path, app):
    trace = TraceBuilder()
    for length in (10, 3, 20):
        root = trace.root(name="GET /report")
        for number in range(length):
            trace.op("sql", "select ? ", app.frame("call", "report"), params=number + 1, root=root, ms=1)
    (item,) = items_of(tmp_path, trace)
    assert (item.operations, item.roots, item.evidence[0].most) == (30, 2, 20)
    assert item.worst_seconds == pytest.approx(0.02)


def test_child_tasks_belong_to_their_root(tmp_path):
    app = App(
        tmp_path,
        """
        async def resolve(pool, row):
            return await pool.fetchrow("select name from authors where id = $1", row["author"])  # call

        async def books(pool, rows):
            return await asyncio.gather(*(resolve(pool, row) for row in rows))  # gather
        """,
    )
    trace = TraceBuilder()
    trace.root()
    for number in range(24):
        frames = app.frame("call", "resolve"), app.frame("gather", "books")
        trace.op("sql", "select ?", *frames, params=number + 1, task=number + 2, advance=False)
    (item,) = items_of(tmp_path, trace)
    assert (item.line, item.loop.line, item.loop.kind) == (app.line("call"), app.line("gather"), "comprehension")
    assert item.evidence[0].started_together


def test_tasks_of_a_list_made_earlier(tmp_path):
    app = App(
        tmp_path,
        """
        async def resolve(pool, id):
            return await pool.fetchrow("select name from authors where id = $1", id)  # call

        async def books(pool, ids):
            tasks = [resolve(pool, id) for id in ids]  # made
            return await asyncio.gather(*tasks)  # gather
        """,
    )
    frames = app.frame("call", "resolve"), app.frame("gather", "books")
    (item,) = items_of(tmp_path, repeated(10, *frames))
    assert item.loop.line == app.line("made")


def test_the_loop_is_found_through_helpers(tmp_path):
    app = App(
        tmp_path,
        """
        class Repository:
            def get(self, id):
                return self.run("select name from users where id = ?", id)  # helper

            def run(self, sql, *args):
                return self.conn.execute(sql, args).fetchone()  # call

        def page(repository, ids):
            return [repository.get(id) for id in ids]  # loop
        """,
    )
    frames = app.frame("call", "Repository.run"), app.frame("helper", "Repository.get"), app.frame("loop", "page")
    (item,) = items_of(tmp_path, repeated(12, *frames))
    assert (item.line, item.loop.line, item.loop.function) == (app.line("call"), app.line("loop"), "page")


def test_lazy_attributes_name_their_relation(tmp_path):
    app = App(
        tmp_path,
        """
        from sqlalchemy.orm import Session

        def to_out(book):
            return {"title": book.title, "author": book.author.name}  # call

        def serialize(books):
            return [to_out(book) for book in books]  # loop
        """,
    )
    frames = app.frame("call", "to_out"), app.frame("loop", "serialize.<locals>.<listcomp>")
    (item,) = items_of(tmp_path, repeated(24, *frames, relation="Book.author"))
    assert (item.line, item.loop.line) == (app.line("call"), app.line("loop"))
    assert "selectinload(Book.author)" in item.remedy


@pytest.mark.parametrize(
    ("library", "remedy"),
    [
        ("django.db", 'select_related("author")'),
        ("tortoise", 'prefetch_related("author")'),
        ("sqlalchemy", "selectinload(Book.author)"),
    ],
)
def test_remedies_speak_the_language_of_the_orm(tmp_path, app, library, remedy):
    trace = repeated(9, app.frame("call", "report"), relation="Book.author", library=library)
    (item,) = items_of(tmp_path, trace)
    assert remedy in item.remedy


def test_a_key_from_the_other_side_is_prefetched(tmp_path, app):
    trace = repeated(9, app.frame("call", "report"), relation="Author.book_set", library="django.db")
    (item,) = items_of(tmp_path, trace)
    assert 'prefetch_related("book_set")' in item.remedy
    assert 'select_related("book_set")' not in item.remedy


@pytest.mark.parametrize(
    ("kind", "text", "remedy"),
    [
        ("redis", "GET", "mget"),
        ("redis", "HGETALL", "pipeline"),
        ("http", "GET http://api/items/{}", "takes many ids"),
        ("http", "POST http://api/items", "takes many ids"),
        ("llm", "chat.completions gpt-4o", "one prompt"),
        ("mongo", "users.find_one", "$in"),
        ("sql", "insert into users (name) values (?)", "executemany"),
        ("vector store", "search", "ask once"),
    ],
)
def test_other_kinds_of_chatter(tmp_path, app, kind, text, remedy):
    (item,) = items_of(tmp_path, repeated(20, app.frame("call", "report"), kind=kind, text=text))
    assert item.kind == "n_plus_one"
    assert remedy in item.remedy


def test_tokens_are_added_up(tmp_path, app):
    trace = repeated(8, app.frame("call", "report"), kind="llm", text="chat m", input_tokens=100, output_tokens=10)
    (item,) = items_of(tmp_path, trace)
    assert (item.evidence[0].input_tokens, item.evidence[0].output_tokens) == (800, 80)


def test_a_limit_for_every_row_is_no_page(tmp_path):
    app = App(
        tmp_path,
        """
        async def feed(conn, posts):
            out = {}
            for p in posts:
                out[p] = await conn.fetch("select id from c where post_id = $1 order by id desc limit $2", p, 3)  # call
            return out
        """,
    )
    text = "select id from c where post_id = $1 order by id desc limit $2"
    trace = repeated(30, app.frame("call", "feed"), text=text)
    assert kinds(items_of(tmp_path, trace)) == [("n_plus_one", "app.py", app.line("call"))]


def test_slow_queries_with_pauses_between_are_still_one(tmp_path):
    app = App(
        tmp_path,
        """
        async def export(conn, ids):
            for id in ids:
                await conn.fetchrow("select name from users where id = $1", id)  # call
                await asyncio.sleep(0.1)
        """,
    )
    trace = repeated(10, app.frame("call", "export"), ms=200, between=lambda trace, _: trace.sleep(100))
    assert [item.kind for item in items_of(tmp_path, trace)] == ["n_plus_one"]


def test_lists_are_one_statement_whatever_their_length(tmp_path, app):
    trace = TraceBuilder()
    trace.root()
    for number in range(9):
        text = f"SELECT a.id  FROM a WHERE a.id IN ({', '.join('?' * (number % 3 + 1))})"
        trace.op("sql", text, app.frame("call", "report"), params=number + 1, batch=number % 3 + 1)
    assert len(items_of(tmp_path, trace)) == 1


def test_unknown_parameters_count_as_different(tmp_path, app):
    trace = TraceBuilder()
    trace.root()
    for _ in range(9):
        trace.op("sql", "select name from t where id = ?", app.frame("call", "report"), params=0)
    assert [item.kind for item in items_of(tmp_path, trace)] == ["n_plus_one"]


def test_without_source_the_trace_decides(tmp_path):
    trace = repeated(9, ("/nowhere/app.py", 12, "report"))
    (item,) = items_of(tmp_path, trace)
    assert (item.path, item.line, item.loop) == ("/nowhere/app.py", 12, None)
    assert "with different parameters" in item.message


SILENT = {
    "offset pages": """
        def pages(conn):
            off = 0
            while rows := conn.execute(select(T.c.id).offset(off).limit(50)).all():  # call
                yield rows
                off += len(rows)
        """,
    "next links": """
        def feed(session):
            url = "/feed"
            while url:
                body = session.get(BASE + url).json()  # call
                url = body["next"]
        """,
    "keyset": """
        async def walk(conn):
            last = 0
            while True:
                rows = await conn.fetch("select id from t where id > $1 order by id limit 100", last)  # call
                if not rows:
                    break
                last = rows[-1]["id"]
        """,
    "page numbers until empty": """
        async def pull(client):
            page = 1
            while True:
                response = await client.get("/items", params={"page": page})  # call
                items = response.json()
                if not items:
                    return
                page += 1
        """,
    "counted pages until short": """
        def pull(conn):
            for n in itertools.count():
                rows = conn.execute("select id from t limit 50 offset ?", (n * 50,)).fetchall()  # call
                if len(rows) < 50:
                    break
        """,
    "offsets by range": """
        def pull(conn, total):
            for start in range(0, total, 50):
                conn.execute("select id from t limit 50 offset ?", (start,))  # call
        """,
    "cursor in an attribute": """
        class Pager:
            async def pull(self):
                while True:
                    page = await self.client.get("/items", params={"cursor": self.cursor})  # call
                    self.cursor = page.json()["next"]
                    if self.cursor is None:
                        break
        """,
    "batches": """
        def pull(conn, ids):
            for chunk in batched(ids, 100):
                conn.execute("select id from t where id in (select * from input)", chunk)  # call
        """,
    "worker": """
        async def worker(queue, conn):
            while True:
                job = await queue.get()
                await conn.execute("update jobs set done = true where id = $1", job.id)  # call
        """,
    "websocket": """
        async def chat(websocket, conn):
            async for message in websocket:
                await conn.fetchrow("select name from users where id = $1", message["user"])  # call
        """,
    "pubsub": """
        async def listen(pubsub, conn):
            async for event in pubsub.listen():
                await conn.execute("insert into log values ($1)", event["data"])  # call
        """,
    "received messages": """
        async def serve(reader, conn):
            while True:
                line = await reader.readline()
                await conn.fetchrow("select name from users where id = $1", int(line))  # call
        """,
    "consumer": """
        async def consume(consumer, conn):
            async for record in consumer:
                await conn.execute("insert into log values ($1)", record.value)  # call
        """,
    "a constant handful": """
        def settings(conn, user):
            for name in ("theme", "lang", "zone", "font", "size", "mode", "beta", "mail"):
                conn.execute("select value from settings where name = ?", (name,))  # call
        """,
    "shards": """
        def totals(shards):
            for shard in shards:
                shard.execute("select count(*) from t where day = ?", (today(),))  # call
        """,
    "following parents": """
        def ancestors(conn, id):
            while id is not None:
                row = conn.execute("select parent from nodes where id = ?", (id,)).fetchone()  # call
                id = row["parent"]
        """,
    "ignored at the call": """
        def warm(conn, ids):
            for id in ids:
                conn.execute("select name from t where id = ?", (id,))  # agentperf: ignore  # call
        """,
    "ignored by code": """
        def warm(conn, ids):
            for id in ids:
                conn.execute("select name from t where id = ?", (id,))  # noqa: APL501  # call
        """,
    "ignored at the loop": """
        def warm(conn, ids):
            for id in ids:  # agentperf: ignore
                conn.execute("select name from t where id = ?", (id,))  # call
        """,
    "ignored above the loop": """
        def warm(conn, ids):
            # warm-up, agentperf: ignore
            # once at the start
            for id in ids:
                conn.execute("select name from t where id = ?", (id,))  # call
        """,
    "ignored above the call": """
        def warm(conn, ids):
            for id in ids:
                # agentperf: ignore
                conn.execute("select name from t where id = ?", (id,))  # call
        """,
    "ignored at the function": """
        @startup
        def warm(  # agentperf: ignore[APL501]
            conn, ids
        ):
            for id in ids:
                conn.execute("select name from t where id = ?", (id,))  # call
        """,
}


@pytest.mark.parametrize("source", SILENT.values(), ids=SILENT.keys())
def test_innocent_loops_are_silent(tmp_path, source):
    app = App(tmp_path, source)
    function = next(line for line in app.lines if "def " in line).partition("def ")[2].partition("(")[0]
    if "class Pager" in source:
        function = "Pager.pull"
    is_http = "client.get" in source or "session.get" in source
    kind, text = ("http", "GET http://api/items?page") if is_http else ("sql", "select ?, ?")
    assert items_of(tmp_path, repeated(14, app.frame("call", function), kind=kind, text=text)) == []


LOUD = {
    "suppressed for another code": """
        def warm(conn, ids):
            for id in ids:
                conn.execute("select name from t where id = ?", (id,))  # noqa: APL201  # call
        """,
    "numbers that are counted through": """
        def total(r):
            for i in range(30):
                r.get(f"key:{i}")  # call
        """,
    "a while with an index": """
        def total(conn, ids):
            i = 0
            while i < len(ids):
                conn.execute("select name from t where id = ?", (ids[i],))  # call
                i += 1
        """,
    "a while that is left when all is done": """
        def total(conn, ids):
            i = 0
            while True:
                conn.execute("select name from t where id = ?", (ids[i],))  # call
                i += 1
                if i == len(ids):
                    break
        """,
    "a collection called pages": """
        async def render(conn, pages):
            for page in pages:
                await conn.fetch("select block from blocks where page_id = $1", page.id)  # call
        """,
    "objects that load themselves": """
        async def standings():
            async for t in Tournament.all():
                await t.fetch_related("events")  # call
        """,
    "objects that save themselves": """
        def close(orders):
            for order in orders:
                order.save()  # call
        """,
    "a stack of elements": """
        def drain(conn, ids):
            while ids:
                id = ids.pop()
                conn.execute("select name from t where id = ?", (id,))  # call
        """,
    "a tree that is walked": """
        def walk(conn, root):
            stack = [root]
            while stack:
                id = stack.pop()
                children = conn.execute("select id from nodes where parent = ?", (id,)).fetchall()  # call
                stack.extend(children)
        """,
    "a fixed few for every element": """
        def settings(conn, users):
            for user in users:
                for name in ("theme", "lang"):
                    conn.execute("select value from settings where u = ? and name = ?", (user.id, name))  # call
        """,
    "tries inside a loop": """
        def load(client, ids):
            for id in ids:
                for attempt in range(3):
                    try:
                        client.get(f"/items/{id}")  # call
                        break
                    except Timeout:
                        continue
        """,
    "an asynchronous comprehension": """
        async def names(conn, ids):
            return [await conn.fetchval("select name from t where id = $1", id) for id in ids]  # call
        """,
    "over several lines": """
        def report(conn, ids):
            for id in ids:
                conn.execute(
                    "select name from t where id = ?",  # call
                    (id,),
                )
        """,
    "messages of a batch": """
        async def consume(queue, conn):
            while True:
                messages = await queue.get()
                for message in messages:
                    await conn.execute("select ?", message.id)  # call
        """,
    "rows called events": """
        async def report():
            async for event in Event.all():
                await event.fetch_related("tournament")  # call
        """,
    "rows that are streamed": """
        async def report(session):
            async for user in await session.stream_scalars(select(User)):
                await session.execute(select(Order).where(Order.user == user.id))  # call
        """,
    "names of places": """
        def report(conn, tenants):
            for tenant in tenants:
                conn.execute("select name from t where tenant = ?", (tenant,))  # call
        """,
    "a long constant": """
        def report(conn):
            for id in USER_IDS:
                conn.execute("select name from t where id = ?", (id,))  # call
        """,
    "no loop in sight": """
        def get(conn, id):
            return conn.execute("select name from t where id = ?", (id,))  # call
        """,
}


@pytest.mark.parametrize("source", LOUD.values(), ids=LOUD.keys())
def test_guilty_loops_are_told(tmp_path, source):
    app = App(tmp_path, source)
    function = next(line for line in app.lines if "def " in line).partition("def ")[2].partition("(")[0]
    found = items_of(tmp_path, repeated(30, app.frame("call", function)))
    assert kinds(found) == [("n_plus_one", "app.py", app.line("call"))]


def test_a_pager_whose_loop_is_elsewhere(tmp_path):
    app = App(
        tmp_path,
        """
        class Pager:
            async def next(self):
                page = await self.client.get("/items", params={"cursor": self.cursor})  # call
                self.cursor = page.json()["next"]
                return page

        async def everything(pager):
            for _ in range(20):
                await pager.next()  # loop
        """,
    )
    frames = app.frame("call", "Pager.next"), app.frame("loop", "everything")
    assert items_of(tmp_path, repeated(14, *frames, kind="http", text="GET http://api/items?cursor")) == []


def test_a_pager_whose_cursor_is_set_by_the_caller(tmp_path):
    app = App(
        tmp_path,
        """
        class Pager:
            def fetch(self):
                return self.client.get("/items", params={"cursor": self.cursor}).json()  # call

        def everything(pager):
            while True:
                page = pager.fetch()  # loop
                if page["last"]:
                    break
                pager.cursor = page["next"]
        """,
    )
    frames = app.frame("call", "Pager.fetch"), app.frame("loop", "everything")
    assert items_of(tmp_path, repeated(14, *frames, kind="http", text="GET http://api/items?cursor")) == []


def test_pages_by_recursion(tmp_path):
    app = App(
        tmp_path,
        """
        async def pull(client, cursor=None):
            page = await client.get("/items", params={"cursor": cursor})  # call
            if page["next"]:
                await pull(client, page["next"])  # again
        """,
    )
    trace = TraceBuilder()
    trace.root()
    for depth in range(14):
        frames = [app.frame("call", "pull"), *[app.frame("again", "pull")] * depth]
        trace.op("http", "GET http://api/items?cursor", *frames, params=depth + 1)
    assert items_of(tmp_path, trace) == []


def test_a_tree_by_recursion(tmp_path):
    app = App(
        tmp_path,
        """
        def load(conn, id):
            rows = conn.execute("select id from nodes where parent = ?", (id,)).fetchall()  # call
            return [load(conn, row[0]) for row in rows]  # again
        """,
    )
    trace = TraceBuilder()
    trace.root()
    for number in range(14):
        frames = [app.frame("call", "load"), *[app.frame("again", "load")] * min(number, 3)]
        trace.op("sql", "select id from nodes where parent = ?", *frames, params=number + 1)
    assert kinds(items_of(tmp_path, trace)) == [("n_plus_one", "app.py", app.line("call"))]


def test_tries_that_failed_do_not_count(tmp_path, app):
    def outcomes(*outcomes: int) -> TraceBuilder:
        trace = TraceBuilder()
        trace.root()
        for number, outcome in enumerate(outcomes):
            trace.op("http", "GET http://api/{}", app.frame("call", "report"), params=number + 1, outcome=outcome)
        return trace

    assert items_of(tmp_path, outcomes(*[1] * 12, 0)) == []
    assert items_of(tmp_path, outcomes(*[503] * 12)) == []
    assert items_of(tmp_path, outcomes(*[429, 0] * 5)) == []
    (item,) = items_of(tmp_path, outcomes(*[503, 0] * 8))
    assert item.operations == 8
    (item,) = items_of(tmp_path, outcomes(*[404] * 12))  # an answer
    assert item.operations == 12


def test_timers_are_silent_whatever_they_ask(tmp_path, app):
    trace = repeated(12, app.frame("call", "report"), between=lambda trace, _: trace.sleep(1000))
    assert items_of(tmp_path, trace) == []
    assert len(items_of(tmp_path, trace, poll_interval=2.0)) == 1


def test_short_timers_need_a_loop_without_elements(tmp_path):
    app = App(
        tmp_path,
        """
        async def beat(redis):
            while True:
                await redis.set("beat", time.time())  # call
                await asyncio.sleep(0.1)
        """,
    )
    trace = repeated(12, app.frame("call", "beat"), kind="redis", text="SET", between=lambda trace, _: trace.sleep(100))
    assert items_of(tmp_path, trace) == []


def test_timers_that_wait_for_something_else(tmp_path):
    app = App(
        tmp_path,
        """
        async def beat(conn, stop):
            number = 0
            while not stop.is_set():
                await conn.execute("update beats set number = $1", number)  # call
                number += 1
                await wait_for(stop.wait(), 0.1)
        """,
    )

    def beaten(pause: float) -> TraceBuilder:
        text = "update beats set number = $1"
        return repeated(12, app.frame("call", "beat"), text=text, between=lambda trace, _: trace.pause(pause))

    assert items_of(tmp_path, beaten(100)) == []
    assert len(items_of(tmp_path, beaten(1))) == 1


def test_sleeps_of_another_task_are_no_pauses(tmp_path, app):
    trace = repeated(12, app.frame("call", "report"), between=lambda trace, _: trace.sleep(600, task=99))
    assert len(items_of(tmp_path, trace)) == 1


@pytest.mark.parametrize(
    ("sizes", "found"),
    [([100] * 12, 0), ([100] * 11 + [37], 0), ([3] * 12, 1), ([12, 9, 15, 11, 8, 20, 10], 1), ([0] * 12, 1)],
)
def test_batches_are_told_by_their_size(tmp_path, app, sizes, found):
    trace = TraceBuilder()
    trace.root()
    for number, size in enumerate(sizes):
        trace.op(
            "sql", "select id from t where id = any(?)", app.frame("call", "report"), params=number + 1, batch=size
        )
    assert len(items_of(tmp_path, trace)) == found


@pytest.mark.parametrize(("read", "found"), [("select sum(amount) from moves", 0), ("select total from orders", 1)])
def test_writes_that_are_looked_at_one_by_one_are_silent(tmp_path, app, read, found):
    def look(trace: TraceBuilder, number: int) -> None:
        trace.op("sql", read, (str(app.path), 1, "<module>"), params=5)

    trace = repeated(12, app.frame("call", "report"), text="insert into moves values (?)", between=look)
    assert sum(item.kind == "n_plus_one" for item in items_of(tmp_path, trace)) == found


def test_get_or_create_is_an_n_plus_one_twice(tmp_path, app):
    def create(trace: TraceBuilder, number: int) -> None:
        trace.op("sql", "insert into users values (?)", (str(app.path), 1, "<module>"), params=9000 + number)

    trace = repeated(12, app.frame("call", "report"), between=create)
    assert [item.kind for item in items_of(tmp_path, trace)] == ["n_plus_one", "n_plus_one"]


def test_conversations_are_silent(tmp_path, app):
    trace = TraceBuilder()
    trace.root()
    for number in range(12):
        trace.op("llm", "chat m", app.frame("call", "report"), params=number + 1, continues=int(number > 0))
    assert items_of(tmp_path, trace) == []


def test_language_models_asked_together_are_silent(tmp_path):
    app = App(
        tmp_path,
        """
        async def summarize(client, text):
            return await client.create(text)  # call

        async def everything(client, texts):
            return await asyncio.gather(*[summarize(client, text) for text in texts])  # gather
        """,
    )
    frames = app.frame("call", "summarize"), app.frame("gather", "everything")
    assert items_of(tmp_path, repeated(12, *frames, kind="llm", text="chat m")) == []


def test_requests_started_together_under_a_limit_are_silent(tmp_path):
    source = """
        async def main(client, urls):
            semaphore = asyncio.Semaphore(10)

            async def one(url):
                async with semaphore:
                    return await client.get(url)  # call

            return await asyncio.gather(*(one(url) for url in urls))  # gather
        """
    app = App(tmp_path, source)
    frames = app.frame("call", "main.<locals>.one"), app.frame("gather", "main")
    trace = repeated(12, *frames, kind="http", text="GET http://api/items/{}")
    assert items_of(tmp_path, trace) == []
    app = App(tmp_path, source.replace("async with semaphore:", "if True:"))
    (item,) = items_of(tmp_path, trace)
    assert "limit" in item.remedy


@pytest.mark.parametrize(
    "text",
    ["BEGIN", "COMMIT", "savepoint x", "PRAGMA table_info(?)", "CREATE TABLE t (a int)", "SET search_path = ?",
     "fetch forward 100 from c", "DISCARD ALL", "SHOW x", "rollback to savepoint x"],
)  # fmt: skip
def test_what_drivers_and_migrations_do_is_silent(tmp_path, app, text):
    assert items_of(tmp_path, repeated(20, app.frame("call", "report"), text=text)) == []


def test_files_and_processes_are_no_round_trips(tmp_path, app):
    for kind in ("file", "subprocess", "sleep"):
        assert items_of(tmp_path, repeated(20, app.frame("call", "report"), kind=kind, text="open")) == []


def test_operations_of_libraries_alone_have_no_place(tmp_path):
    assert items_of(tmp_path, repeated(20)) == []


def test_few_parameters_many_times_are_elements_of_a_loop(tmp_path, app):
    trace = TraceBuilder()
    trace.root()
    for number in range(24):
        trace.op("sql", "select ? from authors", app.frame("call", "report"), params=number % 4 + 1)
    assert [item.kind for item in items_of(tmp_path, trace)] == ["n_plus_one"]


def test_configured_patterns_are_left_out(tmp_path, app):
    trace = repeated(20, app.frame("call", "report"))
    for pattern in (f"{app.path}:report", "*:report", "select name from*"):
        assert items_of(tmp_path, trace, ignore=(pattern,)) == []
    assert items_of(tmp_path, trace, ignore=("*:other",))


def test_processes_are_judged_by_themselves_and_added_up(tmp_path, app):
    from agentperf_lint.checklist.build import build_checklist
    from agentperf_lint.checklist.trace import read_traces
    from agentperf_lint.config import TraceSettings

    for pid, name in ((1, "t"), (2, "t.2.1")):
        trace = TraceBuilder(pid=pid)
        trace.root()
        for number in range(9 if pid == 1 else 7):
            trace.op("sql", "select ?, 1", app.frame("call", "report"), params=number + 1)
        trace.write(tmp_path / name)
    checklist = build_checklist(read_traces([str(tmp_path / "t")]), TraceSettings())
    (item,) = checklist.items
    assert (item.operations, item.roots, checklist.summary.processes) == (16, 2, 2)


RATES = """
async def rate(client, code):
    return await client.get(f"http://api/rates/{code}")  # call

async def rates(client, codes):
    return [await rate(client, code) for code in codes]  # loop
"""
CODES = ("USD", "EUR", "GBP", "CHF", "SEK", "NOK", "PLN", "CZK")


def test_words_that_vary_in_a_path_are_elements(tmp_path):
    app = App(tmp_path, RATES)
    frames = app.frame("call", "rate"), app.frame("loop", "rates")
    trace = TraceBuilder()
    for number, code in enumerate(CODES):
        trace.op("http", f"GET http://api/rates/{code}", *frames, params=number + 1)
    (item,) = items_of(tmp_path, trace)
    assert (item.operations, item.loop.line) == (8, app.line("loop"))
    assert item.evidence[0].statement == "GET http://api/rates/{}"


def test_a_few_resources_and_what_a_helper_asks_for_others_are_none(tmp_path):
    lines = "".join(f"    await rate(client, 'a')  # {code}\n" for code in CODES)
    app = App(tmp_path, f"{RATES}\nasync def page(client):\n{lines}")
    few, helper = TraceBuilder(), TraceBuilder()
    for number, code in enumerate(CODES[:5]):
        few.op(
            "http", f"GET http://api/{code}", app.frame("call", "rate"), app.frame("loop", "rates"), params=number + 1
        )
    for number, code in enumerate(CODES):
        frames = app.frame("call", "rate"), app.frame(code, "page")
        helper.op("http", f"GET http://api/{code}", *frames, params=number + 1)
    assert items_of(tmp_path, few) == []
    assert items_of(tmp_path, helper) == []


def test_one_for_each_piece_of_work_that_a_queue_gave_is_none(tmp_path):
    app = App(
        tmp_path,
        """
        def consume(queue, conn):
            while True:
                for _, messages in queue.xreadgroup("g", "c", {"s": ">"}, count=1):
                    for number, message in messages:
                        conn.execute("insert into orders values (?)", (number,))  # call
        """,
    )
    text = "insert into orders values (?)"

    def asks(trace, number):
        trace.op("sleep", "XREADGROUP", app.frame("call", "consume"), params=1)

    def asks_seldom(trace, number):
        if number % 10 == 0:
            asks(trace, number)

    assert items_of(tmp_path, repeated(40, app.frame("call", "consume"), text=text, between=asks)) == []
    assert len(items_of(tmp_path, repeated(40, app.frame("call", "consume"), text=text, between=asks_seldom))) == 1


@pytest.mark.parametrize("runner", ["await worker.async_run()", 'call_command("migrate")', "mcp.run()"])
def test_what_a_library_does_by_itself_is_none(tmp_path, runner):
    app = App(tmp_path, f"async def main():\n    {runner}  # call\n")
    assert items_of(tmp_path, repeated(40, app.frame("call", "main"))) == []
    app = App(tmp_path, "def main():\n    for each in names:\n        command.upgrade(each)  # call\n")
    assert len(items_of(tmp_path, repeated(40, app.frame("call", "main")))) == 1  # the loop is the application's


@pytest.mark.parametrize(
    ("imports", "remedy"),
    [
        (
            "import rest_framework",
            'load it with the rows: select_related("items"), or prefetch_related("items") for many',
        ),
        ("import flask_sqlalchemy", "load it with the rows: options(selectinload(Order.items))"),
        ("", "load Order.items with the rows: where they are selected, ask for the relation as well"),
    ],
)
def test_the_remedy_is_in_the_words_of_the_library_that_the_file_has(tmp_path, imports, remedy):
    app = App(tmp_path, f"{imports}\ndef show(orders):\n    return [order.items for order in orders]  # call\n")
    (item,) = items_of(tmp_path, repeated(9, app.frame("call", "show"), relation="Order.items"))
    assert item.remedy == remedy


def test_the_columns_names_tell_the_library_where_the_file_does_not(tmp_path):
    app = App(tmp_path, "{{ order.items }}  {# of a template #}  # call\n", "page.html")
    text = "SELECT item.id AS item_id FROM item WHERE item.order_id = ?"
    (item,) = items_of(tmp_path, repeated(9, app.frame("call", "root"), text=text, relation="Order.items"))
    assert item.remedy.endswith("options(selectinload(Order.items))")


def test_texts_to_embed_go_into_one_call(tmp_path):
    app = App(
        tmp_path,
        "def index(chunks):\n    for chunk in chunks:\n        client.embeddings.create(input=chunk)  # call\n",
    )
    (item,) = items_of(tmp_path, repeated(9, app.frame("call", "index"), kind="llm", text="embeddings small"))
    assert item.remedy == "pass them all in one call: input takes a list"


@pytest.mark.parametrize(
    "loop",
    [
        "for tenant in tenants:\n        engine = engine_for(tenant)\n        count(engine)  # loop",
        "for tenant in tenants:\n        count(tenant.dsn)  # loop",
        "for tenant in tenants:\n        with connect(tenant) as conn:\n            count(conn)  # loop",
        "return await gather(*(count(s) for s in self.shards))  # loop",
        "for database in DATABASES:\n        count(database)  # loop",
    ],
)
def test_a_database_of_each_element_is_asked_once(tmp_path, loop):
    app = App(
        tmp_path,
        f"async def count(db):\n    return db.execute(TEXT)  # call\n\nasync def report(self, tenants):\n    {loop}\n",
    )
    stack = app.frame("call", "count"), app.frame("loop", "report")
    assert items_of(tmp_path, repeated(12, *stack)) == []
    assert items_of(tmp_path, repeated(12, *stack, same=True)) == []


@pytest.mark.parametrize(
    "loop",
    [
        "for client in clients:\n        count(client)  # loop",
        "for tenant in tenants:\n        count(conn, tenant)  # loop",
        "for order in orders:\n        conn = connect()\n        count(conn, order.id)  # loop",
    ],
)
def test_elements_that_are_no_databases_are_asked_for_together(tmp_path, loop):
    app = App(
        tmp_path, f"def count(db, x=0):\n    return db.execute(TEXT)  # call\n\ndef report(orders):\n    {loop}\n"
    )
    (item,) = items_of(tmp_path, repeated(12, app.frame("call", "count"), app.frame("loop", "report")))
    assert item.kind == "n_plus_one"


STEPS = """
class Step:
    async def run(self, order):
        return await self.client.post(f"/services/{self.service}/start")  # call

async def saga(steps, order):
    for step in steps:
        await step.run(order)  # loop
"""


def test_objects_that_ask_services_are_no_elements(tmp_path):
    app = App(tmp_path, STEPS)
    trace = TraceBuilder()
    trace.root()
    stack = app.frame("call", "Step.run"), app.frame("loop", "saga")
    for service in ("auth", "stock", "billing", "shipping", "mail", "audit", "cart"):
        trace.op("http", f"POST http://gate/services/{service}/start", *stack, params=7)
    assert items_of(tmp_path, trace) == []
    for number in range(9):
        trace.op("http", "GET http://gate/users/{}", *stack, params=number + 1)
    (item,) = items_of(tmp_path, trace)
    assert item.operations == 9


@pytest.mark.parametrize(
    "loop",
    [
        "while chunk := source.read(4096):\n        client.put(f'/parts/{part}', content=chunk)  # call",
        "while True:\n        chunk = source.read(4096)\n        client.put(f'/parts/{part}', content=chunk)  # call",
        "for chunk in iter(lambda: source.read(4096), b''):\n        client.put(part, content=chunk)  # call",
    ],
)
def test_pieces_of_a_file_are_batches(tmp_path, loop):
    app = App(tmp_path, f"def upload(client, source, part):\n    {loop}\n")
    text = "PUT http://store/parts/{}"
    assert items_of(tmp_path, repeated(20, app.frame("call", "upload"), kind="http", text=text)) == []
    app = App(
        tmp_path,
        "def upload(client, names):\n    for name in names:\n        client.put(name, open(name).read())  # call\n",
    )
    assert len(items_of(tmp_path, repeated(20, app.frame("call", "upload"), kind="http", text=text))) == 1


def test_lines_of_an_answer_that_is_still_coming(tmp_path):
    app = App(
        tmp_path,
        """
        async def follow(response, conn):
            async for line in response.aiter_lines():
                conn.execute("insert into ticks values (?)", (line,))  # call
        """,
    )
    frame, text = app.frame("call", "follow"), "insert into ticks values (?)"
    slowly = repeated(20, frame, text=text, between=lambda trace, number: trace.pause(40))
    assert items_of(tmp_path, slowly) == []
    assert len(items_of(tmp_path, repeated(20, frame, text=text))) == 1  # a file that is downloaded


@pytest.mark.parametrize("table", ["schema_migrations", "django_migrations", "alembic_version", "schema_version"])
def test_notes_of_versions_are_taken_one_by_one(tmp_path, table):
    app = App(
        tmp_path, "def migrate(conn, files):\n    for file in files:\n        conn.execute(note, (file,))  # call\n"
    )
    frame = app.frame("call", "migrate")
    assert items_of(tmp_path, repeated(20, frame, text=f"insert into {table} values (?)")) == []
    assert items_of(tmp_path, repeated(20, frame, text=f"select 1 from {table} where version = ?")) == []
    assert len(items_of(tmp_path, repeated(20, frame, text="insert into migrants values (?)"))) == 1


def test_calls_of_a_model_that_overlap_were_started_together(tmp_path):
    app = App(tmp_path, "def run(chain, texts):\n    return chain.batch(texts)  # call\n")
    text, frame = "chat.completions small", app.frame("call", "run")
    together = TraceBuilder()
    together.root()
    for number in range(12):
        together.op("llm", text, frame, params=number + 1, ms=50, advance=False)
        together.pause(5)
    assert items_of(tmp_path, together) == []
    assert len(items_of(tmp_path, repeated(12, frame, kind="llm", text=text, ms=50))) == 1


BUS = """
class Bus:
    def emit(self, event):
        for listener in self.listeners:
            listener(event)  # emit

def decrease(line):
    conn.execute("update stock set n = n - 1 where sku = ?", (line.sku,))  # call

def checkout(bus, lines):
    for line in lines:  # loop
        bus.emit(line)  # each

def consume(bus, queue):
    while True:
        event = queue.get()
        bus.emit(event)  # fed
"""


def test_listeners_are_called_for_the_elements_of_the_loop_outside(tmp_path):
    app = App(tmp_path, BUS)
    call, emit = app.frame("call", "decrease"), app.frame("emit", "Bus.emit")
    (item,) = items_of(tmp_path, repeated(20, call, emit, app.frame("each", "checkout")))
    assert item.loop.line == app.line("loop")
    assert items_of(tmp_path, repeated(20, call, emit, app.frame("fed", "consume"))) == []
    (item,) = items_of(tmp_path, repeated(20, call, emit))
    assert item.loop.function == "Bus.emit"


AGENT = """
async def run(model, messages, db):
    while True:
        answer = await model.create(messages=messages)  # model
        for call in answer.tool_calls or ():
            messages.append(await look_up(db, call))  # tool

async def enrich(model, db, calls):
    for call in calls:
        row = await look_up(db, call)  # row
        await model.create(messages=[row])

async def look_up(db, call):
    return await db.fetchrow("select name from customers where id = $1", call)  # call
"""


def test_what_a_model_asks_for_comes_one_by_one(tmp_path):
    app = App(tmp_path, AGENT)
    call, tool = app.frame("call", "look_up"), app.frame("tool", "run")

    def answers(trace, number):
        trace.op("llm", "chat.completions small", app.frame("model", "run"), params=number + 1, continues=1)

    assert items_of(tmp_path, repeated(12, call, tool, between=answers)) == []
    assert items_of(tmp_path, repeated(12, call, between=answers)) == []  # a framework calls the tool
    (item,) = items_of(tmp_path, repeated(12, call, tool))  # all of one answer
    assert item.kind == "n_plus_one"
    (item,) = items_of(tmp_path, repeated(12, call, app.frame("row", "enrich"), between=answers))
    assert item.loop.function == "enrich"


PAGER = """
class Pages:
    async def __anext__(self):
        if not self.more:
            raise StopAsyncIteration
        self.number += 1
        answer = (await self.client.get("/pages", params={"page": self.number})).json()  # call
        self.more = answer["more"]
        return answer["items"]

class Rows:
    def __next__(self):
        row = self.client.get(f"/rows/{next(self.numbers)}")  # row
        return row
"""


def test_the_pages_of_an_iterator_end_by_an_answer(tmp_path):
    app = App(tmp_path, PAGER)
    text = "GET http://api/pages?page"
    assert items_of(tmp_path, repeated(12, app.frame("call", "Pages.__anext__"), kind="http", text=text)) == []
    assert len(items_of(tmp_path, repeated(12, app.frame("row", "Rows.__next__"), kind="http", text=text))) == 1


def test_how_another_request_came_to_a_helper_says_nothing(tmp_path):
    app = App(
        tmp_path,
        """
        def load(number):
            return conn.execute("select name from users where id = ?", (number,))  # call

        def export(numbers):
            while numbers:
                numbers = load(numbers[-1])  # other
        """,
    )
    for name, reason in (("GET /all", "load"), ("GET /export", "")):
        trace = TraceBuilder()
        trace.root(name="GET /export")
        trace.root(name=name)
        for number in range(12):
            trace.op("sql", "select name from users where id = ?", app.frame("call", "load"), params=number + 1, root=2)
        frames = [app.frame("call", "load"), app.frame("other", "export")]
        trace.records.append({"type": "stack", "site": 1, "frames": frames, "statement": 1, "root": 1})
        assert [item.function for item in items_of(tmp_path, trace)] == [reason][: bool(reason)]


def test_large_groups_are_written_one_by_one(tmp_path):
    app = App(
        tmp_path,
        "def write(conn, groups):\n    for n, rows in groups:\n        conn.executemany(q, rows)  # call\n",
    )
    frame = app.frame("call", "write")

    def trace(text, sizes):
        built = TraceBuilder()
        built.root()
        for number, size in enumerate(sizes):
            built.op("sql", text, frame, params=number + 1, batch=size)
        return built

    write, read = "insert into events values (?, ?)", "select name from users where id in (?)"
    assert items_of(tmp_path, trace(write, [14, 17, 15, 12, 16, 15, 19])) == []
    assert len(items_of(tmp_path, trace(write, [2, 3, 2, 1, 2, 2, 4]))) == 1
    assert len(items_of(tmp_path, trace(read, [14, 17, 15, 12, 16, 15, 19]))) == 1


TIMER = """
class Poller:
    def schedule(self):
        self.loop.call_later(0.03, self.tick)

    def tick(self):
        conn.execute("select count(*) from jobs where id > ?", (self.last,))  # call
        self.schedule()

def sweep(numbers):
    for number in numbers:
        poller.tick(number)  # loop
"""


def test_what_a_timer_asks_is_none(tmp_path):
    app = App(tmp_path, TIMER)
    frame = app.frame("call", "Poller.tick")

    def sleeps(trace, number):
        trace.sleep(30)

    def passes(trace, number):
        trace.pause(30)

    for between in (sleeps, passes):
        assert items_of(tmp_path, repeated(15, frame, between=between)) == []
        assert items_of(tmp_path, repeated(15, frame, between=between, same=True)) == []
    assert len(items_of(tmp_path, repeated(15, frame))) == 1
    assert len(items_of(tmp_path, repeated(15, frame, same=True))) == 1
    assert len(items_of(tmp_path, repeated(15, frame, app.frame("loop", "sweep"), between=sleeps))) == 1
