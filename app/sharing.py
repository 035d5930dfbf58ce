"""The Hub on the page Runs: the panel that shares a run there, and the one that brings a run from there.

Each goes on in a process of its own, closed tab or not. Nobody types a token here.
"""

from collections.abc import Callable

import streamlit as st

from app.widgets import failed_state, plain, run_label, size_words
from core.auth import is_read_only, may_change, require_admin
from core.data.sources import source_of
from core.errors import LabError
from core.hub.card import model_card
from core.hub.client import is_logged_in
from core.hub.jobs import Action, cancel, latest, start_pull, start_push, was_cancelled
from core.jobs.engine import Job
from core.models.families import TRANSFORMERS
from core.paths import runs_folder
from core.runs.store import Run, read_run

DOING = {"push": "Sharing", "pull": "Bringing"}


def share_panel(run_id: str) -> None:
    """Pushes a run to the Hub: the form or, while something is being pushed, how far it is."""
    run = read_run(runs_folder() / run_id)
    if not may_change(run.owner):
        return
    with st.expander("Share on the Hub", icon=":material/cloud_upload:"):
        try:
            require_admin("push a run")
        except LabError as error:
            st.caption(plain(str(error)))
            return
        job = latest("push")
        if job and job.is_active:
            _progress("push")
            return
        shared = job if job and job.asked["run"] == run_id else None
        if shared:
            _how_it_was_shared(shared)
        if run.config is None or not run.has_checkpoint("best"):
            st.caption("A run can be shared from its first evaluation on.")
            return
        if run.config.model.family == TRANSFORMERS:
            st.caption("This network is on the Hub already: others published it.")
            return
        if not is_logged_in():
            st.markdown(
                "Nobody is logged in to the [Hugging Face Hub](https://huggingface.co) on the lab's machine. Type `hf auth login` in a "
                "terminal there, with a token that may write; or start the lab with `HF_TOKEN` set. The lab asks for no token and keeps none."
            )
            st.button("Look again", key="share-again", icon=":material/refresh:")
            return
        _share_form(run, shared.asked["repo"] if shared else "")


def bring_panel(look_at: Callable[[str], None]) -> None:
    """Pulls a run from the Hub: the form or, while one comes, how far it is. Who has watched it come is shown it by `look_at`."""
    if is_read_only():
        return
    with st.expander("Bring a run from the Hub", icon=":material/cloud_download:"):
        job = latest("pull")
        if job and job.is_active:
            st.session_state["bring-watched"] = job.id
            _progress("pull")
            return
        if job:
            _how_it_came(job, look_at)
        st.caption(
            "A network that somebody pushed from this lab, or a SegFormer or Mask2Former that was trained for Cityscapes. Safetensors and "
            "JSON are taken, nothing else; both are checked in full, and nothing in them is run. It then stands beside your own runs."
        )
        left, right = st.columns([3, 2])
        failed = job.asked if job and job.state != "finished" else {"repo": "", "revision": ""}
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
            _start(lambda: start_pull(repo, revision))


def _share_form(run: Run, last_repo: str) -> None:
    st.caption(
        f"{plain(run_label(run))}: weights, class table, preprocessing, settings and scores. No path, log or note."
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
    own_pictures = _picture_choice(run)
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
        _start(lambda: start_push(run, repo, public, own_pictures))


def _picture_choice(run: Run) -> bool:
    """What the card shows of the run's data; returns what the user says of pictures of their own."""
    if not (run.path / "samples").is_dir():
        st.caption("The card shows no pictures: the run has kept no masks of its training.")
        return False
    match source_of(run.config.dataset).sharing:
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


def _start(start: Callable[[], Job]) -> None:
    try:
        start()
    except (LabError, OSError) as error:
        failed_state(str(error))
        return
    st.rerun()


@st.fragment(run_every=1.0)
def _progress(action: Action) -> None:
    """How far it is, and its one button. At its end the page is drawn anew."""
    job = latest(action)
    if job is None or not job.is_active:
        st.rerun()
    metadata = f" · {size_words(job.done)} of {size_words(job.total)}" if job.total else ""
    st.progress(job.share, plain(f"{job.what}{metadata}"))
    st.caption(f"{DOING[action]} {plain(job.asked['repo'])}. This goes on when you close the tab.")
    if may_change(job.owner):
        request = was_cancelled(action, job)
        st.button(
            "Cancelling" if request else "Cancel",
            key=f"{action}-cancel",
            icon=":material/cancel:",
            disabled=request,
            on_click=cancel,
            args=(action, job),
        )


def _how_it_was_shared(job: Job) -> None:
    result = job.result
    if job.state == "finished":
        seen = "only you and those you invite can see it" if result["is_private"] else "everyone can see it"
        st.success(f"It is at [{plain(result['repo'])}]({result['address']}); {seen}. Commit {result['commit'][:8]}.")
    elif was_cancelled("push", job):
        st.info("Cancelled. Nothing was published; an empty repository may be there now.", icon=":material/cancel:")
    else:
        failed_state(job.problem)


def _how_it_came(job: Job, look_at: Callable[[str], None]) -> None:
    repo = plain(job.asked["repo"])
    watched = st.session_state.pop("bring-watched", None) == job.id
    if job.state == "finished":
        if watched:
            st.toast(f"{repo} is here.", icon=":material/download_done:")
            look_at(job.result["run"])
        if (runs_folder() / job.result["run"]).is_dir():
            st.success(f"{repo} is here as run {job.result['run']}.")
    elif was_cancelled("pull", job):
        st.info("Cancelled. Nothing of it is among the runs.", icon=":material/cancel:")
    else:
        failed_state(job.problem)
