"""Why a call site repeats, told by the source around it: elements of a loop, or one of the innocent reasons.

The trace has shown that the calls happened and how their parameters differ. What it cannot show is whether there was
another way: pages that name the next page, work that comes in, a fixed handful.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from agentperf_lint.checklist.elements import Element, elements, sets_a_timer, turns_pages
from agentperf_lint.checklist.sources import Code, Function, Sources, plain_name
from agentperf_lint.checklist.trace import Frame
from agentperf_rules.model import Step, Suspect

if TYPE_CHECKING:
    from agentperf_rules.base import Shape
    from agentperf_rules.repetition import Reading

Answer = Literal["repeats", "innocent", "unknown"]

_DIRECT_SQL = frozenset(
    """execute executemany executescript fetch fetchrow fetchval fetchone fetchall fetch_one fetch_all fetch_val
    copy cursor query run iterate""".split()
)
_VERBS = {
    "sql": _DIRECT_SQL
    | frozenset(
        """scalar scalars get get_one first all one one_or_none scalar_one scalar_one_or_none filter save create
        bulk_create load refresh count exists delete update commit flush merge fetch_related aget afirst acreate asave
        acount aexists in_bulk get_or_create get_or_none update_or_create select insert list values""".split()
    ),
    "http": frozenset("get post put patch delete head options request send urlopen fetch stream ws_connect".split()),
    "llm": frozenset("create invoke ainvoke generate complete parse stream acreate completion acompletion".split()),
    "mongo": frozenset("find find_one insert_one update_one replace_one delete_one count_documents aggregate".split()),
}
# What runs the loop of a library: a worker, a server, a command. What it does by itself is not the application's.
_RUNNERS = frozenset(
    """run run_async async_run run_forever run_until_complete run_app run_server run_worker run_polling serve
    serve_forever start start_consuming start_polling work call_command execute_from_command_line upgrade
    downgrade""".split()
)
_SINK_KINDS = {"redis": "cache", "http": "http", "llm": "llm", "mongo": "database"}


class LoopPlace(msgspec.Struct, frozen=True):
    """A loop that repeats a call, where it is now. `line` is 1-based."""

    path: str
    line: int
    function: str
    kind: str


class Judgement(msgspec.Struct, frozen=True):
    """What the source says of a call site: the `loop` that repeats it, or the `reason` why that is innocent.

    `together`: the calls are started together, `bounded`: with a limit. `periodic`: innocent if it was seen to
    wait in between. `depends`: the call is given the element of the loop. `batched`: the loop hands out pieces.
    `of_element`: the call is a method of the element. `told`: elements are what a language model asked for.
    """

    answer: Answer
    reason: str = ""
    loop: LoopPlace | None = None
    together: bool = False
    bounded: bool = False
    periodic: bool = False
    depends: bool = False
    batched: bool = False
    of_element: bool = False
    told: bool = False


UNKNOWN = Judgement("unknown")
HANDFUL = "a fixed handful"
ELSEWHERE = "another server each time"
AGAIN = "at most once or tries again"

Readings = tuple["Located | None", "list[tuple[Reading, int, Element]]", bool]
"""A located call, what each loop around it says with its line and elements, and whether it keeps its place."""


class Repetitions:
    """Judges call sites, each way of reaching one once."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._judged: dict[tuple[str, tuple[Frame, ...]], Judgement] = {}
        self._readings: dict[tuple[Frame, str, str], Readings] = {}

    def of(self, kind: str, text: str, stacks: Sequence[Sequence[Frame]]) -> Judgement:
        """The judgement on a site that was reached by `stacks` (innermost frame first) to do `text`."""
        found = [self._of_stack(kind, text, tuple(stack)) for stack in stacks]
        for answer in ("repeats", "innocent"):
            same = [each for each in found if each.answer == answer]
            if same:
                return same[0]
        return next(iter(found), UNKNOWN)

    def _of_stack(self, kind: str, text: str, stack: tuple[Frame, ...]) -> Judgement:
        key = (f"{kind} {text}", stack)
        held = self._judged.get(key)
        if held is None:
            held = self._judged[key] = self._judge(kind, text, stack)
        return held

    def _judge(self, kind: str, text: str, stack: tuple[Frame, ...]) -> Judgement:
        weak = UNKNOWN
        innocent: Judgement | None = None
        listeners: Judgement | None = None
        for depth, frame in enumerate(stack):
            called = called_name(stack[depth - 1][2]) if depth else ""
            located, read, keeps = self._read(frame, called, kind)
            if located is None:
                continue
            if keeps:
                return Judgement("innocent", "each call depends on the last")
            if depth == 0 and not read and located.name in _RUNNERS:
                return Judgement("innocent", "what a library does by itself")
            for reading, line, element in read:
                place = LoopPlace(frame[0], line, plain_name(frame[2]), reading.loop.kind)
                said = _said(reading, element, place, kind)
                if said.answer == "repeats" and element.is_called:
                    # Whoever tells the listeners something does it for one element after the other.
                    listeners = listeners or said
                elif said.answer == "repeats" or said.reason in _FINAL:
                    return said
                elif said.answer == "innocent":
                    innocent = innocent or said
                elif weak is UNKNOWN:
                    weak = said
        if innocent is not None or listeners is not None:
            return innocent or listeners or UNKNOWN
        if weak is UNKNOWN and _recurses(stack):
            return Judgement("innocent", "each call depends on the last")
        if weak is UNKNOWN and any(self._sets_a_timer(frame) for frame in stack):
            return Judgement("unknown", periodic=True)
        return weak

    def _sets_a_timer(self, frame: Frame) -> bool:
        code = self._sources.code(frame[0])
        function = code.function_at(frame[1]) if code is not None else None
        return code is not None and function is not None and sets_a_timer(function.node, code.tree or function.node)

    def _read(self, frame: Frame, called: str, kind: str) -> Readings:
        key = (frame, called, kind)
        if key not in self._readings:
            self._readings[key] = self._reading_of(frame, called, kind)
        return self._readings[key]

    def _reading_of(self, frame: Frame, called: str, kind: str) -> Readings:
        from agentperf_lint.analysis.confirm import shape_of
        from agentperf_rules.repetition import keeps_its_place, readings

        path, line, function = frame
        code = self._sources.code(path)
        located = locate(code, line, function, called, kind) if code is not None else None
        if code is None or located is None:
            return None, [], False
        suspect = _suspect(code, located, called, kind)
        shape = shape_of(code.content, suspect)
        if shape is None or shape.node is None:
            return None, [], False
        found = list(readings(suspect, shape))
        around: ast.AST | None = located.function.node if located.function is not None else code.tree
        known = elements(around, located.node) if found and around is not None else []
        if len(known) != len(found):
            known = [Element()] * len(found)
        read = [(reading, _line(shape, reading, located), element) for reading, element in zip(found, known)]
        return located, read, keeps_its_place(shape) or (around is not None and turns_pages(around, located.node))


