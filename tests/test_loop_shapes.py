"""Which loops make a repeated call a finding. Each case is a small module and the call in question."""

from __future__ import annotations

from textwrap import dedent

import pytest
from suspects import confirmed, suspect_at

QUERY = "db.get(x)"

ONE_PER_ELEMENT = {
    "for": ("def f(db, xs):\n    for x in xs:\n        db.get(x)\n", QUERY),
    "async for over rows": ("async def f(db):\n    async for x in db.rows():\n        await db.get(x)\n", QUERY),
    "comprehension": ("def f(db, xs):\n    return [db.get(x) for x in xs]\n", QUERY),
    "comprehension condition": ("def f(db, xs):\n    return [x for x in xs if db.get(x)]\n", QUERY),
    "inner clause": ("def f(db, xs):\n    return [y for x in xs for y in db.get(x)]\n", QUERY),
    "dict comprehension": ("def f(db, xs):\n    return {x: db.get(x) for x in xs}\n", QUERY),
    "map with a lambda": ("def f(db, xs):\n    return list(map(lambda x: db.get(x), xs))\n", QUERY),
    "map with a function": ("def f(db, xs):\n    return list(map(db.get, xs))\n", "map(db.get, xs)"),
    "while that pops": ("def f(db, xs):\n    while xs:\n        x = xs.pop()\n        db.get(x)\n", QUERY),
    "while with an index": ("def f(db, xs):\n    i = 0\n    while i < len(xs):\n        db.get(xs[i])\n        i += 1\n", "db.get(xs[i])"),
    "through a local": ("def f(db, xs):\n    for row in xs:\n        x = row['id']\n        db.get(x)\n", QUERY),
    "elements of a chunk": ("def f(db, xs):\n    for chunk in chunks(xs):\n        for x in chunk:\n            db.get(x)\n", QUERY),
    "id of a batch": ("def f(db, batch_ids):\n    for batch_id in batch_ids:\n        db.get(batch_id)\n", "db.get(batch_id)"),
    "a retry per element": (
        "def f(db, xs):\n    for x in xs:\n        for attempt in range(3):\n            try:\n                db.get(x)\n                break\n            except OSError:\n                continue\n",
        QUERY,
    ),
    "pages per element": (
        "def f(db, xs):\n    for x in xs:\n        token = None\n        while True:\n            r = db.get(x, token)\n            token = r.next\n            if not token:\n                break\n",
        "db.get(x, token)",
    ),
    "pause only after an error": (
        "def f(db, xs):\n    for x in xs:\n        try:\n            db.get(x)\n        except OSError:\n            time.sleep(1)\n",
        QUERY,
    ),
    "error exit": (
        "def f(db, xs):\n    for x in xs:\n        r = db.get(x)\n        if r.status != 200:\n            return\n", QUERY
    ),
    "names of a comprehension stay there": (
        "def f(db, xs, m):\n    for x in xs:\n        rows = db.get(x, m.id)\n        ids = {m.user for m in rows}\n        use(ids)\n",
        "db.get(x, m.id)",
    ),
    "range of a length": ("def f(db, n):\n    for i in range(n):\n        db.get(i)\n", "db.get(i)"),
    "module level": ("for x in read():\n    db.get(x)\n", QUERY),
    "method of a class": ("class C:\n    def f(self, xs):\n        for x in xs:\n            self.db.get(x)\n", "self.db.get(x)"),
}  # fmt: skip

