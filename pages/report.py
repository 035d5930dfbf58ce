"""Report: runs as a document, written in the background, to be read here and taken home as HTML or LaTeX."""

import streamlit as st

from app.reporting import choose_settings, saved_reports, scored_first, unscored, work_panel, write_button
from app.widgets import empty_state, latest_of_each_family, pick_runs
from core.escaping import escape_markdown
from core.paths import runs_folder
from core.report.settings import MAX_RUNS
from core.runs.store import list_runs

# page layout
st.title("Report")
readable = {run.id: run for run in list_runs(runs_folder()) if run.config}
if not readable:
    empty_state(
        "No run to report on",
        "Train a network first. A report is written from runs, their scores and their data.",
        "Train a network",
        page="train",
    )
    saved_reports()
    st.stop()
scored = {run_id: run for run_id, run in readable.items() if run.has_checkpoint("best")}
chosen = pick_runs("Runs to report on", readable, latest_of_each_family(scored or readable), limit=MAX_RUNS)
missing = unscored(chosen)
if missing:
    st.caption(f"Not scored yet, so little can be said: {escape_markdown(', '.join(missing))}.")
if first := scored_first(chosen, readable):
    st.caption(escape_markdown(first))
settings = choose_settings(chosen, readable)
write_button(settings)
work_panel()
st.divider()
saved_reports()
