"""All runs in one table: filtered, sorted and chosen in it, and what can be done with several at once."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import streamlit as st

from app.job_panel import just_ended, show_job, try_start
from app.trash_panel import delete_runs
from app.widgets import failed_state, pick_also
from core import runner
from core.auth import is_read_only, may_change
from core.config import OWN
from core.data.sources import SOURCES
from core.errors import LabError
from core.evaluation.soup_job import start_soup
from core.jobs.kinds import latest
from core.paths import runs_folder
from core.runs.ensembles import make_ensemble
from core.runs.metrics_log import evaluations, minutes_trained
from core.runs.store import Run
from core.text import plural

ROW_PX, HEAD_PX, MAX_ROWS = 35, 38, 8
"""Height of a row and of the head of Streamlit's table, and how many rows are seen before it scrolls."""


def run_table(runs: Sequence[Run], choose: Callable[[list[str]], None]) -> None:
    """Show runs in a table.

    Args:
        runs: the newest first.
        choose: called with the ids of those that were chosen in it, before the page is drawn again.
    """

    def report() -> None:
        rows = st.session_state["run-table"]["selection"]["rows"]
        choose([runs[row].id for row in rows if row < len(runs)])

    histories = [_history(str(run.path), _stamp(run.path)) for run in runs]
    columns: dict[str, list[Any]] = {
        "state": [run.state for run in runs],
        "name": [run.name for run in runs],
        "score": [100 * mious[-1] if mious else None for mious in histories],
        "curve": histories,
        "minutes": [minutes_trained(run.path) or None for run in runs],
        "data": [_data(run) for run in runs],
        "tags": [list(run.notes.tags) for run in runs],
        "launched": [datetime.strptime(run.id[:15], "%Y%m%d-%H%M%S") for run in runs],
        "id": [run.id[-4:] for run in runs],
    }
    st.dataframe(
        columns,
        key="run-table",
        on_select=report,
        selection_mode="multi-row",
        hide_index=True,
        placeholder="",
        height=HEAD_PX + ROW_PX * min(len(runs), MAX_ROWS),
        column_config={
            "state": st.column_config.TextColumn("State", width="small"),
            "name": st.column_config.TextColumn("Network"),
            "score": st.column_config.NumberColumn("Mean IoU", format="%.1f%%", width="small"),
            "curve": st.column_config.LineChartColumn("Evaluations", y_min=0, y_max=1, width="small"),
            "minutes": st.column_config.NumberColumn("Time", format="%.1f min", width="small"),
            "data": st.column_config.TextColumn("Data", width=130),
            "tags": st.column_config.ListColumn("Tags", width="small"),
            "launched": st.column_config.DatetimeColumn("Launched", format="D MMM, HH:mm"),
            "id": st.column_config.TextColumn("Id", width="small", help="The last letters of the run's folder."),
        },
    )


def together(runs: Sequence[Run], picker: str) -> None:
    """Show what can be done with several runs at once, which were picked in the picker of a label."""
    ids = [run.id for run in runs]
    mine = [run for run in runs if may_change(run.owner)]
    with st.container(horizontal=True, gap="small"):
        if st.button("Compare their masks", icon=":material/compare:", key="compare-chosen"):
            st.switch_page("../pages/compare.py", query_params={"runs": ids})
        if st.button("Report on them", icon=":material/description:", key="report-chosen"):
            st.switch_page("../pages/report.py", query_params={"runs": ids})
        if not is_read_only() and st.button(
            "Average what they see",
            icon=":material/join:",
            key="average-chosen",
            help="A run that answers with the mean of their probabilities; as slow as all of them.",
        ):
            try:
                pick_also(picker, make_ensemble(runs, runs_folder()).name)
                st.rerun()
            except LabError as error:
                failed_state(error)
        if not is_read_only():
            st.button(
                "Average their weights",
                icon=":material/merge:",
                key="average-weights",
                help="One network that is as quick as each, where it scores better than the best of them. For runs of"
                " one network that began with the same weights.",
                on_click=try_start,
                args=("average", lambda: start_soup(ids)),
            )
        active, ended = [run for run in mine if run.is_active], [run for run in mine if not run.is_active]
        if active and st.button(f"Stop {plural(len(active), 'run')}", icon=":material/stop:", key="stop-chosen"):
            for run in active:
                try:
                    runner.stop(run.path)
                except LabError as error:
                    failed_state(error)
        if ended and st.button(f"Delete {plural(len(ended), 'run')}", icon=":material/delete:", key="delete-chosen"):
            delete_runs(ended)
            st.rerun()
    job = latest("average")
    if not show_job("average", job) and job and job.state == "finished" and just_ended("average", job):
        pick_also(picker, job.result["run"])
        st.rerun()


def _data(run: Run) -> str:
    """Return what a run learned from: the folder's name, where it is one of one's own."""
    if run.config is None:
        return ""
    name, root = run.config.dataset.name, run.config.dataset.root
    return Path(root).name if name in OWN and root else SOURCES[name].title


def _stamp(path: Path) -> int:
    try:
        return (path / "metrics.jsonl").stat().st_mtime_ns
    except OSError:
        return 0


@st.cache_data(max_entries=2000, show_spinner=False)
def _history(path: str, changed: int) -> list[float]:
    """Return the mean IoU of every evaluation of a run, 0..1."""
    return [row["miou"] for row in evaluations(Path(path)) if row["miou"] is not None]