INNOCENT = {
    "iterable": ("def f(db, x):\n    for y in db.get(x):\n        print(y)\n", QUERY),
    "else": ("def f(db, xs, x):\n    for y in xs:\n        print(y)\n    else:\n        db.get(x)\n", QUERY),
    "iterable of a comprehension": ("def f(db, x):\n    return [y for y in db.get(x)]\n", QUERY),
    "attempts": (
        "def f(db, x):\n    for attempt in range(n):\n        try:\n            return db.get(x)\n        except OSError:\n            pass\n",
        QUERY,
    ),
    "max retries": ("def f(db, x):\n    for i in range(self.max_retries):\n        r = db.get(x)\n", QUERY),
    "tenacity": ("def f(db, x):\n    for attempt in Retrying(stop=3):\n        with attempt:\n            db.get(x)\n", QUERY),
    "async tenacity": (
        "async def f(db, x):\n    async for a in AsyncRetrying():\n        with a:\n            await db.get(x)\n", QUERY
    ),
    "while with success": (
        "def f(db, x):\n    while True:\n        try:\n            db.get(x)\n            break\n        except OSError:\n            pass\n",
        QUERY,
    ),
    "cursor": (
        "def f(db):\n    cursor = None\n    while True:\n        r = db.get(cursor)\n        cursor = r.next\n        if not cursor:\n            break\n",
        "db.get(cursor)",
    ),
    "offset": (
        "def f(db):\n    offset = 0\n    while offset < total:\n        db.get(offset)\n        offset += 100\n", "db.get(offset)"
    ),
    "key of the last row in a for": (
        "def f(db, n):\n    last = 0\n    for i in range(n):\n        rows = db.get(last)\n        last = rows[-1].id\n", "db.get(last)"
    ),
    "page numbers": ("def f(db, n):\n    for page in range(1, n):\n        db.get(page)\n", "db.get(page)"),
    "slices": (
        "def f(db, xs):\n    for i in range(0, len(xs), 500):\n        part = xs[i:i+500]\n        db.get(part)\n", "db.get(part)"
    ),
    "batched": ("def f(db, xs):\n    for x in batched(xs, 100):\n        db.get(x)\n", QUERY),
    "own chunk function": ("def f(db, xs):\n    for x in in_safe_chunks(xs):\n        db.get(x)\n", QUERY),
    "chunk of ids": ("def f(db, xs):\n    for chunk_ids in split(xs):\n        db.get(chunk_ids)\n", "db.get(chunk_ids)"),
    "poll": ("async def f(db, x):\n    while True:\n        s = await db.get(x)\n        if s.done:\n            return\n        await asyncio.sleep(5)\n", QUERY),
    "poll with a timeout": ("def f(db, x):\n    while time.time() - start < timeout:\n        s = db.get(x)\n", QUERY),
    "worker": ("async def f(db, queue):\n    while True:\n        x = await queue.get()\n        await db.get(x)\n", QUERY),
    "worker until stopped": ("def f(db, s):\n    while not s.stopped:\n        x = s.take()\n        db.get(x)\n", QUERY),
    "literal": ("def f(db, a, b):\n    for x in (a, b):\n        db.get(x)\n", QUERY),
    "literal in a local": ("def f(db):\n    kinds = ['a', 'b']\n    for x in kinds:\n        db.get(x)\n", QUERY),
    "constant": ("def f(db):\n    for x in _KNOWN_KINDS:\n        db.get(x)\n", QUERY),
    "items of a constant": ("def f(db):\n    for k, x in settings.TABLES.items():\n        db.get(x)\n", QUERY),
    "enumerated constant": ("def f(db):\n    for i, x in enumerate(KINDS):\n        db.get(x)\n", QUERY),
    "enum": ("def f(db):\n    for x in State:\n        db.get(x)\n", QUERY),
    "small range": ("def f(db):\n    for x in range(3):\n        db.get(x)\n", QUERY),
    "the first five": ("def f(db, xs):\n    for x in xs[:5]:\n        db.get(x)\n", QUERY),
    "returns in the branch that calls": (
        "def f(db, xs):\n    for x in xs:\n        if x.matches:\n            return db.get(x)\n", QUERY
    ),
    "breaks after the call": ("def f(db, xs):\n    for x in xs:\n        db.get(x)\n        break\n", QUERY),
    "relay": ("async def f(db, ws):\n    async for x in ws:\n        await db.get(x)\n", QUERY),
    "consumer": ("def f(db, consumer):\n    for x in consumer:\n        db.get(x)\n", QUERY),
    "rate limit": ("def f(db, xs):\n    for x in xs:\n        db.get(x)\n        time.sleep(0.2)\n", QUERY),
    "rate limiter": ("async def f(db, xs):\n    for x in xs:\n        async with self.limiter:\n            await db.get(x)\n", QUERY),
    "server each": ("def f(servers, x):\n    for server in servers:\n        server.client.get(x)\n", "server.client.get(x)"),
    "server each through a local": (
        "def f(entries):\n    for entry in entries:\n        if not (hub := entry.data).ok:\n            continue\n        hub.api.get(1)\n",
        "hub.api.get(1)",
    ),
    "client by key": ("def f(self, xs):\n    for x in xs:\n        self.clients[x].get(1)\n", "self.clients[x].get(1)"),
    "client for each": ("def f(xs):\n    for x in xs:\n        with Client(x) as c:\n            c.get(1)\n", "c.get(1)"),
    "statements": ("def f(db, todo):\n    for s in todo:\n        db.execute(s)\n", "db.execute(s)"),
    "ddl": ("def f(db, xs):\n    for x in xs:\n        db.execute(f'DROP TABLE {x}')\n", "db.execute(f'DROP TABLE {x}')"),
    "table names": (
        "def f(db, xs):\n    for x in xs:\n        db.execute(f'SELECT count(*) FROM {x}')\n", "db.execute(f'SELECT count(*) FROM {x}')"
    ),
    "models": ("def f(s, xs):\n    for m in xs:\n        s.query(m).delete()\n", "s.query(m).delete()"),
    "executemany": ("def f(db, xs):\n    for x in xs:\n        db.executemany(sql, x)\n", "db.executemany(sql, x)"),
    "pipeline": ("def f(r, xs):\n    with r.pipeline() as p:\n        for x in xs:\n            p.get(x)\n", "p.get(x)"),
    "collected into a batch": ("def f(s, batch, xs):\n    for x in xs:\n        batch.add(s.delete(x))\n", "s.delete(x)"),
    "once, outside": ("def f(db, x):\n    db.get(x)\n", QUERY),
    "nested function": ("def f(db, xs):\n    for x in xs:\n        def g():\n            db.get(x)\n", QUERY),
    "outer loop it does not depend on": (
        "def f(db, xs, x):\n    for y in xs:\n        for attempt in range(3):\n            db.get(x)\n", QUERY
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ONE_PER_ELEMENT)
def test_reports_one_call_per_element(case: str) -> None:
    source, call = ONE_PER_ELEMENT[case]
    findings = confirmed(source, suspect_at(source, call))
    assert [finding.confidence in {"definite", "likely"} for finding in findings] == [True]


@pytest.mark.parametrize("case", INNOCENT)
def test_stays_silent(case: str) -> None:
    source, call = INNOCENT[case]
    assert confirmed(source, suspect_at(source, call)) == []


def loop_confidence(source: str, call: str = QUERY, **options: str | bool) -> str | None:
    findings = confirmed(dedent(source), suspect_at(dedent(source), call, **options))
    return findings[0].confidence if findings else None


def test_agent_loops_depend_on_the_last_answer() -> None:
    source = """
        async def f(llm, xs):
            messages = []
            for x in xs:
                messages.append(x)
                answer = await llm.chat(messages)
                messages.append(answer)
        """
    assert loop_confidence(source, "llm.chat(messages)", kind="llm") is None


def test_the_same_call_for_every_element_is_likely() -> None:
    source = """
        def f(db, xs, x):
            for y in xs:
                rows = db.get(x)
                print(rows, y)
        """
    assert loop_confidence(source) == "likely"


def test_the_same_call_behind_a_cache_is_possible() -> None:
    source = """
        def f(db, xs, x, known):
            for y in xs:
                if x not in known:
                    known[x] = db.get(x)
                print(y)
        """
    assert loop_confidence(source) == "possible"


def test_the_first_that_answers_is_possible() -> None:
    source = """
        def f(db, xs):
            for x in xs:
                row = db.get(x)
                if row:
                    return row
        """
    assert loop_confidence(source) == "possible"


def test_a_call_after_an_error_is_possible() -> None:
    source = """
        def f(db, xs):
            for x in xs:
                try:
                    use(x)
                except KeyError:
                    db.get(x)
        """
    assert loop_confidence(source) == "possible"


def test_an_element_that_asks_for_itself_is_reported_through_helpers_only() -> None:
    source = """
        async def f(todos):
            for todo in todos:
                await todo.run()
        """
    assert loop_confidence(source, "todo.run()", kind="llm", through=True) == "definite"
    assert loop_confidence(source, "todo.run()", kind="llm") is None


def test_requests_started_together_are_fine_and_queries_are_not() -> None:
    source = """
        async def f(c, xs):
            return await asyncio.gather(*[c.get(x) for x in xs])
        """
    assert confirmed(source.replace("\n        ", "\n"), suspect_at(source.replace("\n        ", "\n"), "c.get(x)", kind="http")) == []
    findings = confirmed(dedent(source), suspect_at(dedent(source), "c.get(x)"))
    assert [finding.code for finding in findings] == ["APL208"]


def test_tasks_collected_and_started_later_are_a_fan_out() -> None:
    source = dedent("""
        async def f(db, xs):
            tasks = []
            for x in xs:
                tasks.append(db.get(x))
            return await asyncio.gather(*tasks)
        """)
    assert [finding.code for finding in confirmed(source, suspect_at(source, QUERY))] == ["APL208"]


def test_a_fan_out_below_a_semaphore_is_possible() -> None:
    source = dedent("""
        async def f(db, xs):
            limit = asyncio.Semaphore(5)
            async def one(x):
                async with semaphore:
                    return await db.get(x)
            return await asyncio.gather(*(one(x) for x in xs))
        """)
    findings = confirmed(source, suspect_at(source, "one(x)", through=True))
    assert [(finding.code, finding.confidence) for finding in findings] == [("APL208", "possible")]


@pytest.mark.parametrize(
    ("iterable", "expected"),
    [
        ("Book.objects.all()", 1),
        ("Book.objects.select_related('author')", 0),
        ("Book.objects.select_related('publisher')", 1),
        ("Book.objects.prefetch_related('author__books')", 0),
        ("session.scalars(select(Book).options(selectinload(Book.author)))", 0),
    ],
)
def test_relations_loaded_with_the_list(iterable: str, expected: int) -> None:
    source = f"def f(session):\n    for b in {iterable}:\n        print(b.author.name)\n"
    assert len(confirmed(source, suspect_at(source, "b.author", kind="relation"))) == expected
    source = f"def f(session):\n    books = {iterable}\n    for b in books:\n        print(b.author.name)\n"
    assert len(confirmed(source, suspect_at(source, "b.author", kind="relation"))) == expected


def test_an_assigned_relation_is_no_query() -> None:
    source = "def f(books, a):\n    for b in books:\n        b.author = a\n"
    assert confirmed(source, suspect_at(source, "b.author", kind="relation")) == []
