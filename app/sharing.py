"""The Hub on the page Runs: the panel that shares a run there, and the one that brings a run from there.

No token is typed here.
"""

from collections.abc import Callable

import streamlit as st

from app.job_panel import just_ended, show_job, try_start
from app.widgets import run_label
from core.auth import is_read_only, may_change, require_admin
from core.data.sources import SOURCES
from core.errors import LabError
from core.escaping import escape_markdown
from core.hub.card import model_card
from core.hub.job import start_pull, start_push
from core.jobs.engine import Job
from core.jobs.kinds import Kind, latest
from core.models.families import NOT_TRAINED
from core.models.hub_client import is_logged_in
from core.paths import runs_folder
from core.runs.store import Run, read_run


def share_panel(run_id: str) -> None:
    """Show the form that pushes a run to the Hub or, while something is being pushed, how far it is."""
    run = read_run(runs_folder() / run_id)
    if not may_change(run.owner):
        return
    with st.expander("Share on the Hub", icon=":material/cloud_upload:"):
        try:
            require_admin("push a run")
        except LabError as error:
            st.caption(escape_markdown(str(error)))
            return
        job = latest("push")
        mine = job if job and (job.is_active or job.request["run"] == run_id) else None
        if show_job("push", mine, f"Sharing {mine.request['repo']}" if mine else ""):
            return
        if mine and mine.state == "finished":
            _show_pushed(mine)
        if run.config is None or not run.has_checkpoint("best"):
            st.caption("A run can be shared from its first evaluation on.")
            return
        if run.config.model.family in NOT_TRAINED:
            st.caption("Others published this network, or it is put together of several: share those of your own.")
            return
        if not is_logged_in():
            st.markdown(
                "Nobody is logged in to the [Hugging Face Hub](https://huggingface.co) on the lab's machine. Type `hf"
                " auth login` in a terminal there, with a token that may write; or start the lab with `HF_TOKEN` set."
                " The lab asks for no token and keeps none."
            )
            st.button("Look again", key="share-again", icon=":material/refresh:")
            return
        _share_form(run, mine.request["repo"] if mine else "")


def bring_panel(open_run: Callable[[str], None]) -> None:
    """Show the form that pulls a run from the Hub or, while one comes, how far it is.

    Args:
        open_run: called with the run's id in a session that watched it come.
    """
    if is_read_only():
        return
    with st.expander("Bring a run from the Hub", icon=":material/cloud_download:"):
        job = latest("pull")
        if show_job("pull", job, f"Bringing {job.request['repo']}" if job else ""):
            return
        if job and job.state == "finished":
            _show_pulled(job, open_run)
        st.caption(
            "A network that was pushed from this lab, or a SegFormer or Mask2Former that was trained for Cityscapes."
            " Safetensors and JSON are taken, nothing else; both are checked in full, and nothing in them is run. It"
            " then stands beside your own runs."
        )
        left, right = st.columns([3, 2])
        failed = {"repo": "", "revision": ""}
        if job and job.state != "finished" and may_change(job.owner):  # another's may be private
            failed = job.request
        repo = left.text_input(
            "Repository", failed["repo"], key="bring-repo", placeholder="anna/street-unet", max_chars=200
        )
        revision = right.text_input(
            "Revision",
            failed["revision"],
            key="bring-revision",
            placeholder="the newest",
            max_chars=100,
            help="A branch, a tag or a commit. Whatever is named, the commit it means now is remembered.",
        )
        if st.button("Bring it", key="bring-start", type="primary", icon=":material/download:"):
            _start("pull", lambda: start_pull(repo, revision))


def _share_form(run: Run, last_repo: str) -> None:
    st.caption(
        f"{escape_markdown(run_label(run))}: weights, class table, preprocessing, settings and scores. No path, log or"
        " note."
    )
    repo = st.text_input(
        "Repository",
        last_repo,
        key=f"share-repo-{run.id}",
        placeholder="your-name/street-unet",
        max_chars=200,
        help="It is made where it isn't there. Pushed again, a run is a new commit of it.",
    )
    public = st.checkbox(
        "Everyone may see it",
        key=f"share-public-{run.id}",
        help="Otherwise it is private: yours, and of those you invite on its page.",
    )
    own_images = _image_choice(run)
    with st.container(horizontal=True, vertical_alignment="center"):
        start = st.button("Push", key=f"share-start-{run.id}", type="primary", icon=":material/upload:")
        with st.popover("Read the card", icon=":material/description:"):
            st.code(
                model_card(run, repo.strip() or "your-name/street-unet"),
                language="markdown",
                height=420,
                wrap_lines=True,
            )
    if start:
        _start("push", lambda: start_push(run, repo, public, own_images))


def _image_choice(run: Run) -> bool:
    """Say what the card shows of the run's data; returns the choice for pictures of the user's own."""
    if not (run.path / "samples").is_dir():
        st.caption("The card shows no pictures: the run has kept no masks of its training.")
        return False
    match SOURCES[run.config.dataset.name].sharing:
        case "free":
            st.caption("The card shows three street scenes with their masks.")
        case "never":
            st.caption("The card shows no pictures: those of Cityscapes may not be passed on.")
        case _:
            return st.checkbox(
                "Show three of my pictures with their masks",
                key=f"share-pictures-{run.id}",
                help="They are yours, and whoever can be recognised in them agrees.",
            )
    return False


def _start(kind: Kind, start: Callable[[], Job]) -> None:
    try_start(kind, start)
    st.rerun()


def _show_pushed(job: Job) -> None:
    result = job.result
    visibility = "only you and those you invite can see it" if result["is_private"] else "everyone can see it"
    st.success(
        f"It is at [{escape_markdown(result['repo'])}]({result['address']}); {visibility}."
        f" Commit {result['commit'][:8]}."
    )


def _show_pulled(job: Job, open_run: Callable[[str], None]) -> None:
    repo = escape_markdown(job.request["repo"])
    if just_ended("pull", job):
        st.toast(f"{repo} is here.", icon=":material/download_done:")
        open_run(job.result["run"])
    if (runs_folder() / job.result["run"]).is_dir():
        st.success(f"{repo} is here as run {job.result['run']}.")
