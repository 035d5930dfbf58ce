"""Background jobs on pages: how far one is, its Stop button, and how it ended.

    job = latest("pull")
    if show_job("pull", job, "Bringing anna/street-unet"):  # still going on
        return
    if just_ended("pull", job): ...  # once, for a session that saw it go on

What goes on is drawn anew every second, and the whole page at its end.
"""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from app.widgets import failed_state
from core.auth import may_change
from core.errors import LabError
from core.escaping import escape_markdown
from core.jobs.engine import Job
from core.jobs.kinds import JOBS, Kind, is_stopping, latest, stop
from core.text import format_bytes, format_duration

POLL_SECONDS = 1.0
MIN_SHARE = 0.01
"""From here on the time left is told: before, one slow first step decides it."""


def show_job(
    kind: Kind,
    job: Job | None,
    doing: str = "",
    folder: Path | None = None,
    draw: Callable[[Job], None] | None = None,
) -> bool:
    """Show how far a job is, or a sentence where it failed or was stopped.

    Args:
        kind: of job.
        job: the latest of that kind.
        doing: what the job does, in place of its kind's title; may hold what a user typed.
        folder: of the job, for kinds that live in a run's folder.
        draw: draws below its progress what it has so far, anew every second.

    Returns:
        True while it goes on; a finished job is the caller's to show.
    """
    doing = doing or JOBS[kind].title
    if error := st.session_state.pop(_key("job-error", kind, folder), ""):
        failed_state(error)
    if job is None:
        return False
    if job.is_active:
        st.session_state[_key("job-watched", kind, folder)] = job.id
        _progress(kind, job.id, doing, folder, draw)
        return True
    was_ended = job.state in ("starting", "running") and is_stopping(
        kind, job, folder
    )  # killed, where it didn't listen
    if job.state == "stopped" or was_ended:
        st.info(escape_markdown(f"{doing} was stopped. {JOBS[kind].after_stop}"), icon=":material/stop:")
    elif job.problem:
        failed_state(f"{doing} broke off: {job.problem}")
    return False


def just_ended(kind: Kind, job: Job, folder: Path | None = None) -> bool:
    """Return whether this session saw a job go on that has ended now; afterwards False."""
    return st.session_state.pop(_key("job-watched", kind, folder), None) == job.id


def try_start(kind: Kind, start: Callable[[], Job], folder: Path | None = None) -> Job | None:
    """Start a job and return it, or None: what keeps it from starting is said where `show_job` is drawn next."""
    try:
        return start()
    except LabError as error:
        st.session_state[_key("job-error", kind, folder)] = str(error)
    except OSError as error:
        text = f"{JOBS[kind].title} can't be started: {error.strerror}. Free some space, and try again."
        st.session_state[_key("job-error", kind, folder)] = text
    return None


@st.fragment(run_every=POLL_SECONDS)
def _progress(kind: Kind, job_id: str, doing: str, folder: Path | None, draw: Callable[[Job], None] | None) -> None:
    job = latest(kind, folder)
    if job is None or job.id != job_id or not job.is_active:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.progress(job.share, escape_markdown(" · ".join(_status(kind, job))))
        if may_change(job.owner):
            stopping = is_stopping(kind, job, folder)
            st.button(
                "Stopping" if stopping else "Stop",
                key=_key("stop", kind, folder),
                disabled=stopping,
                icon=":material/stop:",
                on_click=_stop,
                args=(kind, job, folder),
            )
    st.caption(f"{escape_markdown(doing)}. This goes on when you close the tab.")
    if draw:
        draw(job)


def _status(kind: Kind, job: Job) -> list[str]:
    """Return what is being done, how far it is, and the time left, where these are known."""
    status = [job.what]
    match JOBS[kind].unit if job.total else "":
        case "bytes":
            status.append(f"{format_bytes(job.done)} of {format_bytes(job.total)}")
        case "steps":
            status.append(f"{job.done} of {job.total}")
    if job.seconds_left is not None and job.share >= MIN_SHARE:
        status.append(f"about {format_duration(job.seconds_left)} left")
    return status


def _stop(kind: Kind, job: Job, folder: Path | None) -> None:
    try:
        stop(kind, job, folder)
    except LabError as error:
        st.session_state[_key("job-error", kind, folder)] = str(error)


def _key(name: str, kind: Kind, folder: Path | None) -> str:
    return f"{name}-{kind}" + (f"-{folder.parent.parent.name}-{folder.name}" if folder else "")
