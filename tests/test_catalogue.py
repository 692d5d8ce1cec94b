"""The catalogue: sane rows, and the right answer for names as they occur in programs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import get_args

import pytest

from agentperf_rules import code_for
from agentperf_rules.catalogue import Catalogue, families, load_catalogue
from agentperf_rules.catalogue.family import Family
from agentperf_rules.catalogue.schema import Kind, Sink
from agentperf_rules.model import SEVERITIES


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def all_sinks() -> Iterator[Sink]:
    for family in families():
        yield from family.sinks
        yield from family.uses


# -- rows ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", ["sinks", "uses", "returned", "offloaders", "invokers"])
def test_no_name_is_said_twice(rows: str) -> None:
    names = Counter((row.name, getattr(row, "on", "")) for family in families() for row in getattr(family, rows))
    assert [name for name, times in names.items() if times > 1] == []


def test_no_spelling_has_two_meanings() -> None:
    spellings = Counter(spelling for family in families() for spelling in family.aliases)
    assert [spelling for spelling, times in spellings.items() if times > 1] == []


def test_rows_are_written_in_canonical_spelling(catalogue: Catalogue) -> None:
    names = {
        row.name
        for family in families()
        for rows in (family.sinks, family.uses, family.returned, family.offloaders, family.invokers)
        for row in rows
    }
    names.update(row.type for row in catalogue.returns.values() if row.type not in ("elem", "self"))
    names.update(row.of for row in catalogue.returns.values() if row.of)
    names.update(name for cls, bases in catalogue.bases.items() for name in (cls, *bases))
    names.update(catalogue.async_only_context_managers)
    assert {name: catalogue.canonical(name) for name in names if catalogue.canonical(name) != name} == {}


def test_names_are_dotted_names() -> None:
    part = r"(?:[A-Za-z_]\w*(?:\(\))?|\[\]|\*\*?)"
    wrong = [sink.name for sink in all_sinks() if not re.fullmatch(rf"{part}(?:\.{part})+", sink.name)]
    assert wrong == []


def test_kinds_and_severities_are_known() -> None:
    for sink in all_sinks():
        assert sink.kind in get_args(Kind), sink
        assert sink.severity in SEVERITIES, sink
        assert sink.blocking or sink.loop, f"{sink.name} costs nothing"


def test_every_blocking_row_has_a_rule() -> None:
    assert {sink.kind for sink in all_sinks() if sink.blocking and code_for(sink.kind, "blocking") is None} == set()


def test_every_row_that_counts_in_loops_has_a_rule_and_advice() -> None:
    repeated = [sink for sink in all_sinks() if sink.loop]
    assert [sink.name for sink in repeated if not sink.batch] == []
    assert {sink.kind for sink in repeated if code_for(sink.kind, "loop", sink.write) is None} == set()


def test_only_rows_that_count_in_loops_have_advice_for_them() -> None:
    assert [sink.name for sink in all_sinks() if sink.batch and not sink.loop] == []


def test_awaitable_calls_name_no_alternative_to_blocking() -> None:
    assert [sink.name for sink in all_sinks() if sink.use and not sink.blocking] == []


def test_what_has_an_awaitable_twin_names_it() -> None:
    thread_only = Counter(sink.kind for sink in all_sinks() if sink.blocking and not sink.use)
    blocking = Counter(sink.kind for sink in all_sinks() if sink.blocking)
    for kind in ("sleep", "orm", "cache", "llm", "database", "cloud", "client"):
        assert thread_only[kind] <= blocking[kind] * 0.2, kind


def test_classes_do_not_inherit_from_themselves(catalogue: Catalogue) -> None:
    def line(name: str, seen: tuple[str, ...]) -> None:
        assert name not in seen, seen
        for base in catalogue.bases.get(name, ()):
            line(base, (*seen, name))

    for cls in catalogue.bases:
        line(cls, ())


def test_spellings_lead_to_canonical_names_at_once(catalogue: Catalogue) -> None:
    assert {a: b for a, b in catalogue.aliases.items() if catalogue.canonical(b) != b} == {}


def test_conventions_compile_and_ask_for_something(catalogue: Catalogue) -> None:
    for row in catalogue.conventions:
        for pattern in (row.receiver, row.args, row.head):
            re.compile(pattern)
        assert row.methods
        assert row.loop or row.blocking, row
        assert not row.loop or row.batch, row


def test_every_name_that_can_cost_is_looked_for(catalogue: Catalogue) -> None:
    for sink in all_sinks():
        last = sink.name.rpartition(".")[2]
        if sink.on == "call" and last != "*":
            assert last in catalogue.terminal_names, sink.name


# -- names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spelling", "canonical"),
    [
        ("requests.get", "requests.get"),
        ("requests.api.get", "requests.get"),
        ("requests.sessions.Session.post", "requests.Session.post"),
        ("io.open", "builtins.open"),
        ("posixpath.exists", "os.path.exists"),
        ("aioredis.from_url", "redis.asyncio.from_url"),
        ("redis.StrictRedis", "redis.Redis"),
        ("redis.asyncio.client.Redis.get", "redis.asyncio.Redis.get"),
        ("sqlalchemy.future.select", "sqlalchemy.select"),
        ("sqlalchemy.orm.session.Session", "sqlalchemy.orm.Session"),
        ("sqlalchemy.ext.asyncio.session.AsyncSession", "sqlalchemy.ext.asyncio.AsyncSession"),
        ("fastapi.concurrency.run_in_threadpool", "starlette.concurrency.run_in_threadpool"),
        ("requestsx.get", "requestsx.get"),
        ("myproject.requests.api.get", "myproject.requests.api.get"),
    ],
)
def test_spellings(catalogue: Catalogue, spelling: str, canonical: str) -> None:
    assert catalogue.canonical(spelling) == canonical


def test_subclasses(catalogue: Catalogue) -> None:
    assert catalogue.is_a("sqlmodel.Session", "sqlalchemy.orm.Session")
    assert catalogue.is_a("pathlib.PosixPath", "pathlib.PurePath")
    assert not catalogue.is_a("sqlalchemy.orm.Session", "sqlmodel.Session")


def test_what_is_known(catalogue: Catalogue) -> None:
    assert catalogue.knows("requests.Session")
    assert catalogue.knows("requests.Session.get")
    assert catalogue.knows("sqlite3.connect")
    assert not catalogue.knows("requests.Session.mount")
    assert not catalogue.knows("json.loads")
    assert catalogue.knows_package("boto3")
    assert not catalogue.knows_package("myproject")


# -- sinks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("time.sleep", "sleep"),
        ("requests.get", "http"),
        ("requests_oauthlib.OAuth2Session.get", "http"),
        ("httpx.Client.stream", "http"),
        ("urllib.request.urlopen", "http"),
        ("urllib3.ProxyManager.request", "http"),
        ("googleapiclient.discovery.Resource.files().list().execute", "http"),
        ("builtins.open", "file"),
        ("pathlib.Path.read_text", "file"),
        ("pathlib.PosixPath.read_text", "file"),
        ("pathlib.Path.exists", "path"),
        ("os.path.exists", "path"),
        ("os.fsync", "file"),
        ("shutil.copytree", "file"),
        ("glob.glob", "path"),
        ("subprocess.run", "subprocess"),
        ("subprocess.Popen.communicate", "subprocess"),
        ("os.posix_spawn", "subprocess"),
        ("sqlite3.connect", "database"),
        ("sqlite3.Connection.execute", "database"),
        ("psycopg2.extras.RealDictCursor.execute", "database"),
        ("pymongo.MongoClient.app.users.find_one", "database"),
        ("pymongo.MongoClient.[].[].insert_one", "database"),
        ("pymongo.collection.Collection.find_one", "database"),
        ("elasticsearch.Elasticsearch.indices.create", "database"),
        ("qdrant_client.QdrantClient.upsert", "database"),
        ("sqlalchemy.orm.Session.commit", "orm"),
        ("sqlmodel.Session.exec", "orm"),
        ("sqlmodel.Session.get", "orm"),
        ("sqlalchemy.orm.scoped_session().execute", "orm"),
        ("sqlalchemy.orm.Query.first", "orm"),
        ("django.db.models.Manager.get", "orm"),
        ("django.db.models.QuerySet.count", "orm"),
        ("django.contrib.auth.models.User.save", "orm"),
        ("redis.RedisCluster.hgetall", "cache"),
        ("redis.client.Pipeline.execute", "cache"),
        ("boto3.client().get_object", "cloud"),
        ("boto3.client().some_operation_of_next_year", "cloud"),
        ("boto3.resource().Bucket().Object().get", "cloud"),
        ("boto3.client", "client"),
        ("httpx.AsyncClient", "client"),
        ("openai.OpenAI.chat.completions.create", "llm"),
        ("openai.AzureOpenAI.embeddings.create", "llm"),
        ("anthropic.Anthropic.messages.create", "llm"),
        ("litellm.completion", "llm"),
        ("google.genai.Client.models.generate_content", "llm"),
        ("socket.socket.recv", "socket"),
        ("smtplib.SMTP_SSL.login", "socket"),
        ("paramiko.SSHClient.exec_command", "socket"),
        ("builtins.input", "input"),
        ("queue.PriorityQueue.get", "sync"),
        ("threading.Thread.join", "sync"),
        ("concurrent.futures.Future.result", "sync"),
        ("bcrypt.hashpw", "cpu"),
        ("pandas.read_csv", "cpu"),
        ("zipfile.ZipFile.extractall", "cpu"),
        ("importlib.import_module", "import"),
    ],
)
def test_what_blocks(catalogue: Catalogue, name: str, kind: str) -> None:
    sink = catalogue.sink(name)
    assert sink is not None
    assert sink.blocking
    assert sink.kind == kind


@pytest.mark.parametrize(
    "name",
    [
        "httpx.AsyncClient.get",
        "aiohttp.ClientSession.post",
        "asyncpg.Pool.fetchrow",
        "psycopg.AsyncConnection.execute",
        "sqlalchemy.ext.asyncio.AsyncSession.scalars",
        "sqlalchemy.ext.asyncio.async_scoped_session().execute",
        "django.db.models.QuerySet.aget",
        "redis.asyncio.RedisCluster.hget",
        "pymongo.AsyncMongoClient.app.users.find_one",
        "motor.motor_asyncio.AsyncIOMotorClient.[].users.update_one",
        "prisma.Prisma.user.find_unique",
        "aioboto3.client().get_object",
        "openai.AsyncOpenAI.chat.completions.create",
        "google.genai.Client.aio.models.generate_content",
        "litellm.acompletion",
    ],
)
def test_what_costs_in_loops_only(catalogue: Catalogue, name: str) -> None:
    sink = catalogue.sink(name)
    assert sink is not None
    assert sink.loop
    assert not sink.blocking


@pytest.mark.parametrize(
    "name",
    [
        "os.path.join",
        "os.path.expanduser",
        "os.getenv",
        "socket.gethostname",
        "shutil.which",
        "urllib.parse.urlparse",
        "json.loads",
        "builtins.dict.get",
        "pathlib.Path.with_suffix",
        "pathlib.Path.joinpath",
        "pathlib.PurePath.exists",
        "io.BytesIO.read",
        "io.StringIO.write",
        "anyio.Path.read_text",
        "aiofiles.open",
        "asyncio.sleep",
        "asyncio.Lock.acquire",
        "asyncio.Queue.get",
        "queue.Queue.put",
        "sqlalchemy.orm.Session.add",
        "sqlalchemy.orm.Session.expunge",
        "sqlalchemy.orm.Query.filter",
        "django.db.models.QuerySet.filter",
        "django.db.models.Manager.all",
        "redis.client.Pipeline.set",
        "redis.asyncio.client.Pipeline.hset",
        "pymongo.MongoClient.app.users.find",
        "boto3.client().get_paginator",
        "boto3.client().generate_presigned_url",
        "requests.Session.mount",
        "asyncpg.Connection.cursor",
        "google.cloud.firestore.WriteBatch.set",
        "boto3.dynamodb.table.BatchWriter.put_item",
    ],
)
def test_what_costs_nothing(catalogue: Catalogue, name: str) -> None:
    assert catalogue.sink(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "asyncpg.Connection.executemany",
        "sqlite3.Cursor.executemany",
        "redis.Redis.scan",
        "pymongo.MongoClient.a.b.insert_many",
    ],
)
def test_batches_do_not_count_in_loops(catalogue: Catalogue, name: str) -> None:
    sink = catalogue.sink(name)
    assert sink is None or not sink.loop


@pytest.mark.parametrize(
    ("name", "severity"),
    [
        ("os.path.exists", "low"),
        ("pathlib.Path.mkdir", "low"),
        ("builtins.open", "medium"),
        ("os.fsync", "high"),
        ("time.sleep", "high"),
        ("requests.get", "high"),
    ],
)
def test_severity_follows_the_cost(catalogue: Catalogue, name: str, severity: str) -> None:
    sink = catalogue.sink(name)
    assert sink is not None
    assert sink.severity == severity


def test_writes_are_marked(catalogue: Catalogue) -> None:
    for name in (
        "django.db.models.Manager.create",
        "django.db.models.Model.save",
        "pymongo.collection.Collection.insert_one",
        "sqlalchemy.orm.Session.commit",
    ):
        sink = catalogue.sink(name)
        assert sink is not None
        assert sink.write, name


def test_iterating_and_entering(catalogue: Catalogue) -> None:
    rows = catalogue.sink("django.db.models.QuerySet", "iterate")
    assert rows is not None
    assert rows.loop
    assert catalogue.sink("django.db.models.QuerySet") is None
    assert catalogue.sink("queue.Queue", "iterate") is None
    lock = catalogue.sink("threading.BoundedSemaphore", "enter")
    assert lock is not None
    assert lock.kind == "sync"
    assert catalogue.sink("asyncio.Lock", "enter") is None


def test_async_only_context_managers(catalogue: Catalogue) -> None:
    assert {
        "httpx.AsyncClient",
        "aiohttp.ClientSession",
        "asyncio.Lock",
        "redis.asyncio.Redis",
    } <= catalogue.async_only_context_managers
    assert "httpx.Client" not in catalogue.async_only_context_managers


# -- types --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "type_name", "elem"),
    [
        ("sqlite3.connect", "sqlite3.Connection", ""),
        ("sqlite3.Connection.cursor", "sqlite3.Cursor", ""),
        ("redis.Redis.from_url", "redis.Redis", ""),
        ("boto3.Session.client", "boto3.client()", ""),
        ("sqlalchemy.create_engine", "sqlalchemy.Engine", ""),
        ("sqlalchemy.orm.sessionmaker.__call__", "sqlalchemy.orm.Session", ""),
        ("sqlalchemy.orm.sessionmaker().__call__", "sqlalchemy.orm.Session", ""),
        ("sqlalchemy.ext.asyncio.async_sessionmaker().__call__", "sqlalchemy.ext.asyncio.AsyncSession", ""),
        ("sqlmodel.Session.query", "sqlalchemy.orm.Query", "arg0"),
        ("sqlalchemy.orm.Query.filter_by", "self", ""),
        ("sqlalchemy.orm.Query.first", "elem", ""),
        ("sqlalchemy.select", "sqlalchemy.Select", "arg0"),
        ("sqlalchemy.Result.scalars", "sqlalchemy.ScalarResult", "self"),
        ("django.db.models.Manager.filter", "django.db.models.QuerySet", "self"),
        ("django.db.models.QuerySet.get", "elem", ""),
        ("pathlib.Path.parent", "pathlib.Path", ""),
        ("pathlib.PosixPath.resolve", "pathlib.Path", ""),
        ("pymongo.MongoClient.app.users.find", "pymongo.cursor.Cursor", ""),
        ("concurrent.futures.ThreadPoolExecutor.submit", "concurrent.futures.Future", ""),
        ("asyncio.get_running_loop", "asyncio.AbstractEventLoop", ""),
    ],
)
def test_what_calls_give(catalogue: Catalogue, name: str, type_name: str, elem: str) -> None:
    row = catalogue.returns_of(name)
    assert row is not None
    assert (row.type, row.elem) == (type_name, elem)


def test_paths_in_a_folder_are_paths(catalogue: Catalogue) -> None:
    row = catalogue.returns_of("pathlib.Path.iterdir")
    assert row is not None
    assert row.of == "pathlib.Path"


def test_unknown_names_give_nothing(catalogue: Catalogue) -> None:
    assert catalogue.returns_of("myproject.connect") is None
    assert catalogue.returns_of("sqlite3.register_adapter") is None


# -- who runs a function ------------------------------------------------------------------------------


def test_offloaders(catalogue: Catalogue) -> None:
    executor = catalogue.offloaders["asyncio.AbstractEventLoop.run_in_executor"]
    assert (executor.position, executor.awaitable) == (1, True)
    assert catalogue.offloaders["asgiref.sync.sync_to_async"].result
    assert not catalogue.offloaders["threading.Thread"].awaitable
    assert catalogue.offloads("asgiref.sync.sync_to_async")
    assert catalogue.offloads("asgiref.sync.sync_to_async()")
    assert not catalogue.offloads("asyncio.to_thread")


def test_invokers(catalogue: Catalogue) -> None:
    assert catalogue.invokers["builtins.map"].repeats
    assert catalogue.invokers["asyncio.AbstractEventLoop.call_soon"].later


# -- conventions --------------------------------------------------------------------------------------


def means(catalogue: Catalogue, written: str, first_argument: str = "") -> str:
    """Kind and confidence of the first convention for a call as written, "" for none."""
    head, _, method = written.rpartition(".")
    for row in catalogue.convention(head.rpartition(".")[2], method, head):
        if not row.args or catalogue.matches(row.args, first_argument):
            return f"{row.kind} {row.confidence}"
    return ""


@pytest.mark.parametrize(
    ("written", "argument", "meaning"),
    [
        ("cur.execute", "", "database likely"),
        ("self._cursor.execute", "", "database likely"),
        ("conn.fetchrow", "", "database likely"),
        ("self.anything.execute", '"select * from t', "database likely"),
        ("db.query().filter_by().first", "", "orm likely"),
        ("db.query().filter().order_by().all", "", "orm likely"),
        ("User.query.get", "", "orm likely"),
        ("session.get", "User", "orm likely"),
        ("Book.objects.create", "", "orm likely"),
        ("Book.objects.filter().exists", "", "orm likely"),
        ("author.book_set.exists", "", "orm likely"),
        ("prisma_client.db.team.find_unique", "", "orm likely"),
        ("self.collection.find_one", "", "database likely"),
        ("db[].find_one", "", "database likely"),
        ("redis.hget", "", "cache likely"),
        ("self.redis_client.get", "", "cache likely"),
        ("client.get", '"https://example.org', "http likely"),
        ("session.post", "url", "http likely"),
        ("s3.get_object", "", "cloud likely"),
        ("client.chat.completions.create", "", "llm likely"),
        ("self.config_path.read_text", "", "file likely"),
    ],
)
def test_strong_conventions(catalogue: Catalogue, written: str, argument: str, meaning: str) -> None:
    assert means(catalogue, written, argument) == meaning


@pytest.mark.parametrize(
    ("written", "argument"),
    [
        ("session.get", '"a'),
        ("client.get", '"name'),
        ("cache.pop", ""),
        ("items.get", "key"),
        ("model.get", '"id'),
        ("session.add", "user"),
        ("queue.get", ""),
        ("qs.filter", ""),
        ("Book.objects.filter().all", ""),
        ("items.filter().all", ""),
        ("websocket.send", ""),
        ("pipe.hset", ""),
        ("messages.create", ""),
        ("session.query", ""),
        ("self.objects.get", '"key'),
        ("objects.count", "x"),
        ("self.filter_set.get", "key"),
        ("self.secrets.get_secret_value", ""),
        ("client.get_secret_value", ""),
    ],
)
def test_weak_names_mean_nothing(catalogue: Catalogue, written: str, argument: str) -> None:
    for row in catalogue.convention(
        written.rpartition(".")[0].rpartition(".")[2], written.rpartition(".")[2], written.rpartition(".")[0]
    ):
        if row.args and not catalogue.matches(row.args, argument):
            continue
        assert row.confidence == "possible" or row.when == "awaited", row


# -- building it --------------------------------------------------------------------------------------


def test_a_new_call_is_one_line() -> None:
    family = Family("http", "high", loop=True, batch="a bulk endpoint")
    family.calls("newlib.Client", "get", use="newlib.AsyncClient")
    catalogue = Catalogue([family])
    sink = catalogue.sink("newlib.Client.get")
    assert sink == Sink("newlib.Client.get", "http", "high", "newlib.AsyncClient", "a bulk endpoint", loop=True)
    assert "get" in catalogue.terminal_names
    assert catalogue.packages == {"newlib"}


def test_exempt_methods_are_left_out_of_wildcards() -> None:
    family = Family("cloud", "high")
    family.any_method("sdk.Client", "fetch", exempt="close")
    catalogue = Catalogue([family])
    assert catalogue.sink("sdk.Client.fetch") is not None
    assert catalogue.sink("sdk.Client.close") is None
    assert "fetch" in catalogue.terminal_names
    assert "*" not in catalogue.terminal_names


def test_the_longest_chain_decides() -> None:
    family = Family("llm", "high", loop=True, batch="one call")
    family.below("sdk.Client", "create")
    family.below("sdk.Client.aio", "create", blocking=False)
    catalogue = Catalogue([family])
    outer, inner = catalogue.sink("sdk.Client.models.create"), catalogue.sink("sdk.Client.aio.models.create")
    assert outer is not None
    assert outer.blocking
    assert inner is not None
    assert not inner.blocking
    assert catalogue.sink("sdk.Other.models.create") is None


def test_it_is_loaded_once(catalogue: Catalogue) -> None:
    assert load_catalogue() is catalogue
    assert len(catalogue.fingerprint) == 16
