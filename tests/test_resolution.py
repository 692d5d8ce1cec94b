"""Ways in which a name can lead to a sink, one small project each.

`# expect CODE` marks every line on which exactly these codes are reported; all other lines stay silent.
Files are separated by lines `### path`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentperf_lint.analysis.run import analyze
from agentperf_lint.config import Config

CASES = {
    "import alias": """
### app.py
import time as clock
from time import sleep as nap
async def f():
    clock.sleep(1)  # expect APL101
    nap(1)  # expect APL101
""",
    "re-export through a package": """
### pkg/__init__.py
from .inner.tools import load
### pkg/inner/__init__.py
### pkg/inner/tools.py
import requests
def load(url):
    return requests.get(url)
### main.py
import pkg
from pkg import load as fetch
async def f(url):
    pkg.load(url)  # expect APL102
    return fetch(url)  # expect APL102
""",
    "relative imports": """
### pkg/__init__.py
### pkg/a/__init__.py
### pkg/a/views.py
from ..db import query
from . import helpers
async def f():
    query()  # expect APL106
    helpers.pause()  # expect APL101
### pkg/a/helpers.py
import time
def pause():
    time.sleep(3)
### pkg/db.py
import sqlite3
def query():
    return sqlite3.connect("x.db").execute("select 1").fetchall()
""",
    "star import": """
### tools.py
import subprocess
def run(command):
    subprocess.run(command, check=True)
### app.py
from tools import *
async def f():
    run(["ls"])  # expect APL105
""",
    "a name for a subscripted class that is written like a function": """
### base.py
from sqlalchemy.orm import Session, scoped_session, sessionmaker
SessionType = scoped_session[Session]
Maker = sessionmaker[Session]
### app.py
from typing import ClassVar
from sqlalchemy import select
from base import Maker, SessionType
class Trade:
    session: ClassVar[SessionType]
    @staticmethod
    def all():
        return Trade.session.scalars(select(1)).all()
async def f(maker: Maker):
    Trade.all()  # expect APL107
    with maker() as session:
        session.scalar(select(1))  # expect APL107
""",
    "an annotation that leaves the type to the value": """
### app.py
import asyncio
import time
from typing import ClassVar, Final
import requests
SESSION: Final = requests.Session()
class Api:
    session: ClassVar = requests.Session()
    async def f(self):
        SESSION.get("x")  # expect APL102
        self.session.get("x")  # expect APL102
def running_loop():
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
def wait():
    loop: Final = running_loop()
    if loop is not None:
        return
    time.sleep(1)
async def g():
    wait()
""",
    "import in the function": """
### app.py
async def f():
    from time import sleep
    sleep(1)  # expect APL101
""",
    "alternative imports": """
### app.py
try:
    from fasthttp import get
except ImportError:
    from requests import get
async def f(url):
    return get(url)  # expect APL102
""",
    "namespace package": """
### ns/part/deep.py
import time
def wait():
    time.sleep(1)
### main.py
from ns.part import deep
import ns.part.deep
async def f():
    deep.wait()  # expect APL101
    ns.part.deep.wait()  # expect APL101
""",
    "src layout": """
### src/shop/__init__.py
### src/shop/util.py
import time
def wait():
    time.sleep(1)
### tests/test_shop.py
from shop.util import wait
async def test():
    wait()  # expect APL101
""",
    "module attribute": """
### settings.py
import requests
session = requests.Session()
### app.py
import settings
async def f(url):
    return settings.session.get(url)  # expect APL102
""",
    "class attribute and subclass": """
### base.py
import requests
class Base:
    session = requests.Session()
    def __init__(self):
        self.other = requests.Session()
### app.py
from base import Base
class Api(Base):
    async def f(self, url):
        self.session.get(url)  # expect APL102
        return self.other.post(url)  # expect APL102
""",
    "attribute declared by annotation": """
### app.py
from pathlib import Path
class Store:
    root: Path
    async def f(self):
        return self.root.read_text()  # expect APL103
""",
    "annotated parameters": """
### app.py
from typing import Annotated, Optional
import requests
from fastapi import Depends
from sqlalchemy.orm import Session
def get_db(): ...
SessionDep = Annotated[Session, Depends(get_db)]
async def a(db: Session = Depends(get_db)):
    db.commit()  # expect APL107
async def b(db: Optional[Session], s: "requests.Session | None" = None):
    db.commit()  # expect APL107
    s.get("/")  # expect APL102
async def c(db: Annotated[Session, Depends(get_db)], e: SessionDep):
    db.commit()  # expect APL107
    e.commit()  # expect APL107
""",
    "dependency without annotation": """
### app.py
import requests
from fastapi import Depends
def http():
    with requests.Session() as session:
        yield session
async def f(s=Depends(http)):
    s.get("/")  # expect APL102
""",
    "return annotation and inferred return": """
### app.py
import requests
def declared() -> requests.Session:
    return make()
def inferred():
    session = requests.Session()
    return session
async def f():
    declared().get("/")  # expect APL102
    inferred().get("/")  # expect APL102
""",
    "with as": """
### app.py
import requests
async def f():
    with requests.Session() as s:
        s.get("/")  # expect APL102
""",
    "partial": """
### app.py
import functools, time
pause = functools.partial(time.sleep, 1)
async def f():
    pause()  # expect APL101
    functools.partial(time.sleep, 2)()  # expect APL101
""",
    "method through inheritance and super": """
### base.py
import time
class Base:
    def work(self):
        time.sleep(1)
### app.py
from base import Base
class Mid(Base):
    pass
class Leaf(Mid):
    def work(self):
        super().work()
    async def f(self):
        self.work()  # expect APL101
async def g():
    Mid().work()  # expect APL101
""",
    "override that does nothing": """
### app.py
import time
class Base:
    def work(self):
        time.sleep(1)
