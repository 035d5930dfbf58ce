"""Preparing data on pages: each kind of work has its place, where it is begun, watched, stopped, and where its problems
are said.
"""

from pathlib import Path
from typing import Any

import streamlit as st

from app.job_panel import show_job, try_start
from core.config import DatasetConfig
from core.data.preparation import TASKS, Task, start_preparation
from core.jobs.engine import Job
from core.jobs.kinds import latest


def begin(task: Task, config: DatasetConfig, **options: Any) -> None:
    """Start a task for a data set, as a button's callback; what keeps it from starting is said in the task's place."""
    st.session_state["preparation"] = task
    try_start("data", lambda: start_preparation(task, config, **options))


def show_preparation(task: Task) -> bool:
    """Show how far a task of this person is, or why it isn't; returns True while it goes on."""
    job = _latest(task)
    if job is None and st.session_state.get("preparation") != task:
        return False
    root = job.request["dataset"]["root"] if job else ""
    return show_job("data", job, f"{TASKS[task]} of {Path(root).name}" if root else TASKS[task])


def newly_finished(task: Task) -> Job | None:
    """Return the job of a task that has finished since this session last asked."""
    job = _latest(task)
    if job is None or job.state != "finished" or st.session_state.get("preparation-taken") == job.id:
        return None
    st.session_state["preparation-taken"] = job.id
    return job


def _latest(task: Task) -> Job | None:
    job = latest("data")
    return job if job and job.request["task"] == task else None
