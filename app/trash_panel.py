"""What was deleted on the page Runs: brought back by a click at once, or later from the trash."""

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from app.widgets import failed_state, pick_also, run_label, run_name
from core import runner
from core.errors import LabError
from core.escaping import escape_markdown
from core.paths import runs_folder
from core.runs.store import Run
from core.text import format_bytes, plural

UNDO = "just-deleted"
"""Where the ids of the runs stand that were deleted last, until they are brought back or others are deleted."""


def delete_runs(runs: Sequence[Run]) -> None:
    """Move runs into the trash, and remember them for `undo_panel`; the page says of each that stays why."""
    gone = []
    for run in runs:
        try:
            runner.delete(run.path)
            gone.append(run.id)
        except LabError as error:
            st.toast(escape_markdown(str(error)), icon=":material/error:")  # outlives the page's next run
    if gone:
        st.session_state[UNDO] = gone


def undo_panel(picker: str) -> None:
    """Show what was deleted last, and a button that brings it back and picks it in a picker."""
    if not (ids := st.session_state.get(UNDO)):
        return
    deleted = [each.run for each in runner.list_trash(runs_folder()) if each.run.id in ids]
    if not deleted:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="undo-panel"):
        what = run_name(deleted[0]) if len(deleted) == 1 else plural(len(deleted), "run")
        st.markdown(f"Deleted: {escape_markdown(what)}.", width="content")
        if st.button("Undo", key="undo-delete", icon=":material/undo:"):
            try:
                for run in deleted:
                    runner.restore(run.id, runs_folder())
                    pick_also(picker, run.id)
            except LabError as error:
                failed_state(error)
                return
            st.session_state.pop(UNDO)
            st.rerun()


def trash_panel(picker: str) -> None:
    """Show all that was deleted: to be brought back and picked in a picker, or removed for good."""
    trashed = runner.list_trash(runs_folder())
    if not trashed:
        return
    with st.expander(f"Trash ({len(trashed)})", icon=":material/delete:"):
        try:
            for each in trashed:
                with st.container(horizontal=True, vertical_alignment="center"):
                    if st.button("Restore", key=f"restore-{each.run.id}", icon=":material/restore_from_trash:"):
                        runner.restore(each.run.id, runs_folder())
                        pick_also(picker, each.run.id)
                        st.rerun()
                    deleted = datetime.fromtimestamp(each.deleted).strftime("%d %B %Y, %H:%M")
                    st.caption(f"{escape_markdown(run_label(each.run))}, {format_bytes(each.size)}, deleted {deleted}")
            size = sum(each.size for each in trashed)
            with st.popover(f"Empty the trash ({format_bytes(size)})", icon=":material/delete_forever:"):
                st.caption("These runs can't be brought back then.")
                if st.button("Remove for good", type="primary", key="empty-trash"):
                    runner.empty_trash(runs_folder())
                    st.rerun()
        except LabError as error:
            failed_state(error)