class Quiet(Base):
    def work(self):
        return 1
async def f():
    Quiet().work()
""",
    "abstract method": """
### app.py
import abc, time
class Store(abc.ABC):
    @abc.abstractmethod
    def load(self): ...
class Slow(Store):
    def load(self):
        time.sleep(1)
async def f(store: Store):
    store.load()  # expect APL101
""",
    "property, setter and cached property": """
### app.py
import functools, time
class Conf:
    @property
    def value(self):
        time.sleep(1)
        return self
    @value.setter
    def value(self, new):
        time.sleep(1)
    @functools.cached_property
    def other(self):
        time.sleep(1)
        return ""
    def get(self):
        return 1
async def f(c: Conf):
    c.value  # expect APL101
    c.value.get()  # expect APL101
    c.value = 3  # expect APL101
    return c.other  # expect APL101
""",
    "constructor": """
### app.py
import time
class Slow:
    def __init__(self):
        time.sleep(1)
class Child(Slow):
    pass
async def f():
    Slow()  # expect APL101
    return Child()  # expect APL101
""",
    "decorator that keeps sync": """
### app.py
import functools, time
def logged(fn):
    @functools.wraps(fn)
    def wrapper(*args):
        return fn(*args)
    return wrapper
@logged
def work():
    time.sleep(1)
async def f():
    work()  # expect APL101
""",
    "decorator that makes async": """
### app.py
import asyncio, functools, time
def offload(fn):
    @functools.wraps(fn)
    async def wrapper(*args):
        return await asyncio.to_thread(fn, *args)
    return wrapper
@offload
def work():
    time.sleep(1)
async def f():
    await work()
""",
    "decorator that keeps sync functions sync and async ones async": """
### timing.py
import functools, inspect
def timed(fn):
    if inspect.iscoroutinefunction(fn):
        return timed_async(fn)
    @functools.wraps(fn)
    def wrapper(*args):
        return fn(*args)
    return wrapper
def timed_async(fn):
    @functools.wraps(fn)
    async def wrapper(*args):
        return await fn(*args)
    return wrapper
def logged(level):
    def decorate(fn):
        if inspect.iscoroutinefunction(fn):
            @functools.wraps(fn)
            async def wrapper(*args):
                return await fn(*args)
        else:
            @functools.wraps(fn)
            def wrapper(*args):
                return fn(*args)
        return wrapper
    return decorate
### app.py
import time
import timing
@timing.timed
def work():
    time.sleep(1)
@timing.logged("debug")
def load():
    time.sleep(1)
async def f():
    work()  # expect APL101
    load()  # expect APL101
""",
    "a property that is kept": """
### app.py
from functools import cached_property
from sqlalchemy.orm import Session
class Form:
    session: Session
    @cached_property
    def choices(self):
        return self.session.query(Choice).all()
    @property
    def current(self):
        return self.session.query(Choice).first()
    def clean(self, names):
        return [self.choices.index(name) for name in names]
    def fill(self, names):
        return [self.current.get(name) for name in names]  # expect APL202
def clean(forms: list[Form]):
    return [form.choices for form in forms]  # expect APL202
""",
    "looking at a row and at an engine": """
### app.py
from sqlalchemy import create_engine, inspect
class User:
    def __init__(self, row):
        self.db = inspect(row).session
    async def rename(self, name):
        self.row.name = name
        self.db.commit()  # expect APL107
async def names(url):
    state = inspect(User)
    return inspect(create_engine(url)).get_table_names()  # expect APL106
""",
    "what was put into a list or a dict, and copies": """
### app.py
import copy
def mark(rows, by_id):
    todo, kept, connections = [], {}, {}
    for row in rows:
        if row.late:
            todo.append(row)
    for row in todo:
        row.late = False
        row.save()  # expect APL207
    for row in rows:
        twin = kept.setdefault(row.id, row)
        twin.late = False
        twin.save()  # expect APL207
        new = copy.copy(row)
        new.pk = None
        new.save()  # expect APL207
    for row in rows:
        connections["main"].execute("INSERT INTO seen VALUES (?)", (row.id,))  # expect APL207
        kept.update(row)
        todo.insert(0, row)
        kept.get(row)
        connections.pop(row)
""",
    "a model of a library, with a manager of its own": """
### app.py
from django.db import models
from django_lifecycle import LifecycleModel
class Published(models.Manager):
    def current(self):
        return self.filter(published=True)
class Base(LifecycleModel):
    created = models.DateTimeField()
class Repository(Base):
    name = models.TextField()
class Version(Base):
    objects = Published()
    repository = models.ForeignKey(Repository, on_delete=models.CASCADE)
    def earlier(self):
        return Version.objects.filter(number__lt=self.number)
    @classmethod
    def loaded(cls, late):
        query = Version.objects.select_related("repository")
        if late:
            query = query.filter(late=True)
        return query
def show(ids):
    for version in Version.objects.filter(published=True):
        version.earlier().count()  # expect APL202
        print(version.repository.name)  # expect APL203
        version.save()  # expect APL207
    for version in Version.loaded(True):
        print(version.repository.name)
    for id in ids:
        Version.objects.current().get(id=id)  # expect APL202
""",
    "a statement that is run by an object of the project's own": """
### db.py
class Cursor:
    def execute(self, sql, *args): ...
class LoggedCursor:
    def __init__(self, txn: Cursor):
        self.txn = txn
    def execute(self, sql, *args):
        self._run(self.txn.execute, sql, *args)
    def _run(self, run, sql, *args):
        return run(sql, *args)
class Script:
    def execute(self, step):
        self.steps.append(step)
### app.py
from db import LoggedCursor, Script
def forget(txn: LoggedCursor, script: Script, users):
    for user in users:
        txn.execute("DELETE FROM ips WHERE user = ?", (user,))  # expect APL207
        txn.execute("SELECT 1 FROM ips WHERE user = ?", (user,))  # expect APL201
        txn.execute(user.name)
        script.execute("close the account of " + user)