_FINAL = frozenset({"each call depends on the last", "each turn waits for work", "goes on until an answer says stop"})


def _said(reading: Reading, element: Element, place: LoopPlace, kind: str) -> Judgement:
    """What one loop says by itself; innocent loops may still be inside one that is not."""
    if reading.leaves or reading.attempts:
        return Judgement("unknown", AGAIN, batched=reading.batched)
    if reading.fed:
        return Judgement("innocent", "each turn waits for work")
    if reading.carried:
        return Judgement("innocent", "each call depends on the last")
    if reading.walks and kind in {"http", "llm"}:
        return Judgement("innocent", "each call depends on the last")
    if reading.pages:
        return Judgement("innocent", "goes on until an answer says stop")
    if (reading.elsewhere and kind != "http") or (element.is_connection and kind == "sql"):
        return Judgement("innocent", ELSEWHERE)  # statements of HTTP name the server
    if reading.handful:
        return Judgement("innocent", HANDFUL, place)
    if reading.batched or element.is_piece:
        return Judgement("innocent", "batches", batched=True)
    periodic = reading.periodic or element.arrives
    answer: Answer = "unknown" if reading.periodic or not (reading.depends or reading.walks) else "repeats"
    return Judgement(
        answer,
        "one call per element" if answer == "repeats" else AGAIN if element.ends_by_answer else "",
        place,
        together=reading.together,
        bounded=reading.bounded,
        periodic=periodic,
        depends=reading.depends,
        of_element=element.is_object,
        told=element.is_told,
    )


def _recurses(stack: tuple[Frame, ...]) -> bool:
    own = stack[0][0], stack[0][2]
    return any((path, function) == own for path, _, function in stack[1:])


class Located(msgspec.Struct, frozen=True):
    """An expression in a file, in the terms of `ast`, and the function around it."""

    line: int
    column: int
    end_line: int
    end_column: int
    name: str
    is_attribute: bool
    function: Function | None
    node: ast.expr


def called_name(function: str) -> str:
    """The name by which a function is called: that of the class for its constructor, none for other dunders."""
    parts = [part for part in plain_name(function).split(".") if part != "<lambda>"]
    if not parts or parts[-1] == "<module>":
        return ""
    if parts[-1] in {"__init__", "__new__", "__post_init__"} and len(parts) > 1:
        return parts[-2]
    return "" if parts[-1].startswith("__") else parts[-1]


