"""What one file says, without knowing any other file.

Facts are written by `extract` at C-parser speed, cached by content, and read by the project stage. An
expression is a *reference*: a node of a table in which every distinct expression of the file stands once.
Local variables do not occur in it: a reference to a local is the reference to what was assigned to it.
"""

from __future__ import annotations

import re
from array import array
from typing import NamedTuple

import msgspec

# Operations of a reference. `base` is a reference unless said otherwise.
UNKNOWN = 0
NAME = 1  # a global or builtin called `text`
PARAM = 2  # parameter `text` of the function in scope `base`
IMPORT = 3  # module `text` as written, `base` leading dots
MEMBER = 4  # name after the colon of `text`, imported from the module before it, `base` leading dots
DEF = 5  # the function, class or lambda of scope `base`
ATTR = 6  # `base`.text
CALL = 7  # `base`(args)
AWAIT = 8  # await `base`
ITEM = 9  # `base`[text or args]
ITER = 10  # one element of `base`
ENTER = 11  # what `with base as` gives
AENTER = 12  # what `async with base as` gives
LITERAL = 13  # an instance of the builtin type `text`; args are the elements where known
TEXT = 14  # a string constant that starts with `text`
INSTANCE = 15  # an instance of the annotation `base`
UNION = 16  # one of args
SUPER = 17  # super() in the method of scope `base`
AITER = 18  # one element of `async for ... in base`

# Kinds of scope.
MODULE, FUNCTION, LAMBDA, CLASS = 0, 1, 2, 3

# Flags of a scope.
ASYNC = 1
GENERATOR = 2
TRIVIAL = 4  # the body does nothing: a docstring, `pass`, `...` or `raise NotImplementedError`
HIGHER_ORDER = 32  # calls one of its parameters
PROPERTY = 16  # decorated so that reading the attribute calls it
BOUNDED = 8  # some of the body runs under `async with` on a name of a semaphore or limiter

# Kinds of use.
USE_CALL, USE_READ, USE_STORE, USE_ITERATE, USE_ENTER = 0, 1, 2, 3, 4

# Flags of a use: what happens to the value.
AWAITED = 1
DISCARDED = 2  # an expression statement
RETURNED = 4
PASSED = 8  # an argument of another call, or an element of a display
ASSIGNED = 16
CONSUMED = 32  # an attribute, item, operator or iteration takes the value at once
FANNED_OUT = 64  # inside the arguments of gather, create_task or the like
ITERABLE = 128  # is itself the iterable of a loop
CONDITIONAL = 256  # in a branch: an `if`, an `except`, a `case`
SELECTED = 1024  # in a branch that one value of a text selects: `if backend == "sqlite"`
KEPT = 2048  # runs once and is kept in a global: `if _table is None: _table = load()`
NO_WAIT = 4096  # says so: `wait=False`, `block=False`, `blocking=False`, or `except BlockingIOError`
HANDED_ON = 16384  # an argument of an awaited call that starts nothing side by side: `await wait_for(f(x), 1)`
AFTER_EXIT = 8192  # a branch that returns stands before it in the function
BATCHED = 512  # in a branch that is taken once per batch: `if n % size == 0`, `if len(rows) >= size`
SOMETIMES = 32768  # in a branch that stands beside the function's work: one without counterpart, an `except`

# Kinds of loop.
FOR, ASYNC_FOR, WHILE, COMPREHENSION = 0, 1, 2, 3

# Nobody calls two unrelated things `list_gateway_endpoints`.
DISTINCTIVE = re.compile(r"(?=\w{16})[a-z]\w*_\w+_\w+")
# A method of a project's own store, whose name says that it looks up or writes rows.
STORE_CALL = re.compile(
    r"(?:.*\.)?\w*(?:store|storage|repo|repository|dao)\."
    r"(?:get|find|fetch|load|read|list|count|lookup|save|create|insert|update|delete|remove|upsert|add|set)_\w+"
)
# Constants that make a call return at once; for an address in numbers nobody is asked.
NO_WAIT_FLAGS = frozenset({"WNOHANG", "MSG_DONTWAIT", "LOCK_NB", "AI_NUMERICHOST", "NI_NUMERICHOST"})
SMALL_LOOP = 8  # elements; a loop over no more constants than this is not "one query per element"


