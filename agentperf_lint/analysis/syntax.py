"""What single pieces of syntax say, with no name resolved."""

from __future__ import annotations

import ast

from agentperf_lint.analysis import facts as f

_THREAD_QUESTIONS = frozenset({"get_ident", "current_thread", "get_native_id", "currentThread"})
_WOULD_BLOCK = frozenset({"BlockingIOError", "SSLWantReadError", "SSLWantWriteError", "BLOCKING_IO_ERRORS"})
_CLOSED = frozenset({"closed", "closing", "is_closed", "is_closing"})
_PASSED: dict[object, str] = {True: "t", False: "f", None: "_"}
NO_SWITCHES: dict[str, bool] = {}


def other_thread_branch(test: ast.expr) -> str:
    """The branch ("body" or "orelse") of `if thread_id != threading.get_ident()` off the loop's thread."""
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        for side in (test.left, test.comparators[0]):
            if isinstance(side, ast.Call) and last_name(side) in _THREAD_QUESTIONS:
                return "body" if isinstance(test.ops[0], (ast.NotEq, ast.IsNot)) else "orelse"
    return ""


def would_block(handled: ast.expr | None) -> bool:
    """Whether an `except` is for what only calls raise that do not wait."""
    if isinstance(handled, ast.Tuple):
        return any(would_block(each) for each in handled.elts)
    return handled is not None and last_name(handled) in _WOULD_BLOCK


def says_no_wait(keyword: ast.keyword) -> bool:
    if keyword.arg not in ("wait", "block", "blocking"):
        return False
    return isinstance(keyword.value, ast.Constant) and keyword.value.value is False


def selects_by_text(test: ast.expr) -> bool:
    """`kind == "sqlite"`, alone or as a part of an `and`: one of several ways that only some callers take."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return any(selects_by_text(value) for value in test.values)
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], ast.Eq):
        return False
    compared = test.comparators[0]
    return isinstance(compared, ast.Constant) and isinstance(compared.value, str)


def counts_to_a_batch(test: ast.expr) -> bool:
    """`n % size == 0` or `len(rows) >= size` in a condition."""
    if isinstance(test, ast.BoolOp):
        return any(counts_to_a_batch(value) for value in test.values)
    if not isinstance(test, ast.Compare):
        return isinstance(test, ast.UnaryOp) and _is_modulo(test.operand)
    if _is_modulo(test.left):
        return True
    if (
        isinstance(test.ops[0], (ast.GtE, ast.Gt, ast.Eq))
        and isinstance(test.left, ast.Call)
        and last_name(test.left) == "len"
    ):
        size = test.comparators[0]
        return not (isinstance(size, ast.Constant) and size.value in (0, 1))
    return False


def _is_modulo(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod)


def switches(arguments: ast.arguments) -> dict[str, bool]:
    """The parameters that are True or False by default, and those of type `bool` without one (False: never used)."""
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [*[None] * (len(positional) - len(arguments.defaults)), *arguments.defaults, *arguments.kw_defaults]
    found: dict[str, bool] = {}
    for parameter, default in zip((*positional, *arguments.kwonlyargs), defaults):
        if type(default) is ast.Constant and type(default.value) is bool:
            found[parameter.arg] = default.value
        elif default is None and type(parameter.annotation) is ast.Name and parameter.annotation.id == "bool":
            found[parameter.arg] = False
    return found or NO_SWITCHES


def asks_whether_it_is_closed(test: ast.expr) -> bool:
    if isinstance(test, ast.BoolOp):
        return any(map(asks_whether_it_is_closed, test.values))
    asked = test.func if isinstance(test, ast.Call) else test
    return isinstance(asked, ast.Attribute) and asked.attr in _CLOSED and isinstance(asked.value, ast.Attribute)


def given(node: ast.Call) -> str:
    """What a call passes, as `Use.given` holds it."""
    if not node.args and not node.keywords:
        return ""
    positions = "".join("*" if type(arg) is ast.Starred else _PASSED.get(_switched(arg), "x") for arg in node.args)
    names = []
    for keyword in node.keywords:
        switched = _switched(keyword.value)
        if switched is not None:
            names.append(f"{keyword.arg}={switched:d}" if type(switched) is bool else keyword.arg or "**")
    return f"{positions}|{','.join(names)}"


def _switched(node: ast.expr) -> object:
    """True, False or None where it is written out, "" for all else."""
    if type(node) is not ast.Constant:
        return ""
    return node.value if node.value is None or type(node.value) is bool else ""


def asks_for_running_loop(body: list[ast.stmt]) -> bool:
    """`try: asyncio.get_running_loop()`: the handler of its RuntimeError runs where no loop does."""
    for statement in body:
        value = getattr(statement, "value", None)
        if isinstance(value, ast.Call) and last_name(value) in ("get_running_loop", "get_event_loop", "current_task"):
            return True
    return False


def last_name(node: ast.expr | None) -> str:
    while isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def is_small(node: ast.expr) -> bool:
    """A display of few written-out elements, or `range` of a small constant."""
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        return len(node.elts) <= f.SMALL_LOOP and not any(isinstance(e, ast.Starred) for e in node.elts)
    if isinstance(node, ast.Dict):
        return len(node.keys) <= f.SMALL_LOOP and None not in node.keys
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id == "range":
            return all(
                isinstance(a, ast.Constant) and isinstance(a.value, int) and a.value <= f.SMALL_LOOP for a in node.args
            )
        if node.func.id in ("enumerate", "zip", "reversed", "sorted"):
            return bool(node.args) and any(is_small(a) for a in node.args)
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("items", "values", "keys")
    ):
        return isinstance(node.func.value, ast.Dict) and is_small(node.func.value)
    return False


def is_docstring(statement: ast.stmt) -> bool:
    value = getattr(statement, "value", None)
    return type(statement) is ast.Expr and type(value) is ast.Constant and type(value.value) is str


def is_trivial(body: list[ast.stmt]) -> bool:
    for statement in body:
        if isinstance(statement, ast.Pass):
            continue
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue
        if isinstance(statement, ast.Raise):
            raised = statement.exc
            raised = raised.func if isinstance(raised, ast.Call) else raised
            if isinstance(raised, ast.Name) and raised.id == "NotImplementedError":
                continue
        return False
    return True


def fills_what_is_missing(node: ast.If) -> bool:
    """`if not self._rows: self._rows = load()`, `if key not in rows: rows[key] = load(key)`: once, or once per key."""
    test = node.test
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        asked = test.operand
    elif isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], (ast.Is, ast.NotIn)):
        asked = test.comparators[0] if isinstance(test.ops[0], ast.NotIn) else test.left
    else:
        return False
    written = ast.unparse(asked)
    return any(
        ast.unparse(target.value if isinstance(target, ast.Subscript) else target) == written
        for statement in ast.walk(node)
        if isinstance(statement, ast.Assign)
        for target in statement.targets
    )
