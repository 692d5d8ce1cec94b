"""Rows of the catalogue: which calls block or query, what factories return, who takes work to a thread.

Names are canonical dotted names. A method is written on its class (`requests.Session.get`), whether
it is called on an instance or on the class. The type of a value that a function returns is the name of
its class; where the class has no public name, the call itself is the name: `boto3.client()`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from agentperf_rules.model import Confidence, Severity

Kind = Literal[
    "sleep", "http", "file", "path", "subprocess", "database", "orm", "cache", "cloud", "llm",
    "socket", "input", "sync", "cpu", "client", "import",
]  # fmt: skip


class Sink(NamedTuple):
    """One call that holds the event loop (`blocking`) or costs a round trip per loop element (`loop`).

    `name` may end in `.*` (any method of the class) or `.**` (any chain of attributes below it).
    `use` names the awaitable alternative for a blocking call, `batch` the batched one for a call in a loop.
    `write` marks inserts, updates and deletes (one statement per row, APL207).
    `on` says which use of the name costs: calling it, entering it with `with`, iterating over it, or reading it as an attribute.
    `since` is the library version that first has the call, empty when always.
    """

    name: str
    kind: Kind
    severity: Severity
    use: str
    batch: str = ""
    blocking: bool = True
    loop: bool = False
    write: bool = False
    on: Literal["call", "enter", "iterate", "read"] = "call"
    since: str = ""


class Returns(NamedTuple):
    """Calling (or entering, awaiting, reading) `name` gives an instance of `type`.

    `elem` says what the result holds: `arg0` an instance of the class passed first, `self` what the
    receiver holds, "" nothing known; `of` names the class of what it holds where that is fixed
    (`pathlib.Path.iterdir`). `type` may be `elem` for "one element of what the receiver holds"
    (`QuerySet.get`) and `self` for the receiver itself (`Query.filter`).
    """

    name: str
    type: str
    elem: Literal["", "arg0", "self"] = ""
    of: str = ""


class Offloader(NamedTuple):
    """`name` runs the function at argument `position` (or keyword) in a thread or process.

    `awaitable` ones do nothing until they are awaited (`asyncio.to_thread`); `result` says that the call
    gives a new function instead (`sync_to_async(f)`); `decorator` that it is used as a decorator.
    """

    name: str
    position: int
    keyword: str = ""
    awaitable: bool = True
    result: bool = False
    decorator: bool = False

    @property
    def starts_at_once(self) -> bool:
        """Whether the work is under way without an `await` (a future), unlike a coroutine."""
        return self.name.endswith("run_in_executor")


class Invoker(NamedTuple):
    """`name` calls the function at argument `position` (or `keyword`) on the caller's own thread.

    `repeats` ones call it once per element (`map`); `later` ones on a later turn of the event loop
    (`call_soon`); `enters` ones enter the context manager that stands there instead (`ExitStack.enter_context`).
    """

    name: str
    position: int
    keyword: str = ""
    repeats: bool = False
    later: bool = False
    enters: bool = False


class Convention(NamedTuple):
    """What a call means when the receiver's type is unknown and its name follows a strong convention.

    `receiver` is a regular expression that must match the whole last segment of the receiver
    (`self._db_session` -> `_db_session`), `methods` are the method names (`get_*`: all that
    start so). `when` restricts it to calls that are awaited,
    to calls whose result is used at once without `await` (`sync`), to calls without positional arguments on an object of
    which the function sets an attribute (`changed`), or to none of these. `args` is a regular expression that must
    match from the start of the first argument's source when not empty, `head` one that must be found in all that is
    written before the method (`db.query().filter()`). `blocking`: report un-awaited use in async functions.
    """

    receiver: str
    methods: frozenset[str]
    kind: Kind
    severity: Severity
    confidence: Confidence
    use: str = ""
    batch: str = ""
    blocking: bool = False
    loop: bool = True
    write: bool = False
    when: Literal["any", "awaited", "sync", "changed"] = "any"
    args: str = ""
    head: str = ""
