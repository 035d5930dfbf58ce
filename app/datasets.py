"""The data set a page works on: chosen once, remembered for the session, opened from memory."""

import os
from typing import Any

import streamlit as st

from app.widgets import empty_state
from core.config import DatasetConfig, read_config
from core.data.dataset import STREETS_TRAIN, STREETS_VAL, Dataset, open_dataset, streets_are_there
from core.errors import LabError
from core.places import runs_folder, streets_folder
from core.runs import list_runs

TITLES = {"streets": "Generated streets", "cityscapes": "Cityscapes"}


def choose_dataset(key: str) -> dict[str, Any]:
    """Widgets for the dataset part of a config: which data, and for Cityscapes where it lies. Returns the part's values.

    The choice is kept in the session under plain names, so that the next page begins with it.
    """
    chosen = st.session_state.get("dataset", {"name": "streets"})
    left, right = st.columns([2, 5], vertical_alignment="bottom")
    name = left.segmented_control(
        "Data", list(TITLES), format_func=TITLES.get, default=chosen["name"], required=True, key=f"{key}-data"
    )
    values: dict[str, Any] = {"name": name}
    if name == "cityscapes":
        values["root"] = right.text_input(
            "Folder that holds leftImg8bit and gtFine",
            value=st.session_state.get("cityscapes-root") or _known_root(),
            placeholder="/data/cityscapes",
            key=f"{key}-root",
        ).strip()
        st.session_state["cityscapes-root"] = values["root"]
    st.session_state["dataset"] = values
    return values


def opened(values: dict[str, Any]) -> Dataset | None:
    """The data set of chosen values, or None when it can't be opened yet; the page then says why and offers the next step.

    Raises:
        LabError: the folder isn't there or holds no pairs.
    """
    if values["name"] == "cityscapes" and not values.get("root"):
        empty_state(
            "Name the folder of your Cityscapes",
            "Download leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip from cityscapes-dataset.com with a free account, "
            "unpack both into one folder, and type that folder above.",
        )
        return None
    if values["name"] == "streets" and not streets_are_there():
        empty_state(
            "The street scenes are not drawn yet",
            f"{STREETS_TRAIN + STREETS_VAL} generated scenes with exact masks are the data to begin with. Drawing them takes less "
            "than a minute and nothing is downloaded.",
        )
        _, middle, _ = st.columns([2, 2, 2])
        if middle.button("Draw the street scenes", type="primary", width="stretch", icon=":material/brush:"):
            draw_streets()
            st.rerun()
        return None
    return open_again(read_config({"dataset": values}).dataset)


def draw_streets() -> None:
    """Draws the street scenes with a progress bar, unless they are there."""
    if streets_are_there():
        return
    from core.data.streets import write_streets

    bar = st.progress(0.0, "Drawing street scenes")
    write_streets(
        streets_folder(),
        STREETS_TRAIN,
        STREETS_VAL,
        progress=lambda done, count: bar.progress(done / count, f"Drawing street scenes: {done} of {count}"),
    )
    bar.empty()


def open_again(config: DatasetConfig) -> Dataset:
    """The data set of a config, its list of frames kept for a minute.

    Raises:
        LabError: it isn't there; in particular, streets that were deleted are not drawn again behind the user's back.
    """
    if config.name == "streets" and not streets_are_there():
        raise LabError("The street scenes are gone from the data folder. Draw them again on the page Data.")
    return _open(config.model_dump_json())


@st.cache_data(ttl=60, max_entries=8, show_spinner="Reading the folder")
def _open(config: str) -> Dataset:
    return open_dataset(DatasetConfig.model_validate_json(config))


def _known_root() -> str:
    """The folder of the newest run on Cityscapes, or what the official scripts' environment variable says."""
    for run in list_runs(runs_folder()):
        if run.config and run.config.dataset.name == "cityscapes":
            return run.config.dataset.root
    return os.environ.get("CITYSCAPES_DATASET", "")
