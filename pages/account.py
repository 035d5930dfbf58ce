"""Account: who is signed in, what is theirs, and how to sign out."""

import streamlit as st

from app.widgets import empty_state, plain
from core.auth import acting, is_read_only, most_queued, most_uploads
from core.paths import runs_folder
from core.runs.store import list_runs

# page layout
st.title("Account")
person = acting()
if not person.id:
    empty_state(
        "Nobody signs in here",
        "This lab has one user, who may do everything. docs/server.md says how to open it to several.",
    )
    st.stop()
st.markdown(
    f"Signed in as **{plain(person.name)}**" + (f", {plain(person.id)}" if person.id != person.name else "") + "."
)
mine = [run for run in list_runs(runs_folder()) if run.owner == person.id]
active = sum(run.is_active for run in mine)
lines = [f"{len(mine)} run{'s' if len(mine) != 1 else ''} of the lab are yours, {active} of them waiting or training."]
if person.is_admin:
    lines.append("You are an admin: you may stop, rename and delete everybody's runs.")
if is_read_only():
    lines.append("The lab is read-only at the moment.")
if most_queued():
    lines.append(f"You may have {most_queued()} runs waiting or training at a time.")
if most_uploads():
    lines.append(f"You may upload {most_uploads()} files an hour.")
for line in lines:
    st.markdown(plain(line))
if mine:
    st.page_link(
        "../pages/runs.py",
        label="Your runs",
        icon=":material/show_chart:",
        query_params={"runs": [run.id for run in mine[:10]]},
    )
if st.button("Sign out", icon=":material/logout:", key="sign-out"):
    st.logout()