""",
    "a lighter call that is surer from far away": """
### app.py
import requests
from pathlib import Path
class Profile:
    _shared = None
    def _fetch(self, url, path):
        if not path.exists():
            path.write_bytes(requests.get(url).content)
    def _extensions(self):
        Path("cache").read_text()
        if self.url:
            self._fetch(self.url, Path("x"))
    def arguments(self):
        return self._extensions() if self.extended else []
    def shown(self):
        return " ".join(self.arguments())
    @classmethod
    def shared(cls):
        if cls._shared is None:
            cls._shared = cls()
            cls._shared._extensions()
        return cls._shared
async def launch(profile: Profile):
    profile.shown()  # expect APL103
    Profile.shared()
""",
    "machines in a cloud are instances, too": """
### app.py
def clear(client, rows, ids):
    for id in ids:
        client.delete_instance(id)
    for row in rows:
        row.delete_instance()  # expect APL207
""",
    "nested function called and not called": """
### app.py
import time
async def f():
    def inner():
        time.sleep(1)
    inner()  # expect APL101
async def g(pool):
    def inner():
        time.sleep(1)
    pool.submit(inner)
""",
    "lambda called": """
### app.py
import time
async def f():
    pause = lambda: time.sleep(1)
    pause()  # expect APL101
""",
    "comprehension": """
### app.py
import requests
async def f(urls):
    return [requests.get(u) for u in urls]  # expect APL102 APL204
""",
    "generator runs when iterated": """
### app.py
import time
def rows():
    time.sleep(1)
    yield 1
async def f():
    for row in rows():  # expect APL101
        print(row)
    return list(rows())  # expect APL101
async def g(respond):
    return respond(rows())
""",
    "context manager": """
### app.py
import contextlib, time
@contextlib.contextmanager
def guard():
    time.sleep(1)
    yield
class Guard:
    def __enter__(self):
        time.sleep(1)
    def __exit__(self, *args):
        return None
async def f():
    with guard():  # expect APL101
        pass
    with Guard():  # expect APL101
        pass
    guard()
""",
    "callbacks": """
### app.py
import asyncio, time
def work(*args):
    time.sleep(1)
async def f(items):
    list(map(work, items))  # expect APL101
    asyncio.get_running_loop().call_soon(work)  # expect APL101
""",
    "singleton in another module": """
### store.py
import sqlite3
class Store:
    def __init__(self):
        self.con = sqlite3.connect("x.db")
    def rows(self):
        return self.con.execute("select 1").fetchall()
store = Store()
### app.py
from store import store
async def f():
    return store.rows()  # expect APL106
""",
    "branches": """
### app.py
import httpx
async def f(sync, url):
    if sync:
        client = httpx.Client()  # expect APL115
    else:
        client = None
    client.get(url)  # expect APL102
async def g(url):
    client = httpx.Client()  # expect APL115
    client = httpx.AsyncClient()  # expect APL115
    await client.get(url)
""",
    "isinstance": """
### app.py
from requests import Session
async def f(x):
    if isinstance(x, Session):
        x.get("/")  # expect APL102
    x.get("/")
""",
    "an argument that avoids the call": """
### app.py
import requests
def fetch(url, session=None, *, cache=None):
    if session is None:
        return requests.get(url)
    return session.other(url)
def either(url, data=None):
    return data or requests.get(url)
def both(url, data=None):
    data = requests.get(url) if data is None else data
    return data
async def f(url, s):
    fetch(url)  # expect APL102
    fetch(url, None)  # expect APL102
    fetch(url, s)
    fetch(url, session=s)
    either(url)  # expect APL102
    either(url, s)
    both(url, data=s)
    both(url)  # expect APL102
""",
    "no event loop there": """
### app.py
import asyncio, threading, time
LOOP_THREAD = 1
def wait():
    if threading.get_ident() != LOOP_THREAD:
        time.sleep(1)
def maybe():
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        time.sleep(1)
def get_running_loop_or_none():
    return None
def either():
    if get_running_loop_or_none() is not None:
        return 1
    time.sleep(1)
async def f():
    wait()
    maybe()
    either()
""",
    "async and sync twins": """
### app.py
import requests
class Sync:
    def read(self):
        return requests.get("x").json()
class Async:
    async def read(self):
        return {}
def get_client(sync=False) -> Sync | Async: ...
async def f():
    client = get_client()
    await client.read()
""",
    "import cycle": """
### a.py
from b import g
def f():
    return g()
### b.py
from a import f
import time
def g():
    time.sleep(1)
    return f()
### c.py
from a import f
async def h():
    f()  # expect APL101
""",
    "recursion": """
### app.py
import time
def a(n):
    return b(n - 1) if n else time.sleep(1)
def b(n):
    return a(n - 1)
async def f():
    return b(9)  # expect APL101
""",
    "type checking imports do not run": """
### app.py
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import requests
async def f(requests: dict, r: "requests.Response"):
    return requests.get("key"), r.status_code
""",
    "local names win": """
### app.py
import time as _time
class time:
    @staticmethod
    def sleep(n):
        return n
async def f(requests):
    time.sleep(1)
    requests.get("x")
""",
    "handed over, not called": """
### app.py
import asyncio, functools, subprocess, time
from concurrent.futures import ThreadPoolExecutor
from anyio import to_thread
from asgiref.sync import sync_to_async
from starlette.concurrency import run_in_threadpool
def work():
    time.sleep(1)
