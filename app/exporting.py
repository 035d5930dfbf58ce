"""The panel that makes a run's network a file for other tools: a process of its own writes and checks it, then it can be taken."""

import json
from typing import Any

import streamlit as st

from app.widgets import failed_state, plain, size_words
from core.errors import LabError
from core.export.offer import (
    FILES,
    TITLES,
    Format,
    Report,
    check_exportable,
    export_folder,
    export_path,
    latest_export,
    read_report,
    start_export,
)
from core.jobs.engine import Job, is_stopping, stop_job
from core.paths import runs_folder
from core.runs.store import Run, read_run

WHAT: dict[Format, str] = {
    "onnx": "For onnxruntime, TensorRT, OpenVINO and the like: one file, without Python or PyTorch.",
    "torch": "For PyTorch without the lab's code.",
}
USE: dict[Format, str] = {
    "onnx": 'import onnxruntime\nsession = onnxruntime.InferenceSession("{name}")\n'
    '(logits,) = session.run(None, {{"images": images}})',
    "torch": 'import torch\nprogram = torch.export.load("{name}").module()\nlogits = program(images)',
}


def export_panel(run_id: str) -> None:
    """What a run can be taken home as; watches an export that goes on.

    Args:
        run_id: of a run in the lab's folder.
    """
    with st.expander("Take the network elsewhere", icon=":material/ios_share:"):
        _formats(run_id)


@st.fragment
def _formats(run_id: str) -> None:
    run = read_run(runs_folder() / run_id)
    if run.config is None:
        st.caption(plain(f"This run can't be exported. {run.problem}"))
        return
    for format in FILES:
        with st.container(border=True):
            st.markdown(f"**{TITLES[format]}**")
            st.caption(WHAT[format])
            job = latest_export(run.path, format)
            if job and job.is_active:
                _progress(run_id, format)
            else:
                _offer(run, format, job)


@st.fragment(run_every=1.0)
def _progress(run_id: str, format: Format) -> None:
    """How far an export is; when it has ended the page is drawn anew."""
    path = runs_folder() / run_id
    job = latest_export(path, format)
    if job is None or not job.is_active:
        st.rerun()
    st.progress(job.share, f"{job.what}, {job.done} of {job.total}" if job.total else job.what)
    st.caption("This goes on when you close the tab.")
    stopping = is_stopping(export_folder(path, format), job)
    if st.button("Stopping" if stopping else "Stop", key=f"stop-{format}", disabled=stopping, icon=":material/stop:"):
        try:
            stop_job(export_folder(path, format), job)
        except LabError as error:
            failed_state(error)


def _offer(run: Run, format: Format, job: Job | None) -> None:
    """What was found out, the file, and how it is used; or why there is none."""
    if job and job.problem:
        failed_state(job.problem)
    report = read_report(run.path, format, job)
    if report:
        st.html(_facts(report))
        st.caption(_sentence(report))
        path = export_path(run.path, format)
        name = f"{run.id}{path.suffix}"
        st.download_button(
            f"Download, {size_words(report.size_bytes)}",
            data=path.read_bytes,  # when it is clicked
            file_name=name,
            mime="application/octet-stream",
            on_click="ignore",
            icon=":material/download:",
            key=f"download-{format}-{run.id}",
        )
        st.code(USE[format].format(name=name), language="python")
        st.caption(_inside(format, report))
        if report.step == _best_step(run):
            return
        st.caption(f"Step {report.step} is in this file; the run has a better checkpoint now.")
    try:
        check_exportable(run, format)
    except LabError as error:
        st.caption(plain(str(error)))
        return
    label = "Make it again" if report else "Try again" if job and job.problem else "Make and check the file"
    if st.button(label, key=f"export-{format}-{run.id}", icon=":material/build:"):
        try:
            start_export(run, format)
        except LabError as error:
            failed_state(error)
            return
        st.rerun()


def _facts(report: Report) -> str:
    """The figures of the check, as HTML."""
    height, width = report.size
    cells = (
        ("Same class", f"{report.agreement:.3%} of pixels"),
        ("Largest difference", f"{report.largest_difference:.1e} where logits spread by {report.spread:.1f}"),
        ("PyTorch", f"{report.network_ms:.0f} ms a frame"),
        ("This file", f"{report.file_ms:.0f} ms a frame"),
        ("Pictures", "any size" if report.any_size else f"{width} x {height} alone"),
    )
    rows = "".join(f"<tr><td>{name}</td><td>{value}</td></tr>" for name, value in cells)
    return f'<div class="lab-scroll"><table class="lab-table">{rows}</table></div>'


def _sentence(report: Report) -> str:
    height, width = report.size
    threads = "one thread" if report.threads == 1 else f"{report.threads} threads"
    return (
        f"Checked in fp32 on {report.frames} frames of the run's data at {width} x {height}, {threads} of this machine's processor "
        f"each, beside whatever else it did. Checkpoint of step {report.step}."
    )


def _inside(format: Format, report: Report) -> str:
    """How a picture becomes its input, and where the label table is."""
    height, width = report.size
    shape = "(1, 3, height, width)" if report.any_size else f"(1, 3, {height}, {width})"
    where = (
        "the file's metadata_props"
        if format == "onnx"
        else "the file, to be had with torch.export.load(..., extra_files={'labels': '', 'preprocessing': '', 'run': ''})"
    )
    return (
        f"images: float32 {shape}, RGB, bytes divided by 255. The class of a pixel is where its logits are largest; names, colours and "
        f"ids of the classes, preprocessing and run are in {where}."
    )


def _best_step(run: Run) -> int | None:
    """The step of a run's best checkpoint."""
    try:
        state: Any = json.loads((run.path / "best" / "state.json").read_bytes())
        return int(state["step"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
