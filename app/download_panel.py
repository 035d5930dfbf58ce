"""Getting Cityscapes from a page: a form, and how far the download is, which goes on when the tab is closed."""

from pathlib import Path

import streamlit as st

from app.widgets import failed_state, plain, time_words
from core.auth import may_change
from core.data.download import FINE, GIB, PACKAGES
from core.data.download_job import jobs_folder, start_getting
from core.errors import LabError
from core.jobs.engine import Job, is_stopping, latest_job, stop_job
from core.paths import data_folder


def getting_panel() -> None:
    """How to get Cityscapes: the form or, while a download goes on, how far it is."""
    job = latest_job(jobs_folder())
    if job and job.is_active:
        _progress(job.id)
        return
    if job:
        _how_it_ended(job)
    _form(job)


@st.fragment(run_every=1.0)
def _progress(job_id: str) -> None:
    """How far a download is, and its one button. At its end the page is drawn anew."""
    st.session_state["getting-watched"] = job_id
    job = latest_job(jobs_folder())
    if job is None or not job.is_active:
        st.rerun()
    metadata = [job.what]
    if job.total:
        metadata.append(f"{_size_words(job.done)} of {_size_words(job.total)}")
    if job.seconds_left is not None:
        metadata.append(f"about {time_words(job.seconds_left)} left")
    st.progress(job.share, plain(" · ".join(metadata)))
    st.caption(f"Into {plain(job.asked['folder'])}. This goes on when you close the tab.")
    if may_change(job.owner):
        request = is_stopping(jobs_folder(), job)
        st.button(
            "Stopping" if request else "Stop",
            key="getting-stop",
            disabled=request,
            icon=":material/stop:",
            on_click=stop_job,
            args=(jobs_folder(), job),
        )


def _how_it_ended(job: Job) -> None:
    folder = job.asked["folder"]
    if job.state == "finished" and Path(folder).is_dir():
        lacking = job.result["lacking"]
        sentence = plain(" ".join([f"Cityscapes is in {folder}.", *lacking]))
        (st.warning if lacking else st.success)(sentence)
        # Whoever watched it to its end wants it now; for others, a folder they typed themselves goes before.
        watched = st.session_state.pop("getting-watched", None) == job.id
        if watched or not st.session_state.get("cityscapes-root"):
            st.session_state["cityscapes-root"] = folder
            st.toast(sentence, icon=":material/download_done:")  # the page may show the data in place of this panel
            st.rerun()  # the box that shows the folder stands further up
    elif job.state == "stopped":
        st.info(
            "Stopped. What has been fetched is kept: start again, and it goes on from there.", icon=":material/pause:"
        )
    elif job.problem:
        failed_state(job.problem)


def _form(last: Job | None) -> None:
    st.markdown(
        "Cityscapes needs a free account at [cityscapes-dataset.com](https://www.cityscapes-dataset.com/register/), and may be used "
        "for research and teaching, not passed on. Username and password of your own account are used once, to log in there, and "
        "kept nowhere."
    )
    with st.form("getting", border=False):
        chosen = last.asked["packages"] if last and last.state != "finished" else FINE
        for name, package in PACKAGES.items():
            st.checkbox(
                f"{package.title} {name}, {_size_words(package.size)}", value=name in chosen, key=f"getting-{name}"
            )
        st.text_input(
            "Folder to put it into",
            value=last.asked["folder"] if last else str(data_folder() / "cityscapes"),
            key="getting-folder",
            help="While it is being unpacked, an archive needs room for itself and for what it holds.",
        )
        left, right = st.columns(2)
        left.text_input("Username or email address", key="getting-username", autocomplete="username")
        right.text_input("Password", type="password", key="getting-password", autocomplete="current-password")
        st.form_submit_button("Download", type="primary", icon=":material/download:", on_click=_submit)
    if "getting-error" in st.session_state:
        failed_state(st.session_state.pop("getting-error"))


def _submit() -> None:
    """Starts what the form says. As a callback it can empty the password's box, so that the session doesn't keep it."""
    text = st.session_state
    password = text["getting-password"]
    text["getting-password"] = ""
    try:
        start_getting(
            [name for name in PACKAGES if text[f"getting-{name}"]],
            text["getting-folder"],
            text["getting-username"],
            password,
        )
    except LabError as error:
        text["getting-error"] = str(error)
    except OSError as error:
        text["getting-error"] = f"The download can't be started: {error.strerror}. Free some space, and try again."


def _size_words(size: int) -> str:
    return f"{size / GIB:.1f} GB" if size >= GIB else f"{size / 2**20:.0f} MB"
