"""Account: who is signed in, what is theirs, and how to sign out."""

import streamlit as st

from app.services import uploaded_mb, uploads
from app.tables import Cell, table
from app.widgets import empty_state
from core.auth import User, current_user, is_read_only, max_disk_gb, max_queued, max_upload_mb, max_uploads
from core.data.collections import MAX_COLLECTIONS, count_collections
from core.disk_usage import disk_usage
from core.escaping import escape_markdown
from core.jobs.engine import count_jobs, max_jobs
from core.paths import runs_folder
from core.runs.store import list_runs
from core.sweeps.sweep import count_active_sweeps
from core.text import format_bytes, plural


def budgets(user: User, active: int) -> list[tuple[str, str, str]]:
    """Return what each budget is of, what the user has of it, and how much there is, empty for any amount.

    Args:
        user: who is asking.
        active: how many runs of theirs are waiting or training.
    """
    counts = [
        ("Runs waiting or training", active, max_queued()),
        ("Sweeps under way", count_active_sweeps(user.id, runs_folder()), max_queued()),
        ("Jobs at a time", count_jobs(user.id), max_jobs()),
        ("Files uploaded within the hour", round(uploads().used(user.id)), max_uploads(user)),
        ("Collections", count_collections(user.id), MAX_COLLECTIONS),
    ]
    sizes = [
        ("Uploaded within the hour", uploaded_mb().used(user.id) * 10**6, max_upload_mb(user) * 10**6),
        ("On disk, trash included", disk_usage(user.id), max_disk_gb() * 10**9),
    ]
    return [
        *((name, f"{used:,}", f"{limit:,}" if limit else "") for name, used, limit in counts),
        *((name, format_bytes(used), format_bytes(limit) if limit else "") for name, used, limit in sizes),
    ]


# page layout
st.title("Account")
user = current_user()
if not user.id:
    empty_state(
        "Nobody signs in here",
        "This lab has one user, who may do everything. docs/server.md says how to open it to several.",
    )
    st.stop()
st.markdown(
    f"Signed in as **{escape_markdown(user.name)}**"
    + (f", {escape_markdown(user.id)}" if user.id != user.name else "")
    + "."
)
mine = [run for run in list_runs(runs_folder()) if run.owner == user.id]
active = sum(run.is_active for run in mine)
lines = [f"{plural(len(mine), 'run')} of the lab are yours, {active} of them waiting or training."]
if user.is_admin:
    lines.append("You are an admin: you may stop, rename and delete everybody's runs.")
if is_read_only():
    lines.append("The lab is read-only at the moment.")
for line in lines:
    st.markdown(escape_markdown(line))
with st.container(width=560):
    table(
        ("", "used", "limit"),
        [(name, used, limit or Cell("no limit", "lab-quiet")) for name, used, limit in budgets(user, active)],
    )
if mine:
    st.page_link(
        "../pages/runs.py",
        label="Your runs",
        icon=":material/show_chart:",
        query_params={"runs": [run.id for run in mine[:10]]},
    )
if st.button("Sign out", icon=":material/logout:", key="sign-out"):
    st.logout()
