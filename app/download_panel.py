"""Getting Cityscapes from a page: a form, and how far the download is."""

from pathlib import Path

import streamlit as st

from app.job_panel import just_ended, show_job, try_start
from core.data.download import FINE, PACKAGES
from core.data.download_job import start_download
from core.escaping import escape_markdown
from core.jobs.engine import Job
from core.jobs.kinds import latest
from core.paths import data_folder
from core.text import format_bytes


def download_panel() -> None:
    """Show how to get Cityscapes: the form or, while a download goes on, how far it is."""
    job = latest("download")
    if show_job("download", job, f"Getting Cityscapes into {job.request['folder']}" if job else ""):
        return
    if job and job.state == "finished":
        _show_result(job)
    _form(job)


def _show_result(job: Job) -> None:
    folder = job.request["folder"]
    if not Path(folder).is_dir():
        return
    lacking = job.result["lacking"]
    sentence = escape_markdown(" ".join([f"Cityscapes is in {folder}.", *lacking]))
    (st.warning if lacking else st.success)(sentence)
    # A session that watched it to its end wants it now; for others, a folder they typed themselves goes before.
    if just_ended("download", job) or not st.session_state.get("cityscapes-root"):
        st.session_state["cityscapes-root"] = folder
        st.toast(sentence, icon=":material/download_done:")  # the page may show the data in place of this panel
        st.rerun()  # the box that shows the folder stands further up


def _form(last: Job | None) -> None:
    st.markdown(
        "Cityscapes needs a free account at [cityscapes-dataset.com](https://www.cityscapes-dataset.com/register/), and"
        " may be used for research and teaching, not passed on. Username and password of your own account are used"
        " once, to log in there, and kept nowhere."
    )
    with st.form("getting", border=False):
        chosen = last.request["packages"] if last and last.state != "finished" else FINE
        for name, package in PACKAGES.items():
            st.checkbox(
                f"{package.title} {name}, {format_bytes(package.size)}", value=name in chosen, key=f"getting-{name}"
            )
        st.text_input(
            "Folder to put it into",
            value=last.request["folder"] if last else str(data_folder() / "cityscapes"),
            key="getting-folder",
            help="While it is being unpacked, an archive needs room for itself and for what it holds.",
        )
        left, right = st.columns(2)
        left.text_input("Username or email address", key="getting-username", autocomplete="username")
        right.text_input("Password", type="password", key="getting-password", autocomplete="current-password")
        st.form_submit_button("Download", type="primary", icon=":material/download:", on_click=_submit)


def _submit() -> None:
    """Start what the form says. As a callback it can empty the password's box, so that the session doesn't keep it."""
    text = st.session_state
    password = text["getting-password"]
    text["getting-password"] = ""
    chosen = [name for name in PACKAGES if text[f"getting-{name}"]]
    try_start(
        "download",
        lambda: start_download(chosen, text["getting-folder"], text["getting-username"], password),
    )
