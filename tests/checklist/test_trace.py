"""Trace files are read whatever state they are in."""

from __future__ import annotations

import json

import pytest
from trace_builder import TraceBuilder

from agentperf_lint.checklist.trace import TraceError, counters_of, is_failure, read_traces

SITE = ("/app/a.py", 3, "f")


def built(count: int = 3, **header) -> TraceBuilder:
    trace = TraceBuilder(**header)
    trace.root()
    for number in range(count):
        trace.op("sql", "select ? from t", SITE, params=number + 1, ms=2)
    return trace


def test_operations_are_columns(tmp_path):
    trace = read_traces([str(built().write(tmp_path / "t"))])
    (piece,) = trace.pieces
    assert len(piece.operations) == trace.operations == 3
    assert piece.operations.params == [1, 2, 3]
    assert piece.operations.duration == [2_000_000] * 3
    assert piece.statements[1].text == "select ? from t"
    assert piece.frames_of(1) == [[SITE]]
    assert piece.root_name(1) == "request GET /"
    assert trace.notes == []
    assert trace.wall_seconds == pytest.approx(0.0062)


def test_columns_that_are_left_out_have_their_default(tmp_path):
    trace = TraceBuilder()
    trace.records.append({"type": "ops", "count": 2, "site": [7, 8], "statement": [5, 5], "future": [1, 2]})
    (piece,) = read_traces([str(trace.write(tmp_path / "t"))]).pieces
    operations = piece.operations
    assert (operations.site, operations.statement, operations.root) == ([7, 8], [5, 5], [0, 0])
    assert (operations.params, operations.rows) == ([0, 0], [-1, -1])


def test_siblings_of_other_processes_come_along(tmp_path):
    main = built(1).write(tmp_path / "t")
    built(2, pid=9).write(tmp_path / "t.9.1")
    built(3, pid=9).write(tmp_path / "t.9.10")
    built(4, pid=9).write(tmp_path / "t.9.2")
    built(5).write(tmp_path / "t.old")
    built(6).write(tmp_path / "other.9.1")
    trace = read_traces([str(main), str(tmp_path / "t.9.1"), str(tmp_path / "other.9.1")])
    assert [len(piece.operations) for piece in trace.pieces] == [1, 2, 4, 3, 6]


def test_siblings_are_enough(tmp_path):
    built(2).write(tmp_path / "t.9.1")
    assert read_traces([str(tmp_path / "t")]).operations == 2


def test_two_runs_in_one_file_are_apart(tmp_path):
    path = built(2).write(tmp_path / "t")
    path.write_text(path.read_text() + built(3, pid=2).write(tmp_path / "u").read_text())
    assert [len(piece.operations) for piece in read_traces([str(path)]).pieces] == [2, 3]


def test_missing_and_unreadable_files_are_errors(tmp_path):
    with pytest.raises(TraceError, match="none' does not exist"):
        read_traces([str(tmp_path / "none")])
    with pytest.raises(TraceError, match="cannot be read"):
        read_traces([str(tmp_path)])


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ('{"type": "ops", "count": 2, "sta', "the last line is torn"),
        ("Traceback (most recent call last):\n[1, 2]\n", "2 lines are not what a trace holds"),
        ('{"type": "ops", "count": 2, "site": [1]}\n', "1 lines are not what"),
        ('{"type": "ops", "count": 1, "site": ["a"]}\n', "1 lines are not what"),
        ('{"type": "dream", "of": 1}\n{"type": "dream"}\n', "2 records of the unknown type 'dream' were skipped"),
        ('{"type": "note", "text": "aiopg 9 is unknown"}\n\n', "aiopg 9 is unknown"),
        ("\x00\x00\x00\n", "1 lines are not what"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path, end, told):
    trace = read_traces([str(built().write(tmp_path / "t", end=end))])
    assert trace.operations == 3
    (note,) = trace.notes
    assert note.startswith(f"{tmp_path / 't'}: {told}")


def test_newer_schemas_are_read_as_far_as_known(tmp_path):
    written = built(schema=7, mood="good")
    written.records[1]["colour"] = "blue"
    written.records[1]["rows"][0].append("blue")
    trace = read_traces([str(written.write(tmp_path / "t"))])
    assert trace.operations == 3
    assert "schema 7, newer than 1" in trace.notes[0]


def test_a_file_without_header_is_read(tmp_path):
    written = built()
    del written.records[0]
    trace = read_traces([str(written.write(tmp_path / "t"))])
    assert trace.operations == 3
    assert "does not start with a header" in trace.notes[0]


def test_an_empty_trace_does_not_look_clean(tmp_path):
    (tmp_path / "t").write_text("")
    notes = read_traces([str(tmp_path / "t")]).notes
    assert "is empty" in notes[0]
    assert "no operations were recorded" in notes[1]


def test_dropped_operations_and_failures_are_told_once_per_process(tmp_path):
    for name, pid, time in (("t", 1, 1), ("t.1.1", 1, 2), ("t.2.1", 2, 1)):
        written = built(pid=pid)
        written.records.append({"type": "counters", "time": time, "recorded": 9 * time, "dropped": 5, "errors": 1})
        written.write(tmp_path / name)
    trace = read_traces([str(tmp_path / "t")])
    assert counters_of(trace).dropped == 10
    assert trace.notes == [
        "10 operations were dropped: there were more than the tracer holds",
        "2 failures inside the tracer",
    ]


def test_sampling_is_told(tmp_path):
    assert "only 1.000% of the roots" in read_traces([str(built(sample=0.01).write(tmp_path / "t"))]).notes[0]


def test_a_stall_that_goes_on_is_replaced_by_its_end(tmp_path):
    written = TraceBuilder()
    for duration, ongoing in ((1_000, True), (2_000, True), (3_000, False)):
        written.records.append({"type": "stall", "start": 5, "duration": duration, "ongoing": ongoing})
    (piece,) = read_traces([str(written.write(tmp_path / "t"))]).pieces
    ((_, stall),) = piece.stalls.items()
    assert (stall.duration, stall.ongoing) == (3_000, False)


def test_final_names_of_roots_win(tmp_path):
    written = built()
    written.records.append({"type": "roots_end", "rows": [[1, "GET /users/{id}", 9_000_000, 200]]})
    (piece,) = read_traces([str(written.write(tmp_path / "t"))]).pieces
    assert piece.root_name(1) == "request GET /users/{id}"
    assert piece.last == 9_000_000


@pytest.mark.parametrize(("outcome", "failed"), [(0, False), (1, True), (404, False), (429, True), (503, True)])
def test_failures_are_what_is_tried_again(outcome, failed):
    assert is_failure(outcome) is failed


def test_lines_are_json(tmp_path):
    for line in built().write(tmp_path / "t").read_text().splitlines():
        assert json.loads(line)["type"]


def test_a_stall_belongs_to_the_request_that_its_task_served_then(tmp_path):
    trace = TraceBuilder()
    connection = trace.root("task", "handle")
    first = trace.root(parent=connection)
    trace.stall(100, SITE, root=connection)
    trace.end_root(first)
    trace.stall(100, SITE, root=connection)
    second, third = trace.root(parent=connection), trace.root(parent=connection)
    trace.stall(100, SITE, root=connection)
    trace.end_root(second)
    trace.stall(100, SITE, root=connection)
    (piece,) = read_traces([str(trace.write(tmp_path / "app.trace"))]).pieces
    assert [stall.root for stall in piece.stalls.values()] == [first, connection, connection, third]
