"""Finding a folder without typing its path: a browser of the folders that may be opened, and a place to drop a ZIP."""

import itertools
from collections import deque
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from app.job_panel import show_job
from app.services import max_upload_size
from app.widgets import failed_state
from core.auth import is_read_only
from core.data.collections import collections_folder
from core.data.folder import IMAGE_ENDINGS, IMAGE_ROLES
from core.data.frames import unusable_name
from core.data.joint_list import write_list
from core.data.splits import split_of
from core.data.unpacking_job import start_unpacking
from core.errors import LabError
from core.escaping import escape_markdown
from core.jobs.kinds import latest
from core.paths import PROJECT, cache_folder, data_roots, streets_folder
from core.text import join_items, plural

MAX_SHOWN = 300
MAX_OFFERED, MAX_DEPTH, MAX_VISITED = 12, 3, 2000
COUNTED = 5000
MAX_UPLOAD_BYTES = 1000 * 10**6
"""The server holds an upload in memory; what is larger is copied to the machine and found there."""


def folder_picker(key: str, name: str) -> None:
    """Draw a popover that finds the path of a folder, and leaves it in the session under a plain name.

    `key` is the beginning of the keys of its widgets.
    """

    def take(path: Path) -> None:
        st.session_state[name] = str(path)

    with st.popover("Find a folder", icon=":material/folder_open:", width="content"):
        roots = [root for root in data_roots() if root.is_dir()]
        at: Path | None = st.session_state.get(f"{key}-at")
        if at is not None and not any(at.is_relative_to(root) for root in roots):
            at = None
        folders = _folders(at) if at else roots
        st.caption(escape_markdown(str(at)) if at else "Folders of this machine that may be opened")
        chosen = st.selectbox(
            "Open",
            folders[:MAX_SHOWN],
            index=None,
            format_func=lambda path: path.name if at else str(path),
            placeholder="Choose a folder" if folders else "No folders in it",
            key=f"{key}-open-{at}",
        )
        if chosen:
            st.session_state[f"{key}-at"] = chosen
            st.rerun()
        if at:
            count = _count_images(at)
            with st.container(horizontal=True):
                parent = None if at in roots else at.parent
                if st.button("Up", icon=":material/arrow_upward:", key=f"{key}-up"):
                    st.session_state[f"{key}-at"] = parent
                    st.rerun()
                st.button("Take this folder", type="primary", key=f"{key}-take", on_click=take, args=(at,))
            more = "at least " if count == COUNTED else ""
            st.caption(f"It holds {more}{plural(count, 'picture')}, folders within it counted.")
        if not is_read_only():
            _collect(key, at, take)
        if not is_read_only():
            _drop(key, take)


def offer_folders(key: str, name: str) -> None:
    """Draw a button for each folder with pictures that lies near the top of what may be opened: one press takes it.

    Arguments as of `folder_picker`.
    """
    near = _near_folders(tuple(root for root in data_roots() if root.is_dir()))
    if not near:
        return
    st.caption("Folders of this machine that hold pictures:")
    with st.container(horizontal=True, horizontal_alignment="center"):
        for path, count in near:
            more = "+" if count == COUNTED else ""
            if st.button(
                f"{escape_markdown(path.name)} · {count:,}{more}",
                icon=":material/folder:",
                help=escape_markdown(str(path)),
                key=f"{key}-near-{path}",
            ):
                st.session_state[name] = str(path)
                st.rerun()


@st.cache_data(ttl=60, max_entries=4, show_spinner="Looking for folders with pictures")
def _near_folders(roots: tuple[Path, ...]) -> list[tuple[Path, int]]:
    """Return folders at most `MAX_DEPTH` levels below the roots that look like a data set, with how many pictures each
    holds.
    """
    results: dict[Path, int] = {}
    passed_over = {PROJECT, streets_folder(), cache_folder(), collections_folder()}
    pending = deque((root, 0) for root in roots)
    for _ in range(MAX_VISITED):
        if not pending or len(results) == MAX_OFFERED:
            break
        folder, depth = pending.popleft()
        inside = [path for path in _folders(folder) if path not in passed_over]
        names = {path.name.lower() for path in inside}
        if depth and (names & IMAGE_ROLES or any(map(split_of, names)) or _holds_images(folder)):
            if count := _count_images(folder):
                results[folder] = count
        elif depth < MAX_DEPTH:
            pending.extend((path, depth + 1) for path in inside)
    return sorted(results.items(), key=lambda item: item[0].name.lower())


def _holds_images(path: Path) -> bool:
    try:
        return any(child.suffix.lower() in IMAGE_ENDINGS for child in itertools.islice(path.iterdir(), MAX_SHOWN))
    except OSError:
        return False


def _collect(key: str, at: Path | None, take: Callable[[Path], None]) -> None:
    """Draw a button that collects folders, and with the second one a form that makes them one data set."""
    collected: list[Path] = st.session_state.setdefault(f"{key}-collected", [])
    if at and at not in collected and st.button("Add to a joint data set", icon=":material/join:", key=f"{key}-add"):
        collected.append(at)
    if not collected:
        return
    st.caption(
        "To be one data set, classes joined by name: " + escape_markdown(join_items([path.name for path in collected]))
    )
    name = st.text_input("Name of the joint data set", key=f"{key}-joint-name", max_chars=40)
    with st.container(horizontal=True):
        if st.button("Join", key=f"{key}-join", disabled=len(collected) < 2):
            try:
                path = write_list(name, collected)
            except LabError as error:
                failed_state(error)
            else:
                collected.clear()
                take(path)
                st.rerun()
        if st.button("Forget them", key=f"{key}-forget"):
            collected.clear()
            st.rerun()


def _drop(key: str, take: Callable[[Path], None]) -> None:
    job = latest("unpack")
    if show_job("unpack", job, f"Unpacking {job.request['name']}" if job else ""):
        return
    if job and job.state == "finished" and st.session_state.get(f"{key}-unpacking") == job.id:
        del st.session_state[f"{key}-unpacking"]
        take(Path(job.result["root"]))
        st.rerun()
    file = st.file_uploader(
        "Or drop a ZIP of images and labels",
        type="zip",
        max_upload_size=max_upload_size(MAX_UPLOAD_BYTES),
        key=f"{key}-zip",
    )
    if file is None or st.session_state.get(f"{key}-unpacked") == file.file_id:
        return
    st.session_state[f"{key}-unpacked"] = file.file_id
    try:
        st.session_state[f"{key}-unpacking"] = start_unpacking(file.name, file).id
    except LabError as error:
        failed_state(error)
    else:
        st.rerun()


def _folders(path: Path) -> list[Path]:
    try:
        inside = [child for child in path.iterdir() if child.is_dir()]
    except OSError:
        return []
    return sorted(child for child in inside if not child.name.startswith(".") and not unusable_name(child.name))


def _count_images(path: Path) -> int:
    """Return how many pictures lie in a folder, `COUNTED` at most; a large disk isn't walked to its end."""
    inside = itertools.islice(path.rglob("*"), 10 * COUNTED)
    return min(COUNTED, sum(child.suffix.lower() in IMAGE_ENDINGS for child in inside))
