"""The same question asked again, and what is no duplicate of anything."""

from __future__ import annotations

import pytest
from scenes import App, items_of, kinds, repeated
from trace_builder import TraceBuilder

TEXT = "select name, role from users where id = %s"
PAGE = """
def user(conn, uid):
    return conn.execute("select name, role from users where id = %s", (uid,)).fetchone()  # call

def part(conn, uid):
    return user(conn, uid)[0]  # part
"""


@pytest.fixture
def app(tmp_path):
    return App(tmp_path, PAGE)


def test_the_same_question_from_twelve_places(tmp_path, app):
    trace = TraceBuilder()
    trace.root()
    for number in range(12):
        frames = app.frame("call", "user"), (str(app.path), app.line("part"), f"part_{number}")
        trace.op("sql", TEXT, *frames, params=7, ms=3)
    (item,) = items_of(tmp_path, trace)
    assert (item.code, item.kind, item.line, item.operations) == ("APL502", "duplicate", app.line("call"), 12)
    assert item.total_seconds == pytest.approx(0.036)
    assert "12 times in one root with the same parameters" in item.message
    assert "ask once" in item.remedy


def test_sites_that_ask_the_same_are_one_item(tmp_path):
    app = App(tmp_path, "\n".join(f"def f{n}(conn): return conn.execute(SQL)  # call{n}" for n in range(8)))
    trace = TraceBuilder()
    trace.root()
    for number in range(8):
        trace.op("sql", TEXT, app.frame(f"call{number}", f"f{number}"), params=7)
    (item,) = items_of(tmp_path, trace)
    assert (item.kind, item.operations, len(item.evidence[0].other_places)) == ("duplicate", 8, 7)
    assert "from 8 places" in item.message


def test_in_a_loop_too(tmp_path):
    app = App(
        tmp_path,
        """
        def report(conn, rows):
            for row in rows:
                conn.execute("select value from settings where name = 'zone'")  # call
        """,
    )
    trace = repeated(20, app.frame("call", "report"), same=True, text="select value from settings where name = ?")
    assert kinds(items_of(tmp_path, trace)) == [("duplicate", "app.py", app.line("call"))]


def test_five_are_not_enough_and_six_are(tmp_path, app):
    frame = app.frame("call", "user")
    assert items_of(tmp_path, repeated(5, frame, same=True)) == []
    assert len(items_of(tmp_path, repeated(6, frame, same=True))) == 1
    assert items_of(tmp_path, repeated(6, frame, same=True), min_duplicates=7) == []


def test_statements_without_parameters(tmp_path, app):
    trace = TraceBuilder()
    trace.root()
    for _ in range(9):
        trace.op("sql", "select count(*) from users", app.frame("call", "user"), params=0)
        trace.op("http", "GET http://api/config", app.frame("part", "part"), params=0)
    assert sorted(item.kind for item in items_of(tmp_path, trace)) == ["duplicate", "duplicate"]


@pytest.mark.parametrize(
    ("kind", "text"),
    [("http", "GET http://api/config"), ("redis", "GET"), ("llm", "chat m"), ("mongo", "users.find_one")],
)
def test_other_kinds(tmp_path, app, kind, text):
    (item,) = items_of(tmp_path, repeated(9, app.frame("call", "user"), kind=kind, text=text, same=True))
    assert item.kind == "duplicate"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("sql", "insert into hits (page) values (?)"),
        ("sql", "UPDATE t SET n = n + 1 WHERE id = ?"),
        ("sql", "with x as (insert into y values (?) returning id) select id from x"),
        ("sql", "select nextval('orders_id')"),
        ("sql", "select id from jobs where done = ? limit 1 for update skip locked"),
        ("sql", "select 1"),
        ("redis", "SET"),
        ("redis", "INCR"),
        ("redis", "LPOP"),
        ("redis", "PING"),
        ("redis", "BLPOP"),
        ("http", "POST http://api/items"),
        ("mongo", "insert users"),
    ],
)
def test_what_may_be_repeated(tmp_path, app, kind, text):
    assert items_of(tmp_path, repeated(20, app.frame("call", "user"), kind=kind, text=text, same=True)) == []


@pytest.mark.parametrize(
    ("kind", "read", "write", "found"),
    [
        ("sql", TEXT, "update users set role = %s where id = %s", 0),
        ("sql", TEXT, 'INSERT INTO "users" (id) VALUES (?)', 0),
        ("sql", TEXT, "update orders set total = %s", 1),
        ("sql", "select * from a join users u on u.id = a.id where a.id = ?", "delete from users where id = ?", 0),
        ("redis", "GET", "SET", 0),
        ("http", "GET http://api/cart", "POST http://api/cart/items", 0),
        ("http", "GET http://api/cart", "POST http://other/log", 1),
        ("mongo", "users.find_one", "users.update_one", 0),
        ("mongo", "users.find_one", "orders.update_one", 1),
    ],
)
def test_reads_after_writes_are_asked_anew(tmp_path, app, kind, read, write, found):
    def after(trace: TraceBuilder, number: int) -> None:
        trace.op(kind, write, app.frame("part", "part"), params=500 + number % 2)

    trace = repeated(12, app.frame("call", "user"), kind=kind, text=read, same=True, between=after)
    assert len([item for item in items_of(tmp_path, trace) if item.kind == "duplicate"]) == found