class Service:
    def work(self):
        time.sleep(1)
    async def f(self):
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(self.work)
        await loop.run_in_executor(None, self.work)
        await loop.run_in_executor(None, lambda: self.work())
        await loop.run_in_executor(None, functools.partial(subprocess.run, ["ls"]))
        await to_thread.run_sync(work)
        await sync_to_async(work)()
        await run_in_threadpool(work)
        with ThreadPoolExecutor() as pool:
            await loop.run_in_executor(pool, work)
@sync_to_async
def decorated():
    time.sleep(1)
async def g():
    await decorated()
""",
    "awaited methods that share a name": """
### app.py
import redis.asyncio as redis
import asyncpg
from anyio import Path
r = redis.Redis()
async def f(key, p):
    await r.get(key)
    conn = await asyncpg.connect()
    await conn.execute("select 1")
    if await Path(p).exists():
        return await Path(p).read_text()
""",
    "sync functions and module level": """
### app.py
import asyncio, pathlib, time
VERSION = pathlib.Path("VERSION").read_text()
def cli():
    time.sleep(1)
    asyncio.run(main())
async def main():
    await asyncio.sleep(0)
if __name__ == "__main__":
    time.sleep(1)
    cli()
""",
    "modules that a package imports from itself": """
### shop/__init__.py
### shop/rows/__init__.py
from . import orders, prices
### shop/rows/orders.py
import sqlite3
def one(number):
    return sqlite3.connect("x.db").execute("select 1").fetchone()
### shop/rows/prices.py
### shop/api.py
import shop.rows as rows
from shop import rows as same
async def f(number):
    rows.orders.one(number)  # expect APL106
    return same.orders.one(number)  # expect APL106
""",
    "of two twins the statement names the one that is meant": """
### app.py
class Client:
    def __enter__(self):
        return self
    def __exit__(self, *error):
        pass
    def save(self) -> None:
        open("x", "w").write("y")
class AsyncClient:
    async def __aenter__(self):
        return self
    async def __aexit__(self, *error):
        pass
    async def save(self) -> None:
        pass
def client(sync=False) -> "Client | AsyncClient":
    return Client() if sync else AsyncClient()
async def f(unknown: "Client | AsyncClient"):
    async with client() as entered:
        await entered.save()
    await unknown.save()
    with client(sync=True) as entered:
        entered.save()  # expect APL103
""",
    "a parameter that must be given for the sink": """
### app.py
class Document:
    def __init__(self, name, path=None):
        self.name = name
        if path is not None:
            self.text = open(path).read()
async def f(path, rest, options):
    Document("a")
    Document("a", path=None)
    Document("a", path)  # expect APL103
    Document("a", path=path)  # expect APL103
    Document(*rest)  # expect APL103
    Document("a", **options)  # expect APL103
""",
    "a switch that keeps the call from the sink": """
### app.py
import requests, time
def get(key, local_only=False):
    if local_only:
        return None
    return requests.get(key)
def load(key, *, fresh=False, wait=True):
    if fresh and key:
        requests.get(key)
    if not wait:
        return
    time.sleep(1)
def other(key, quiet=True):
    quiet or print(key)
    if quiet is not False:
        quiet = key
    if quiet:
        time.sleep(1)
class Engine:
    def tables(self, details=True): ...
class Redshift(Engine):
    def tables(self, details=True):
        for name in ("a", "b"):
            if not details:
                continue
            time.sleep(1)
async def f(key, flag, engine: Engine):
    get(key, True)
    get(key, local_only=True)
    get(key, local_only=flag)  # expect APL102
    get(key)  # expect APL102
    load(key, wait=False)
    load(key)  # expect APL101
    load(key, wait=False, fresh=True)  # expect APL102
    load(key, wait=flag)  # expect APL101
    other(key, quiet=False)  # expect APL101
    engine.tables(details=False)
    engine.tables()  # expect APL101
""",
    "what an early return spares": """
### app.py
import requests
def fetch(url, session=None):
    if session is not None:
        return session
    return requests.get(url)
def both(url, session=None, cache=None):
    if session is None or cache is None:
        return requests.get(url)
    return session
async def f(url, session):
    fetch(url, session)
    fetch(url)  # expect APL102
    both(url, session, {})  # expect APL102
    both(url)  # expect APL102
""",
    "a context manager that a stack enters": """
### app.py
import contextlib, sqlite3
import httpx
@contextlib.contextmanager
def place(path):
    open(path).close()
    yield sqlite3.connect(path)
@contextlib.asynccontextmanager
async def client():
    yield httpx.Client(transport=None)
class Holder:
    def __init__(self):
        self.stack = contextlib.ExitStack()
    def take(self, path):
        return self.stack.enter_context(place(path))
async def f(holder: Holder):
    connection = holder.take("x")  # expect APL103
    connection.execute("select 1")  # expect APL106
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(place("y"))  # expect APL103
        held = await stack.enter_async_context(client())
        held.get("https://x")  # expect APL102
""",
    "an address in numbers asks nobody": """
### app.py
import socket
NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
def name(address):
    return socket.getnameinfo(address, socket.NI_NUMERICHOST)[0]
async def f(host, address):
    name(address)
    socket.getaddrinfo(host, 80, flags=NUMERIC)
    socket.getaddrinfo(host, 80, flags=socket.AI_PASSIVE)  # expect APL111
    socket.getnameinfo(address, 0)  # expect APL111
""",
    "a client that loads no certificates": """
### app.py
import ssl
import httpx
CONTEXT = ssl.create_default_context()
async def f(transport, verify):
    httpx.AsyncClient(transport=transport)
    httpx.AsyncClient(verify=CONTEXT)
    httpx.AsyncClient(verify=verify)  # expect APL115
""",
    "handed on to what is awaited, or awaited by its name": """
### app.py
import asyncio
import asyncpg, httpx
async def page(client: httpx.AsyncClient, url):
    return await client.get(url)
async def row(db: asyncpg.Connection, key):
    return await db.fetchrow("select 1 where id = $1", key)
