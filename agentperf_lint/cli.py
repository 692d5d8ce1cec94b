"""The command `agentperf-lint`: reads arguments, calls one function, chooses the exit code.

Nothing but click is imported before a command runs.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from agentperf_lint import __version__
from agentperf_lint.process import (
    BROKEN_PIPE,
    CLEAN,
    ERROR,
    FINDINGS,
    INTERRUPTED,
    Warnings,
    end_at_once,
    kept,
    stop_at_once_when_interrupted,
)

if TYPE_CHECKING:
    from agentperf_lint.analysis.run import Report
    from agentperf_lint.checklist.runtime_rules import RuntimeRule
    from agentperf_rules.base import Rule

_STDIN = "-"


class _CheckByDefault(click.Group):
    """`agentperf-lint PATH...` is `agentperf-lint check PATH...`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {*self.commands, *ctx.help_option_names, "--version"}
        if not args or args[0] not in own:
            args = ["check", *args]
        return super().parse_args(ctx, args)


def _split(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...] | None:
    """`("APL1,APL2", "APL3")` as one tuple of three; None when the option was not given."""
    parts = tuple(part.strip() for text in value for part in text.split(",") if part.strip())
    return parts or None


def _existing(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    for path in value:
        if path == _STDIN:
            continue
        if not os.path.exists(path):
            raise click.BadParameter(f"path {path!r} does not exist.")
        if os.path.isdir(path) and not os.access(path, os.R_OK | os.X_OK):
            raise click.BadParameter(f"directory {path!r} cannot be read.")
    return value


@click.group(cls=_CheckByDefault, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="agentperf-lint", message="%(prog)s %(version)s")
def cli() -> None:
    """Finds what makes async Python slow: blocking calls reached from async functions and queries in loops.

    `agentperf-lint PATH...` is short for `agentperf-lint check PATH...`.
    """


_codes: dict[str, Any] = {"multiple": True, "metavar": "CODE,...", "callback": _split}
_patterns: dict[str, Any] = {"multiple": True, "metavar": "PATTERN,...", "callback": _split}


_CHOOSING = [
    click.option("--select", help="Report these codes (APL1 means all APL1xx).", **_codes),
    click.option("--ignore", help="Do not report these codes.", **_codes),
    click.option("--extend-select", help="Report these codes too.", **_codes),
    click.option(
        "--per-file-ignores", multiple=True, metavar="PATTERN:CODE,...", help="Codes not to report in matching files."
    ),
    click.option("--exclude", help="Do not look into these, instead of the defaults (gitignore syntax).", **_patterns),
    click.option("--extend-exclude", help="Do not look into these either.", **_patterns),
    click.option("--force-exclude", is_flag=True, help="Apply the exclusions to files that are named here as well."),
    click.option("--min-severity", type=click.Choice(["low", "medium", "high"]), help="Report nothing less severe."),
    click.option(
        "--min-confidence",
        type=click.Choice(["possible", "likely", "definite"]),
        help="Report nothing less sure (default: likely).",
    ),
    click.option("--isolated", is_flag=True, help="Read no configuration file."),
    click.option(
        "--config", "config_file", type=click.Path(exists=True, dir_okay=False), metavar="FILE", help="Read this one."
    ),
    click.option("--no-cache", is_flag=True, help="Neither read nor write the cache."),
    click.option("--cache-dir", type=click.Path(file_okay=False), metavar="DIR", help="Keep the cache there."),
    click.option("--jobs", type=click.IntRange(min=0), help="Processes (default: one per processor)."),
]


def _choosing(command: Callable[..., int]) -> Callable[..., int]:
    """Adds the options that say what is looked at, how, and what of it is reported."""
    for option in reversed(_CHOOSING):
        command = option(command)
    return command


@cli.command()
@click.argument("paths", nargs=-1, type=click.Path(), callback=_existing)
@_choosing
@click.option(
    "--output-format",
    type=click.Choice(["full", "concise", "json", "sarif", "github", "gitlab", "junit", "markdown"]),
    metavar="FORMAT",
    help="full (the default), concise, json, sarif, github, gitlab, junit or markdown.",
)
@click.option("-o", "--output-file", type=click.Path(dir_okay=False), metavar="FILE", help="Write there.")
@click.option("--baseline", type=click.Path(dir_okay=False), metavar="FILE", help="Do not report what is in this file.")
@click.option("--statistics", is_flag=True, help="Show how often each rule fired instead of the findings.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 even when there are findings.")
@click.option("-q", "--quiet", is_flag=True, help="Print findings only.")
@click.option("--stdin-filename", metavar="FILE", help="Name of the file whose content comes from standard input (-).")
@click.option("--fix", is_flag=True, help="Mend what can be mended safely, and report the rest.")
@click.option("--unsafe-fixes", is_flag=True, help="With --fix or --diff: also what may change what the code means.")
@click.option("--diff", is_flag=True, help="Show what --fix would change, and change nothing.")
def check(paths: tuple[str, ...], **options: Any) -> int:
    """Report blocking calls and loop-bound queries in files and directories (default: the working directory).

    Exit code: 0 nothing found, 1 findings, 2 usage, configuration or internal error.
    """
    from agentperf_lint.checking import (
        analyzed,
        hide_known,
        looked_at,
        opened,
        overlay_of,
        renderer_of,
        summarize,
        write_report,
    )
    from agentperf_lint.checklist.baseline import Baseline
    from agentperf_lint.source_lines import Sources

    _check_fix_options(paths, options)
    stdin = _read_stdin(paths, options["stdin_filename"])
    given, config, root, cache_directory = looked_at([stdin[0]] if stdin is not None else paths, options)
    baseline = Baseline.read(Path(config.baseline)) if config.baseline else None
    warnings = Warnings(options["quiet"])
    stop_at_once_when_interrupted()

    def look() -> tuple[Report, int]:
        """What is found, and how much of it the baseline knows."""
        report = analyzed(given, config, root, cache_directory, stdin)
        found = len(report.findings)
        if baseline is not None:
            hide_known(report, baseline, Sources(overlay_of(stdin)), given, config, options["quiet"])
        return report, found - len(report.findings)

    report, known = look()
    if options["diff"] or options["fix"]:
        from agentperf_lint.fixer import fixed, tell_problems, write_fixed

        files = fixed(report.findings, unsafe=options["unsafe_fixes"])
        if options["diff"]:
            with opened(options["output_file"]) as stream:
                stream.writelines(each.diff() for each in files)
            tell_problems(files)
            return FINDINGS if report.findings and not options["exit_zero"] else CLEAN
        if write_fixed(files, quiet=options["quiet"]):
            report, known = look()  # lines have moved, and what called what was mended may be innocent now
    renderer = renderer_of(config, options["statistics"], stdin)
    write_report(renderer, report, options["output_file"])
    if not options["quiet"]:
        summarize(report, known)
    if report.files == 0 and warnings.count:
        return ERROR
    return FINDINGS if report.findings and not options["exit_zero"] else CLEAN


@cli.command()
@click.argument("paths", nargs=-1, type=click.Path(), callback=_existing)
@_choosing
@click.option("-o", "--output-file", type=click.Path(dir_okay=False), metavar="FILE", help="Write there.")
@click.option("--prune", is_flag=True, help="Only drop the entries that no longer occur.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def baseline(paths: tuple[str, ...], output_file: str | None, prune: bool, quiet: bool, **options: Any) -> int:
    """Write what `check` finds now into a file, for `check --baseline FILE` to report only what is new.

    The file is the configured one, or else .agentperf-baseline.json in the working directory.
    """
    from agentperf_lint.checking import analyzed, below_working_directory, looked_at, save_baseline
    from agentperf_lint.checklist.baseline import DEFAULT_FILE, Baseline
    from agentperf_lint.entries import entries_of
    from agentperf_lint.render.base import plural
    from agentperf_lint.source_lines import Sources

    if _STDIN in paths:
        raise click.UsageError("a baseline is written from files, not from standard input.")
    given, config, root, cache_directory = looked_at(paths, options)
    file = Path(output_file or config.baseline or DEFAULT_FILE)
    before = Baseline.read(file) if prune else None
    Warnings(quiet)
    stop_at_once_when_interrupted()
    report = analyzed(given, config, root, cache_directory, None)
    if report.files == 0:
        raise click.ClickException("No Python files found under the given paths, so no baseline was written.")
    entries = entries_of(report.findings, Sources())
    if before is not None:
        after = before.without(before.expired(before.compare(entries).unmatched, given, config))
    else:
        after = Baseline.of(entries, file)
    found = sum(not known.is_observed for known in after.known)
    if before is None and file.exists():
        after = after.with_observed(Baseline.read(file).known)
    save_baseline(after)
    if not quiet:
        click.echo(f"Wrote {plural(found, 'finding')} to {below_working_directory(file)}", err=True)
    return CLEAN


@cli.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("-o", "--output", default="agentperf.trace", show_default=True, metavar="FILE", help="Write there.")
@click.option("--sample", type=click.FloatRange(0, 1), default=1.0, help="Share of the requests that is recorded.")
@click.option("--max-ops", type=click.IntRange(1), default=200_000, help="Operations kept in memory before writing.")
@click.option("--max-size", type=click.IntRange(1), default=256, metavar="MB", help="Begin another file at this size.")
@click.option("--stall-limit", type=click.FloatRange(0.001), default=0.05, metavar="SECONDS", help="Default: 0.05.")
@click.option("--app", multiple=True, metavar="PACKAGE", help="An installed package that is the application.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def trace(
    command: tuple[str, ...],
    output: str,
    sample: float,
    max_ops: int,
    max_size: int,
    stall_limit: float,
    app: tuple[str, ...],
) -> int:
    """Run COMMAND and record its operations and event-loop stalls, for `agentperf-lint report --trace FILE`.

    Exit code, signals and streams are those of COMMAND. `AGENTPERF_TRACE=0` in the environment switches it off.
    """
    from agentperf_lint.launching import run_traced
    from agentperf_runtime.tracer import Options

    options = Options(
        sample=sample, max_ops=max_ops, max_bytes=max_size << 20, stall_limit=stall_limit, applications=app
    )
    return run_traced(command, output, options)


def _mappings(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> list[tuple[str, str]]:
    found = []
    for text in value:
        before, equals, after = text.partition("=")
        if not before or not equals or not after:
            raise click.BadParameter(f"{text!r} is not PREFIX=DIRECTORY.")
        found.append((before, after))
    return found


def _share(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """`20%` and `0.2` as 0.2."""
    if value is None:
        return None
    number, percent, rest = value.partition("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = -1.0
    if rest or not 0 <= share < float("inf"):
        raise click.BadParameter(f"{value!r} is neither like 20% nor like 0.2.")
    return share


@cli.command()
@click.argument("paths", metavar="[SRC]...", nargs=-1, type=click.Path(), callback=_existing)
@click.option(
    "--trace", "traces", multiple=True, type=click.Path(), metavar="FILE",
    help="Read a trace: ours, or OpenTelemetry's spans in OTLP's JSON encoding.",
)  # fmt: skip
@click.option(
    "--profile", "profiles", multiple=True, type=click.Path(), metavar="FILE",
    help="Read a profile too: ours, pyinstrument's or cProfile's.",
)  # fmt: skip
@click.option(
    "--load", "loads", multiple=True, type=click.Path(), metavar="FILE", help="Read the result of a load test too."
)
@click.option("--compare", nargs=2, type=click.Path(), metavar="BEFORE AFTER", help="Compare two traces instead.")
@click.option(
    "--max-regression", metavar="SHARE", callback=_share,
    help="By what an item may cost more than before, such as 20% (the default).",
)  # fmt: skip
@click.option("--baseline", type=click.Path(dir_okay=False), metavar="FILE", help="Do not report what is in this file.")
@click.option(
    "--write-baseline", type=click.Path(dir_okay=False), metavar="FILE", help="Write what was observed there, and end."
)
@click.option(
    "--format", "output_format", default="full", show_default=True, metavar="FORMAT",
    type=click.Choice(["full", "json", "html", "sarif", "github", "gitlab", "junit", "markdown"]),
    help="full, json, html, sarif, github, gitlab, junit or markdown.",
)  # fmt: skip
@click.option("-o", "--output-file", type=click.Path(dir_okay=False), metavar="FILE", help="Write there.")
@click.option("--top", type=click.IntRange(1), metavar="N", help="Show the N worst items.")
@click.option("--only", type=click.Choice(["confirmed", "observed", "suspected"]), help="Show items of this status.")
@click.option("--group-by", type=click.Choice(["file", "rule", "root"]), help="Group the items of --format full.")
@click.option(
    "--map", "mappings", multiple=True, metavar="PREFIX=DIRECTORY", callback=_mappings,
    help="Where the traced files are now, such as /app=src.",
)  # fmt: skip
@click.option("--min-operations", type=click.IntRange(2), help="Operations in one root that make an N+1 (default: 6).")
@click.option("--min-duplicates", type=click.IntRange(2), help="The same for identical ones (default: 6).")
@click.option("--detector", type=click.Choice(["default", "gap"]), help="gap: judge by timestamps alone.")
@click.option("--isolated", is_flag=True, help="Read no configuration file.")
@click.option(
    "--config", "config_file", type=click.Path(exists=True, dir_okay=False), metavar="FILE", help="Read this one."
)
@click.option("--no-cache", is_flag=True, help="Neither read nor write the cache.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 even when there are items.")
def report(paths: tuple[str, ...], traces: tuple[str, ...], **options: Any) -> int:
    """One checklist of what traces, profiles and load tests show and, where SRC is given, what the source suspects:
    worst cost first.

    With --compare, what has become of it from one run to another.

    Exit code: 0 nothing observed, 1 confirmed or observed items (regressions with --compare), 2 usage, configuration
    or internal error.
    """
    _check_report_options(traces, options)
    from agentperf_lint.checklist.build import build_checklist
    from agentperf_lint.checklist.loads import read_loads
    from agentperf_lint.checklist.observed import Scene
    from agentperf_lint.checklist.profiles import read_profiles
    from agentperf_lint.checklist.sources import Sources
    from agentperf_lint.checklist.trace import Trace, read_traces
    from agentperf_lint.config import budgets_of
    from agentperf_lint.project import find_project
    from agentperf_lint.reporting import (
        joinable,
        show_checklist,
        show_comparison,
        trace_settings,
        without_known_items,
        write_observed,
    )

    given = [Path(path) for path in paths]
    config_file = Path(options["config_file"]) if options["config_file"] else None
    project = find_project(given, config_file=config_file, isolated=options["isolated"])
    settings = trace_settings(project.config, options)
    Warnings(quiet=False)
    runs = [read_traces([file]) for file in options["compare"] or ()] or [read_traces(traces) if traces else Trace()]
    cache_directory = None if options["no_cache"] else project.cache_directory
    bases = [*(str(path) for path in given), str(project.root), "."]
    build = partial(
        build_checklist,
        findings=joinable(given, project.config, project.root, cache_directory),
        min_confidence=project.config.min_confidence,
        mappings=options["mappings"],
        bases=bases,
        profiles=read_profiles(options["profiles"]),
        loads=read_loads(options["loads"]),
    )
    sources = Sources(options["mappings"], bases)
    if options["compare"]:
        return show_comparison(runs[0], runs[1], settings, build, sources, options)
    budgets = budgets_of(project.config)
    checklist = build(runs[0], settings, budgets=budgets, config_file=project.config.file or "")
    if options["write_baseline"]:
        return write_observed(checklist, Path(options["write_baseline"]))
    if options["baseline"]:
        checklist = without_known_items(checklist, options["baseline"], runs[0], sources, given, project.config)
    return show_checklist(checklist, Scene(runs[0], settings, sources), options)


def _read_by(reader: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A callback that reads an option's text, or each of its texts, by a function of `load_command`."""

    def read(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        from agentperf_lint import load_command

        read_one = getattr(load_command, reader)
        try:
            if isinstance(value, tuple):
                return tuple(map(read_one, value))
            return None if value is None else read_one(value)
        except ValueError as error:
            raise click.BadParameter(f"{error}.") from error

    return read


_time: dict[str, Any] = {"metavar": "TIME", "callback": _read_by("seconds_of")}


@cli.command()
@click.argument("target")
@click.option("--users", type=click.IntRange(1), default=10, show_default=True, help="Users at once.")
@click.option("--requests", type=click.IntRange(1), help="Of each user (default: 10, with --duration no limit).")
@click.option("--ramp-up", default="0", help="Until all users are there, or the rate is reached.", **_time)
@click.option("--duration", help="No request begins later, such as 30s or 2m.", **_time)
@click.option(
    "--rate", metavar="RATE", callback=_read_by("rate_of"),
    help="Requests begin at this rate, such as 100/s, whether others have ended or not (open model).",
)  # fmt: skip
@click.option("--poisson", is_flag=True, help="Not at equal distances, but at random ones.")
@click.option("--seed", type=int, default=0, help="Of the random distances.")
@click.option("--max-in-flight", type=click.IntRange(1), default=1000, show_default=True, help="With --rate: at once.")
@click.option("--timeout", help="A request that takes longer is a failure.", **_time)
@click.option("--grace", default="30s", show_default=True, help="For requests that run after --duration.", **_time)
@click.option(
    "--budget", "budgets", multiple=True, metavar="BUDGET", callback=_read_by("budget_of_load"),
    help="Such as 'p95<200ms', 'error-rate<=1%' or 'throughput>100'.",
)  # fmt: skip
@click.option("--format", "output_format", type=click.Choice(["full", "json"]), default="full", show_default=True)
@click.option("-o", "--output-file", type=click.Path(dir_okay=False), metavar="FILE", help="Write JSON there.")
@click.option("--isolated", is_flag=True, help="Read no configuration file, and so no budgets from there.")
@click.option(
    "--config", "config_file", type=click.Path(exists=True, dir_okay=False), metavar="FILE", help="Read this one."
)
def load(target: str, output_format: str, output_file: str | None, poisson: bool, **options: Any) -> int:
    """Call TARGET, `module:function` or a URL, many times at once and say what it took.

    The function takes the numbers of the user and of its request, or nothing, and may be asynchronous; what it raises
    is a failed request. Ctrl-C ends the test, and what was measured is shown. Budgets of the configuration are checked
    too: those of all requests, and those whose pattern TARGET matches.

    Exit code: 0 passed, 1 a budget is exceeded or no request succeeded, 2 wrong usage, 130 interrupted.
    """
    from agentperf_lint.checking import opened
    from agentperf_lint.load_command import LoadOptions, budgets_for, run_load, threads_run_on, write_run
    from agentperf_lint.project import find_project

    config_file = options.pop("config_file")
    config = find_project(
        [Path()], config_file=Path(config_file) if config_file else None, isolated=options.pop("isolated")
    ).config
    options["budgets"] = (*options["budgets"], *budgets_for(target, config))
    arrivals: Any = "poisson" if poisson else "constant"
    with opened(output_file) as stream:
        run = run_load(LoadOptions(target=target, arrivals=arrivals, **options), sys.stderr)
        write_run(run, "json" if output_file else output_format, stream)
    if output_file:
        write_run(run, output_format, sys.stdout)
    if threads_run_on():
        kept.append(run)  # the interpreter would wait for them
    if run.result["interrupted"]:
        return INTERRUPTED
    return CLEAN if run.passes else FINDINGS


@cli.command()
@click.argument("code", required=False)
@click.option("--all", "every", is_flag=True, help="Explain every rule.")
@click.option("--output-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
def rule(code: str | None, every: bool, output_format: str) -> int:
    """Explain the rule CODE (or its name), or all of them."""
    from agentperf_lint.checklist.runtime_rules import RUNTIME_RULES
    from agentperf_lint.render.rules import explained, explained_as_json
    from agentperf_rules import all_rules

    rules: list[Rule | RuntimeRule] = [*all_rules().values(), *RUNTIME_RULES.values()]
    if every == (code is not None):
        raise click.UsageError("give a rule's code, or --all.")
    chosen = [each for each in rules if every or code in (each.code, each.name) or each.code == str(code).upper()]
    if not chosen:
        raise click.BadParameter(f"no rule {code!r}; `agentperf-lint rule --all` lists them.", param_hint="CODE")
    click.echo(explained_as_json(chosen) if output_format == "json" else explained(chosen))
    return CLEAN


@cli.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True))
@click.option("--cache-dir", type=click.Path(file_okay=False), metavar="DIR", help="The cache to delete.")
def clean(paths: tuple[str, ...], cache_dir: str | None) -> int:
    """Delete the cache of the project that PATHS (default: the working directory) belong to."""
    from agentperf_lint.analysis.cache import clean as delete
    from agentperf_lint.project import find_project

    directory = Path(cache_dir) if cache_dir else find_project([Path(path) for path in paths]).cache_directory
    click.echo(f"Deleted {directory}" if delete(directory) else f"No cache at {directory}", err=True)
    return CLEAN


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command and exits: with 0, 1 or 2 as `check` says, with 130 when interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter is no reason to fail
    code = CLEAN
    try:
        # Not `cli.main`, which turns a broken pipe into 1: that means findings here.
        with cli.make_context("agentperf-lint", list(sys.argv[1:] if arguments is None else arguments)) as context:
            code = cli.invoke(context)
        sys.stdout.flush()
        end_at_once(code)
    except click.exceptions.Exit as request:
        code = request.exit_code
    except click.ClickException as error:
        error.show()
        code = ERROR
    except (click.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes standard output once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = BROKEN_PIPE
    except Exception as error:
        code = ERROR
        _explain(error)
    sys.exit(code)


def _explain(error: Exception) -> None:
    from agentperf_lint.checklist.loads import LoadError
    from agentperf_lint.checklist.profiles import ProfileError
    from agentperf_lint.checklist.trace import TraceError
    from agentperf_lint.config import ConfigError
    from agentperf_lint.launching import LaunchError
    from agentperf_lint.load_command import LoadTestError
    from agentperf_rules import RulePackError

    if isinstance(error, (ConfigError, LaunchError, LoadError, LoadTestError, ProfileError, RulePackError, TraceError)):
        click.echo(f"agentperf-lint: error: {error}", err=True)
        return
    if os.environ.get("AGENTPERF_DEBUG"):
        import traceback

        traceback.print_exception(error)
    click.echo(
        f"agentperf-lint {__version__}: internal error: {type(error).__name__}: {error}\n"
        "This is a bug in agentperf-lint. Please report it with the traceback that AGENTPERF_DEBUG=1 prints.",
        err=True,
    )


def _read_stdin(paths: tuple[str, ...], filename: str | None) -> tuple[str, bytes] | None:
    if _STDIN not in paths:
        if filename is not None:
            raise click.UsageError("--stdin-filename needs the path `-`.")
        return None
    if len(paths) > 1:
        raise click.UsageError("`-` cannot be combined with other paths.")
    return filename or "stdin", sys.stdin.buffer.read()


def _check_report_options(traces: Sequence[str], options: dict[str, Any]) -> None:
    """Raises UsageError for options that do not go together."""
    compared = options["compare"]
    measured = (*traces, *options["profiles"], *options["loads"])
    if bool(measured) == bool(compared):
        raise click.UsageError("give --trace, --profile or --load FILE, or --compare BEFORE AFTER.")
    if options["group_by"] and options["output_format"] != "full":
        raise click.UsageError("--group-by is for --format full.")
    if options["max_regression"] is not None and not compared:
        raise click.UsageError("--max-regression is for --compare.")
    if not compared:
        return
    if options["output_format"] not in ("full", "json", "markdown"):
        raise click.UsageError("--compare has the formats full, json and markdown.")
    for name in ("top", "only", "group_by", "baseline", "write_baseline"):
        if options[name]:
            raise click.UsageError(f"--{name.replace('_', '-')} is not for --compare.")


def _check_fix_options(paths: Sequence[str], options: dict[str, Any]) -> None:
    """Raises UsageError for options that do not go together."""
    if options["fix"] and options["diff"]:
        raise click.UsageError("--diff shows what --fix would do: give one of them.")
    if options["unsafe_fixes"] and not (options["fix"] or options["diff"]):
        raise click.UsageError("--unsafe-fixes is for --fix and --diff.")
    if _STDIN in paths and (options["fix"] or options["diff"]):
        raise click.UsageError("what comes from standard input cannot be fixed.")
