"""Whole programs under the tracer: call sites, roots, threads and what is left of values."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from runtime.recorded import run

from agentperf_runtime.tracer import Options


def test_call_site_parameters_and_outcome(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """\
        import sqlite3
        connection = sqlite3.connect(":memory:")
        connection.execute("create table t(a, b)")
        cursor = connection.cursor()
        cursor.executemany("insert into t values (?, ?)", [(1, 2), (3, 4), (5, 6)])

        def find(a):
            return cursor.execute("select b from t where a = ?", (a,)).fetchall()

        find(1)
        find(1)
        find(3)
        try:
            connection.execute("select nothing from nowhere")
        except sqlite3.OperationalError:
            pass
        """,
    )
    _, insert, first, again, other, failed = trace.of("sql")
    assert (insert.batch, insert.line, insert.function) == (3, 5, "<module>")
    assert (first.line, first.function, first.file) == (8, "find", "app.py")
    assert first.params == again.params != other.params
    assert first.params != 0
    assert [each.outcome for each in (first, failed)] == [0, 1]
    assert first.root == "script main"
    stacks = [each["frames"] for each in trace.all("stack")]
    assert [[line for _, line, _ in frames] for frames in stacks if frames[0][1] == 8] == [[8, 10], [8, 11], [8, 12]]


def test_classes_of_the_application_stay_what_they_are(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """\
        import sqlite3, sys

        class Connection(sqlite3.Connection):
            def execute(self, *args):
                self.executed = True
                return super().execute(*args)

        class Cursor(sqlite3.Cursor):
            pass

        connection = sqlite3.connect(":memory:", factory=Connection)
        assert isinstance(connection, Connection)
        assert connection.execute("select 1").fetchone() == (1,)
        assert connection.executed
        assert isinstance(connection.cursor(Cursor).execute("select 2"), Cursor)
        assert connection.cursor(factory=Cursor).connection is connection
        if sys.version_info < (3, 15):  # then by name only
            sixth = sqlite3.connect(":memory:", 5.0, 0, None, True, Connection)
            sixth.cursor().execute("select 3")
        """,
    )
    assert {"select ?"} <= {each.text for each in trace.of("sql")}


def test_child_tasks_share_their_root_and_know_who_created_them(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """\
        import asyncio, sqlite3
        connection = sqlite3.connect(":memory:")

        async def one(number):
            await asyncio.sleep(0.001)
            connection.execute("select ?", (number,))

        async def main():
            await asyncio.gather(*(one(number) for number in range(3)))

        asyncio.run(main())
        asyncio.run(main())
        """,
    )
    queries = trace.of("sql")
    assert [each.root for each in queries] == ["task main"] * 6
    assert len({each.root_id for each in queries}) == 2
    assert len({each.task for each in queries}) == 6
    assert all(each.on_loop for each in queries)
    assert {each.kind for each in trace.operations} == {"sql", "sleep"}
    lines = [[line for _, line, _ in each["frames"]] for each in trace.all("stack") if each["frames"][0][1] == 6]
    assert lines[0] == [6, 9, 11]


def test_threads_know_whom_they_serve(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """\
        import asyncio, concurrent.futures, functools, sqlite3

        def query(number):
            connection = sqlite3.connect(":memory:")
            return connection.execute("select ?", (number,)).fetchone()

        async def main():
            await asyncio.to_thread(query, 1)
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, functools.partial(query, 2))
            with concurrent.futures.ThreadPoolExecutor() as executor:
                await loop.run_in_executor(executor, query, 3)
                connection = sqlite3.connect(":memory:", check_same_thread=False)
                await loop.run_in_executor(executor, connection.execute, "select 4")

        asyncio.run(main())
        """,
    )
    queries = trace.of("sql")
    assert [each.root for each in queries] == ["task main"] * 4
    assert not any(each.on_loop for each in queries)
    assert [each.line for each in queries] == [5, 5, 5, 14]
    outer = [each["frames"][1][1] for each in trace.all("stack") if each["frames"][0][1] == 5]
    assert outer == [8, 10, 12]


def test_connections_of_a_server_are_roots_of_their_own(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """\
        import asyncio, sqlite3
        connection = sqlite3.connect(":memory:")

        async def serve(reader, writer):
            line = await reader.readline()
            connection.execute("select ?", (line,))
            writer.close()

        async def main():
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            connection.execute("select 'before'")
            for number in range(3):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"%d\\n" % number)
                await reader.read()
                writer.close()
            server.close()

        asyncio.run(main())
        """,
    )
    queries = trace.of("sql")
    assert [each.root for each in queries] == ["task main", *["task serve"] * 3]
    assert len({each.root_id for each in queries}) == 4


def test_aiosqlite_is_called_where_it_is_awaited(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """\
        import asyncio, aiosqlite

        async def main():
            async with aiosqlite.connect(":memory:") as db:
                await db.execute("create table t(a)")
                async with db.execute("select a from t where a = ?", (1,)) as cursor:
                    await cursor.fetchall()

        asyncio.run(main())
        """,
    )
    assert [(each.line, each.function, each.on_loop) for each in trace.of("sql")] == [
        (5, "main", False),
        (6, "main", False),
    ]


def test_operations_that_an_application_names(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """\
        import asyncio, sqlite3
        from agentperf_runtime import operation, root
        connection = sqlite3.connect(":memory:")

        def search(key):
            with operation("search", "index", key=key):
                connection.execute("select 1")

        async def main():
            with root("agent run"):
                search("a")
                search("b")
                connection.execute("select 2")
            search("a")

        asyncio.run(main())
        """,
        environment={"PYTHONPATH": str(Path(__file__).parents[2] / "runtime")},
    )
    first, second, third = trace.of("search")
    assert (first.text, first.line, first.root) == ("index", 6, "agent agent run")
    assert first.params == third.params != second.params
    assert third.root == "task main"
    assert [each.line for each in trace.of("sql")] == [13]


@pytest.mark.usefixtures("unmeasured")
def test_nothing_is_imported_for_the_tracer(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """\
        import sys
        heavy = {"asyncio", "sqlite3", "libcst", "click", "rich", "psutil", "concurrent", "logging", "agentperf_lint"}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
        """,
    )
    assert trace.all("end")


@pytest.mark.parametrize("sample", [0.0, 0.3])
def test_a_share_of_the_roots_is_recorded(tmp_path: Path, sample: float) -> None:
    trace = run(
        tmp_path,
        """\
        import asyncio, sqlite3
        connection = sqlite3.connect(":memory:")

        async def one():
            connection.execute("select 1")
            connection.execute("select 2")

        for _ in range(60):
            asyncio.run(one())
        """,
        options=Options(sample=sample),
    )
    roots = {each.root_id for each in trace.of("sql")}
    assert len(roots) <= 60 * sample * 2
    assert bool(roots) == bool(sample)
    assert len(trace.of("sql")) == 2 * len(roots)


def test_values_do_not_reach_the_file(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """\
        import sqlite3
        connection = sqlite3.connect(":memory:")
        connection.execute("create table t(name)")
        connection.execute("insert into t values (?)", ("hunter2-bound",))
        connection.execute("insert into t values ('hunter2-literal')")
        connection.execute("select 4111111111111111 -- hunter2-comment")
        connection.execute(f"select * from t where name in ('hunter2-a', 'hunter2-b')")
        """,
        "--password=hunter2-argument",
        environment={"SECRET": "hunter2-environment"},
    )
    content = "".join(file.read_text(encoding="utf-8") for file in trace.files)
    assert "hunter2" not in content
    assert "4111" not in content
    assert trace.of("sql")[-1].text == "select * from t where name in (?)"
    assert trace.of("sql")[-1].batch == 2


def test_more_than_can_be_written_is_dropped_and_counted(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """\
        import sqlite3
        cursor = sqlite3.connect(":memory:").cursor()
        for number in range(1_000):
            cursor.execute("select ?", (number,))
        """,
        options=Options(max_ops=100),
    )
    counters = trace.all("counters")[-1]
    assert counters["dropped"] >= 100
    assert counters["recorded"] + counters["dropped"] >= 1_000
    assert len(trace.of("sql")) == counters["recorded"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX file modes")
def test_the_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    trace = run(tmp_path, "pass")
    assert trace.files[0].stat().st_mode & 0o077 == 0