async def guarded(work):
    return await work
async def f(client, db, keys):
    for key in keys:
        await asyncio.wait_for(page(client, key), 3)  # expect APL204
        await guarded(asyncio.shield(row(db, key)))  # expect APL201
        work = row(db, key)  # expect APL201
        await work
        await asyncio.create_task(page(client, key))  # expect APL204
    await asyncio.gather(*[page(client, key) for key in keys])
    await asyncio.gather(*[row(db, key) for key in keys])  # expect APL208
    tasks = []
    for key in keys:
        tasks.append(asyncio.create_task(row(db, key)))  # expect APL208
    await asyncio.wait(tasks)
""",
    "a method that a subclass makes async": """
### app.py
import inspect
class Manager:
    def save(self, path):
        open(path, "w").close()
    def load(self, path):
        return open(path).read()
class AsyncManager(Manager):
    async def save(self, path):
        pass
async def ensure_async(value):
    return await value if inspect.isawaitable(value) else value
async def f(manager: Manager, path):
    await ensure_async(manager.save(path))
    await ensure_async(manager.load(path))  # expect APL103
    manager.save(path)  # expect APL103
""",
    "a property of one class, an attribute of the other": """
### app.py
import requests
class Agent:
    def __init__(self, name: str):
        self.name = name
    @property
    def card(self):
        return open(self.name).read()
class Remote:
    @property
    def name(self) -> str:
        return requests.get("https://x").text
    @property
    def card(self):
        return requests.get("https://x").text
async def f(agent: Agent | Remote, remote: Remote):
    print(agent.name)
    print(agent.card)  # expect APL102
    print(remote.name)  # expect APL102
""",
    "a surer sink behind one that is only possible": """
### app.py
import time
def read(path, again):
    if again:
        poll(path)
    return open(path).read()
def poll(path):
    if path:
        pause()
def pause():
    time.sleep(1)
def load(path, again):
    return read(path, again)
async def f(path, again):
    load(path, again)  # expect APL103
""",
    "an object that an application keeps in its state": """
### app.py
from aiohttp import web
from fastapi import FastAPI, Request
app = FastAPI()
async def f(request: Request, keys):
    async with request.app.state.db() as session:
        for key in keys:
            await session.scalar(build(key))  # expect APL202
    for trigger_id in keys:
        await app.state.pool.fetchrow("select 1 where id = $1", trigger_id)  # expect APL201
async def g(request: web.Request, keys):
    for key in keys:
        await request.app["db"].fetchrow("select 1 where id = $1", key)  # expect APL201
""",
    "a function inside another is no step of its own": """
### db.py
import asyncpg
class Pool:
    def __init__(self, pool: asyncpg.Pool):
        self.pool = pool
    async def run(self, query, key):
        async def work():
            return await self.execute(query, key)
        return await work()
    async def execute(self, query, key):
        return await self.pool.fetchrow(query, key)
    async def select(self, table, key):
        return await self.run(f"select * from {table} where id = $1", key)
### app.py
from db import Pool
async def user(pool: Pool, key):
    return await pool.select("users", key)
async def f(pool: Pool, keys):
    for key in keys:
        await user(pool, key)  # expect APL201
""",
    "two parameters decide, each for its own sink": """
### app.py
import time
def wait(seconds=None, path=None):
    if seconds is None:
        time.sleep(1)
    elif path:
        open(path).read()
async def f(path):
    wait()  # expect APL101
    wait(0.1)
    wait(0.1, path)  # expect APL103
""",
    "kept in a global": """
### app.py
import os
_names = None
_texts = {}
def names():
    global _names
    if _names is None:
        _names = os.listdir("x")
    return _names
def names_again():
    global _names
    if _names is not None:
        return _names
    _names = os.listdir("x")
    return _names
def text(path):
    if path not in _texts:
        _texts[path] = open(path).read()
    return _texts[path]
def other_text(path):
    found = _texts.get(path)
    if found is None:
        found = _texts[path] = open(path).read()
    return found
def fresh():
    global _names
    if _names is None:
        _names = []
    return os.listdir("x")
async def f(path):
    names()
    names_again()
    text(path)
    other_text(path)
    fresh()  # expect APL104
""",
    "what a decorator puts around": """
### app.py
import functools, requests
def audited(name):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            requests.post("http://audit", json={"name": name})
            return function(*args, **kwargs)
        return wrapper
    return decorate
def with_session(function):
    @functools.wraps(function)
    def wrapper(*args, session=None, **kwargs):
        if session is None:
            session = requests.get("http://session")
        return function(*args, session=session, **kwargs)
    return wrapper
