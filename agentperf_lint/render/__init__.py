"""How findings are shown: one module per format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentperf_lint.config import OutputFormat
    from agentperf_lint.render.base import ChecklistRenderer, Renderer


def renderer_for(output_format: OutputFormat, sources: Mapping[str, bytes] | None = None) -> Renderer:
    """The renderer of `output_format`. `sources` has contents of files that are not those on disk, by shown path."""
    if output_format == "json":
        from agentperf_lint.render.json_list import JsonRenderer

        return JsonRenderer()
    if output_format == "concise":
        from agentperf_lint.render.concise import ConciseRenderer

        return ConciseRenderer()
    from agentperf_lint.render.full import FullRenderer

    return FullRenderer(sources)


def statistics_renderer_for(output_format: OutputFormat) -> Renderer:
    """The renderer of counts by rule: JSON for `json`, a table for the others."""
    from agentperf_lint.render.statistics import JsonStatisticsRenderer, StatisticsRenderer

    return JsonStatisticsRenderer() if output_format == "json" else StatisticsRenderer()


def checklist_renderer_for(output_format: str) -> ChecklistRenderer:
    """The renderer of a checklist as `json`, else as text."""
    if output_format == "json":
        from agentperf_lint.render.checklist_json import ChecklistJsonRenderer

        return ChecklistJsonRenderer()
    from agentperf_lint.render.checklist_full import ChecklistFullRenderer

    return ChecklistFullRenderer()
