"""Getting Cityscapes from a page: a form, and the download as a process of its own that goes on when the tab is closed."""

import json
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st
from pydantic import TypeAdapter

from app.widgets import failed_state, time_words
from core.data.download import FINE, GIB, PACKAGES, check_names, downloads_folder, job_file, target_folder
from core.errors import LabError
from core.people import check_may_work
from core.places import data_folder
from core.runner.detached import start_detached
from core.runs import ProcessId, write_atomically


@dataclass(frozen=True)
class Job:
    """A download as its process last said it stands. Sizes in bytes, times in seconds since 1970."""

    folder: str
    packages: list[str]
    updated: float
    state: str = "starting"
    process: ProcessId | None = None
    what: str = "Starting"
    done: int = 0
    total: int = 0
    seconds_left: float | None = None
    error: str = ""
    lacking: list[str] = field(default_factory=list)
    id: str = field(default="", kw_only=True)

    @property
    def is_active(self) -> bool:
        if self.state == "running":
            return self.process is not None and self.process.is_alive()
        return self.state == "starting" and time.time() - self.updated < 30


_JOB = TypeAdapter(Job)


def getting_panel() -> None:
    """How to get Cityscapes: the form or, while a download goes on, how far it is."""
    job = latest_job()
    if job and job.is_active:
        _progress(job.id)
        return
    if job:
        _how_it_ended(job)
    _form(job)


def latest_job() -> Job | None:
    """The download that was started last, whoever did, or None."""
    try:
        paths = sorted(downloads_folder().glob("*.json"), key=lambda path: path.name, reverse=True)
    except OSError:
        return None
    return next((job for path in paths if (job := _read(path.stem))), None)


def start(packages: list[str], folder: str, username: str, password: str) -> None:
    """Starts a download that outlives the server. The credentials go through a pipe: no command line or file shows them.

    Raises:
        LabError: a package, the folder or the credentials can't be right, a download is going on already, or the one who is asking
            may only look.
    """
    check_may_work()
    running = latest_job()
    if running and running.is_active:
        raise LabError("A download is going on already. Wait for its end, or stop it.")
    check_names(packages)
    if not username.strip() or not password:
        raise LabError("Type the username and the password of your account at cityscapes-dataset.com.")
    target = target_folder(folder)
    job = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    path = job_file(job)
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in path.parent.iterdir():
        old.unlink()
    first = {"folder": str(target), "packages": packages, "updated": time.time()}
    write_atomically(path, json.dumps(first))
    command = ["get", "cityscapes", f"--into={target}", "--packages", *packages, "--credentials-stdin", "--job", job]
    child = start_detached(
        [sys.executable, "-X", "utf8", "-m", "core", *command], path.with_suffix(".log"), subprocess.PIPE
    )
    try:
        with child.stdin as pipe:
            pipe.write(f"{username.strip()}\n{password}\n".encode())
    except OSError:
        pass  # it is gone already, and its file or its log says why


def stop(job: str) -> None:
    """Asks a download to stop after the piece it is at. What it has fetched is kept."""
    job_file(job).with_suffix(".stop").touch()


def _read(job: str) -> Job | None:
    try:
        values = json.loads(job_file(job).read_bytes())
        return _JOB.validate_python(values | {"id": job})
    except (OSError, ValueError, TypeError, LabError):
        return None


@st.fragment(run_every=1.0)
def _progress(job_id: str) -> None:
    """How far a download is, and its one button. At its end the page is drawn anew."""
    st.session_state["getting-watched"] = job_id
    job = _read(job_id)
    if job is None or not job.is_active:
        st.rerun()
    share = min(1.0, job.done / job.total) if job.total else 0.0
    facts = [job.what]
    if job.total:
        facts.append(f"{_size_words(job.done)} of {_size_words(job.total)}")
    if job.seconds_left is not None:
        facts.append(f"about {time_words(job.seconds_left)} left")
    st.progress(share, " · ".join(facts))
    st.caption(f"Into {job.folder}. This goes on when you close the tab.")
    asked = job_file(job.id).with_suffix(".stop").exists()
    st.button(
        "Stopping" if asked else "Stop",
        key="getting-stop",
        disabled=asked,
        icon=":material/stop:",
        on_click=stop,
        args=(job.id,),
    )


def _how_it_ended(job: Job) -> None:
    if job.state == "finished" and Path(job.folder).is_dir():
        sentence = " ".join([f"Cityscapes is in {job.folder}.", *job.lacking])
        (st.warning if job.lacking else st.success)(sentence)
        # Whoever watched it to its end wants it now; for others, a folder they typed themselves goes before.
        watched = st.session_state.pop("getting-watched", None) == job.id
        if watched or not st.session_state.get("cityscapes-root"):
            st.session_state["cityscapes-root"] = job.folder
            st.toast(sentence, icon=":material/download_done:")  # the page may show the data in place of this panel
            st.rerun()  # the box that shows the folder stands further up
    elif job.state == "stopped":
        st.info(job.error, icon=":material/pause:")
    elif job.state != "finished":
        failed_state(job.error or "The download is gone without a word. Start it again: it goes on from where it was.")


def _form(last: Job | None) -> None:
    st.markdown(
        "Cityscapes needs a free account at [cityscapes-dataset.com](https://www.cityscapes-dataset.com/register/), and may be used "
        "for research and teaching, not passed on. Username and password of your own account are used once, to log in there, and "
        "kept nowhere."
    )
    with st.form("getting", border=False):
        chosen = last.packages if last and last.state != "finished" else FINE
        for name, package in PACKAGES.items():
            st.checkbox(
                f"{package.title} {name}, {_size_words(package.size)}", value=name in chosen, key=f"getting-{name}"
            )
        st.text_input(
            "Folder to put it into",
            value=last.folder if last else str(data_folder() / "cityscapes"),
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
    said = st.session_state
    password = said["getting-password"]
    said["getting-password"] = ""
    try:
        start(
            [name for name in PACKAGES if said[f"getting-{name}"]],
            said["getting-folder"],
            said["getting-username"],
            password,
        )
    except LabError as error:
        said["getting-error"] = str(error)
    except OSError as error:
        said["getting-error"] = f"The download can't be started: {error.strerror}. Free some space, and try again."


def _size_words(size: int) -> str:
    return f"{size / GIB:.1f} GB" if size >= GIB else f"{size / 2**20:.0f} MB"