def locate(code: Code, line: int, function: str, called: str, kind: str) -> Located | None:
    """The expression on `line` that runs `called`, or an operation of `kind` when that is not known."""
    around = code.function_at(line)
    bare = plain_name(function).rpartition(".")[2]
    if bare not in {"<lambda>", around.name.rpartition(".")[2] if around is not None else "<module>"}:
        around = code.named(function)  # the source has changed since
        if around is None:
            return None
    is_inside = around is None or around.first <= line <= around.last
    statement = code.statement(line) if is_inside else None
    candidates = [each for each in _expressions(statement) if _covers(each, line)] if statement is not None else []
    wanted = frozenset({called}) if called else _VERBS.get(kind, frozenset())
    fitting = [each for each in candidates if wanted and _fits(each, wanted)]
    if not fitting and called and around is not None:
        fitting = [each for each in ast.walk(around.node) if isinstance(each, ast.Call) and _fits(each, wanted)]
    calls = [each for each in candidates if isinstance(each, ast.Call)]
    chosen = _deepest(around.node if around is not None else statement, fitting or calls)
    if chosen is None:
        chosen = next((each for each in candidates if isinstance(each, ast.Attribute)), None)
    if chosen is None:
        return None
    return Located(
        chosen.lineno,
        chosen.col_offset,
        chosen.end_lineno or chosen.lineno,
        chosen.end_col_offset or 0,
        _last_name(chosen),
        isinstance(chosen, ast.Attribute),
        around,
        chosen,
    )


def _expressions(statement: ast.stmt) -> Iterator[ast.expr]:
    """Calls and attributes of a statement, of a compound one those of its header, outermost first."""
    pending: list[ast.AST] = [statement]
    while pending:
        node = pending.pop(0)
        if isinstance(node, (ast.Call, ast.Attribute)):
            yield node
        pending.extend(
            child
            for child in ast.iter_child_nodes(node)
            if not isinstance(child, (ast.stmt, ast.ExceptHandler, ast.match_case))
        )


def _covers(node: ast.expr, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)


def _fits(node: ast.expr, wanted: frozenset[str]) -> bool:
    """Whether `node` calls or reads one of `wanted`, or hands it over as `map(f, xs)` does."""
    if isinstance(node, ast.Attribute):
        return node.attr in wanted
    if not isinstance(node, ast.Call):
        return False
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    handed = any(isinstance(each, (ast.Name, ast.Attribute)) and _last_name(each) in wanted for each in given)
    return _last_name(node.func) in wanted or handed


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        return _last_name(node.func)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _deepest(around: ast.AST | None, candidates: Sequence[ast.expr]) -> ast.expr | None:
    """The candidate inside most comprehensions and lambdas: on one line, it is the one that repeats."""
    if len(candidates) <= 1 or around is None:
        return next(iter(candidates), None)
    depths: dict[int, int] = {}
    pending: list[tuple[ast.AST, int]] = [(around, 0)]
    while pending:
        node, depth = pending.pop()
        if id(node) in depths:
            continue
        depths[id(node)] = depth
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)):
            pending.append((node.generators[0].iter, depth))  # runs once, and is taken first
            pending[-1:-1] = [(child, depth + 1) for child in ast.iter_child_nodes(node)]
        else:
            deeper = depth + isinstance(node, ast.Lambda)
            pending.extend((child, deeper) for child in ast.iter_child_nodes(node))
    return max(candidates, key=lambda each: depths.get(id(each), 0))


def _suspect(code: Code, located: Located, called: str, kind: str) -> Suspect:
    function = located.function
    name = function.name if function is not None else "<module>"
    own = Step(code.path, located.line, name, located.name)
    chain = (own, Step(code.path, located.line, called, "")) if called else (own,)
    return Suspect(
        code="",
        path=code.path,
        function=name,
        first_line=function.first if function is not None else 0,
        last_line=function.last if function is not None else 0,
        line=located.line,
        column=located.column,
        end_line=located.end_line,
        end_column=located.end_column,
        call=located.name,
        sink=located.name,
        sink_kind=_sink_kind(located, kind),
        severity="medium",
        confidence="definite",
        use="",
        chain=chain,
    )


def _sink_kind(located: Located, kind: str) -> str:
    if kind == "sql":
        return "relation" if located.is_attribute else "database" if located.name in _DIRECT_SQL else "orm"
    return _SINK_KINDS.get(kind, kind)


def _line(shape: Shape, reading: Reading, located: Located) -> int:
    return shape.line_of(reading.loop.node) or located.line
