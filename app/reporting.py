"""Pieces of the page Report: the form, the writing as it goes, and the reports that were written."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import streamlit as st

from app.job_panel import just_ended, show_job, try_start
from app.widgets import failed_state, run_name
from core.auth import is_read_only, may_change
from core.data.sources import SOURCES
from core.errors import LabError
from core.escaping import escape_markdown
from core.jobs.kinds import latest
from core.paths import runs_folder
from core.report.job import start_report
from core.report.saved_reports import SavedReport, delete_report, list_reports
from core.report.settings import SECTIONS, TEXT_LENGTH, ReportSettings, scoring_seconds, why_scored
from core.runs.store import Run, find_run
from core.text import format_bytes, format_duration, plural

PREVIEW_HEIGHT = 900
HINTS = {
    "introduction": "The task, and the facts of the data.",
    "architectures": "The networks drawn, with their numbers.",
    "methodology": "Every setting that was used.",
    "results": "Curves, tables, confusions, pictures, significance.",
    "conclusions": "A draft, only of what the numbers support.",
    "reflections": "Headings left to you.",
    "reproduction": "Commands, versions, fingerprints.",
}
assert HINTS.keys() == SECTIONS.keys()


def choose_settings(chosen: Sequence[str], runs: Mapping[str, Run]) -> ReportSettings:
    """Draw the widgets of a report, and return the settings they make."""
    left, right = st.columns([5, 4], gap="large")
    with left:
        title = st.text_input("Title", max_chars=TEXT_LENGTH, key="report-title", placeholder="The networks' names")
        one, other = st.columns(2)
        author = one.text_input("Author", max_chars=TEXT_LENGTH, key="report-author")
        course = other.text_input("Course", max_chars=TEXT_LENGTH, key="report-course")
        images = st.checkbox(
            "Photographs and masks", value=not _on_cityscapes(chosen, runs), key=_images_key(chosen, runs)
        )
        if _on_cityscapes(chosen, runs):
            st.caption(
                "Pictures of Cityscapes may be used for research and teaching, but not passed on. Tick this for a"
                " report that you hand in, not for one that you publish."
            )
        robustness = st.checkbox(
            "Score under corruptions where that wasn't done yet",
            key="report-robustness",
            help=(
                "Forty predictions for each of 24 frames and each run. Robustness that was scored already is shown"
                " anyway."
            ),
        )
    with right:
        st.markdown("Sections")
        sections = [
            name
            for name, title in SECTIONS.items()
            if st.checkbox(title, value=True, key=f"report-{name}", help=HINTS[name])
        ]
    return ReportSettings(tuple(chosen), title, author, course, tuple(sections), images, robustness)


def write_button(settings: ReportSettings) -> None:
    """Draw the button that starts to write."""
    job = latest("report")
    busy = job is not None and job.is_active
    if st.button(
        "Write the report",
        type="primary",
        icon=":material/description:",
        key="write-report",
        disabled=busy or is_read_only() or not settings.runs or not settings.sections,
        help="Runs without an evaluation result are scored first, which takes a while.",
    ):
        try_start("report", lambda: start_report(settings))
        st.rerun()


def work_panel() -> None:
    """Show how far the writing is, or how it ended; a session that saw it go on opens the report."""
    job = latest("report")
    if not show_job("report", job) and job and just_ended("report", job) and job.state == "finished":
        st.session_state["report-open"] = job.result["id"]


def saved_reports() -> None:
    """Show the reports that were written: one of them open, the others to be opened, and each to be deleted."""
    reports = list_reports()
    if not reports:
        st.caption("No report has been written yet.")
        return
    by_id = {report.id: report for report in reports}
    requested = st.session_state.pop("report-open", None) or st.query_params.get("report")
    if requested in by_id:
        st.session_state["report-shown"] = requested
    if st.session_state.get("report-shown") not in by_id:
        st.session_state["report-shown"] = reports[0].id
    with st.container(horizontal=True, vertical_alignment="bottom"):
        shown = st.selectbox(
            "Written reports",
            list(by_id),
            format_func=lambda report_id: report_label(by_id[report_id]),
            key="report-shown",
        )
        _actions(by_id[shown])
    st.query_params["report"] = shown
    report = by_id[shown]
    for sentence in report.notes:
        st.caption(escape_markdown(sentence))
    st.iframe(f"/lab/report/{report.id}", height=PREVIEW_HEIGHT)


def report_label(report: SavedReport) -> str:
    """Return a report in one line: title, when, of how many runs. No two have the same."""
    when = datetime.fromtimestamp(report.made).strftime("%d %b %Y, %H:%M")
    return f"{report.title} · {when} · {plural(len(report.settings.runs), 'run')} · {report.id[-4:]}"


def _actions(report: SavedReport) -> None:
    page, source = report.path / "report.html", report.path / "report.zip"
    st.link_button(
        "Open",
        f"/lab/report/{report.id}",
        icon=":material/open_in_new:",
        help="In a tab of its own, to print or to read.",
    )
    st.download_button(
        "HTML",
        page.read_bytes(),
        file_name=f"{report.id}.html",
        mime="text/html",
        icon=":material/download:",
        key=f"html-{report.id}",
        on_click="ignore",
        help=f"One file with everything in it, {format_bytes(page.stat().st_size)}.",
    )
    st.download_button(
        "LaTeX",
        source.read_bytes(),
        file_name=f"{report.id}.zip",
        mime="application/zip",
        icon=":material/download:",
        key=f"latex-{report.id}",
        on_click="ignore",
        help=f"Source, tables, vector figures and references, {format_bytes(source.stat().st_size)}. pdflatex and"
        " bibtex, or Overleaf, make the PDF.",
    )
    if not may_change(report.owner):
        return
    with st.popover("", icon=":material/delete:", help="Delete"):
        st.markdown("This report is removed for good. Runs and evaluation results stay.")
        if st.button("Delete", key=f"delete-{report.id}", type="primary", icon=":material/delete:"):
            try:
                delete_report(report.id)
            except (LabError, OSError) as error:
                failed_state(error if isinstance(error, LabError) else f"This can't be removed: {error.strerror}.")
                return
            st.session_state.pop("report-shown", None)
            st.query_params.pop("report", None)
            st.rerun()


def unscored(chosen: Sequence[str]) -> list[str]:
    """Return the names of the chosen runs that have no checkpoint to score: the report can say little of them."""
    runs = [find_run(run_id, runs_folder()) for run_id in chosen]
    return [run_name(run) for run in runs if not run.has_checkpoint("best")]


def scored_first(chosen: Sequence[str], runs: Mapping[str, Run]) -> str:
    """Return which of the runs a report scores before it is written, why, and how long that may take; or nothing."""
    reasons = {run_id: reason for run_id in chosen if (reason := why_scored(runs[run_id]))}
    if not reasons:
        return ""
    seconds = [scoring_seconds(runs[run_id]) for run_id in reasons]
    known = [value for value in seconds if value is not None]
    estimate = f" That takes about {format_duration(sum(known) / len(known) * len(seconds))}." if known else ""
    listed = "; ".join(f"{run_name(runs[run_id])} {reason}" for run_id, reason in reasons.items())
    return f"Before the report is written, runs are scored on all validation frames: {listed}.{estimate}"


def _on_cityscapes(chosen: Sequence[str], runs: Mapping[str, Run]) -> bool:
    return any(
        runs[run_id].config and SOURCES[runs[run_id].config.dataset.name].sharing == "never" for run_id in chosen
    )


def _images_key(chosen: Sequence[str], runs: Mapping[str, Run]) -> str:
    """Return another key for other data: a tick for streets is none for Cityscapes."""
    return f"report-pictures-{_on_cityscapes(chosen, runs)}"