def test_a_single_write_does_not_excuse_the_rest(tmp_path, app):
    def after(trace: TraceBuilder, number: int) -> None:
        if number == 3:
            trace.op("sql", "update users set role = ?", app.frame("part", "part"), params=1)

    (item,) = items_of(tmp_path, repeated(20, app.frame("call", "user"), text=TEXT, same=True, between=after))
    assert item.operations == 16


@pytest.mark.parametrize("milliseconds", [5, 1000])
def test_polls_are_silent(tmp_path, app, milliseconds):
    trace = repeated(
        14, app.frame("call", "user"), kind="http", text="GET http://api/jobs/{}", same=True,
        between=lambda trace, _: trace.sleep(milliseconds),
    )  # fmt: skip
    assert items_of(tmp_path, trace) == []


def test_polls_without_asyncio_are_told_by_their_pace(tmp_path, app):
    def polled(pause: float) -> TraceBuilder:
        return repeated(14, app.frame("call", "user"), same=True, task=0, between=lambda trace, _: trace.pause(pause))

    assert items_of(tmp_path, polled(700)) == []
    assert len(items_of(tmp_path, polled(100))) == 1


def test_polls_of_a_loop_that_sleeps(tmp_path):
    app = App(
        tmp_path,
        """
        def wait(conn):
            tries = 0
            while tries < 100:
                conn.execute("select count(*) from jobs")  # call
                tries += 1
                time.sleep(0.03)
        """,
    )
    trace = repeated(12, app.frame("call", "wait"), same=True, task=0, between=lambda trace, _: trace.pause(30))
    assert items_of(tmp_path, trace) == []


def test_polls_in_tasks_of_their_own(tmp_path, app):
    trace = TraceBuilder()
    trace.root()
    for number in range(12):
        trace.op("http", "GET http://api/jobs/{}", app.frame("call", "user"), params=7, task=10 + number)
        trace.sleep(50, task=1)
    assert items_of(tmp_path, trace) == []


def test_a_clock_that_ticks_beside_is_no_poll(tmp_path, app):
    trace = TraceBuilder()
    trace.root()
    for number in range(12):
        trace.op("http", "GET http://api/config", app.frame("call", "user"), params=7, task=10 + number)
        trace.op("sleep", "asyncio.sleep", ("", 0, ""), ms=5, task=1, advance=False)
        trace.pause(40)
    assert len(items_of(tmp_path, trace)) == 1


def test_retries_are_silent(tmp_path, app):
    trace = TraceBuilder()
    trace.root()
    for number in range(12):
        trace.op("sql", TEXT, app.frame("call", "user"), params=7, outcome=int(number < 11))
    assert items_of(tmp_path, trace) == []


def test_until_the_answer_is_right(tmp_path):
    app = App(
        tmp_path,
        """
        def wait(client):
            state = client.get("/job")  # call
            while state != "done":
                state = client.get("/job")  # again
        """,
    )
    trace = repeated(12, app.frame("again", "wait"), kind="http", text="GET http://api/job", same=True)
    assert items_of(tmp_path, trace) == []


def test_workers_ask_for_every_job(tmp_path):
    app = App(
        tmp_path,
        """
        async def worker(queue, conn):
            while True:
                job = await queue.get()
                await conn.fetchval("select count(*) from jobs")  # call
        """,
    )
    trace = repeated(12, app.frame("call", "worker"), text="select count(*) from jobs", same=True)
    assert items_of(tmp_path, trace) == []


def test_in_separate_requests(tmp_path, app):
    trace = TraceBuilder()
    for number in range(50):
        trace.op("sql", TEXT, app.frame("call", "user"), params=7, root=trace.root(), task=number + 1)
    assert items_of(tmp_path, trace) == []


def test_an_n_plus_one_is_not_told_twice(tmp_path):
    app = App(
        tmp_path,
        """
        def report(conn, books):
            for book in books:
                conn.execute("select name from authors where id = ?", (book.author,))  # call
        """,
    )
    trace = TraceBuilder()
    trace.root()
    for number in range(40):
        trace.op("sql", "select name from authors where id = ?", app.frame("call", "report"), params=number % 4 + 1)
    assert [item.kind for item in items_of(tmp_path, trace)] == ["n_plus_one"]


@pytest.mark.parametrize("comment", ["# agentperf: ignore", "# noqa: APL502"])
def test_comments_silence(tmp_path, comment):
    app = App(tmp_path, PAGE.replace("  # call", f"  {comment}  # call"))
    assert items_of(tmp_path, repeated(9, app.frame("call", "user"), same=True)) == []


def test_asking_until_the_answer_is_as_wanted_is_no_duplicate(tmp_path):
    app = App(
        tmp_path,
        """
        def fetch(session, key):
            for attempt in range(10):
                answer = session.get(f"/exports/{key}")  # call
                body = answer.json()
                if body["ready"]:
                    return answer

        def page(session):
            fetch(session, 1)  # one
            fetch(session, 1)  # two
        """,
    )
    text, call = "GET http://api/exports/{}", app.frame("call", "fetch")
    asked = repeated(8, call, app.frame("one", "page"), kind="http", text=text, same=True)
    assert items_of(tmp_path, asked) == []
    for _ in range(8):
        asked.op("http", text, call, app.frame("two", "page"), params=7)
    (item,) = items_of(tmp_path, asked)
    assert item.operations == 16
