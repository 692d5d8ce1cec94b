from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentperf_lint.config import DEFAULT_EXCLUDE, ConfigError, load_config, override, parse_per_file_ignores


def written(directory: Path, table: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "pyproject.toml").write_text(table)
    return directory


def test_every_key_is_read(tmp_path):
    written(
        tmp_path,
        """\
[tool.agentperf-lint]
select = ["APL1"]
ignore = ["APL104"]
extend-select = ["APL2"]
per-file-ignores = { "tests/*" = ["APL1"] }
exclude = ["vendor"]
extend-exclude = ["generated"]
min-severity = "medium"
min-confidence = "possible"
output-format = "concise"
baseline = "known.json"
jobs = 3
cache-dir = "var/cache"
""",
    )
    config = load_config(tmp_path)
    assert config.select == ("APL1",)
    assert config.ignore == ("APL104",)
    assert config.extend_select == ("APL2",)
    assert config.per_file_ignores == {"tests/*": ("APL1",)}
    assert config.all_excluded() == ("vendor", "generated")
    assert (config.min_severity, config.min_confidence) == ("medium", "possible")
    assert (config.output_format, config.jobs) == ("concise", 3)
    assert config.cache_dir == str(tmp_path / "var/cache")
    assert config.baseline == str(tmp_path / "known.json")
    assert config.directory == str(tmp_path)
    assert config.file == str(tmp_path / "pyproject.toml")


def test_defaults_without_a_file(tmp_path):
    config = load_config(tmp_path, isolated=True)
    assert (config.select, config.min_confidence, config.exclude) == ((), "likely", DEFAULT_EXCLUDE)
    assert config.file is None


def test_nearest_file_with_the_table_counts(tmp_path):
    written(tmp_path, '[tool.agentperf-lint]\nselect = ["APL2"]\n')
    inner = written(tmp_path / "package", "[project]\nname = 'inner'\n")
    assert load_config(inner).select == ("APL2",)
    written(inner, "[tool.agentperf-lint]\njobs = 2\n")
    assert load_config(inner).select == ()


def test_isolated_reads_nothing(tmp_path):
    written(tmp_path, "[tool.agentperf-lint]\nnonsense = 1\n")
    assert load_config(tmp_path, isolated=True).file is None


def test_file_of_its_own_has_the_keys_at_the_top(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "lint.toml"
    file.write_text('min-severity = "high"\n')
    assert load_config(Path("/"), file=file).min_severity == "high"
    assert load_config(Path("/"), file=file).directory == str(tmp_path)


@pytest.mark.parametrize(
    ("table", "parts"),
    [
        ("slect = []", ["unknown key 'slect'", "did you mean 'select'?"]),
        ("min_severity = 'low'", ["unknown key 'min_severity'", "did you mean 'min-severity'?"]),
        ("zzz = 1", ["unknown key 'zzz'", "known keys: select"]),
        ("directory = '/'", ["unknown key 'directory'"]),
        ("jobs = 'many'", ["tool.agentperf-lint.jobs", "expected `int`, got `str`"]),
        ("jobs = -1", ["agentperf-lint.jobs", "must not be negative"]),
        ("select = 'APL1'", ["tool.agentperf-lint.select", "expected `array`, got `str`"]),
        ("min-severity = 'huge'", ["tool.agentperf-lint.min-severity", "huge"]),
        ("per-file-ignores = { 'a.py' = 'APL1' }", ["tool.agentperf-lint.per-file-ignores"]),
        ("trace.min-ops = 3", ["unknown key 'min-ops' in [tool.agentperf-lint.trace]", "'min-operations'"]),
        ("trace.min-operations = 1", ["agentperf-lint.trace.min-operations: must be at least 2"]),
        ("trace.slow-operation = 0", ["agentperf-lint.trace.slow-operation: must be more than 0 seconds"]),
        ("trace.stall-limit = -1", ["agentperf-lint.trace.stall-limit: must not be negative"]),
        ("trace.detector = 'magic'", ["tool.agentperf-lint.trace.detector", "magic"]),
        ("trace.ignore = 'x'", ["tool.agentperf-lint.trace.ignore", "expected `array`, got `str`"]),
        ("trace = 3", ["tool.agentperf-lint.trace"]),
        ("select = [", ["not valid TOML"]),
    ],
)
def test_errors_name_file_and_key(tmp_path, table, parts):
    written(tmp_path, f"[tool.agentperf-lint]\n{table}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "pyproject.toml"))
    for part in parts:
        assert part in message


def test_trace_settings(tmp_path):
    written(tmp_path, "[tool.agentperf-lint.trace]\nmin-duplicates = 9\npoll-interval = 2\n")
    config = load_config(tmp_path)
    assert (config.trace.min_operations, config.trace.min_duplicates, config.trace.poll_interval) == (6, 9, 2.0)


def test_table_must_be_a_table(tmp_path):
    written(tmp_path, "[tool]\nagentperf-lint = 3\n")
    with pytest.raises(ConfigError, match="must be a table"):
        load_config(tmp_path)


def test_given_pyproject_needs_the_table(tmp_path):
    written(tmp_path, "[project]\nname = 'x'\n")
    with pytest.raises(ConfigError, match=r"has no table \[tool.agentperf-lint\]"):
        load_config(tmp_path, file=tmp_path / "pyproject.toml")


def test_unreadable_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path, file=tmp_path / "missing.toml")


def test_override_leaves_what_is_not_given(tmp_path):
    config = override(load_config(tmp_path, isolated=True), select=("APL1",), ignore=None)
    assert (config.select, config.ignore) == (("APL1",), ())
    assert config.directory == os.path.abspath(tmp_path)


def test_per_file_ignores_from_the_command_line():
    assert parse_per_file_ignores(["tests/*:APL1,APL2", "tests/*:APL3"]) == {"tests/*": ("APL1", "APL2", "APL3")}
    with pytest.raises(ConfigError, match="PATTERN:CODE"):
        parse_per_file_ignores(["tests/*"])
