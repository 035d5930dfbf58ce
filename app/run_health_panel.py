"""The panel that names what looks wrong in a run, and shows nothing where nothing does."""

import streamlit as st

from core.escaping import escape_markdown
from core.paths import runs_folder
from core.runs.metrics_log import read_metrics
from core.runs.run_health import diagnose
from core.runs.store import read_run

SHOWN = {
    "error": (st.error, ":material/error:"),
    "warning": (st.warning, ":material/warning:"),
    "hint": (st.info, ":material/lightbulb:"),
}


@st.fragment(run_every=5.0)
def run_health_panel(run_id: str) -> None:
    """Show what looks wrong in a run by now, the gravest first, each with what to try."""
    run = read_run(runs_folder() / run_id)
    rows, _ = read_metrics(run.path)
    for remark in diagnose(rows, run.class_names, run.plan):
        show, icon = SHOWN[remark.severity]
        show(escape_markdown(f"{remark.sentence} {remark.fix}"), icon=icon)
