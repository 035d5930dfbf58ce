"""From material to a report: the chosen sections, in the order of the document."""

from collections.abc import Callable

from core.report.phrases import text
from core.report.report_data import ReportData
from core.report.sections.architectures import architectures
from core.report.sections.conclusions import conclusions
from core.report.sections.introduction import introduction
from core.report.sections.methodology import methodology
from core.report.sections.reflections import reflections
from core.report.sections.reproduction import reproduction
from core.report.sections.results import results
from core.report.structure import Report, Section, Text
from core.text import join_items

WRITERS: dict[str, Callable[[ReportData], list[Section]]] = {
    "introduction": introduction,
    "architectures": architectures,
    "methodology": methodology,
    "results": results,
    "conclusions": conclusions,
    "reflections": reflections,
    "reproduction": reproduction,
}


def contents(data: ReportData) -> Report:
    """Return the report of some material."""
    settings = data.settings
    sections = [section for name in settings.sections for section in WRITERS[name](data)]
    return Report(
        title=settings.title or default_title(data),
        author=settings.author,
        course=settings.course,
        made=data.made,
        sections=tuple(sections),
        notes=_notes(data),
    )


def default_title(data: ReportData) -> str:
    """Return what a report without a title is called."""
    titles = list(dict.fromkeys(summary.config.model.title for summary in data.summaries))
    short = [title.partition(" · ")[0] for title in titles]
    titles = short if 1 < len(titles) == len(set(short)) else titles
    if len(titles) == 1:
        return f"Semantic segmentation with {titles[0]}"
    if len(titles) <= 3:
        return f"Semantic segmentation: {join_items(titles)} compared"
    return f"Semantic segmentation: {len(titles)} networks compared"


def _notes(data: ReportData) -> tuple[Text, ...]:
    """Return what the reader has to know before anything else."""
    notes: list[Text] = [text(f"Run {run_id} is left out. {reason}") for run_id, reason in data.left_out]
    if len(data.groups) > 1:
        notes.append(
            text(
                "These runs can't all be compared: they learned from other data, or tell other classes apart. They are"
                " reported in groups."
            )
        )
    for group in data.groups:
        for summary in group.summaries:
            if not summary.result:
                notes.append(text(f"{summary.label} has no evaluation result: {summary.problem.rstrip('.')}."))
        if group.images_problem:
            notes.append(text(f"Pictures are left out: {group.images_problem.rstrip('.')}."))
    return tuple(dict.fromkeys(notes))
