"""What trains now, in a corner of every page, and a word when it has ended."""

import streamlit as st

from app.widgets import run_name
from core.escaping import escape_markdown
from core.paths import runs_folder
from core.runs.store import Run, best_miou, list_runs
from core.text import format_duration, format_percent

REFRESH_SECONDS = 5.0


def show_status() -> None:
    """Show the runs that are under way, again and again as long as there are any; nothing where all is quiet."""
    active = [run for run in list_runs(runs_folder()) if run.is_active]
    st.fragment(_chip, run_every=REFRESH_SECONDS if active else None)()


def _chip() -> None:
    runs = {run.id: run for run in list_runs(runs_folder())}
    active = {run_id for run_id, run in runs.items() if run.is_active}
    for run_id in st.session_state.get("under-way", set()) - active:
        if run_id in runs:
            st.toast(_ending(runs[run_id]), icon=":material/notifications:")
    st.session_state["under-way"] = active
    if active:
        with st.container(key="lab-status"):
            st.page_link("../pages/runs.py", label=status_text([runs[each] for each in active]), icon=":material/pace:")


def status_text(active: list[Run]) -> str:
    """Return what runs under way come to, in a few words: how far, how long, and how many wait."""
    running = [run for run in active if run.state == "running"]
    waiting = len(active) - len(running)
    parts = []
    if len(running) > 1:
        parts.append(f"{len(running)} runs")
    elif running:
        status = running[0].status
        share = f" {status.step / status.steps_total:.0%}" if status.steps_total else ""
        is_known = status.seconds_left and status.phase != "scoring"
        left = f", {format_duration(status.seconds_left)} left" if is_known else ""
        parts.append(f"{running[0].title.split(' · ')[0]}{share}{left}")
    if waiting:
        parts.append(f"{waiting} waiting")
    return escape_markdown(", ".join(parts))


def _ending(run: Run) -> str:
    """Return how a run ended, in a sentence."""
    miou = best_miou(run.path)
    score = f", mean IoU {format_percent(miou)}" if miou is not None else ""
    return escape_markdown(f"{run_name(run)}: {run.state}{score}.")
