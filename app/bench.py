"""The bench on which Compare, Inspect and Explain stand: pictures as large as the window, and beside them, in a dock
that can be folded away, what is chosen.
"""

from collections.abc import Mapping

import streamlit as st
from markupsafe import Markup

from app.html import joined, show
from app.tables import dot
from core.runs.store import Run


def open_bench(title: str) -> None:
    """Let the page use all of the window, and show its name in the dock beside it."""
    show(Markup('<div class="lab-bench"></div>'))
    st.sidebar.title(title)


def run_list(
    runs: Mapping[str, Run], names: Mapping[str, str], colors: Mapping[str, str], scores: Mapping[str, str]
) -> None:
    """Show runs one below the other: their dot, their short name, and a score where there is one."""
    row = Markup('<li title="{}">{}<span>{}</span><b>{}</b></li>')
    rows = [row.format(runs[run].id, dot(colors[run]), names[run], scores.get(run, "")) for run in names]
    show(Markup('<ul class="lab-runs">{}</ul>').format(joined(rows)))
