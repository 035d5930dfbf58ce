"""The runs on the bench, a chip each: hidden, shown alone, and put into another order by dragging or by keys.

A Streamlit component without a build step; `order.js` has the arithmetic, `run_chips.js` is the component. What is
hidden, and the order, stand in the page's address.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from app.shared import entry_script, style_sheet

KEY = "run-chips"
ORDER, HIDDEN = "runs-order", "runs-hidden"
"""Where the order and the hidden ones stay from page to page."""

_mount = st.components.v2.component(
    "run_chips",
    css=style_sheet(Path(__file__).parent, "run_chips.css"),
    js=entry_script("run_chips/run_chips.js"),
)


@dataclass(frozen=True)
class Chip:
    """A run: its short name, its CSS colour, and a score where there is one."""

    name: str
    color: str
    score: str = ""


def arranged(chosen: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the chosen runs in the order they were given on the bench, by launch before, and those of them that are
    seen: one at least. The address names both for who opens it elsewhere.
    """
    named = st.query_params.get_all("runs")
    order = st.session_state.setdefault(ORDER, named if named != sorted(named) else [])
    hidden = st.session_state.setdefault(HIDDEN, st.query_params.get_all("off"))
    ordered = sorted(chosen, key=lambda run_id: order.index(run_id) if run_id in order else len(order))
    seen = [run_id for run_id in ordered if run_id not in hidden] or ordered
    st.query_params["runs"] = ordered
    st.query_params["off"] = [run_id for run_id in ordered if run_id not in seen]
    return ordered, seen


def run_chips(chips: Mapping[str, Chip]) -> None:
    """Show the runs that `arranged` returned, by id, in their order."""

    def report() -> None:
        change = st.session_state[KEY].arranged or {}
        for name, key in (("order", ORDER), ("hidden", HIDDEN)):
            st.session_state[key] = [run_id for run_id in change.get(name, ()) if run_id in chips]

    data = {
        "runs": [[run_id, chip.name, chip.color, chip.score] for run_id, chip in chips.items()],
        "hidden": [run_id for run_id in st.session_state[HIDDEN] if run_id in chips],
    }
    _mount(key=KEY, data=data, on_arranged_change=report)
