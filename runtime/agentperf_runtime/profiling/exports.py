"""Profiles in the formats of other tools, made from the document that a profile is saved as."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

SPEEDSCOPE_SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def speedscope(document: Mapping[str, Any]) -> dict[str, Any]:
    """A file for speedscope: a sampled profile for each operation that runs, and one for what it waits for."""
    interval = document["interval_seconds"]
    by_profile: dict[str, list[tuple[list[int], float]]] = {}
    for stack in document["stacks"]:
        samples = by_profile.setdefault(f"{_operation_name(document, stack)} ({stack['state']})", [])
        samples.append((stack["frames"][::-1], stack["samples"] * interval))
    return {
        "$schema": SPEEDSCOPE_SCHEMA,
        "exporter": document["tool"],
        "name": f"profile of process {document['pid']}",
        "activeProfileIndex": 0,
        "shared": {"frames": [_speedscope_frame(*frame) for frame in document["frames"]]},
        "profiles": [_speedscope_profile(name, samples) for name, samples in sorted(by_profile.items())],
    }


def collapsed(document: Mapping[str, Any]) -> str:
    """Stacks for flame graphs: a line for each, outermost first and parted by semicolons, with its samples.

    The outermost two are the operation and `running` or `waiting`.
    """
    counts: dict[str, int] = {}
    for stack in document["stacks"]:
        frames = [_collapsed_frame(*document["frames"][number]) for number in reversed(stack["frames"])]
        line = ";".join([_plain(_operation_name(document, stack)), stack["state"], *frames])
        counts[line] = counts.get(line, 0) + stack["samples"]
    return "".join(f"{line} {samples}\n" for line, samples in sorted(counts.items()))


def _operation_name(document: Mapping[str, Any], stack: Mapping[str, Any]) -> str:
    if stack["operation"] is None:
        return "no operation"
    operation = document["operations"][stack["operation"]]
    return f"{operation['agent_name']}:{operation['operation']}"


def _speedscope_frame(path: str, line: int, function: str) -> dict[str, Any]:
    return {"name": function, "file": path, "line": line}


def _speedscope_profile(name: str, samples: Iterable[tuple[list[int], float]]) -> dict[str, Any]:
    frames, weights = zip(*sorted(samples), strict=True)
    return {
        "type": "sampled",
        "name": name,
        "unit": "seconds",
        "startValue": 0,
        "endValue": sum(weights),
        "samples": list(frames),
        "weights": list(weights),
    }


def _collapsed_frame(path: str, line: int, function: str) -> str:
    return _plain(f"{function} ({os.path.basename(path)}:{line})")


def _plain(text: str) -> str:
    return text.replace(";", ",").replace("\n", " ")
