"""Applies the fixes of findings to files."""

from __future__ import annotations

import ast
import difflib
import io
import os
import re
import tempfile
import tokenize
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence

import click
import msgspec

from agentperf_lint.render.base import plural
from agentperf_rules.model import Edit, Finding

_LINE_END = re.compile(r"\r\n|\r|\n")
_OTHER_LIBRARIES = frozenset({"anyio", "curio", "trio"})  # whose tasks asyncio's functions do not work in


class Fixed(msgspec.Struct):
    """A file with some of its findings mended; `problem` says why it was left alone."""

    path: str
    before: str
    after: str
    findings: list[Finding]
    problem: str = ""
    encoding: str = "utf-8"

    def diff(self) -> str:
        """As `diff -u` has it."""
        lines = difflib.unified_diff(
            self.before.splitlines(keepends=True), self.after.splitlines(keepends=True), self.path, self.path
        )
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)

    def write(self) -> None:
        """Replace the file. Raises OSError."""
        directory, name = os.path.split(os.path.realpath(self.path))
        mode = os.stat(self.path).st_mode
        handle, temporary = tempfile.mkstemp(dir=directory, prefix=f".{name}.")
        try:
            with open(handle, "wb") as stream:
                stream.write(self.after.encode(self.encoding))
            os.chmod(temporary, mode & 0o7777)
            os.replace(temporary, os.path.join(directory, name))
        except BaseException:
            os.unlink(temporary)
            raise


def fixed(findings: Iterable[Finding], *, unsafe: bool) -> list[Fixed]:
    """The files of the findings that have a fix, as they would be with these; unsafe ones only if asked for."""
    by_path: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        if finding.fix is not None and (finding.fix.safe or unsafe):
            by_path[finding.path].append(finding)
    return [_fixed(path, of_path) for path, of_path in by_path.items()]


def write_fixed(files: Sequence[Fixed], *, quiet: bool) -> int:
    """Writes the files, and says on standard error what was mended and what could not be. Returns how many findings."""
    mended = 0
    for each in files:
        if each.findings:
            try:
                each.write()
                mended += len(each.findings)
            except OSError as error:
                each.problem = error.strerror or str(error)
    tell_problems(files)
    if not quiet:
        click.echo(f"Mended {plural(mended, 'finding')}", err=True)
    return mended


def tell_problems(files: Iterable[Fixed]) -> None:
    """Says on standard error which files could not be mended, and why."""
    for each in files:
        if each.problem:
            click.echo(f"warning: {each.path} was not mended: {each.problem}", err=True)


def _fixed(path: str, findings: list[Finding]) -> Fixed:
    result = Fixed(path, "", "", [])
    try:
        with open(path, "rb") as stream:
            content = stream.read()
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        result.before = result.after = content.decode(encoding)
        tree = _parsed(result.before)
    except (OSError, SyntaxError, ValueError, LookupError) as error:
        result.problem = f"{type(error).__name__}: {error}"
        return result
    result.encoding = encoding
    modules = _Imports(tree)
    chosen = _apart([each for each in findings if modules.admit(each)])
    edits = [edit for finding in chosen for edit in (finding.fix.edits if finding.fix is not None else ())]
    missing = {finding.fix.module for finding in chosen if finding.fix is not None} - modules.imported - {""}
    edits += [modules.edit_for(name, result.before) for name in sorted(missing)]
    after = _edited(result.before, edits)
    try:
        _parsed(after)
    except (SyntaxError, ValueError) as error:
        result.problem = f"its fixes do not go together ({error})"
        return result
    result.after, result.findings = after, chosen
    return result


def _parsed(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in what is read
        tree: ast.Module = compile(text, "<fixed>", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        compile(text, "<fixed>", "exec", dont_inherit=True)  # an `await` outside of a coroutine is found here
    return tree


def _apart(findings: Sequence[Finding]) -> list[Finding]:
    """Those that lie apart, the first of each two that do not."""
    chosen: list[Finding] = []
    for finding in sorted(findings, key=lambda each: (each.line, each.column, -each.end_line, -each.end_column)):
        if not chosen or (chosen[-1].end_line, chosen[-1].end_column) <= (finding.line, finding.column):
            chosen.append(finding)
    return chosen


def _edited(text: str, edits: Sequence[Edit]) -> str:
    starts = [0, *(match.end() for match in _LINE_END.finditer(text))]
    pieces, reached = [], 0
    for edit in sorted(edits, key=lambda each: (each.line, each.column)):  # stable: what begins at one place stays
        begin, end = starts[edit.line - 1] + edit.column - 1, starts[edit.end_line - 1] + edit.end_column - 1
        pieces += [text[reached:begin], edit.content]
        reached = end
    return "".join([*pieces, text[reached:]])


class _Imports:
    """What a module imports under its own name, and where another import goes."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self.imported: set[str] = set()
        self._bound: set[str] = set()
        self._libraries: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                self._libraries.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                self._libraries.add((node.module or "").partition(".")[0])
                self._bound.update(alias.asname or alias.name for alias in node.names)
            elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                self._bound.add(node.id)
            elif isinstance(node, ast.arg):
                self._bound.add(node.arg)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                self._bound.add(node.name)
        for statement in tree.body:
            if isinstance(statement, ast.Import):
                self.imported.update(alias.name for alias in statement.names if alias.asname in (None, alias.name))

    def admit(self, finding: Finding) -> bool:
        """Whether the module that the fix needs is there, or can be."""
        module = finding.fix.module if finding.fix is not None else ""
        if not module or module in self.imported:
            return True
        return module not in self._bound and not self._libraries & _OTHER_LIBRARIES

    def edit_for(self, module: str, text: str) -> Edit:
        """`import module` before the first import that is not of `__future__`, or else below the docstring."""
        line_end = next(iter(_LINE_END.findall(text)), "\n")
        first = next((each for each in self._tree.body if isinstance(each, (ast.Import, ast.ImportFrom))), None)
        later = [
            each
            for each in self._tree.body
            if isinstance(each, ast.Import) or (isinstance(each, ast.ImportFrom) and each.module != "__future__")
        ]
        if later:
            return Edit(later[0].lineno, 1, later[0].lineno, 1, f"import {module}{line_end}")
        above = first or (self._tree.body[0] if ast.get_docstring(self._tree, clean=False) is not None else None)
        if above is None:
            line = self._tree.body[0].lineno
            return Edit(line, 1, line, 1, f"import {module}{line_end}{line_end}")
        line = (above.end_lineno or above.lineno) + 1
        return Edit(line, 1, line, 1, f"{line_end}import {module}{line_end}")