class Use(NamedTuple):
    """One place where `scope` runs something. Positions are those of `ast`; `loop` is an index or -1.

    `terminal` and `written` are indices into the strings: the last name of what is called after locals
    were replaced ("" when several or none are possible), and the callee as the source has it. So are `guard`,
    the parameters of the function that are None when this runs (`!name`: that is not None; joined by `&`), and `given`,
    the arguments: a character per position (`_` for None, `t` and `f` for True and False, `*` for unpacking), a `|`,
    and the names of those that are not None (`name=1` and `name=0` for True and False, `**` for unpacking).
    A parameter that is a switch stands in `guard` with its default: `name=0` must be false, `!name=0` true.
    """

    scope: int
    kind: int
    ref: int
    line: int
    column: int
    end_line: int
    end_column: int
    flags: int
    loop: int
    terminal: int
    written: int
    guard: int
    given: int


class LoopFact(NamedTuple):
    """One loop; `small` says that it runs over at most `SMALL_LOOP` written-out elements; `outer` is an index or -1."""

    kind: int
    line: int
    end_line: int
    iterable: int
    small: int
    outer: int


USE_STRIDE = len(Use._fields)
LOOP_STRIDE = len(LoopFact._fields)


class Param(msgspec.Struct, array_like=True, gc=False):
    """One parameter; `annotation` and `default` are references, 0 where there is none."""

    name: str
    annotation: int
    default: int


class Scope(msgspec.Struct, array_like=True, gc=False):
    """A module, function, lambda or class.

    `names` are what the body of a module or class binds, `attributes` what methods assign to `self`.
    `results` and `yields` are the returned and yielded references.
    """

    kind: int
    name: str
    parent: int
    flags: int
    line: int
    end_line: int
    decorators: list[int]
    bases: list[int]
    params: list[Param]
    annotation: int
    results: list[int]
    yields: list[int]
    names: dict[str, int]
    attributes: dict[str, list[int]]
    setters: dict[str, int]


class FileFacts(msgspec.Struct, array_like=True, gc=False):
    """The facts of one file. `ops`, `bases`, `texts` are the columns of the reference table.

    `called` has the uses by their terminal name, without those in `unnamed`, which no name leads to (loops, `with`,
    what awaits a `STORE_CALL` in a loop);
    `passed` has them by the attributes that are read on the way, as is `b` in `a.b.c()`.
    `classes` and `marked` are the scopes of classes and those of functions that are properties, higher-order or
    decorated.
    `aliases` are pairs of a name and another one that is bound to it at module or class level.
    `choices` has the branches that are taken one or the other, as are `if` and `else`: for each the number of its arms,
    the `position` where each starts, and the one where the last ends.
    `error` has the line and the reason when the file could not be read; the rest is empty then.
    """

    scopes: list[Scope]
    ops: bytes
    bases: bytes
    texts: bytes
    strings: list[str]
    args: dict[int, list[int]]
    keywords: dict[int, dict[str, int]]
    uses: bytes
    loops: bytes
    called: dict[str, list[int]]
    passed: dict[str, list[int]]
    unnamed: list[int]
    classes: list[int]
    marked: list[int]
    stars: list[tuple[int, str]]
    aliases: list[tuple[str, str]]
    noqa: dict[int, list[str]]
    choices: bytes
    error: tuple[int, str] | None = None


def position(line: int, column: int) -> int:
    """A place in a file as one number, in the order of the text."""
    return line << 12 | min(column, 4095)


def ints(packed: bytes) -> array[int]:
    """The column of 32-bit integers that `packed` holds."""
    column = array("i")
    column.frombytes(packed)
    return column


ENCODER = msgspec.msgpack.Encoder()
DECODER = msgspec.msgpack.Decoder(FileFacts)


def unreadable(line: int, reason: str) -> FileFacts:
    """The facts of a file of which nothing is known but why."""
    module = Scope(MODULE, "<module>", -1, 0, 1, 1, [], [], [], 0, [], [], {}, {}, {})
    nothing = array("i").tobytes()
    zero = array("i", [0]).tobytes()
    return FileFacts(
        [module],
        bytes([UNKNOWN]),
        zero,
        zero,
        [""],
        {},
        {},
        nothing,
        nothing,
        {},
        {},
        [],
        [],
        [],
        [],
        [],
        {},
        nothing,
        (line, reason),
    )
