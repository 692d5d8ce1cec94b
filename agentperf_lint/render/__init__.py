"""How findings are shown: one module per format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentperf_lint.checklist.observed import Scene
    from agentperf_lint.config import EntryFormat, GroupBy, OutputFormat, ReportFormat
    from agentperf_lint.render.base import ChecklistRenderer, EntryRenderer, Renderer
    from agentperf_lint.source_lines import Sources


def renderer_for(output_format: OutputFormat, sources: Mapping[str, bytes] | None = None) -> Renderer:
    """The renderer of `output_format`. `sources` has contents of files that are not those on disk, by shown path."""
    from agentperf_lint.source_lines import Sources

    if output_format == "json":
        from agentperf_lint.render.json_list import JsonRenderer

        return JsonRenderer()
    if output_format == "concise":
        from agentperf_lint.render.concise import ConciseRenderer

        return ConciseRenderer()
    texts = Sources(sources)
    if output_format == "full":
        from agentperf_lint.render.full import FullRenderer

        return FullRenderer(texts)
    from agentperf_lint.render.base import FindingsAsEntries

    return FindingsAsEntries(entry_renderer_for(output_format, texts), texts)


def entry_renderer_for(output_format: EntryFormat, sources: Sources) -> EntryRenderer:
    """The renderer of a format that shows findings and items of the checklist alike."""
    if output_format == "sarif":
        from agentperf_lint.render.sarif import SarifRenderer

        return SarifRenderer()
    if output_format == "github":
        from agentperf_lint.render.github import GithubRenderer

        return GithubRenderer()
    if output_format == "gitlab":
        from agentperf_lint.render.gitlab import GitlabRenderer

        return GitlabRenderer()
    if output_format == "junit":
        from agentperf_lint.render.junit import JunitRenderer

        return JunitRenderer(sources)
    from agentperf_lint.render.markdown import MarkdownRenderer

    return MarkdownRenderer(sources)


def statistics_renderer_for(output_format: OutputFormat) -> Renderer:
    """The renderer of counts by rule: JSON for `json`, a table for the others."""
    from agentperf_lint.render.statistics import JsonStatisticsRenderer, StatisticsRenderer

    return JsonStatisticsRenderer() if output_format == "json" else StatisticsRenderer()


def checklist_renderer_for(
    output_format: ReportFormat, scene: Scene, group_by: GroupBy | None = None
) -> ChecklistRenderer:
    """The renderer of a checklist in `output_format`; `scene` is what it was made from, only `full` knows groups."""
    if output_format == "html":
        from agentperf_lint.render.checklist_html import ChecklistHtmlRenderer

        return ChecklistHtmlRenderer(scene)
    if output_format == "json":
        from agentperf_lint.render.checklist_json import ChecklistJsonRenderer

        return ChecklistJsonRenderer()
    if output_format == "full":
        from agentperf_lint.render.checklist_full import ChecklistFullRenderer

        return ChecklistFullRenderer(group_by)
    from agentperf_lint.source_lines import Sources

    texts = Sources()
    if output_format == "markdown":
        from agentperf_lint.render.checklist_markdown import ChecklistMarkdownRenderer

        return ChecklistMarkdownRenderer(texts)
    from agentperf_lint.render.base import ItemsAsEntries

    return ItemsAsEntries(entry_renderer_for(output_format, texts), texts)
