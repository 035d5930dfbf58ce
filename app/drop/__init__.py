"""Pictures dropped anywhere on the bench, or pasted: they go to the page's widget for files, as if dropped on it.

A Streamlit component without a build step, and without anything to see until something is dragged over the window.
"""

from pathlib import Path

import streamlit as st

from app.shared import entry_script, style_sheet

_mount = st.components.v2.component(
    "drop",
    css=style_sheet(Path(__file__).parent, "drop.css"),
    js=entry_script("drop/drop.js"),
)


def drop_anywhere() -> None:
    """Let the whole window take files for the page's first widget for files."""
    _mount(key="drop-anywhere", data={}, height=0)
