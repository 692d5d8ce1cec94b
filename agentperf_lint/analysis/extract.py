"""From the syntax tree of one file to its facts: one walk in statement order.

The walk carries an environment from local names to references, copied at branches and merged where they
meet, so that a use says what its names hold *there*. Nested functions are walked when the enclosing one is
complete: what they see of it is its final environment.

Nodes, of which there are millions, are told apart by comparing their types, without a call. Type checkers do not follow
that where the type is held by a name (`kind`): hence the ignored attributes.
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
from array import array
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from agentperf_lint.analysis import facts as f
from agentperf_lint.analysis.builtin_types import BuiltinTypes
from agentperf_lint.analysis.expressions import MAX_UNION, ExpressionTable
from agentperf_lint.analysis.known_names import ARGUMENTS_MATTER, PROPERTIES
from agentperf_lint.analysis.noqa import suppressions
from agentperf_lint.analysis.syntax import (
    NO_SWITCHES,
    asks_for_running_loop,
    asks_whether_it_is_closed,
    counts_to_a_batch,
    fills_what_is_missing,
    given,
    is_docstring,
    is_small,
    is_trivial,
    last_name,
    other_thread_branch,
    says_no_wait,
    selects_by_text,
    switches,
    would_block,
)
from agentperf_rules.catalogue import Catalogue

# Operations whose `base` leads to the root.
_CHAIN = frozenset({f.ATTR, f.CALL, f.AWAIT, f.ITEM, f.ITER, f.ENTER, f.AENTER, f.AITER, f.INSTANCE})
MAX_ELEMENTS = 12
TEXT_KEPT = 32  # characters of a string constant, enough for the verb of a statement

R = TypeVar("R")

BUILTINS = frozenset(dir(builtins))
_LOGGER = re.compile(r"(?:.*\.)?_{0,2}(?:log|logger|logging)\.\w+\Z", re.IGNORECASE)
_LIMITER = re.compile(r"sem|limit|throttl|slots?\b", re.IGNORECASE)
_GLOBAL = re.compile(rb"^[ \t]+global[ \t]+([^\n#]+)", re.MULTILINE)

# Annotations that leave the type to the value.
_NO_TYPES = frozenset({"ClassVar", "Final", "TypeAlias"})
# Builtins that run nothing of others, and those that run only what they iterate over.
_HARMLESS = frozenset("str type hash object dir".split())
_ITERATING = frozenset("list tuple set frozenset sorted sum any all max min dict next len filter map".split())
FAN_OUT = frozenset({"gather", "create_task", "ensure_future", "as_completed", "start_soon", "wait", "shield"})
STARTS_ONE = frozenset({"create_task", "ensure_future", "shield"})  # awaited at once, they start nothing side by side

_CHAINED = 1 << 16  # the expression is the left side of a longer chain, which records it

_NO_REFS: tuple[int, ...] = ()


class Frame:
    """What is known while one scope is walked."""

    __slots__ = (
        "batch",
        "body_line",
        "branch",
        "deferred",
        "env",
        "exited",
        "first_param",
        "globals",
        "guard",
        "index",
        "kept",
        "keywords",
        "kind",
        "loaded",
        "loop",
        "method_of",
        "no_wait",
        "params",
        "parent",
        "recording",
        "scope",
        "seen",
        "selected",
        "sometimes",
        "switches",
    )

    def __init__(self, kind: int, index: int, scope: f.Scope, parent: Frame | None) -> None:
        self.kind = kind
        self.index = index
        self.scope = scope
        self.parent = parent
        self.env: dict[str, int] = {}
        self.loaded: dict[str, int] = {}  # names of enclosing scopes, which are complete when a function is walked
        self.params: frozenset[str] = frozenset(param.name for param in scope.params)
        self.deferred: list[tuple[ast.AST, int, Frame]] = []
        self.loop = -1
        self.body_line = 0  # where the work starts, behind the docstring
        self.branch = 0
        self.sometimes = 0
        self.batch = 0
        self.selected = 0
        self.kept = 0
        self.no_wait = 0
        self.guard = ""
        self.exited = False
        self.switches: dict[str, bool] = NO_SWITCHES
        self.keywords = ""  # the name of `**keywords`
        self.recording = kind in (f.FUNCTION, f.LAMBDA)
        self.globals: set[str] = set()
        self.first_param = ""
        self.method_of: f.Scope | None = None
        self.seen: set[tuple[int, int]] = set()


class Extractor:
    """Walks one module. The catalogue says which names and whose arguments are of interest."""

    def __init__(self, source: bytes, catalogue: Catalogue) -> None:
        self.known_tops = catalogue.packages
        self.terminal_names = catalogue.terminal_names
        self.convention = catalogue.convention
        self.scopes: list[f.Scope] = []
        self.table = ExpressionTable()
        # Every expression passes here: two attributes less on the way count.
        self.ref, self.ref_with, self.union = self.table.ref, self.table.ref_with, self.table.union
        self.nodes, self.args, self.keywords = self.table.nodes, self.table.args, self.table.keywords
        self.strings: list[str] = [""]
        self.string_index: dict[str, int] = {"": 0}
        self.uses: list[int] = []
        self.loops = array("i")
        self.loop_count = 0
        self.choices = array("i")
        self.chained: ast.stmt | None = None
        self.stars: list[tuple[int, str]] = []
        self.stores: set[int] = set()
        self.fan_out = 0
        self.global_names: set[str] = set()
        for match in _GLOBAL.finditer(source) if b"global" in source else ():
            self.global_names.update(part.strip() for part in match[1].decode("utf-8", "replace").split(","))
        self.a_string = self.ref(f.TEXT)
        self.a_bool = self.ref(f.LITERAL, 0, "bool")
        self.literals: dict[type, int] = {}
        self.module = self._open(f.MODULE, "<module>", -1, 0, 1, 1)
        self.frame = Frame(f.MODULE, 0, self.module, None)
        self.module_frame = self.frame
        self.types = BuiltinTypes(self.table, self.scopes, self.stars, self.module_frame)

    # -- references ---------------------------------------------------------------------------------

    def _string(self, text: str) -> int:
        index = self.string_index.get(text)
        if index is None:
            index = self.string_index[text] = len(self.strings)
            self.strings.append(text)
        return index

    def _open(self, kind: int, name: str, parent: int, flags: int, line: int, end_line: int) -> f.Scope:
        scope = f.Scope(kind, name, parent, flags, line, end_line, [], [], [], 0, [], [], {}, {}, {})
        self.scopes.append(scope)
        return scope

    # -- names --------------------------------------------------------------------------------------

    def load(self, name: str) -> int:
        frame: Frame | None = self.frame
        first = frame
        while frame is not None:
            if frame.kind == f.MODULE:
                if name in self.global_names:
                    break
                found = frame.env.get(name)
                return self.ref(f.NAME, 0, name) if found is None else found
            if frame is first or frame.kind != f.CLASS:
                found = frame.env.get(name)
                if found is not None:
                    return found
                if name in frame.params:
                    found = frame.env[name] = self.ref(f.PARAM, frame.index, name)
                    return found
            frame = frame.parent
        return self.ref(f.NAME, 0, name)

    def bind(self, name: str, ref: int) -> None:
        if name in self.frame.globals:
            names = self.module.names
            names[name] = self.union((names.get(name, 0), ref))
            return
        self.frame.env[name] = ref

    def assign(self, target: ast.expr, ref: int) -> None:
        """Bind `target` to `ref`, recording stores to attributes."""
        kind = type(target)
        if kind is ast.Name:
            self.bind(target.id, ref)  # type: ignore[attr-defined]
        elif kind is ast.Attribute:
            self._store_attribute(target, ref)  # type: ignore[arg-type]
        elif kind is ast.Tuple or kind is ast.List:
            self._unpack(target.elts, ref)  # type: ignore[attr-defined]
        elif kind is ast.Starred:
            self.assign(target.value, self.ref(f.LITERAL, 0, "list"))  # type: ignore[attr-defined]
        else:
            _EXPRESSIONS[type(target)](self, target, 0)

    def _unpack(self, targets: list[ast.expr], ref: int) -> None:
        for index, target in enumerate(targets):
            self.assign(target, self.ref(f.ITEM, ref, str(index)) if ref else 0)

    def _store_attribute(self, target: ast.Attribute, ref: int) -> None:
        base = _EXPRESSIONS[type(target.value)](self, target.value, _CHAINED)
        frame = self.frame
        if frame.method_of is not None and type(target.value) is ast.Name and target.value.id == frame.first_param:
            held = frame.method_of.attributes.setdefault(target.attr, [])
            if ref and ref not in held and len(held) < MAX_UNION:
                held.append(ref)
        if base and frame.recording:
            self._use(f.USE_STORE, self.ref(f.ATTR, base, target.attr), target, 0, target.attr, target.attr)

    # -- uses ---------------------------------------------------------------------------------------

    def _use(
        self, kind: int, ref: int, node: ast.expr, flags: int, terminal: str, written: str, given: str = ""
    ) -> None:
        frame = self.frame
        if not frame.recording:
            return
        if self.fan_out:
            flags |= f.FANNED_OUT
        if frame.branch:
            flags |= f.CONDITIONAL
        if frame.sometimes:
            flags |= f.SOMETIMES
        if frame.batch:
            flags |= f.BATCHED
        if frame.selected:
            flags |= f.SELECTED
        if frame.kept:
            flags |= f.KEPT
        if frame.exited:
            flags |= f.AFTER_EXIT
        if frame.no_wait:
            flags |= f.NO_WAIT
        strings = self.string_index
        self.uses += (
            frame.index,
            kind,
            ref,
            node.lineno,
            node.col_offset,
            node.end_lineno or node.lineno,
            node.end_col_offset or node.col_offset,
            flags & 0xFFFF,
            frame.loop,
            strings[terminal] if terminal in strings else self._string(terminal),
            strings[written] if written in strings else self._string(written),
            strings[frame.guard] if frame.guard in strings else self._string(frame.guard),
            strings[given] if given in strings else self._string(given),
        )

    def _terminal(self, ref: int) -> str | None:
        """The last name of a callee; "" when it cannot be told, None when a call cannot matter."""
        op = self.nodes[ref][0]
        if op == f.ATTR or op == f.NAME:
            return self.nodes[ref][2]
        if op == f.MEMBER:
            return self.nodes[ref][2].rpartition(":")[2]
        if op == f.DEF:
            scope = self.scopes[self.nodes[ref][1]]
            return "" if scope.kind == f.LAMBDA else scope.name
        if op == f.CALL or op == f.UNION:
            return ""
        if op == f.PARAM and self.nodes[ref][1] == self.frame.index:
            self.frame.scope.flags |= f.HIGHER_ORDER
        return None

    def _root(self, ref: int) -> int:
        node = self.nodes[ref]
        while node[0] in _CHAIN:
            ref = node[1]
            node = self.nodes[ref]
        return ref

    def _cannot_matter(
        self, callee: int, terminal: str, written: str, args: Sequence[int], keywords: dict[str, int] | None
    ) -> bool:
        """True for calls that neither the catalogue nor another file can make interesting."""
        if callee == 0:
            return not self._says_enough(terminal, written)
        node = self.nodes[callee]
        if node[0] == f.NAME:
            return terminal in BUILTINS and self._is_harmless_builtin(terminal, args, keywords)
        if not terminal:
            return False
        if node[0] == f.ATTR and self.types.kind_of(node[1]):
            return True
        root = self._root(callee)
        root_op = self.nodes[root][0]
        if root_op == f.TEXT or (root_op == f.LITERAL and self.types.kind_of(root) == "plain"):
            return True
        if root_op == f.UNKNOWN or (root_op == f.LITERAL and root not in self.args):  # what was put in later
            return not self._says_enough(terminal, written)
        if root_op == f.IMPORT or root_op == f.MEMBER:
            module = self.nodes[root][2]
            top = module.partition(":")[0].partition(".")[0]
            if self.nodes[root][1] == 0 and top in sys.stdlib_module_names and top not in self.known_tops:
                return top != "copy" or not self._says_enough(terminal, written)
        elif root_op == f.PARAM and not self._typed(root):
            if not self._says_enough(terminal, written):
                return True
        elif self.types.kind_of(root) == "plain":
            return True
        return _LOGGER.match(written) is not None

    def _is_harmless_builtin(self, name: str, args: Sequence[int], keywords: dict[str, int] | None) -> bool:
        if name not in self.terminal_names and name not in ARGUMENTS_MATTER:
            return True
        if self.stars or name in self.module_frame.env:
            return False
        if name in _HARMLESS:
            return True
        if name not in _ITERATING or keywords:
            return False
        return not any(args) or (len(args) == 1 and bool(self.types.kind_of(args[0])))

    def _says_enough(self, terminal: str, written: str) -> bool:
        """Whether the names alone can tell what is called on a receiver of unknown type."""
        if f.DISTINCTIVE.fullmatch(terminal) is not None:
            return True
        if terminal not in self.terminal_names:
            return False
        head, _, method = written.rpartition(".")
        return bool(head) and bool(self.convention(head.rpartition(".")[2], method, head))

    def _typed(self, ref: int) -> bool:
        """Whether the parameter can have a type: annotated, defaulted, or `self`."""
        scope = self.scopes[self.nodes[ref][1]]
        name = self.nodes[ref][2]
        for position, param in enumerate(scope.params):
            if param.name == name:
                is_receiver = position == 0 and scope.parent >= 0 and self.scopes[scope.parent].kind == f.CLASS
                return bool(param.annotation or param.default or is_receiver)
        return False

    # -- expressions --------------------------------------------------------------------------------

    def ex(self, node: ast.expr, flags: int) -> int:
        """Visit an expression; `flags` say what happens to its value. Returns its reference, 0 when unknown."""
        return _EXPRESSIONS[type(node)](self, node, flags)

    def _silently(self, node: ast.expr) -> int:
        """Visit an expression without recording uses (decorators, defaults, annotations)."""
        frame = self.frame
        recording, frame.recording = frame.recording, False
        try:
            return _EXPRESSIONS[type(node)](self, node, _CHAINED)
        finally:
            frame.recording = recording

    def _x_constant(self, node: ast.Constant, flags: int) -> int:
        value = node.value
        kind = type(value)
        if kind is str:
            return self.a_string
        return self.literals.get(kind) or self._literal(kind)

    def _literal(self, kind: type) -> int:
        name = "None" if kind is type(None) else kind.__name__
        found = self.literals[kind] = self.ref(f.LITERAL, 0, name)
        return found

    def _x_name(self, node: ast.Name, flags: int) -> int:
        frame, name = self.frame, node.id
        found = frame.env.get(name)
        if found is None:
            found = frame.loaded.get(name)
            if found is None:
                found = self.load(name)
                if frame.kind == f.FUNCTION:
                    frame.loaded[name] = found
        return found

    def _x_attribute(self, node: ast.Attribute, flags: int) -> int:
        base = _EXPRESSIONS[type(node.value)](self, node.value, _CHAINED)
        ref = self.ref(f.ATTR, base, node.attr)
        frame = self.frame
        if flags & _CHAINED or not frame.recording or not base:
            return ref
        if (
            (ref, frame.loop) in frame.seen
            or node.attr.isupper()
            or self.nodes[base][0] in (f.IMPORT, f.LITERAL, f.TEXT)
            or self.types.kind_of(base)
        ):
            return ref
        root = self._root(base)
        if self.nodes[root][0] == f.PARAM and not self._typed(root):
            return ref
        frame.seen.add((ref, frame.loop))
        self._use(f.USE_READ, ref, node, flags, node.attr, self._written(node))
        return ref

    def _written(self, node: ast.expr) -> str:
        """The callee as the source has it, with `()` and `[]` for what stands between names."""
        kind = type(node)
        if kind is ast.Name:
            return node.id  # type: ignore[attr-defined,no-any-return]
        if kind is ast.Attribute:
            return f"{self._written(node.value)}.{node.attr}"  # type: ignore[attr-defined]
        if kind is ast.Call:
            return f"{self._written(node.func)}()"  # type: ignore[attr-defined]
        if kind is ast.Subscript:
            return f"{self._written(node.value)}[]"  # type: ignore[attr-defined]
        if kind is ast.Await:
            return self._written(node.value)  # type: ignore[attr-defined]
        return "(...)"

    def _x_call(self, node: ast.Call, flags: int) -> int:
        func = node.func
        callee = _EXPRESSIONS[type(func)](self, func, _CHAINED)
        terminal = self._terminal(callee)
        if callee == 0 and type(func) is ast.Attribute:
            terminal = func.attr
        if terminal == "super" and self.nodes[callee][0] == f.NAME and not node.args:
            return self._super()
        if terminal == "getattr" and len(node.args) >= 2 and isinstance(node.args[1], ast.Constant):
            return self.ref(f.ATTR, self.ex(node.args[0], _CHAINED), _head(str(node.args[1].value)))
        waited_for = flags & (f.AWAITED | f.HANDED_ON)
        fans_out = terminal in FAN_OUT and not (waited_for and terminal in STARTS_ONE)
        if fans_out:
            self.fan_out += 1
        kept = terminal is not None and (terminal in ARGUMENTS_MATTER or terminal in self.terminal_names)
        args, keywords = self._arguments(
            node, kept, f.PASSED | f.HANDED_ON if waited_for and not fans_out else f.PASSED
        )
        if fans_out:
            self.fan_out -= 1
        if not kept and not self._passes_function(args, keywords):
            args, keywords = _NO_REFS, None
        elif node.keywords and any(says_no_wait(keyword) for keyword in node.keywords):
            flags |= f.NO_WAIT
        ref = self.ref_with(f.CALL, callee, "", args, keywords)
        if self.frame.recording and terminal is not None:
            written = self._written(func)
            asks_store = (
                self.frame.loop >= 0
                and bool(flags & f.AWAITED or self.fan_out)
                and f.STORE_CALL.fullmatch(written) is not None
            )
            if asks_store:
                self.stores.add(len(self.uses) // f.USE_STRIDE)
            if asks_store or not self._cannot_matter(callee, terminal, written, args, keywords):
                self._use(f.USE_CALL, ref, node, flags, terminal, written, given(node))
        return ref

    def _passes_function(self, args: Sequence[int], keywords: dict[str, int] | None) -> bool:
        nodes = self.nodes
        if any(nodes[ref][0] == f.DEF for ref in args):
            return True
        return keywords is not None and any(nodes[ref][0] == f.DEF for ref in keywords.values())

    def _arguments(self, node: ast.Call, kept: bool, flags: int) -> tuple[Sequence[int], dict[str, int] | None]:
        """References of the arguments; string constants keep their start where the call is of interest (`kept`)."""
        args = []
        for arg in node.args:
            ref = _EXPRESSIONS[type(arg)](self, arg, flags)
            args.append(self._constant_text(arg, ref) if kept and ref == self.a_string else ref)
        keywords: dict[str, int] | None = None
        for keyword in node.keywords:
            ref = _EXPRESSIONS[type(keyword.value)](self, keyword.value, flags)
            if keyword.arg is not None and ref:
                keywords = keywords or {}
                keywords[keyword.arg] = (
                    self._constant_text(keyword.value, ref) if kept and ref == self.a_string else ref
                )
        while args and not args[-1]:
            args.pop()
        return args[:MAX_ELEMENTS], keywords

    def _constant_text(self, node: ast.expr, ref: int) -> int:
        if isinstance(node, ast.JoinedStr) and node.values:
            node = node.values[0]
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return self.ref(f.TEXT, 0, _head(node.value))
        return ref

    def _super(self) -> int:
        frame: Frame | None = self.frame
        while frame is not None:
            if frame.method_of is not None:
                return self.ref(f.SUPER, frame.index)
            frame = frame.parent
        return 0

    def _x_await(self, node: ast.Await, flags: int) -> int:
        inner = _EXPRESSIONS[type(node.value)](self, node.value, f.AWAITED)
        return self.ref(f.AWAIT, inner) if inner else 0

    def _x_binop(self, node: ast.BinOp, flags: int) -> int:
        left = _EXPRESSIONS[type(node.left)](self, node.left, f.CONSUMED)
        right = _EXPRESSIONS[type(node.right)](self, node.right, f.CONSUMED)
        if type(node.op) is ast.Div:
            if left and self.nodes[left][0] != f.TEXT:
                return self.ref(f.CALL, self.ref(f.ATTR, left, "__truediv__"))
            return self.ref(f.CALL, self.ref(f.ATTR, right, "__truediv__")) if right else 0
        if left and self.nodes[left][0] in (f.TEXT, f.LITERAL):
            return left
        if type(node.op) is ast.BitOr:
            return next((ref for ref in (left, right) if self._terminal(ref) in f.NO_WAIT_FLAGS), 0)
        return 0

    def _x_boolop(self, node: ast.BoolOp, flags: int) -> int:
        flags = flags & ~f.AWAITED | f.CONSUMED
        frame, guard = self.frame, self.frame.guard
        refs = []
        for value in node.values:
            refs.append(_EXPRESSIONS[type(value)](self, value, flags))
            if type(value) is ast.Name:
                frame.guard = _both(frame.guard, self._guard_of(value, given=type(node.op) is ast.And))
        frame.guard = guard
        return self.union(refs)

    def _x_ifexp(self, node: ast.IfExp, flags: int) -> int:
        _EXPRESSIONS[type(node.test)](self, node.test, f.CONSUMED)
        frame = self.frame
        (met, unmet), frame_guard = self._guards(node.test), frame.guard
        starts = [f.position(arm.lineno, arm.col_offset) for arm in (node.body, node.orelse)]
        self._choice(starts, node.end_lineno or node.lineno, (node.end_col_offset or 0) + 1)
        frame.branch += 1
        frame.guard = _both(frame_guard, met)
        first = _EXPRESSIONS[type(node.body)](self, node.body, flags)
        frame.guard = _both(frame_guard, unmet)
        second = _EXPRESSIONS[type(node.orelse)](self, node.orelse, flags)
        frame.guard = frame_guard
        frame.branch -= 1
        return self.union((first, second))

    def _x_compare(self, node: ast.Compare, flags: int) -> int:
        _EXPRESSIONS[type(node.left)](self, node.left, f.CONSUMED)
        for value in node.comparators:
            _EXPRESSIONS[type(value)](self, value, f.CONSUMED)
        return self.a_bool

    def _x_unaryop(self, node: ast.UnaryOp, flags: int) -> int:
        _EXPRESSIONS[type(node.operand)](self, node.operand, f.CONSUMED)
        return self.a_bool if type(node.op) is ast.Not else 0

    def _x_joined(self, node: Any, flags: int) -> int:
        for value in node.values:
            if type(value) is not ast.Constant:
                _EXPRESSIONS[type(value.value)](self, value.value, f.CONSUMED)
                if value.format_spec is not None:
                    _EXPRESSIONS[type(value.format_spec)](self, value.format_spec, f.CONSUMED)
        return self.a_string

    def _x_subscript(self, node: ast.Subscript, flags: int) -> int:
        base = _EXPRESSIONS[type(node.value)](self, node.value, _CHAINED)
        index = node.slice
        if type(index) is ast.Constant:
            return self.ref(f.ITEM, base, _head(str(index.value))) if base else 0
        if type(index) is ast.Slice:
            self._x_slice(index, 0)
            return base
        arg = _EXPRESSIONS[type(index)](self, index, f.CONSUMED)
        if not base:
            return 0
        if type(index) is ast.Tuple and self.nodes[arg][0] == f.LITERAL:
            return self.ref_with(f.ITEM, base, "", self.args.get(arg, _NO_REFS))
        return self.ref_with(f.ITEM, base, "", (arg,) if arg else _NO_REFS)

    def _x_slice(self, node: ast.Slice, flags: int) -> int:
        for part in (node.lower, node.upper, node.step):
            if part is not None:
                _EXPRESSIONS[type(part)](self, part, f.CONSUMED)
        return 0

    def _display(self, name: str, values: list[ast.expr]) -> int:
        refs = [_EXPRESSIONS[type(value)](self, value, f.PASSED) for value in values]
        return self.ref_with(f.LITERAL, 0, name, refs[:MAX_ELEMENTS])

    def _x_tuple(self, node: ast.Tuple, flags: int) -> int:
        return self._display("tuple", node.elts)

    def _x_list(self, node: ast.List, flags: int) -> int:
        return self._display("list", node.elts)

    def _x_set(self, node: ast.Set, flags: int) -> int:
        return self._display("set", node.elts)

    def _x_dict(self, node: ast.Dict, flags: int) -> int:
        for key in node.keys:
            if key is not None:
                _EXPRESSIONS[type(key)](self, key, f.PASSED)
        refs = [_EXPRESSIONS[type(value)](self, value, f.PASSED) for value in node.values]
        return self.ref_with(f.LITERAL, 0, "dict", refs[:MAX_ELEMENTS])

    def _x_starred(self, node: ast.Starred, flags: int) -> int:
        _EXPRESSIONS[type(node.value)](self, node.value, f.PASSED)
        return 0

    def _x_named(self, node: ast.NamedExpr, flags: int) -> int:
        ref = _EXPRESSIONS[type(node.value)](self, node.value, f.ASSIGNED)
        self.bind(node.target.id, ref)
        return ref

    def _x_yield(self, node: ast.Yield, flags: int) -> int:
        ref = _EXPRESSIONS[type(node.value)](self, node.value, f.RETURNED) if node.value is not None else 0
        scope = self.frame.scope
        scope.flags |= f.GENERATOR
        if ref and ref not in scope.yields and len(scope.yields) < MAX_UNION:
            scope.yields.append(ref)
        return 0

    def _x_yield_from(self, node: ast.YieldFrom, flags: int) -> int:
        ref = _EXPRESSIONS[type(node.value)](self, node.value, f.CONSUMED)
        scope = self.frame.scope
        scope.flags |= f.GENERATOR
        if ref:
            self._use(f.USE_ITERATE, ref, node.value, 0, self._iterated(ref), self._written(node.value))
            element = self.ref(f.ITER, ref)
            if len(scope.yields) < MAX_UNION:
                scope.yields.append(element)
        return 0

    def _iterated(self, ref: int) -> str:
        """The name under which the iterable can be found: what was called for it, or read."""
        if self.nodes[ref][0] == f.CALL:
            ref = self.nodes[ref][1]
        return "" if self.nodes[ref][0] == f.PARAM else self._terminal(ref) or ""  # iterating does not call a parameter

    def _x_lambda(self, node: ast.Lambda, flags: int) -> int:
        index = len(self.scopes)
        scope = self._open(f.LAMBDA, "<lambda>", self.frame.index, 0, node.lineno, node.end_lineno or node.lineno)
        self._parameters(scope, node.args)
        outer = self.frame
        frame = Frame(f.LAMBDA, index, scope, outer)
        fan_out, self.fan_out = self.fan_out, 0
        self.frame = frame
        result = _EXPRESSIONS[type(node.body)](self, node.body, f.RETURNED)
        self.frame = outer
        self.fan_out = fan_out
        if result:
            scope.results.append(result)
        self._walk_deferred(frame)
        return self.ref(f.DEF, index)

    def _x_comprehension(self, node: Any, flags: int) -> int:
        frame = self.frame
        outer_env, outer_loop = frame.env, frame.loop
        frame.env = outer_env.copy()
        for generator in node.generators:
            iterable = _EXPRESSIONS[type(generator.iter)](self, generator.iter, f.CONSUMED | f.ITERABLE)
            self._iterate(generator.iter, iterable, bool(generator.is_async))
            frame.loop = self._loop(f.COMPREHENSION, node, generator.iter, iterable)
            self.assign(
                generator.target, self.ref(f.AITER if generator.is_async else f.ITER, iterable) if iterable else 0
            )
            for condition in generator.ifs:
                _EXPRESSIONS[type(condition)](self, condition, f.CONSUMED)
        if type(node) is ast.DictComp:
            _EXPRESSIONS[type(node.key)](self, node.key, f.CONSUMED)
            element = _EXPRESSIONS[type(node.value)](self, node.value, f.PASSED)
        else:
            element = _EXPRESSIONS[type(node.elt)](self, node.elt, f.PASSED)
        frame.env, frame.loop = outer_env, outer_loop
        name = {ast.ListComp: "list", ast.SetComp: "set", ast.DictComp: "dict"}.get(type(node), "generator")
        return self.ref_with(f.LITERAL, 0, name, (element,) if element else _NO_REFS)

    def _x_formatted(self, node: ast.FormattedValue, flags: int) -> int:
        _EXPRESSIONS[type(node.value)](self, node.value, f.CONSUMED)
        return 0

    def _x_other(self, node: ast.AST, flags: int) -> int:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                _EXPRESSIONS[type(child)](self, child, f.CONSUMED)
        return 0

    # -- annotations --------------------------------------------------------------------------------

    def annotation(self, node: ast.expr | None) -> int:
        """The reference to an annotation, strings read as expressions; 0 when there is none."""
        if node is None:
            return 0
        if type(node) is ast.Name:
            return self.load(node.id)
        frame = self.frame
        recording, frame.recording = frame.recording, False
        found = self._annotation(node)
        frame.recording = recording
        return found

    def _annotation(self, node: Any) -> int:
        kind = type(node)
        if kind is ast.Name:
            return self._x_name(node, _CHAINED)
        if kind is ast.Subscript:
            base = self._annotation(node.value)
            elements = node.slice.elts if type(node.slice) is ast.Tuple else [node.slice]
            return (
                self.ref_with(f.ITEM, base, "", [self._annotation(element) for element in elements[:4]]) if base else 0
            )
        if kind is ast.Constant:
            if type(node.value) is str:
                try:
                    return self._annotation(ast.parse(node.value.strip(), mode="eval").body)
                except (SyntaxError, ValueError):
                    return 0
            return self.ref(f.LITERAL, 0, "None")
        if kind is ast.BinOp:
            return self.union((self._annotation(node.left), self._annotation(node.right)))
        if kind is ast.Attribute or kind is ast.Call:
            return _EXPRESSIONS[kind](self, node, _CHAINED)
        return 0

    # -- statements ---------------------------------------------------------------------------------

    def body(self, statements: list[ast.stmt]) -> bool:
        """Walk statements; True when control cannot leave at the end."""
        ends = False
        frame, guard = self.frame, self.frame.guard
        for statement in statements:
            if _STATEMENTS[type(statement)](self, statement):
                ends = True
        frame.guard = guard
        return ends

    def _s_expr(self, node: ast.Expr) -> bool:
        if type(node.value) is not ast.Constant:
            _EXPRESSIONS[type(node.value)](self, node.value, f.DISCARDED)
        return False

    def _s_assign(self, node: ast.Assign) -> bool:
        ref = _EXPRESSIONS[type(node.value)](self, node.value, f.ASSIGNED)
        value, target = node.value, node.targets[0]
        if (
            len(node.targets) == 1
            and type(value) is ast.Tuple
            and type(target) is ast.Tuple
            and len(value.elts) == len(target.elts) <= MAX_ELEMENTS
        ):
            for part, held in zip(target.elts, self.args.get(ref, _NO_REFS)):
                self.assign(part, held)
            return False
        for target in node.targets:
            self.assign(target, ref)
        return False

    def _s_annassign(self, node: ast.AnnAssign) -> bool:
        annotated = self.annotation(node.annotation)
        value = _EXPRESSIONS[type(node.value)](self, node.value, f.ASSIGNED) if node.value is not None else 0
        says_nothing = (
            annotated
            and self.nodes[annotated][0] in (f.MEMBER, f.ATTR, f.NAME)
            and self._terminal(annotated) in _NO_TYPES
        )
        declared = self.ref(f.INSTANCE, annotated) if annotated and not says_nothing else 0
        if node.value is None and type(node.target) is ast.Name and self.frame.kind not in (f.CLASS, f.MODULE):
            self.frame.env.setdefault(node.target.id, declared)
            return False
        self.assign(node.target, self.union((value, declared)))
        return False

    def _s_augassign(self, node: ast.AugAssign) -> bool:
        _EXPRESSIONS[type(node.value)](self, node.value, f.CONSUMED)
        if type(node.target) is not ast.Name:
            _EXPRESSIONS[type(node.target)](self, node.target, 0)
        return False

    def _s_return(self, node: ast.Return) -> bool:
        if node.value is not None:
            ref = _EXPRESSIONS[type(node.value)](self, node.value, f.RETURNED)
            results = self.frame.scope.results
            if ref and ref not in results and len(results) < MAX_UNION:
                results.append(ref)
        return True

    def _s_raise(self, node: ast.Raise) -> bool:
        if node.exc is not None:
            _EXPRESSIONS[type(node.exc)](self, node.exc, f.CONSUMED)
        return True

    def _s_jump(self, node: ast.stmt) -> bool:
        return True

    def _s_nothing(self, node: ast.stmt) -> bool:
        return False

    def _s_children(self, node: ast.stmt) -> bool:
        self._x_other(node, 0)
        return False

    def _s_if(self, node: ast.If) -> bool:
        frame = self.frame
        test = node.test
        name = test.attr if type(test) is ast.Attribute else test.id if type(test) is ast.Name else ""
        recording = frame.recording
        elsewhere = other_thread_branch(test) or self._no_loop_branch(test)
        batch, selected = counts_to_a_batch(test), selects_by_text(test)
        kept = self._asks_what_is_kept(test)
        if name == "TYPE_CHECKING":
            frame.recording = False
        else:
            self.ex(test, f.CONSUMED)
        before = frame.env
        frame.env = before.copy()
        narrowed = self._narrow(test)
        if elsewhere == "body":
            frame.recording = False
        (met, unmet), frame_guard = self._guards(test), frame.guard
        sometimes = node is not self.chained and not self._is_choice(node)
        if met and not node.orelse and isinstance(test, (ast.Name, ast.UnaryOp, ast.Compare)):
            sometimes = False  # the arguments of each call tell
        frame.branch += 1
        frame.sometimes += sometimes
        frame.batch += batch
        frame.selected += selected
        frame.kept += kept < 0
        frame.guard = _both(frame_guard, met)
        ends = self.body(node.body)
        frame.batch -= batch
        frame.selected -= selected
        frame.kept -= kept < 0
        after = frame.env
        if narrowed and not ends:
            self._widen(narrowed, before, after)
        frame.recording = recording and elsewhere != "orelse"
        frame.env = before.copy() if node.orelse else before
        frame.guard = _both(frame_guard, unmet)
        frame.kept += kept > 0
        self.chained = node.orelse[0] if len(node.orelse) == 1 else None  # an `elif` is an arm of the same choice
        other_ends = self.body(node.orelse)
        frame.kept -= kept > 0
        # What follows in the block runs only after the branch that does not leave it.
        frame.guard = _both(frame_guard, unmet) if ends else _both(frame_guard, met) if other_ends else frame_guard
        frame.exited = frame.exited or (ends and type(node.body[-1]) is ast.Return)
        frame.recording = recording and not (ends and elsewhere == "orelse")
        frame.branch -= 1
        frame.sometimes -= sometimes
        if ends and kept > 0 and not frame.branch:
            frame.kept += 1
        if ends:
            return other_ends
        frame.env = after if other_ends else self._merge(after, frame.env)
        return False

    def _is_choice(self, node: ast.If) -> bool:
        """Whether the branches of `node` belong to the function's work, of which they are the most or do one part each.

        What follows a branch that leaves the function is what is done otherwise.
        """
        frame = self.frame
        arms, last = [node.body], node.orelse
        while len(last) == 1 and isinstance(last[0], ast.If):
            arms.append(last[0].body)
            last = last[0].orelse
        end = node.end_lineno or node.lineno
        starts = [f.position(arm[0].lineno, arm[0].col_offset) for arm in (*arms, last) if arm]
        if not last:
            whole = frame.scope.end_line - frame.body_line if frame.body_line else 0
            if len(arms) == 1 and 2 * (end + 1 - node.lineno) > whole > 0 and not fills_what_is_missing(node):
                return True
            if not all(type(arm[-1]) in (ast.Return, ast.Raise, ast.Continue) for arm in arms):
                return False
            starts.append(f.position(end + 1, 0))
            end = frame.scope.end_line
        self._choice(starts, end + 1, 0)
        return True

    def _choice(self, starts: list[int], line: int, column: int) -> None:
        self.choices.extend((len(starts), *starts, f.position(line, column)))

    def _guards(self, test: ast.expr) -> tuple[str, str]:
        """What `Use.guard` holds where the condition is met, and where it is not."""
        kind = type(test)
        if kind is ast.Name:
            return self._guard_of(test, given=True), self._guard_of(test, given=False)
        if kind is ast.UnaryOp and type(test.op) is ast.Not:  # type: ignore[attr-defined]
            met, unmet = self._guards(test.operand)  # type: ignore[attr-defined]
            return unmet, met
        if kind is ast.BoolOp:
            parts = [self._guards(value) for value in test.values]  # type: ignore[attr-defined]
            if type(test.op) is ast.And:  # type: ignore[attr-defined]
                return _both(*(met for met, _ in parts)), ""
            return "", _both(*(unmet for _, unmet in parts))
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            return self._compared_guards(test.left, type(test.ops[0]), test.comparators[0])
        return "", ""

    def _compared_guards(self, left: ast.expr, operator: type[ast.cmpop], compared: ast.expr) -> tuple[str, str]:
        if operator in (ast.In, ast.NotIn) and type(compared) is ast.Name and compared.id == self.frame.keywords:
            name = left.value if isinstance(left, ast.Constant) and isinstance(left.value, str) else ""
            given, missing = (f"!{name}", name) if name else ("", "")
            return (given, missing) if operator is ast.In else (missing, given)
        asks_none = type(compared) is ast.Constant and compared.value is None and operator in (ast.Is, ast.IsNot)
        if not asks_none or type(left) is not ast.Name:
            return "", ""
        none, given = (self._guard_of(left, given=given) for given in (False, True))
        return (none, given) if operator is ast.Is else (given, none)

    def _guard_of(self, node: Any, *, given: bool) -> str:
        """The part of `Use.guard` that says that the parameter is given (a switch: true), or that it is not."""
        frame = self.frame
        held = frame.env.get(node.id, 0)
        if self.nodes[held][:2] not in ((f.UNKNOWN, 0), (f.PARAM, frame.index)):
            return ""
        sign = "!" if given else ""
        if node.id in frame.switches:
            return f"{sign}{node.id}={frame.switches[node.id]:d}" if held or node.id not in frame.env else ""
        # Only of a parameter that is None by default can one say that giving it decides.
        none = self._literal(type(None))
        decides = any(param.name == node.id and param.default == none for param in frame.scope.params)
        return f"{sign}{node.id}" if decides else ""

    def _asks_what_is_kept(self, test: ast.expr) -> int:
        """-1 when nothing has been kept in a global yet where the body runs, 1 when something has been.

        What is made anew because it was closed is kept as well: `if self._client.is_closed: self._client = create()`.
        """
        kind = type(test)
        if kind in (ast.BoolOp, ast.Attribute, ast.Call):
            return -int(asks_whether_it_is_closed(test))
        if kind is ast.Name:
            return int(self._is_kept(test.id))  # type: ignore[attr-defined]
        if kind is ast.UnaryOp and type(test.op) is ast.Not and type(test.operand) is ast.Name:  # type: ignore[attr-defined]
            return -int(self._is_kept(test.operand.id))  # type: ignore[attr-defined]
        if kind is not ast.Compare or len(test.ops) != 1:  # type: ignore[attr-defined]
            return 0
        operator, compared = type(test.ops[0]), test.comparators[0]  # type: ignore[attr-defined]
        if operator in (ast.In, ast.NotIn):
            known = type(compared) is ast.Name and self._is_global(compared.id)
            return 0 if not known else 1 if operator is ast.In else -1
        asks_none = operator in (ast.Is, ast.IsNot) and type(compared) is ast.Constant and compared.value is None
        if not asks_none or not self._is_kept_in(test.left):  # type: ignore[attr-defined]
            return 0
        return -1 if operator is ast.Is else 1

    def _is_kept_in(self, node: ast.expr) -> bool:
        """A global, or an attribute of the class: `if cls._instance is None: cls._instance = cls()`."""
        if type(node) is ast.Name:
            return self._is_kept(node.id)
        return type(node) is ast.Attribute and type(node.value) is ast.Name and node.value.id == "cls"

    def _is_global(self, name: str) -> bool:
        frame = self.frame
        if frame.kind != f.FUNCTION or name in frame.env or name in frame.params:
            return False
        return name in self.module_frame.env

    def _is_kept(self, name: str) -> bool:
        """Whether the variable is a global that the function sets, or was looked up in one: `table.get(key)`."""
        if name in self.frame.globals:
            return True
        nodes = self.nodes
        looked_up = nodes[self.frame.env.get(name, 0)]
        if looked_up[0] != f.CALL or nodes[looked_up[1]][0] != f.ATTR or nodes[looked_up[1]][2] != "get":
            return False
        return nodes[nodes[looked_up[1]][1]][0] in (f.NAME, f.LITERAL, f.INSTANCE, f.UNION)

    def _no_loop_branch(self, test: ast.expr) -> str:
        """The branch of `if running_loop() is None` that runs where there is no event loop."""
        if not (isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], (ast.Is, ast.IsNot))):
            return ""
        compared = test.comparators[0]
        if not (isinstance(compared, ast.Constant) and compared.value is None):
            return ""
        ref = self._silently(test.left)
        if self.nodes[ref][0] != f.CALL or "running_loop" not in (self._terminal(self.nodes[ref][1]) or ""):
            return ""
        return "body" if isinstance(test.ops[0], ast.Is) else "orelse"

    def _narrow(self, test: ast.expr) -> str:
        """`if isinstance(x, C)`: in the body `x` is a C. Returns the name that was narrowed."""
        if (
            type(test) is ast.Call
            and type(test.func) is ast.Name
            and test.func.id == "isinstance"
            and len(test.args) == 2
            and type(test.args[0]) is ast.Name
            and type(test.args[1]) in (ast.Name, ast.Attribute)
        ):
            name = test.args[0].id
            self.frame.env[name] = self.ref(f.INSTANCE, self._silently(test.args[1]))
            return name
        return ""

    def _widen(self, name: str, before: dict[str, int], after: dict[str, int]) -> None:
        """After the body the name is what it was before, unless the body assigned to it."""
        if self.nodes[after.get(name, 0)][0] != f.INSTANCE:
            return
        if name in before:
            after[name] = before[name]
        else:
            del after[name]

    def _merge(self, first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
        if first == second:
            return first
        merged = first.copy()
        for name, ref in second.items():
            held = first.get(name)
            if held != ref:
                merged[name] = ref if held is None else self.union((held, ref))
        return merged

    def _iterate(self, node: ast.expr, ref: int, is_async: bool) -> None:
        if not ref or not self.frame.recording or self.nodes[ref][0] in (f.LITERAL, f.TEXT) or self.types.kind_of(ref):
            return
        terminal = self._iterated(ref)
        if terminal in ("range", "enumerate", "zip", "items", "values", "keys", "split"):
            return
        passed = given(node) if type(node) is ast.Call else ""
        self._use(f.USE_ITERATE, ref, node, f.AWAITED if is_async else 0, terminal, self._written(node), passed)

    def _loop(self, kind: int, node: Any, iterable_node: ast.expr | None, iterable: int) -> int:
        self.loops.extend(
            (
                kind,
                node.lineno,
                node.end_lineno or node.lineno,
                iterable,
                int(iterable_node is not None and is_small(iterable_node)),
                self.frame.loop,
            )
        )
        self.loop_count += 1
        return self.loop_count - 1

    def _s_for(self, node: Any) -> bool:
        frame = self.frame
        is_async = type(node) is ast.AsyncFor
        iterable = _EXPRESSIONS[type(node.iter)](
            self, node.iter, f.AWAITED | f.ITERABLE if is_async else f.CONSUMED | f.ITERABLE
        )
        self._iterate(node.iter, iterable, is_async)
        outer, before = frame.loop, frame.env
        frame.env = before.copy()
        frame.loop = self._loop(f.ASYNC_FOR if is_async else f.FOR, node, node.iter, iterable)
        self.assign(node.target, self.ref(f.AITER if is_async else f.ITER, iterable) if iterable else 0)
        self.body(node.body)
        frame.loop = outer
        frame.env = self._merge(before, frame.env)
        self.body(node.orelse)
        return False

    def _s_while(self, node: ast.While) -> bool:
        frame = self.frame
        outer, before = frame.loop, frame.env
        frame.env = before.copy()
        frame.loop = self._loop(f.WHILE, node, None, 0)
        _EXPRESSIONS[type(node.test)](self, node.test, f.CONSUMED)
        self.body(node.body)
        frame.loop = outer
        frame.env = self._merge(before, frame.env)
        self.body(node.orelse)
        return False

    def _s_try(self, node: Any) -> bool:
        frame = self.frame
        before = frame.env
        frame.env = before.copy()
        asks_again = any(would_block(handler.type) for handler in node.handlers)
        frame.no_wait += asks_again
        ends = self.body(node.body)
        frame.no_wait -= asks_again
        start = self._merge(before, frame.env)
        if not ends and node.orelse:
            ends = self.body(node.orelse)
        outcomes = [] if ends else [frame.env]
        recording = frame.recording
        asks_for_loop = asks_for_running_loop(node.body)
        frame.branch += 1
        frame.sometimes += 1
        for handler in node.handlers:
            frame.recording = recording and not (asks_for_loop and last_name(handler.type) == "RuntimeError")
            frame.env = start.copy()
            if handler.name:
                frame.env[handler.name] = 0
            if not self.body(handler.body):
                outcomes.append(frame.env)
        frame.branch -= 1
        frame.sometimes -= 1
        frame.recording = recording
        env = outcomes[0] if outcomes else start
        for other in outcomes[1:]:
            env = self._merge(env, other)
        frame.env = env
        return self.body(node.finalbody) or not outcomes

    def _s_with(self, node: Any) -> bool:
        is_async = type(node) is ast.AsyncWith
        for item in node.items:
            expression = item.context_expr
            ref = _EXPRESSIONS[type(expression)](self, expression, f.AWAITED if is_async else 0)
            if is_async and _LIMITER.search(self._written(expression)):
                self.frame.scope.flags |= f.BOUNDED
            if ref and not is_async:
                passed = given(expression) if type(expression) is ast.Call else ""
                self._use(f.USE_ENTER, ref, expression, 0, self._iterated(ref), self._written(expression), passed)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, self.ref(f.AENTER if is_async else f.ENTER, ref) if ref else 0)
        return self.body(node.body)

    def _s_match(self, node: Any) -> bool:
        frame = self.frame
        _EXPRESSIONS[type(node.subject)](self, node.subject, f.CONSUMED)
        before = frame.env
        merged = before
        last = node.cases[-1]
        sometimes = last.guard is not None or getattr(last.pattern, "pattern", last) is not None
        if not sometimes:
            starts = [f.position(case.body[0].lineno, case.body[0].col_offset) for case in node.cases]
            self._choice(starts, (node.end_lineno or node.lineno) + 1, 0)
        frame.branch += 1
        frame.sometimes += sometimes
        for case in node.cases:
            frame.env = before.copy()
            for pattern in ast.walk(case.pattern):
                name = getattr(pattern, "name", None) or getattr(pattern, "rest", None)
                if name:
                    frame.env[name] = 0
            if case.guard is not None:
                _EXPRESSIONS[type(case.guard)](self, case.guard, f.CONSUMED)
            if not self.body(case.body):
                merged = self._merge(merged, frame.env)
        frame.branch -= 1
        frame.sometimes -= sometimes
        frame.env = merged
        return False

    def _s_import(self, node: ast.Import) -> bool:
        for alias in node.names:
            if alias.asname:
                self.bind(alias.asname, self.ref(f.IMPORT, 0, alias.name))
            else:
                top = alias.name.partition(".")[0]
                self.bind(top, self.ref(f.IMPORT, 0, top))
        return False

    def _s_import_from(self, node: ast.ImportFrom) -> bool:
        module = node.module or ""
        for alias in node.names:
            if alias.name == "*":
                self.stars.append((node.level, module))
            else:
                self.bind(alias.asname or alias.name, self.ref(f.MEMBER, node.level, f"{module}:{alias.name}"))
        return False

    def _s_global(self, node: ast.Global) -> bool:
        self.frame.globals.update(node.names)
        return False

    def _s_type_alias(self, node: Any) -> bool:
        self.bind(node.name.id, self.annotation(node.value))
        return False

    # -- definitions --------------------------------------------------------------------------------

    def _s_function(self, node: Any) -> bool:
        decorators = [self._silently(decorator) for decorator in node.decorator_list]
        line = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        flags = f.ASYNC if type(node) is ast.AsyncFunctionDef else 0
        if is_trivial(node.body):
            flags |= f.TRIVIAL
        if any(last_name(decorator) in PROPERTIES for decorator in node.decorator_list):
            flags |= f.PROPERTY
        index = len(self.scopes)
        scope = self._open(f.FUNCTION, node.name, self.frame.index, flags, line, node.end_lineno or node.lineno)
        scope.decorators = decorators
        self._parameters(scope, node.args)
        scope.annotation = self.annotation(node.returns)
        setter = next((d.attr for d in node.decorator_list if type(d) is ast.Attribute), "")
        if setter in ("setter", "deleter", "getter") and self.frame.kind == f.CLASS:
            if setter == "setter":
                self.frame.scope.setters[node.name] = index
        else:
            self.bind(node.name, self.ref(f.DEF, index))
        self._defer(node, index)
        return False

    def _s_class(self, node: ast.ClassDef) -> bool:
        for decorator in node.decorator_list:
            self._silently(decorator)
        index = len(self.scopes)
        scope = self._open(f.CLASS, node.name, self.frame.index, 0, node.lineno, node.end_lineno or node.lineno)
        scope.bases = [ref for ref in (self.annotation(base) for base in node.bases) if ref]
        outer = self.frame
        self.frame = Frame(f.CLASS, index, scope, outer)
        self.body(node.body)
        scope.names = {name: ref for name, ref in self.frame.env.items() if ref}
        self.frame = outer
        self.bind(node.name, self.ref(f.DEF, index))
        return False

    def _defer(self, node: ast.AST, index: int) -> None:
        frame: Frame | None = self.frame
        while frame is not None and frame.kind == f.CLASS:
            frame = frame.parent
        assert frame is not None
        frame.deferred.append((node, index, self.frame))

    def _parameters(self, scope: f.Scope, arguments: ast.arguments) -> None:
        positional = [*arguments.posonlyargs, *arguments.args]
        defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults)) + list(
            arguments.defaults
        )
        for parameter, default in [*zip(positional, defaults), *zip(arguments.kwonlyargs, arguments.kw_defaults)]:
            value = self._silently(default) if default is not None else 0
            scope.params.append(f.Param(parameter.arg, self.annotation(parameter.annotation), value))
        for extra, name in ((arguments.vararg, "tuple"), (arguments.kwarg, "dict")):
            if extra is not None:
                scope.params.append(f.Param(extra.arg, 0, self.ref(f.LITERAL, 0, name)))

    def _walk_function(self, node: Any, index: int, outer: Frame) -> None:
        scope = self.scopes[index]
        frame = Frame(f.FUNCTION, index, scope, outer)
        if outer.kind == f.CLASS and scope.params:
            frame.first_param = scope.params[0].name
            frame.method_of = outer.scope
        else:
            # A function nested in a method assigns to the same `self`.
            enclosing = outer
            if enclosing.method_of is not None and enclosing.first_param not in frame.params:
                frame.first_param, frame.method_of = enclosing.first_param, enclosing.method_of
        frame.switches = switches(node.args)
        frame.keywords = node.args.kwarg.arg if node.args.kwarg is not None else ""
        first = node.body[min(is_docstring(node.body[0]), len(node.body) - 1)]
        frame.body_line = first.lineno
        self.frame = frame
        self.body(node.body)
        self._walk_deferred(frame)

    def _walk_deferred(self, frame: Frame) -> None:
        for node, index, outer in frame.deferred:
            self._walk_function(node, index, outer)
        frame.deferred.clear()  # they refer back to the frame: a cycle would keep the syntax tree alive
        self.frame = frame.parent if frame.parent is not None else frame

    def _texts(self) -> array[int]:
        texts = [node[2] for node in self.nodes]
        known = self.string_index
        for text in texts:
            if text not in known:
                self._string(text)
        return array("i", map(known.__getitem__, texts))

    def _aliases(self) -> list[tuple[str, str]]:
        """Names that other names are bound to, where a call by the second runs the first."""
        found = []
        for scope in self.scopes:
            if scope.kind not in (f.MODULE, f.CLASS):
                continue
            held = [*scope.names.items(), *((name, ref) for name, refs in scope.attributes.items() for ref in refs)]
            for name, ref in held:
                if self.nodes[ref][0] in (f.ATTR, f.MEMBER, f.DEF):
                    target = self._terminal(ref)
                    if target and target != name:
                        found.append((target, name))
        return found

    def _found_by(self) -> tuple[dict[str, list[int]], dict[str, list[int]], list[int]]:
        """The uses by terminal name, by the attributes on the way to it, and those that no name leads to."""
        called: dict[str, list[int]] = {}
        passed: dict[str, list[int]] = {}
        unnamed: list[int] = []
        strings, uses = self.strings, self.uses
        columns = (uses[1 :: f.USE_STRIDE], uses[9 :: f.USE_STRIDE], uses[10 :: f.USE_STRIDE])
        for index, (kind, terminal, written) in enumerate(zip(*columns)):
            if kind == f.USE_ENTER or kind == f.USE_ITERATE or index in self.stores:
                unnamed.append(index)
            else:
                called.setdefault(strings[terminal], []).append(index)
            if strings[written].count(".") > 1:
                for name in dict.fromkeys(strings[written].split(".")[1:-1]):
                    passed.setdefault(name, []).append(index)
        return called, passed, unnamed

    def run(self, tree: ast.Module, source: bytes) -> f.FileFacts:
        """The facts of the whole module."""
        self.body(tree.body)
        self._walk_deferred(self.frame)
        names = self.module.names
        for name, ref in self.module_frame.env.items():
            if ref:
                names[name] = self.union((ref, names.get(name, 0)))
        return f.FileFacts(
            self.scopes,
            bytes([node[0] for node in self.nodes]),
            array("i", [node[1] for node in self.nodes]).tobytes(),
            self._texts().tobytes(),
            self.strings,
            self.args,
            self.keywords,
            array("i", self.uses).tobytes(),
            self.loops.tobytes(),
            *self._found_by(),
            [index for index, scope in enumerate(self.scopes) if scope.kind == f.CLASS],
            [index for index, scope in enumerate(self.scopes) if _is_marked(scope)],
            self.stars,
            self._aliases(),
            suppressions(source),
            self.choices.tobytes(),
        )


def _is_marked(scope: f.Scope) -> bool:
    """Whether a function runs, or runs others, under other names than its own."""
    return scope.kind != f.CLASS and bool(scope.decorators or scope.flags & (f.PROPERTY | f.HIGHER_ORDER))


def _head(text: str) -> str:
    """The start of a constant, without lone surrogates, which no encoding can store."""
    text = text[:TEXT_KEPT]
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _both(*guards: str) -> str:
    """`Use.guard` where all of `guards` hold."""
    return "&".join(filter(None, guards))


class _ByType(dict[type, Callable[..., R]]):
    """A dispatch table that falls back to `default` for node types of newer Pythons."""

    def __init__(self, table: dict[type, Callable[..., R]], default: Callable[..., R]) -> None:
        super().__init__(table)
        self.default = default

    def __missing__(self, kind: type) -> Callable[..., R]:
        self[kind] = self.default
        return self.default


_EXPRESSIONS: _ByType[int] = _ByType(
    {
        ast.Constant: Extractor._x_constant,
        ast.Name: Extractor._x_name,
        ast.Attribute: Extractor._x_attribute,
        ast.Call: Extractor._x_call,
        ast.Await: Extractor._x_await,
        ast.BinOp: Extractor._x_binop,
        ast.BoolOp: Extractor._x_boolop,
        ast.IfExp: Extractor._x_ifexp,
        ast.Compare: Extractor._x_compare,
        ast.UnaryOp: Extractor._x_unaryop,
        ast.JoinedStr: Extractor._x_joined,
        ast.FormattedValue: Extractor._x_formatted,
        ast.Subscript: Extractor._x_subscript,
        ast.Slice: Extractor._x_slice,
        ast.Tuple: Extractor._x_tuple,
        ast.List: Extractor._x_list,
        ast.Set: Extractor._x_set,
        ast.Dict: Extractor._x_dict,
        ast.Starred: Extractor._x_starred,
        ast.NamedExpr: Extractor._x_named,
        ast.Yield: Extractor._x_yield,
        ast.YieldFrom: Extractor._x_yield_from,
        ast.Yield: Extractor._x_yield,
        ast.YieldFrom: Extractor._x_yield_from,
        ast.Lambda: Extractor._x_lambda,
        ast.ListComp: Extractor._x_comprehension,
        ast.SetComp: Extractor._x_comprehension,
        ast.DictComp: Extractor._x_comprehension,
        ast.GeneratorExp: Extractor._x_comprehension,
    },
    Extractor._x_other,
)

_STATEMENTS: _ByType[bool] = _ByType(
    {
        ast.Expr: Extractor._s_expr,
        ast.Assign: Extractor._s_assign,
        ast.AnnAssign: Extractor._s_annassign,
        ast.AugAssign: Extractor._s_augassign,
        ast.Return: Extractor._s_return,
        ast.Raise: Extractor._s_raise,
        ast.Continue: Extractor._s_jump,
        ast.Break: Extractor._s_jump,
        ast.Pass: Extractor._s_nothing,
        ast.If: Extractor._s_if,
        ast.For: Extractor._s_for,
        ast.AsyncFor: Extractor._s_for,
        ast.While: Extractor._s_while,
        ast.Try: Extractor._s_try,
        ast.With: Extractor._s_with,
        ast.AsyncWith: Extractor._s_with,
        ast.Match: Extractor._s_match,
        ast.Import: Extractor._s_import,
        ast.ImportFrom: Extractor._s_import_from,
        ast.Global: Extractor._s_global,
        ast.FunctionDef: Extractor._s_function,
        ast.AsyncFunctionDef: Extractor._s_function,
        ast.ClassDef: Extractor._s_class,
    },
    Extractor._s_children,
)
if sys.version_info >= (3, 11):
    _STATEMENTS[ast.TryStar] = Extractor._s_try
if sys.version_info >= (3, 12):
    _STATEMENTS[ast.TypeAlias] = Extractor._s_type_alias