def provided(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        if "session" in kwargs or len(args) > 1:
            return function(*args, **kwargs)
        session = requests.get("http://session")
        return function(*args, session=session, **kwargs)
    return wrapper
class Shop:
    @audited("price")
    def price(self):
        return 1
    @provided
    def shelf(self, session):
        return session
    @with_session
    def stock(self, session=None):
        return session
    async def f(self, session):
        self.stock(session=session)
        self.shelf(session=session)
        self.shelf()  # expect APL102
        self.shelf(session)
        return self.price()  # expect APL102
""",
    "a task that is sent and waited for": """
### tasks.py
from celery import shared_task
@shared_task
def add(a, b):
    return a + b
### app.py
from tasks import add
async def f():
    result = add.delay(1, 2)  # expect APL109
    return result.get(timeout=3)  # expect APL109
""",
    "calls that say that they do not wait": """
### app.py
import fcntl, os, queue
from concurrent.futures import ThreadPoolExecutor
jobs = queue.Queue()
class Pool:
    def __init__(self):
        self.threads = ThreadPoolExecutor()
    def stop(self):
        self.threads.shutdown(wait=False)
    def finish(self):
        self.threads.shutdown(wait=True)
def reap():
    return os.waitpid(-1, os.WNOHANG)
def lock(file, mode):
    fcntl.flock(file, mode | fcntl.LOCK_NB)
async def f(pool: Pool, file):
    pool.stop()
    reap()
    lock(file, fcntl.LOCK_EX)
    if not jobs.empty():
        jobs.get()
    pool.finish()  # expect APL113
    jobs.get()  # expect APL113
""",
    "a datagram socket sends nothing when it connects": """
### app.py
import socket
def own_address(other):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((other, 1))
        return probe.getsockname()[0]
async def f(other):
    return own_address(other)
""",
    "one way of a function that everybody calls": """
### log.py
import sqlite3
def log(sink, text):
    if sink == "table":
        sqlite3.connect("x.db").execute("insert into log values (?)", (text,))
    elif sink == "screen":
        print(text)
def cached(found, key):
    if found is None:
        return sqlite3.connect("x.db").execute("select 1").fetchone()
    return found
### app.py
from log import cached, log
def prepare(text):
    log("screen", text)
    cached(text, 1)
async def f(text):
    log("screen", text)
    cached(text, 1)  # expect APL106
"""
    + "".join(
        f"""
def user{number}():
    log("screen", "x")
    cached(None, 1)
"""
        for number in range(12)
    ),
    "a single one of many implementations": """
### app.py
from abc import ABC, abstractmethod
import requests
class Index(ABC):
    @abstractmethod
    def find(self, key): ...
class InMemory(Index):
    def find(self, key):
        return key
class Sorted(Index):
    def find(self, key):
        return [key]
class Remote(Index):
    def find(self, key):
        return requests.get(key)
class Store(ABC):
    @abstractmethod
    def load(self, key): ...
class Near(Store):
    def load(self, key):
        return open(key).read()
class Far(Store):
    def load(self, key):
        return requests.get(key)
async def f(index: Index, store: Store):
    index.find("a")
    store.load("a")  # expect APL102
""",
    "a long chain whose calls always run, and one that may not": """
### app.py
import requests
def one(url):
    return requests.get(url)
def two(url):
    return one(url)
def three(url):
    return two(url)
def four(url):
    return three(url)
def perhaps(url):
    if url:
        return three(url)
async def f(url):
    perhaps(url)
    return four(url)  # expect APL102
""",
    "the same context may run what is handed on": """
### app.py
import asyncio, contextvars
from functools import partial
def work():
    open("x").read()
async def f():
    context = contextvars.copy_context()
    await asyncio.to_thread(context.run, work)
    await asyncio.to_thread(partial(context.run, work))
""",
    "an element that is changed and saved": """
### app.py
def close(orders, figures):
    for order in orders:
        order.status = "closed"
        order.save()  # expect APL207
    for figure in figures:
        figure.title = "x"
        figure.save("x.png")
""",
    "a store of unknown type": """
### app.py
class Sync:
    def __init__(self, store):
        self.store = store
    async def run(self, users):
        for user in users:
            await self.store.get_profile(user)  # expect APL202
        await self.store.get_profile(users[0])
""",
    "a foreign key of Peewee": """
### app.py
from peewee import ForeignKeyField, Model
class User(Model):
    pass
class Post(Model):
    user = ForeignKeyField(User, backref="posts")
def names():
    print([post.user.name for post in Post.select(Post, User).join(User)])
    return [post.user.name for post in Post.select()]  # expect APL203
""",
    "a model of another distribution": """
### app.py
from django.contrib.auth.models import User
def find(names):
    found = []
    for name in names:
        for user in User.objects.filter(username=name):  # expect APL202
            found.append(user)
    return found
async def view(request):
    return [user.pk for user in User.objects.filter(is_active=True)]  # expect APL107
""",
    "off the loop, but one by one": """
### app.py
import asyncio, requests
def fetch(number):
    return requests.get(f"http://x/{number}")
async def f(numbers):
    for number in numbers:
        await asyncio.to_thread(fetch, number)  # expect APL204
    await asyncio.gather(*(asyncio.to_thread(fetch, number) for number in numbers))
""",
    "what applications keep in a framework's objects": """\
### app.py
from aiohttp import web
from flask import g
from sqlalchemy import select
from starlette.requests import Request

async def starlette(request: Request, ids):
    async with request.app.state.db() as session:
        for id in ids:
            await session.scalar(select(User).where(User.id == id))  # expect APL202
    for id in ids:
        await request.state.redis.get(id)  # expect APL206

def flask(ids):
    for id in ids:
        g.db.execute("select 1 where id = ?", (id,))  # expect APL201

async def aiohttp(request: web.Request, ids):
    async with request.app["pool"].acquire() as conn:
        for id in ids:
            await conn.fetchrow("select 1 where id = $1", id)  # expect APL201
""",
    "a function that is handed to itself": """\
### app.py
import time
from functools import partial

def run(func):
    return func()

def other(func):
    return func()

async def main():
    run(partial(run, print))
    run(partial(run, partial(other, run)))
    other(partial(run, time.sleep))
    run(nap)  # expect APL101

def nap():
    time.sleep(1)
""",
    "what is made anew when it was closed": """\
### app.py
import httpx

def load():
    return open("certificates").read()

class Handler:
    def __init__(self):
        self._client = self.create()
        self._owned = True

    @property
    def client(self) -> httpx.AsyncClient:
        if self._owned and self._client.is_closed:
            self._client = self.create()
        return self._client

    @property
    def other(self) -> httpx.AsyncClient:
        if self._owned:
            self._client = self.create()
        return self._client

    def create(self):
        load()
        return httpx.AsyncClient(transport=None)

    async def send(self, request):
        await self.client.send(request)

    async def send_other(self, request):
        await self.other.send(request)  # expect APL103
""",
    "the quick way beside the one in a thread": """
### main.py
import asyncio
from pathlib import Path
class Upload:
    def __init__(self, path):
        self.file = open(path, "w+b")
        self.small = True
    async def write(self, data):
        if self.small:
            self.file.write(data)
        else:
            await asyncio.to_thread(self.file.write, data)
    async def read(self):
        if not self.small:
            return await asyncio.to_thread(self.file.read)
        return self.file.read()
    async def both(self, data):
        await asyncio.to_thread(self.file.write, data)
        self.file.write(data)  # expect APL103
def load(path: Path):
    return path.read_text()
async def maybe(path: Path):
    if path.name == "x":
        return load(path)
    return await asyncio.to_thread(load, path)
async def elsewhere(path: Path):
    if path.name:
        return load(path)  # expect APL103
""",
    "sockets that do not block": """
### main.py
import socket, ssl
WOULD_BLOCK = (BlockingIOError, InterruptedError)
class Stream:
    def __init__(self, raw: socket.socket):
        self.raw = raw
        self.raw.setblocking(False)
    async def read(self):
        return self.raw.recv(10)
class Other:
    def __init__(self, raw: socket.socket):
        self.raw = raw
        self.raw.setblocking(True)
    async def read(self):
        return self.raw.recv(10)  # expect APL111
    async def asked(self):
        while True:
            try:
                return self.raw.recv(10)
            except (BlockingIOError, InterruptedError):
                await ready(self.raw)
    async def asked_ssl(self, raw: ssl.SSLSocket):
        try:
            return raw.recv(10)
        except ssl.SSLWantReadError:
            return raw.recv(1)  # expect APL111
    async def failed(self):
        try:
            return self.raw.recv(10)  # expect APL111
        except OSError:
            return b""
async def connect(address):
    raw = socket.socket()
    raw.setblocking(False)
    raw.connect(address)
async def connect_and_wait(address):
    raw = socket.socket()
    raw.connect(address)  # expect APL111
""",
    "queries of a helper for some elements only": """
### main.py
import psycopg2
connection = psycopg2.connect("")
cursor = connection.cursor()
def beside(x):
    print(x)
    print(x)
    if x.special:
        cursor.execute("SELECT 1")
    print(x)
    print(x)
def most(x):
    '''Looks up what belongs to `x`.

    Nothing does when it is hidden.
    '''
    if not x.hidden:
        cursor.execute("SELECT 1")
        return cursor.fetchall()
def either(x):
    print(x)
    print(x)
    if x.new:
        cursor.execute("INSERT INTO t VALUES (1)")
    else:
        other(x)
    print(x)
    print(x)
def other(x):
    cursor.execute("SELECT 1")
def one_of_three(x):
    print(x)
    print(x)
    if x.new:
        cursor.execute("INSERT INTO t VALUES (1)")
    elif x.old:
        other(x)
    print(x)
    print(x)
def first_or_last(x):
    print(x)
    print(x)
    print(x)
    if x.new:
        return cursor.execute("INSERT INTO t VALUES (1)")
    return other(x)
def left(x):
    print(x)
    print(x)
    print(x)
    if x.new:
        return cursor.execute("INSERT INTO t VALUES (1)")
    return x
def in_words(x):
    print(x)
    return other(x) if x.new else x
def both_in_words(x):
    print(x)
    return other(x) if x.new else cursor.execute("SELECT 2")
def matched(x):
    print(x)
    match x.kind:
        case 1:
            other(x)
        case _:
            cursor.execute("SELECT 2")
def matched_once(x):
    print(x)
    match x.kind:
        case 1:
            other(x)
        case _:
            print(x)
def after_failure(x):
    try:
        return print(x)
    except ValueError:
        other(x)
def log(x, save=True):
    if x.new:
        if x.old:
            print(x)
    elif x.odd:
        raise TypeError
    print(x)
    if save:
        cursor.execute("INSERT INTO t VALUES (1)")
    return x
class Rows:
    def __init__(self):
        self.rows = {}
    def all(self):
        if not self.rows:
            self.rows = cursor.execute("SELECT 1")
            self.rows = cursor.fetchall()
        return self.rows
    def one(self, key):
        if key not in self.rows:
            self.rows[key] = cursor.execute("SELECT 1")
        return self.rows[key]
KNOWN = {"int"}
def known(x):
    if x in KNOWN:
        return True
    else:
        other(x)
def run(xs, rows: Rows):
    for x in xs:
        rows.all()
        rows.one(x)
        log(x)  # expect APL201
        log(x, save=False)
        beside(x)
        most(x)  # expect APL201
        either(x)  # expect APL201
        one_of_three(x)
        first_or_last(x)  # expect APL201
        left(x)
        in_words(x)
        both_in_words(x)  # expect APL201
        matched(x)  # expect APL201
        matched_once(x)
        after_failure(x)
        known(x)
""",
    "tasks of a helper for which nobody waits": """
### main.py
import asyncio
import httpx
client = httpx.AsyncClient()
TASKS = set()
async def send(x):
    await client.post("/events", json=x)
def report(x):
    TASKS.add(asyncio.get_running_loop().create_task(send(x)))
async def run(xs):
    for x in xs:
        report(x)
        await send(x)  # expect APL204
""",
    "databases in this process, and daemons on this machine": """
### main.py
import sqlite3
import docker
import psycopg2
local = sqlite3.connect("app.db")
remote = psycopg2.connect("").cursor()
client = docker.from_env()
def claim(x):
    local.execute("SELECT 1", (x,))
def ask(x):
    remote.execute("SELECT 1", (x,))
def claim_new(x):
    claim(x)
def ask_new(x):
    ask(x)
def run(xs):
    for x in xs:
        local.execute("SELECT 1", (x,))  # expect APL201
        claim(x)  # expect APL201
        claim_new(x)
        ask_new(x)  # expect APL201
        client.containers.get(x)
""",
    "documents that are read, and those that are made": """
### main.py
from pypdf import PdfReader, PdfWriter
async def copy(path):
    reader = PdfReader(path)  # expect APL114
    writer = PdfWriter()
    writer.append(reader)
    writer.write("copy.pdf")  # expect APL114
""",
    "relations loaded by a property, or by a query that is made in steps": """
### models.py
from django.db import models
class Author(models.Model):
    name = models.CharField(max_length=9)
    @property
    def loaded(self):
        return Book.objects.prefetch_related("tags")
    @property
    def bare(self):
        return Book.objects.all()
    def names(self):
        for book in self.loaded:
            print(list(book.tags.all()))
        for book in self.bare:
            print(list(book.tags.all()))  # expect APL202
class Tag(models.Model):
    name = models.CharField(max_length=9)
class Book(models.Model):
    author = models.ForeignKey(Author, on_delete=models.CASCADE)
    tags = models.ManyToManyField(Tag)
### main.py
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Session, relationship, selectinload
class Base(DeclarativeBase):
    pass
class Role(Base):
    users = relationship("User")
class User(Base):
    pass
def loaded(session: Session, ids):
    statement = select(Role).options(selectinload(Role.users))
    if ids:
        statement = statement.where(Role.id.in_(ids))
    return [role.users for role in session.execute(statement).scalars().all()]
def bare(session: Session, ids):
    statement = select(Role)
    if ids:
        statement = statement.where(Role.id.in_(ids))
    return [role.users for role in session.execute(statement).scalars().all()]  # expect APL203
""",
    "a class that overrides both never runs the one by the other": """
### app.py
import time
class Base:
    def load(self):
        raise NotImplementedError
    async def aload(self):
        return self.load()
class Both(Base):
    def load(self):
        time.sleep(1)
    async def aload(self):
        return 1
class Other:
    def load(self):
        raise NotImplementedError
    async def aload(self):
        return self.load()  # expect APL101
class One(Other):
    def load(self):
        time.sleep(2)
""",
    "nobody waits before a server serves": """
### app.py
import contextlib, time
@contextlib.asynccontextmanager
async def lifespan(app):
    time.sleep(1)
    await prepare(app)
    yield
async def prepare(app):
    time.sleep(1)  # expect APL101
""",
    "a throttled function asks once, however often it is called": """
### app.py
import requests
from homeassistant.util import Throttle
class Gateway:
    @Throttle(60)
    def update(self, sensor):
        requests.get(f"http://gateway/{sensor}")
    def refresh(self, sensor):
        requests.get(f"http://gateway/{sensor}")
def setup(gateway: Gateway, sensors):
    for sensor in sensors:
        gateway.update(sensor)
    for sensor in sensors:
        gateway.refresh(sensor)  # expect APL204
async def once(gateway: Gateway, sensor):
    gateway.update(sensor)  # expect APL102
""",
    "the object has an implementation of its own": """
### app.py
import asyncio, time
class Base:
    def chunk(self):
        return self.completed()
    def completed(self):
        raise NotImplementedError
class Async(Base):
    async def next(self):
        return self.chunk()
    def completed(self):
        asyncio.create_task(asyncio.sleep(1))
class Sync(Base):
    def completed(self):
        time.sleep(1)
class Slow(Base):
    async def next(self):
        return self.chunk()  # expect APL101
    def completed(self):
        time.sleep(2)
async def f(some: Base, fast: Async, slow: Slow):
    some.chunk()  # expect APL101
    fast.chunk()
    slow.chunk()  # expect APL101
""",
    "switches that must be given, and those of context managers": """
### app.py
import time
from contextlib import contextmanager
def log(text, *, is_async: bool):
    if is_async:
        return text
    time.sleep(1)
@contextmanager
def beats(join: bool = True):
    yield
    if join:
        time.sleep(1)
def rows(slowly=False):
    for number in range(3):
        if slowly:
            time.sleep(1)
        yield number
async def f(flag):
    log("x", is_async=True)
    log("x", is_async=False)  # expect APL101
    log("x", is_async=flag)  # expect APL101
    with beats(join=False):
        pass
    with beats(join=True):  # expect APL101
        pass
    with beats():  # expect APL101
        pass
    for row in rows():
        pass
    for row in rows(slowly=True):  # expect APL101
        pass
""",
    "which branch is taken is for the arguments to tell": """
### app.py
from sqlalchemy.orm import Session
from app.models import Handle
class Replica:
    def handle(self, session: Session, record=None):
        if record is None:
            found = read(session, self)
        else:
            found = record["handle"]
        return found
def read(session: Session, replica):
    return session.get(Handle, replica.id)
def all_of(session: Session, replicas: list[Replica]):
    return [replica.handle(session) for replica in replicas]  # expect APL202
def with_records(session: Session, replicas: list[Replica], records):
    return [replica.handle(session, records[replica.id]) for replica in replicas]
""",
}

_EXPECT = re.compile(r"#\s*expect\s+(?P<codes>APL\d+(?:\s+APL\d+)*)")


def write_project(root: Path, text: str) -> set[tuple[str, int, str]]:
    """Writes the files of a case and returns what must be reported: (path, line, code)."""
    expected = set()
    for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        name, _, body = part.partition("\n")
        path = root / name.strip()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body)
        for number, line in enumerate(body.splitlines(), 1):
            match = _EXPECT.search(line)
            if match:
                expected.update((name.strip(), number, code) for code in match["codes"].split())
    return expected


@pytest.mark.parametrize("name", CASES)
def test_case(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = write_project(tmp_path, CASES[name])
    monkeypatch.chdir(tmp_path)
    report = analyze([tmp_path], Config(), root=tmp_path, jobs=1)
    assert {(finding.path, finding.line, finding.code) for finding in report.findings} == expected
