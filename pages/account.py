"""Account: who is signed in, what is theirs, and how to sign out."""

import streamlit as st

from app.widgets import empty_state
from core.auth import current_user, is_read_only, max_queued, max_upload_mb, max_uploads
from core.escaping import escape_markdown
from core.paths import runs_folder
from core.runs.store import list_runs
from core.text import plural

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
if max_queued():
    lines.append(f"You may have {max_queued()} runs waiting or training at a time.")
if max_uploads(user):
    lines.append(f"You may upload {max_uploads(user)} files an hour.")
if max_upload_mb(user):
    lines.append(f"You may upload {max_upload_mb(user)} MB an hour.")
for line in lines:
    st.markdown(escape_markdown(line))
if mine:
    st.page_link(
        "../pages/runs.py",
        label="Your runs",
        icon=":material/show_chart:",
        query_params={"runs": [run.id for run in mine[:10]]},
    )
if st.button("Sign out", icon=":material/logout:", key="sign-out"):
    st.logout()
