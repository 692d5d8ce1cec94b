"""Which loops make a repeated call a finding. Each case is a small module and the call in question."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest
from suspects import confirmed, suspect_at

QUERY = "db.get(x)"

ONE_PER_ELEMENT = {
    "for": (
        """
        def f(db, xs):
            for x in xs:
                db.get(x)
        """,
        QUERY,
    ),
    "async for over rows": (
        """
        async def f(db):
            async for x in db.rows():
                await db.get(x)
        """,
        QUERY,
    ),
    "comprehension": (
        """
        def f(db, xs):
            return [db.get(x) for x in xs]
        """,
        QUERY,
    ),
    "comprehension condition": (
        """
        def f(db, xs):
            return [x for x in xs if db.get(x)]
        """,
        QUERY,
    ),
    "inner clause": (
        """
        def f(db, xs):
            return [y for x in xs for y in db.get(x)]
        """,
        QUERY,
    ),
    "dict comprehension": (
        """
        def f(db, xs):
            return {x: db.get(x) for x in xs}
        """,
        QUERY,
    ),
    "map with a lambda": (
        """
        def f(db, xs):
            return list(map(lambda x: db.get(x), xs))
        """,
        QUERY,
    ),
    "map with a function": (
        """
        def f(db, xs):
            return list(map(db.get, xs))
        """,
        "map(db.get, xs)",
    ),
    "while that pops": (
        """
        def f(db, xs):
            while xs:
                x = xs.pop()
                db.get(x)
        """,
        QUERY,
    ),
    "while with an index": (
        """
        def f(db, xs):
            i = 0
            while i < len(xs):
                db.get(xs[i])
                i += 1
        """,
        "db.get(xs[i])",
    ),
    "through a local": (
        """
        def f(db, xs):
            for row in xs:
                x = row['id']
                db.get(x)
        """,
        QUERY,
    ),
    "elements of a chunk": (
        """
        def f(db, xs):
            for chunk in chunks(xs):
                for x in chunk:
                    db.get(x)
        """,
        QUERY,
    ),
    "id of a batch": (
        """
        def f(db, batch_ids):
            for batch_id in batch_ids:
                db.get(batch_id)
        """,
        "db.get(batch_id)",
    ),
    "a retry per element": (
        """
        def f(db, xs):
            for x in xs:
                for attempt in range(3):
                    try:
                        db.get(x)
                        break
                    except OSError:
                        continue
        """,
        QUERY,
    ),
    "pages per element": (
        """
        def f(db, xs):
            for x in xs:
                token = None
                while True:
                    r = db.get(x, token)
                    token = r.next
                    if not token:
                        break
        """,
        "db.get(x, token)",
    ),
    "pause only after an error": (
        """
        def f(db, xs):
            for x in xs:
                try:
                    db.get(x)
                except OSError:
                    time.sleep(1)
        """,
        QUERY,
    ),
    "error exit": (
        """
        def f(db, xs):
            for x in xs:
                r = db.get(x)
                if r.status != 200:
                    return
        """,
        QUERY,
    ),
    "names of a comprehension stay there": (
        """
        def f(db, xs, m):
            for x in xs:
                rows = db.get(x, m.id)
                ids = {m.user for m in rows}
                use(ids)
        """,
        "db.get(x, m.id)",
    ),
    "results kept on self": (
        """
        class C:
            def f(self, xs):
                for x in xs:
                    row = self.db.get(self.table, x)
                    self.rows.append(row)
        """,
        "self.db.get(self.table, x)",
    ),
    "range of a length": (
        """
        def f(db, n):
            for i in range(n):
                db.get(i)
        """,
        "db.get(i)",
    ),
    "module level": (
        """
        for x in read():
            db.get(x)
        """,
        QUERY,
    ),
    "method of a class": (
        """
        class C:
            def f(self, xs):
                for x in xs:
                    self.db.get(x)
        """,
        "self.db.get(x)",
    ),
}

INNOCENT = {
    "iterable": (
        """
        def f(db, x):
            for y in db.get(x):
                print(y)
        """,
        QUERY,
    ),
    "else": (
        """
        def f(db, xs, x):
            for y in xs:
                print(y)
            else:
                db.get(x)
        """,
        QUERY,
    ),
    "iterable of a comprehension": (
        """
        def f(db, x):
            return [y for y in db.get(x)]
        """,
        QUERY,
    ),
    "attempts": (
        """
        def f(db, x):
            for attempt in range(n):
                try:
                    return db.get(x)
                except OSError:
                    pass
        """,
        QUERY,
    ),
    "max retries": (
        """
        def f(db, x):
            for i in range(self.max_retries):
                r = db.get(x)
        """,
        QUERY,
    ),
    "tenacity": (
        """
        def f(db, x):
            for attempt in Retrying(stop=3):
                with attempt:
                    db.get(x)
        """,
        QUERY,
    ),
    "async tenacity": (
        """
        async def f(db, x):
            async for a in AsyncRetrying():
                with a:
                    await db.get(x)
        """,
        QUERY,
    ),
    "while with success": (
        """
        def f(db, x):
            while True:
                try:
                    db.get(x)
                    break
                except OSError:
                    pass
        """,
        QUERY,
    ),
    "cursor": (
        """
        def f(db):
            cursor = None
            while True:
                r = db.get(cursor)
                cursor = r.next
                if not cursor:
                    break
        """,
        "db.get(cursor)",
    ),
    "offset": (
        """
        def f(db):
            offset = 0
            while offset < total:
                db.get(offset)
                offset += 100
        """,
        "db.get(offset)",
    ),
    "key of the last row in a for": (
        """
        def f(db, n):
            last = 0
            for i in range(n):
                rows = db.get(last)
                last = rows[-1].id
        """,
        "db.get(last)",
    ),
    "page numbers": (
        """
        def f(db, n):
            for page in range(1, n):
                db.get(page)
        """,
        "db.get(page)",
    ),
    "slices": (
        """
        def f(db, xs):
            for i in range(0, len(xs), 500):
                part = xs[i:i+500]
                db.get(part)
        """,
        "db.get(part)",
    ),
    "batched": (
        """
        def f(db, xs):
            for x in batched(xs, 100):
                db.get(x)
        """,
        QUERY,
    ),
    "own chunk function": (
        """
        def f(db, xs):
            for x in in_safe_chunks(xs):
                db.get(x)
        """,
        QUERY,
    ),
    "chunk of ids": (
        """
        def f(db, xs):
            for chunk_ids in split(xs):
                db.get(chunk_ids)
        """,
        "db.get(chunk_ids)",
    ),
    "poll": (
        """
        async def f(db, x):
            while True:
                s = await db.get(x)
                if s.done:
                    return
                await asyncio.sleep(5)
        """,
        QUERY,
    ),
    "poll with a timeout": (
        """
        def f(db, x):
            while time.time() - start < timeout:
                s = db.get(x)
        """,
        QUERY,
    ),
    "worker": (
        """
        async def f(db, queue):
            while True:
                x = await queue.get()
                await db.get(x)
        """,
        QUERY,
    ),
    "turns of an agent": (
        """
        def f(db, calls):
            while calls and iterations < limit:
                x = calls.pop(0)
                db.get(x)
        """,
        QUERY,
    ),
    "worker until stopped": (
        """
        def f(db, s):
            while not s.stopped:
                x = s.take()
                db.get(x)
        """,
        QUERY,
    ),
    "literal": (
        """
        def f(db, a, b):
            for x in (a, b):
                db.get(x)
        """,
        QUERY,
    ),
    "literal in a local": (
        """
        def f(db):
            kinds = ['a', 'b']
            for x in kinds:
                db.get(x)
        """,
        QUERY,
    ),
    "constant": (
        """
        def f(db):
            for x in _KNOWN_KINDS:
                db.get(x)
        """,
        QUERY,
    ),
    "items of a constant": (
        """
        def f(db):
            for k, x in settings.TABLES.items():
                db.get(x)
        """,
        QUERY,
    ),
    "enumerated constant": (
        """
        def f(db):
            for i, x in enumerate(KINDS):
                db.get(x)
        """,
        QUERY,
    ),
    "enum": (
        """
        def f(db):
            for x in State:
                db.get(x)
        """,
        QUERY,
    ),
    "small range": (
        """
        def f(db):
            for x in range(3):
                db.get(x)
        """,
        QUERY,
    ),
    "the first five": (
        """
        def f(db, xs):
            for x in xs[:5]:
                db.get(x)
        """,
        QUERY,
    ),
    "returns in the branch that calls": (
        """
        def f(db, xs):
            for x in xs:
                if x.matches:
                    return db.get(x)
        """,
        QUERY,
    ),
    "breaks after the call": (
        """
        def f(db, xs):
            for x in xs:
                db.get(x)
                break
        """,
        QUERY,
    ),
    "relay": (
        """
        async def f(db, ws):
            async for x in ws:
                await db.get(x)
        """,
        QUERY,
    ),
    "consumer": (
        """
        def f(db, consumer):
            for x in consumer:
                db.get(x)
        """,
        QUERY,
    ),
    "rate limit": (
        """
        def f(db, xs):
            for x in xs:
                db.get(x)
                time.sleep(0.2)
        """,
        QUERY,
    ),
    "rate limiter": (
        """
        async def f(db, xs):
            for x in xs:
                async with self.limiter:
                    await db.get(x)
        """,
        QUERY,
    ),
    "server each": (
        """
        def f(servers, x):
            for server in servers:
                server.client.get(x)
        """,
        "server.client.get(x)",
    ),
    "server each through a local": (
        """
        def f(entries):
            for entry in entries:
                if not (hub := entry.data).ok:
                    continue
                hub.api.get(1)
        """,
        "hub.api.get(1)",
    ),
    "client by key": (
        """
        def f(self, xs):
            for x in xs:
                self.clients[x].get(1)
        """,
        "self.clients[x].get(1)",
    ),
    "client for each": (
        """
        def f(xs):
            for x in xs:
                with Client(x) as c:
                    c.get(1)
        """,
        "c.get(1)",
    ),
    "statements": (
        """
        def f(db, todo):
            for s in todo:
                db.execute(s)
        """,
        "db.execute(s)",
    ),
    "ddl": (
        """
        def f(db, xs):
            for x in xs:
                db.execute(f'DROP TABLE {x}')
        """,
        "db.execute(f'DROP TABLE {x}')",
    ),
    "table names": (
        """
        def f(db, xs):
            for x in xs:
                db.execute(f'SELECT count(*) FROM {x}')
        """,
        "db.execute(f'SELECT count(*) FROM {x}')",
    ),
    "models": (
        """
        def f(s, xs):
            for m in xs:
                s.query(m).delete()
        """,
        "s.query(m).delete()",
    ),
    "executemany": (
        """
        def f(db, xs):
            for x in xs:
                db.executemany(sql, x)
        """,
        "db.executemany(sql, x)",
    ),
    "pipeline": (
        """
        def f(r, xs):
            with r.pipeline() as p:
                for x in xs:
                    p.get(x)
        """,
        "p.get(x)",
    ),
    "collected into a batch": (
        """
        def f(s, batch, xs):
            for x in xs:
                batch.add(s.delete(x))
        """,
        "s.delete(x)",
    ),
    "one key of a mapping": (
        """
        def f(db, xs):
            for key, x in xs.items():
                if key == "cache" and x:
                    for y in "ab":
                        print(y)
                    db.get(x)
        """,
        QUERY,
    ),
    "one case of a match": (
        """
        def f(db, xs):
            for x in xs:
                match x:
                    case "cache":
                        db.get(x)
        """,
        QUERY,
    ),
    "cases of a test": (
        """
        def test(self, db, xs):
            for x in xs:
                with self.subTest(x=x):
                    assert db.get(x)
        """,
        QUERY,
    ),
    "once, outside": (
        """
        def f(db, x):
            db.get(x)
        """,
        QUERY,
    ),
    "nested function": (
        """
        def f(db, xs):
            for x in xs:
                def g():
                    db.get(x)
        """,
        QUERY,
    ),
    "outer loop it does not depend on": (
        """
        def f(db, xs, x):
            for y in xs:
                for attempt in range(3):
                    db.get(x)
        """,
        QUERY,
    ),
}


@pytest.mark.parametrize("case", ONE_PER_ELEMENT)
def test_reports_one_call_per_element(case: str) -> None:
    source, call = dedent(ONE_PER_ELEMENT[case][0]), ONE_PER_ELEMENT[case][1]
    findings = confirmed(source, suspect_at(source, call))
    assert [finding.confidence in {"definite", "likely"} for finding in findings] == [True]


@pytest.mark.parametrize("case", INNOCENT)
def test_stays_silent(case: str) -> None:
    source, call = dedent(INNOCENT[case][0]), INNOCENT[case][1]
    assert confirmed(source, suspect_at(source, call)) == []


def loop_confidence(source: str, call: str = QUERY, **options: Any) -> str | None:
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


def test_the_first_success_is_possible() -> None:
    source = """
        def f(db, xs):
            for x in xs:
                r = db.get(x)
                if r.status_code == 200:
                    return r.json()
        """
    assert loop_confidence(source, kind="http") == "possible"


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
    source = dedent("""
        async def f(c, xs):
            return await asyncio.gather(*[c.get(x) for x in xs])
        """)
    assert confirmed(source, suspect_at(source, "c.get(x)", kind="http")) == []
    findings = confirmed(source, suspect_at(source, "c.get(x)"))
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


def test_what_asks_around_for_every_element_is_possible_through_helpers() -> None:
    source = """
        def f(run, xs):
            for x in xs:
                raise_if_cancelled(run)
                use(x)
        """
    assert loop_confidence(source, "raise_if_cancelled(run)", through=True) == "possible"


def test_one_by_one_after_the_whole_has_failed_is_no_finding() -> None:
    source = """
        def f(db, rows, others):
            try:
                db.insert(rows)
            except DuplicateRow:
                for row in rows:
                    db.insert(row)
                for other in others:
                    db.insert(other)
        """
    assert loop_confidence(source, "db.insert(row)") is None
    assert loop_confidence(source, "db.insert(other)") == "definite"


def test_one_by_one_after_a_query_for_all_has_failed_is_no_finding() -> None:
    source = """
        def f(db, keys):
            try:
                db.filter(pk__in=keys).delete()
            except ProtectedError:
                for key in keys:
                    db.get(key)
        """
    assert loop_confidence(source, "db.get(key)") is None
    assert loop_confidence(source.replace("db.filter(pk__in=keys).delete()", "log(len(keys))"), "db.get(key)")
    assert loop_confidence(source.replace("ProtectedError", "(KeyError, NotImplementedError)"), "db.get(key)")


def test_a_call_that_is_given_a_batch_is_no_finding() -> None:
    source = """
        def f(model, texts, step):
            for start in range_of(texts, step):
                text_batch = texts[start]
                model.embed(text_batch)
        """
    assert loop_confidence(source, "model.embed(text_batch)", kind="llm") is None


def test_a_host_each_through_a_helper_is_no_batch() -> None:
    source = """
        def f(hosts, image):
            for host in hosts:
                upload(host, image)
        """
    assert loop_confidence(source, "upload(host, image)", kind="http", through=True) is None


def test_two_keys_are_a_handful() -> None:
    source = """
        def f(cache, name, alias):
            for key in (name, *((alias,) if alias else ())):
                cache.delete(key)
        """
    assert loop_confidence(source, "cache.delete(key)", kind="cache") is None


def test_a_parameter_that_is_put_in_a_list_is_no_handful() -> None:
    source = """
        def f(db, xs):
            if not isinstance(xs, list):
                xs = [xs]
            for x in xs:
                db.get(x)
        """
    assert loop_confidence(source) == "definite"


def test_a_session_that_is_given_what_was_found_does_not_carry_it() -> None:
    source = """
        def f(session, xs):
            for x in xs:
                row = session.get(Row, x.key)
                x.value = row.value
                session.add(x)
        """
    assert loop_confidence(source, "session.get(Row, x.key)", kind="orm") == "definite"


def test_constraints_and_tables_are_other_statements() -> None:
    source = """
        def f(connection, keys):
            for key in keys:
                added = AddConstraint(key)
                connection.execute(added)
            for model in apps.get_models():
                count(connection, model)
        """
    assert loop_confidence(source, "connection.execute(added)") is None
    assert loop_confidence(source, "count(connection, model)", through=True) is None


def test_waiting_for_a_rate_limit_is_on_purpose() -> None:
    source = """
        async def f(http, urls):
            for url in urls:
                await wait_for_rate_limit()
                await http.get(url)
        """
    assert loop_confidence(source, "http.get(url)", kind="http") is None


def test_wrappers_of_gather_start_together_as_well() -> None:
    source = """
        async def f(client, db, xs):
            await semaphore_gather(*[client.create(x) for x in xs])
            await gather_all(*[db.get(x) for x in xs])
            await gather_limited(5, *[db.get(x, 1) for x in xs])
        """
    assert loop_confidence(source, "client.create(x)", kind="llm") is None
    assert loop_confidence(source, "db.get(x)") == "definite"
    assert loop_confidence(source, "db.get(x, 1)") == "possible"


def test_what_is_named_after_a_table_is_no_table() -> None:
    source = """
        def f(db, xs):
            for view_restriction in xs:
                db.get(view_restriction)
            for view_name in xs:
                db.get(view_name)
        """
    assert loop_confidence(source, "db.get(view_restriction)") == "definite"
    assert loop_confidence(source, "db.get(view_name)") is None


def test_queries_that_are_the_elements_are_other_statements() -> None:
    source = """
        async def f(driver, queries, ids):
            for query in queries:
                await driver.execute_query(query, rows=1)
            for id in ids:
                await driver.execute_query(LOOK_UP, id=id)
        """
    assert loop_confidence(source, "driver.execute_query(query, rows=1)", through=True) is None
    assert loop_confidence(source, "driver.execute_query(LOOK_UP, id=id)", through=True) == "definite"


def test_a_helper_that_takes_many_is_given_a_batch() -> None:
    source = """
        async def f(db, groups):
            for group in groups:
                await get_by_ids(db, group)
                await get_by_ids(db, group.owner)
        """
    assert loop_confidence(source, "get_by_ids(db, group)", through=True) is None
    assert loop_confidence(source, "get_by_ids(db, group.owner)", through=True) == "definite"


def test_statements_that_come_with_the_element_are_others_each_time() -> None:
    source = """
        def f(cursor, checks, ids):
            for check in checks:
                cursor.execute(check["query"], (1,))
                cursor.execute(check.statement)
                cursor.execute(text(check["statement"]))
                cursor.execute(LOOK_UP, check.id)
        """
    assert loop_confidence(source, 'cursor.execute(text(check["statement"]))') is None
    assert loop_confidence(source, 'cursor.execute(check["query"], (1,))') is None
    assert loop_confidence(source, "cursor.execute(check.statement)") is None
    assert loop_confidence(source, "cursor.execute(LOOK_UP, check.id)") == "definite"


def test_elements_that_are_classes_are_tables() -> None:
    source = """
        def f(models, rows):
            for model in models:
                log(model.__name__)
                load(model)
            for row in rows:
                log(row.name)
                load(row)
        """
    assert loop_confidence(source, "load(model)", through=True) is None
    assert loop_confidence(source, "load(row)", through=True) == "definite"


def test_the_key_of_a_new_row_takes_a_statement_each() -> None:
    source = """
        def f(connection, cursor, xs):
            for x in xs:
                row = connection.execute(ADD, x)
                log(1)
                keys[x] = row.inserted_primary_key[0]
            for x in xs:
                cursor.execute(ADD, x)
                keys[x] = cursor.lastrowid
            for x in xs:
                cursor.execute(ADD, x, 2)
        """
    assert loop_confidence(source, "connection.execute(ADD, x)") == "possible"
    assert loop_confidence(source, "cursor.execute(ADD, x)") == "possible"
    assert loop_confidence(source, "cursor.execute(ADD, x, 2)") == "definite"


def test_a_function_looked_up_for_the_element_is_another_one_each_time() -> None:
    source = """
        async def f(runners, xs):
            for x in xs:
                run = runners.get(x)
                await run(x)
                await runners[x](x, 1)
                await ask(x)
        """
    assert loop_confidence(source, "run(x)", kind="orm", through=True) is None
    assert loop_confidence(source, "runners[x](x, 1)", kind="orm", through=True) is None
    assert loop_confidence(source, "ask(x)", kind="orm", through=True) == "definite"


def test_as_many_as_one_says_are_a_handful() -> None:
    source = """
        def f(db, xs):
            chosen = random.sample(xs, k=min(3, len(xs)))
            for x in chosen:
                db.get(x)
            for x in random.sample(xs, k=len(xs)):
                db.get(x, 1)
            for x in itertools.islice(xs, 5):
                db.get(x, 2)
        """
    assert loop_confidence(source, "db.get(x)") is None
    assert loop_confidence(source, "db.get(x, 1)") == "definite"
    assert loop_confidence(source, "db.get(x, 2)") is None


def test_a_connection_to_the_element_is_another_one_each_time() -> None:
    source = """
        def f(databases, connection, xs):
            for database in databases:
                with database.engine.connect() as conn:
                    load(conn, database.name)
            for x in xs:
                load(connection, x)
        """
    assert loop_confidence(source, "load(conn, database.name)", through=True) is None
    assert loop_confidence(source, "load(connection, x)", through=True) == "definite"


def test_elements_called_queries_are_run_as_they_are() -> None:
    source = """
        def f(connection, queries, ids):
            for query in queries:
                connection.execute(build(query["select"]))
            for id in ids:
                connection.execute(build(id))
        """
    assert loop_confidence(source, 'connection.execute(build(query["select"]))') is None
    assert loop_confidence(source, "connection.execute(build(id))") == "definite"


def test_fields_of_a_model_are_a_handful() -> None:
    source = """
        def f(db, names, ids):
            for field_name in names:
                db.get(field_name)
            for id in ids:
                db.get(id)
        """
    assert loop_confidence(source, "db.get(field_name)") is None
    assert loop_confidence(source, "db.get(id)") == "definite"


def test_elements_that_hold_many_are_possible() -> None:
    source = """
        async def f(client, connection, groups, rows):
            for key, points in groups.items():
                texts = [point.text for point in points]
                await client.embed(texts)
            for some in chunkify(rows):
                connection.execute(ADD, some)
            for element in rows:
                run(ADD, data={"tags": [tag for tag in element.tags if tag]})
            for group in rows:
                connection.execute(ADD, [{"id": row.id} for row in group])
            for row in rows:
                connection.execute(ADD, [row])
        """
    assert loop_confidence(source, "client.embed(texts)", kind="llm") == "possible"
    assert loop_confidence(source, 'run(ADD, data={"tags": [tag for tag in element.tags if tag]})') == "definite"
    assert loop_confidence(source, "connection.execute(ADD, some)") is None
    assert loop_confidence(source, 'connection.execute(ADD, [{"id": row.id} for row in group])') is None
    assert loop_confidence(source, "connection.execute(ADD, [row])") == "definite"


def test_tasks_left_to_themselves_are_possible() -> None:
    source = """
        async def f(db, xs):
            for x in xs:
                task = asyncio.create_task(db.get(x), name=x)
                task.add_done_callback(release)

        async def g(db, xs):
            for x in xs:
                tasks.append(asyncio.create_task(db.get(x, 1)))
            await asyncio.gather(*tasks)
        """
    assert loop_confidence(source, "db.get(x)") == "possible"
    assert loop_confidence(source, "db.get(x, 1)") == "definite"


def test_one_handful_or_another_is_a_handful() -> None:
    source = """
        def f(db, owner):
            if owner:
                ways = [{"namespace": owner}, {"user": owner}]
            else:
                ways = [{}]
            for way in ways:
                db.get(way)
            if owner:
                xs = [1, 2]
            else:
                xs = load()
            for x in xs:
                db.get(x)
        """
    assert loop_confidence(source, "db.get(way)") is None
    assert loop_confidence(source, "db.get(x)") == "definite"


def test_a_store_each_through_a_helper_is_another_one() -> None:
    source = """
        class Tiers:
            def put(self, key, found):
                for i in range(found):
                    self.stores[i].put(key)
                for i in range(found):
                    self.rows[i].put(key)
        """
    assert loop_confidence(source, "self.stores[i].put(key)", kind="cache", through=True) is None
    assert loop_confidence(source, "self.rows[i].put(key)", kind="cache", through=True) is not None


def test_tables_made_by_a_helper_that_runs_sql_are_other_statements() -> None:
    source = """
        async def f(db, names, ids):
            for k in names:
                sql = f"CREATE INDEX idx_{k} ON {k}(id)"
                await db.execute(sql)
            for id in ids:
                await db.execute(LOOK_UP, id)
        """
    assert loop_confidence(source, "db.execute(sql)", through=True) is None
    assert loop_confidence(source, "db.execute(LOOK_UP, id)", through=True) == "definite"


def test_one_by_one_after_a_pipeline_has_failed_is_no_finding() -> None:
    source = """
        async def f(redis, keys):
            try:
                pipe = redis.pipeline()
                for key in keys:
                    pipe.get(key)
                return await pipe.execute()
            except Exception:
                for key in keys:
                    await redis.get(key)
        """
    assert loop_confidence(source, "redis.get(key)", kind="cache") is None


def test_few_elements_that_were_counted_are_a_handful() -> None:
    source = """
        def f(client, urls, rows, more):
            if len(urls) <= 1:
                found = list(map(client.get, urls))
            if not (2 < len(rows) or more):
                for row in rows:
                    client.get(row)
            if len(more) > 3 or rows:
                for x in more:
                    client.get(x)
            else:
                for y in more:
                    client.get(y)
        """
    assert loop_confidence(source, "map(client.get, urls)", kind="http") is None
    assert loop_confidence(source, "client.get(row)", kind="http") is None
    assert loop_confidence(source, "client.get(x)", kind="http") == "definite"
    assert loop_confidence(source, "client.get(y)", kind="http") is None


def test_counts_that_say_nothing_about_the_loop_are_no_bound() -> None:
    source = """
        def f(db, xs, ys, zs):
            if len(xs) <= 1:
                xs = load()
                for x in xs:
                    db.get(x)
                for y in ys:
                    db.get(y)
            if len(zs) >= 1 and len(ys) != 0:
                for z in zs:
                    db.get(z)
            if len(zs) <= 5000:
                for id in zs:
                    db.get(id)
        """
    for call in ("db.get(x)", "db.get(y)", "db.get(z)", "db.get(id)"):
        assert loop_confidence(source, call) == "definite"


def test_steps_that_are_kept_in_a_variable_hand_out_batches() -> None:
    source = """
        def f(client, texts, size, shown):
            if shown:
                steps = tqdm(range(0, len(texts), size))
            else:
                steps = range(0, len(texts), size)
            for i in steps:
                client.post(texts[i : i + size])
            parts = [texts[i : i + size] for i in range(0, len(texts), size)]
            for p in parts:
                client.post(p)
            if shown:
                each = range(0, len(texts), size)
            else:
                each = range(len(texts))
            for n in each:
                client.post(texts[n])
        """
    assert loop_confidence(source, "client.post(texts[i : i + size])", kind="http", through=True) is None
    assert loop_confidence(source, "client.post(p)", kind="http") is None
    assert loop_confidence(source, "client.post(texts[n])", kind="http") == "definite"


def test_a_lock_of_the_element_is_taken_one_by_one() -> None:
    source = """
        async def f(self, redis, ids):
            for id in ids:
                async with self.lock(id):
                    await redis.get(id)
            for x in ids:
                mutex = self.locks[x]
                with mutex:
                    redis.delete(x)
            async with self.lock(ids):
                for y in ids:
                    await redis.get(y)
            for z in ids:
                async with self.lock:
                    await redis.get(z)
        """
    assert loop_confidence(source, "redis.get(id)", kind="cache") is None
    assert loop_confidence(source, "redis.delete(x)", kind="cache") is None
    assert loop_confidence(source, "redis.get(y)", kind="cache") == "definite"
    assert loop_confidence(source, "redis.get(z)", kind="cache") == "definite"


def test_writes_that_are_limited_and_go_on_until_nothing_is_left_are_batches() -> None:
    source = """
        def f(connection, queues):
            for queue in queues:
                while True:
                    done = connection.execute(text("DELETE FROM runs WHERE queue = :q LIMIT :size").params(q=queue.id))
                    if not done.rowcount:
                        break
            for queue in queues:
                connection.execute(text("DELETE FROM runs WHERE queue = :q LIMIT 1"), {"q": queue.id})
        """
    limited = 'connection.execute(text("DELETE FROM runs WHERE queue = :q LIMIT :size").params(q=queue.id))'
    one = 'connection.execute(text("DELETE FROM runs WHERE queue = :q LIMIT 1"), {"q": queue.id})'
    assert loop_confidence(source, limited) is None
    assert loop_confidence(source, one) == "definite"


def test_commands_of_a_cluster_take_one_key_each() -> None:
    source = """
        async def f(self, redis, keys):
            if isinstance(self.redis, RedisClusterCache):
                await asyncio.gather(*[redis.get(key) for key in keys])
            else:
                await asyncio.gather(*[redis.get(k) for k in keys])
            if self.is_cluster and keys:
                for x in keys:
                    await redis.get(x)
            if not self.is_cluster:
                for y in keys:
                    await redis.get(y)
        """
    assert loop_confidence(source, "redis.get(key)", kind="cache") is None
    assert loop_confidence(source, "redis.get(k)", kind="cache") == "definite"
    assert loop_confidence(source, "redis.get(x)", kind="cache") is None
    assert loop_confidence(source, "redis.get(y)", kind="cache") == "definite"


def test_a_few_that_were_asked_for_may_be_started_together() -> None:
    source = """
        async def f(db, session, claim):
            for timer in await claim(limit=10):
                asyncio.create_task(db.get(timer))
            rows = await session.scalars(select(Row).limit(8))
            await asyncio.gather(*(db.get(row) for row in rows))
            await asyncio.gather(*(db.get(y) for y in await claim(limit=1000)))
            for x in await claim(limit=10):
                await db.get(x)
        """
    assert loop_confidence(source, "db.get(timer)") is None
    assert loop_confidence(source, "db.get(row)") is None
    assert loop_confidence(source, "db.get(y)") is not None
    assert loop_confidence(source, "db.get(x)") == "definite"


def test_statements_about_a_label_or_table_are_others_each_time() -> None:
    source = """
        def f(graph, nodes, users):
            for node in nodes:
                graph.query(f"MATCH (n:`{node.label}`) RETURN count(n)")
            for node in nodes:
                cypher = count_cypher(node["name"], 5)
                graph.query(cypher)
            for user in users:
                graph.query(f"MATCH (n:User {{id: '{user.id}'}}) RETURN n")
            for user in users:
                by_id = user_sql(user.id)
                graph.query(by_id)
            for user in users:
                by_name = user_sql(user.name)
                graph.query(by_name)
        """
    label = 'graph.query(f"MATCH (n:`{node.label}`) RETURN count(n)")'
    user = "graph.query(f\"MATCH (n:User {{id: '{user.id}'}}) RETURN n\")"
    assert loop_confidence(source, label, through=True) is None
    assert loop_confidence(source, "graph.query(cypher)", through=True) is None
    assert loop_confidence(source, user, through=True) == "definite"
    assert loop_confidence(source, "graph.query(by_id)", through=True) == "definite"
    assert loop_confidence(source, "graph.query(by_name)", through=True) == "definite"


def test_one_by_one_what_went_wrong_is_possible() -> None:
    source = """
        def f(db, counters, edit_conflicts, failed):
            inconsistent = tuple(c for c in counters if not c.ok)
            for c in inconsistent:
                db.get(c)
            for id in edit_conflicts:
                db.get(id)
            for x in failed:
                db.get(x)
        """
    assert loop_confidence(source, "db.get(c)") == "possible"
    assert loop_confidence(source, "db.get(id)") == "possible"
    assert loop_confidence(source, "db.get(x)") == "definite"
