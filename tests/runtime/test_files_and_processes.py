"""Files that the application opens and programs that it runs; and blocks that it names itself."""

from __future__ import annotations

from pathlib import Path

from runtime.recorded import run


def test_files_opened_by_the_application(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """\
        import asyncio, io, logging, pathlib, tempfile
        import aiofiles, anyio
        path = pathlib.Path("secret-12.json")
        path.write_text("{}")
        assert path.read_bytes() == b"{}"
        with open("secret-12.json") as file:
            open(file.fileno(), closefd=False).close()
        with path.open("a"):
            pass
        io.open(str(path), mode="rb").close()
        try:
            open("missing")
        except FileNotFoundError:
            pass
        logging.FileHandler("app.log").close()
        tempfile.NamedTemporaryFile().close()

        async def main():
            async with aiofiles.open("secret-12.json") as file:
                assert await file.read() == "{}"
            async with await anyio.open_file("secret-12.json") as file:
                assert await file.read() == "{}"
            open("secret-12.json").close()

        asyncio.run(main())
        """,
    )
    files = trace.of("file")
    assert [(each.text, each.line, each.outcome) for each in files] == [
        ("open w .json", 4, 0),
        ("open rb .json", 5, 0),
        ("open r .json", 6, 0),
        ("open a .json", 8, 0),
        ("open rb .json", 10, 0),
        ("open r", 12, 1),
        ("open r .json", 19, 0),
        ("open r .json", 21, 0),
        ("open r .json", 23, 0),
    ]
    assert len({each.params for each in files if each.line != 12}) == 1
    assert [each.line for each in files if each.on_loop] == [23]
    assert not trace.all("note")


def test_open_is_what_it_was(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """\
        import inspect, io, pickle, subprocess, sys
        from unittest import mock

        class Reader:
            opener = open

        assert open is io.open
        assert pickle.loads(pickle.dumps(open)) is open
        assert repr(open) == "<built-in function open>"
        assert open.__name__ == "open" and open.__doc__.startswith("Open file")
        assert "encoding" in inspect.signature(open).parameters
        Reader().opener(__file__).close()
        with mock.patch("builtins.open", mock.mock_open(read_data="x")):
            assert open("nothing").read() == "x"
        assert isinstance(subprocess.Popen, type)
        with open(__file__, "rb", 0) as raw:
            assert isinstance(raw, io.FileIO)
        try:
            open()
        except TypeError as error:
            assert "open" in str(error) or "file" in str(error)
        """,
    )
    assert [each.line for each in trace.of("file")] == [12, 16]


def test_tracebacks_show_their_source(tmp_path: Path) -> None:
    """The interpreter opens files without any caller."""
    source = """\
        import subprocess, sys
        shown = subprocess.run([sys.executable, "bad.py"], capture_output=True, text=True)
        assert "1 / 0" in shown.stderr, shown.stderr
        """
    (tmp_path / "bad.py").write_text("1 / 0\n")
    run(tmp_path, source)


def test_programs_that_are_run(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """\
        import asyncio, inspect, os, subprocess, time
        subprocess.run(["/bin/sleep", "0.05"])
        assert subprocess.check_output("TOKEN=secret echo a", shell=True) == b"a\\n"
        subprocess.Popen(["sleep", "0.05"]).wait()
        subprocess.call(args=["true"])
        os.system("true; exit 0")
        try:
            subprocess.run(["/nowhere/nothing"])
        except FileNotFoundError:
            pass
        try:
            subprocess.check_call(["false"])
        except subprocess.CalledProcessError:
            pass

        async def main():
            process = await asyncio.create_subprocess_exec("sleep", "0.05")
            assert await process.wait() == 0
            process = await asyncio.create_subprocess_shell("exit 3")
            assert await process.wait() == 3
            subprocess.run(["true"])

        assert inspect.iscoroutinefunction(asyncio.create_subprocess_exec)
        asyncio.run(main())
        """,
    )
    programs = trace.of("subprocess")
    assert [(each.text, each.line, each.outcome) for each in programs] == [
        ("sleep", 2, 0),
        ("echo", 3, 0),
        ("sleep", 4, 0),
        ("true", 5, 0),
        ("true", 6, 0),
        ("nothing", 8, 1),
        ("false", 12, 1),
        ("sleep", 17, 0),
        ("exit", 19, 0),
        ("true", 21, 0),
    ]
    assert programs[0].duration > 40e6 > programs[2].duration
    assert [each.line for each in programs if each.on_loop] == [21]


def test_named_operations(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """\
        import asyncio, sqlite3
        from agentperf_runtime import operation
        connection = sqlite3.connect(":memory:")

        def search(key):
            with operation("search", "index", key=key):
                connection.execute("select 1")
                with operation("search", "inner"):
                    connection.execute("select 2")
            connection.execute("select 3")

        search("a")
        search("a")
        search("b")
        try:
            with operation("search", "failing"):
                raise KeyError
        except KeyError:
            pass

        async def one(number):
            with operation("fetch", "page", key=number):
                await asyncio.sleep(0.01)

        async def main():
            await asyncio.gather(one(1), one(2))
            connection.execute("select 4")
            try:
                await asyncio.wait_for(slow(), 0.01)
            except asyncio.TimeoutError:
                pass
            pages = generated()
            assert await pages.__anext__() == 1
            await asyncio.create_task(pages.aclose())
            connection.execute("select 5")

        async def slow():
            with operation("fetch", "slow"):
                await asyncio.sleep(10)

        async def generated():
            with operation("fetch", "generated"):
                yield 1

        asyncio.run(main())
        """,
    )
    searched = trace.of("search")
    assert [(each.text, each.line, each.function) for each in searched[:3]] == [("index", 6, "search")] * 3
    assert searched[0].params == searched[1].params != searched[2].params
    assert (searched[3].text, searched[3].outcome) == ("failing", 1)
    fetched = trace.of("fetch")
    assert [(each.text, each.outcome) for each in fetched] == [("page", 0), ("page", 0), ("slow", 1), ("generated", 1)]
    assert [each.line for each in fetched] == [22, 22, 38, 42]
    assert fetched[0].duration > 9e6
    assert [each.line for each in trace.of("sql")] == [10, 10, 10, 27, 35]
    assert not trace.of("sleep")


def test_instrumented_functions_are_pickled_by_name(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        import asyncio, functools, os, pickle, signal, sqlite3, subprocess, time
        for function in (os.system, os.kill, open, time.sleep, asyncio.sleep, sqlite3.connect, subprocess.run,
                         signal.raise_signal):
            assert pickle.loads(pickle.dumps(function)) is function, function
        assert pickle.loads(pickle.dumps(functools.partial(open, __file__)))().readline()
        """,
    )
