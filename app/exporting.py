"""The panel that makes a run's network a file for other tools: a process of its own writes and checks it, then it can
be taken.
"""

from typing import Any

import streamlit as st

from app.job_panel import show_job, try_start
from app.tables import table
from core.errors import LabError
from core.escaping import escape_markdown
from core.export.files import (
    EXPORTS,
    ExportCheck,
    Format,
    check_exportable,
    export_folder,
    export_path,
    read_check,
)
from core.export.job import start_export
from core.files import parse_json
from core.jobs.engine import Job
from core.jobs.kinds import latest
from core.paths import runs_folder
from core.runs.store import Run, read_run
from core.text import format_bytes, plural


def export_panel(run_id: str) -> None:
    """Show what a run can be taken home as; watches an export that goes on.

    Args:
        run_id: of a run in the lab's folder.
    """
    with st.expander("Take the network elsewhere", icon=":material/ios_share:"):
        _formats(run_id)


@st.fragment
def _formats(run_id: str) -> None:
    run = read_run(runs_folder() / run_id)
    if run.config is None:
        st.caption(escape_markdown(f"This run can't be exported. {run.problem}"))
        return
    for format, entry in EXPORTS.items():
        with st.container(border=True):
            st.markdown(f"**{entry.title}**")
            st.caption(entry.help)
            folder = export_folder(run.path, format)
            job = latest("export", folder)
            if not show_job("export", job, f"Making the {entry.title} file", folder):
                _offer(run, format, job)


def _offer(run: Run, format: Format, job: Job | None) -> None:
    """Show the check's figures, the file, and how it is used; or why there is none."""
    check = read_check(run.path, format, job)
    if check:
        table((), _figures(check))
        st.caption(_sentence(check))
        path = export_path(run.path, format)
        name = f"{run.id}{path.suffix}"
        st.download_button(
            f"Download, {format_bytes(check.size_bytes)}",
            data=path.read_bytes,  # when it is clicked
            file_name=name,
            mime="application/octet-stream",
            on_click="ignore",
            icon=":material/download:",
            key=f"download-{format}-{run.id}",
        )
        st.code(EXPORTS[format].use.format(name=name), language="python")
        st.caption(_inside(format, check))
        if check.step == _best_step(run):
            return
        st.caption(f"Step {check.step} is in this file; the run has a better checkpoint now.")
    try:
        check_exportable(run, format)
    except LabError as error:
        st.caption(escape_markdown(str(error)))
        return
    label = "Make it again" if check else "Try again" if job and job.problem else "Make and check the file"
    if st.button(label, key=f"export-{format}-{run.id}", icon=":material/build:"):
        try_start("export", lambda: start_export(run, format), export_folder(run.path, format))
        st.rerun()


def _figures(check: ExportCheck) -> tuple[tuple[str, str], ...]:
    """Return the rows of the check's table."""
    height, width = check.size
    return (
        ("Same class", f"{check.agreement:.3%} of pixels"),
        ("Largest difference", f"{check.largest_difference:.1e} where logits spread by {check.spread:.1f}"),
        ("PyTorch", f"{check.network_ms:.0f} ms a frame"),
        ("This file", f"{check.file_ms:.0f} ms a frame"),
        ("Pictures", "any size" if check.any_size else f"{width} x {height} alone"),
    )


def _sentence(check: ExportCheck) -> str:
    height, width = check.size
    threads = plural(check.threads, "thread")
    return (
        f"Checked in fp32 on {check.frames} frames of the run's data at {width} x {height}, {threads} of this machine's"
        f" processor each, beside whatever else it did. Checkpoint of step {check.step}."
    )


def _inside(format: Format, check: ExportCheck) -> str:
    """Return how an image becomes its input, and where the label table is."""
    height, width = check.size
    shape = "(1, 3, height, width)" if check.any_size else f"(1, 3, {height}, {width})"
    return (
        f"images: float32 {shape}, RGB, bytes divided by 255. The class of a pixel is where its logits are largest;"
        f" names, colours and ids of the classes, preprocessing and run are in {EXPORTS[format].metadata}."
    )


def _best_step(run: Run) -> int | None:
    """Return the step of a run's best checkpoint."""
    try:
        state: Any = parse_json((run.path / "best" / "state.json").read_bytes())
        return int(state["step"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
