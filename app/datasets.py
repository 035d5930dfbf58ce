"""The data set a page works on: chosen once, remembered for the session, opened from memory."""

import itertools
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from app.folder_picker import folder_picker, offer_folders
from app.preparing import begin, show_preparation
from app.widgets import empty_state
from core.auth import is_read_only, require_write
from core.config import OWN, DatasetConfig, fields_of, read_config
from core.data.annotations.masks import UnpaintedError, painting
from core.data.bands import tiff_layout
from core.data.class_table import save_class_table, space_of
from core.data.dataset import (
    STREETS_TRAIN,
    STREETS_VAL,
    Dataset,
    find_splits,
    label_space_of,
    measured_pixels,
    open_dataset,
    spread,
)
from core.data.doctor import Report, examine
from core.data.doctor.survey import TIFF_ENDINGS
from core.data.folder import UNLABELLED
from core.data.frame_shape import DEFAULT, fitting_size
from core.data.frames import Frame
from core.data.sources import SOURCES
from core.errors import LabError
from core.files import parse_json
from core.labels import LabelSpace
from core.paths import runs_folder
from core.runs.store import list_runs

OWN_TABLE = "own"
"""What the choice of classes calls a table whose path is typed; any other choice is the config's own value."""
OWN_TABLE_TITLE = "Table of your own"

ADDRESSED = ("name", "root", "classes", "bands")
"""Fields of a data set that stand in the address of the pages which choose one."""

SHOWN = 10
A_FEW = 24
"""Pairs of each part that are looked at where a class table is there."""
MAX_LOOKED_AT = 1000
"""The same where one is to be proposed: fewer pairs may miss a rare class."""
MAX_LISTED = 2000
PAINTED_AT_ONCE = 200
"""Label maps for which a page waits, some seconds: more are painted by a job."""

SPLIT_LABELS = {
    "train": "Training",
    "val": "Validation",
    "test": "Test",
    "train_extra": "Training extra",
    UNLABELLED: "Without masks",
}
"""What pages call a split."""


@dataclass(frozen=True)
class SplitDataset:
    """What lies in a data set's folder, whether or not a run could use it.

    Attributes:
        dataset: its labelled frames for training and validation; either may be empty.
        splits: every photograph by split, labelled or not, in the order of its id.
    """

    dataset: Dataset
    splits: dict[str, tuple[Frame, ...]]


@dataclass(frozen=True)
class FolderSummary:
    """What a quick look into a folder of one's own found.

    Attributes:
        report: of a few pairs, or where a class table is to be proposed of many.
        frames: with masks, some of all.
        num_unlabelled: photographs that have none.
        dataset: without frames, for reading these: its classes are the folder's, or those that are proposed; None where
            there are neither.
    """

    report: Report
    frames: list[Frame]
    num_unlabelled: int
    dataset: Dataset | None


def choose_dataset(key: str) -> dict[str, Any]:
    """Return widgets for the dataset part of a config: which data, where it lies, what is told apart.

    Returns the part's values.

    Every choice is kept in the session under a plain name, so that the next page begins with it, and stands in the
    page's address, which a reload and another tab begin with.
    """
    if "dataset-name" not in st.session_state:
        begin_with(st.query_params.to_dict())
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.segmented_control(
            "Data",
            list(SOURCES),
            format_func=lambda name: SOURCES[name].title,
            required=True,
            **_remembered(f"{key}-data", "dataset-name", next(iter(SOURCES))),
        )
        source = SOURCES[name]
        values: dict[str, Any] = {"name": name}
        titles = {**source.classes, OWN_TABLE: OWN_TABLE_TITLE}
        remembered = _remembered(f"{key}-{name}-classes", f"{name}-classes", next(iter(titles)))
        class_table = st.selectbox(
            "Classes",
            list(titles),
            format_func=titles.get,
            width=190,
            help=fields_of("dataset")["classes"].description,
            **remembered,
        )
    if source.root_title:
        if f"{name}-root" not in st.session_state:
            st.session_state[f"{name}-root"] = _known_root(name)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            values["root"] = st.text_input(
                source.root_title, placeholder=f"/data/{name}", **_remembered(f"{key}-{name}-root", f"{name}-root", "")
            ).strip()
            folder_picker(f"{key}-{name}-find", f"{name}-root")
            if name == "folder" and (st.session_state.get("folder-bands") or _has_more_bands(values["root"])):
                values["bands"] = st.text_input(
                    "Bands",
                    placeholder="4 3 2",
                    width=140,
                    help=fields_of("dataset")["bands"].description,
                    **_remembered(f"{key}-bands", "folder-bands", ""),
                ).strip()
    if class_table == OWN_TABLE:
        class_table = st.text_input(
            "Path of the class table",
            placeholder="/data/classes.json",
            help="A classes.json that names each class, its colour, and the ids of the masks that it gathers.",
            **_remembered(f"{key}-{name}-table", f"{name}-table", ""),
        ).strip()
    values |= {"classes": class_table}
    for field in ADDRESSED:
        if values.get(field, "auto") not in ("", "auto"):
            st.query_params[field] = values[field]
        elif field in st.query_params:
            del st.query_params[field]
    return values


def opened(values: dict[str, Any]) -> Dataset | None:
    """Return the data set of chosen values, or None when it can't be opened yet.

    The page then says why and offers the next step.

    Raises:
        UnpaintedError: its labels have to be painted first, see `paint_first`.
        LabError: the folder isn't there or holds no pairs, or the class table doesn't make sense.
    """
    source = SOURCES[values["name"]]
    if source.root_title and not values.get("root"):
        empty_state(*source.root_missing)
        offer_folders(values["name"], f"{values['name']}-root")
        return None
    if not values.get("classes", "auto"):
        empty_state(
            "Name the class table",
            'A classes.json is a list like [{"name": "road", "color": [128, 64, 128], "ids": [7]}]. Ids that no class'
            " names are ignored.",
        )
        return None
    config = read_config({"dataset": values}).dataset
    if source.is_generated and not source.is_here(config.root):
        empty_state(
            "The street scenes are not drawn yet",
            f"{STREETS_TRAIN + STREETS_VAL} generated scenes with exact masks are the data to begin with. Drawing them"
            " takes less than a minute and nothing is downloaded.",
        )
        _, middle, _ = st.columns([2, 2, 2])
        with middle:
            if not show_preparation("draw"):
                st.button(
                    "Draw the street scenes",
                    type="primary",
                    width="stretch",
                    icon=":material/brush:",
                    on_click=begin,
                    args=("draw", config),
                )
        return None
    return open_again(config)


def paint_first(values: dict[str, Any], error: UnpaintedError) -> None:
    """Have the labels of a folder painted, as a job, where that takes too long for a page; it is opened at the end."""
    config = read_config({"dataset": values}).dataset
    key = f"painting-{config.root}"
    if not is_read_only() and key not in st.session_state:
        st.session_state[key] = True  # by itself once: one that was stopped or failed is begun again by the button
        begin("paint", config)
        st.rerun()
    if not show_preparation("paint"):
        empty_state("The labels aren't painted yet", str(error))
        st.button(
            "Paint the labels",
            icon=":material/brush:",
            on_click=begin,
            args=("paint", config),
            disabled=is_read_only(),
            key="paint-labels",
        )


def frame_size(values: dict[str, Any]) -> dict[str, int]:
    """Return height and width at which frames are read: those chosen on the page Data, else the ones in which
    photographs of one's own keep their shape.
    """
    chosen = st.session_state.get("frame-size", {}).get(values.get("root", ""))
    if chosen:
        return chosen
    height, width = DEFAULT
    if values["name"] in OWN and values.get("root"):
        with suppress(LabError):  # said where the data set is opened
            height, width = _fitting_size(read_config({"dataset": values}).dataset.model_dump_json())
    return {"height": height, "width": width}


def find_dataset(config: DatasetConfig) -> SplitDataset:
    """Return what lies in the folder of a config, kept for a minute.

    Raises:
        LabError: there is no such folder, it may not be read, or nothing says what its masks mean.
    """
    return _find(config.model_dump_json())


def forget_datasets() -> None:
    """Forget what was read of every folder, since one of them was changed."""
    for cached in (_open, _find, _summarize_folder):
        cached.clear()
    st.session_state.pop("reports", None)


def save_classes(root: Path, text: str) -> None:
    """Write a class table into a data set's folder, and forget what was known of that folder.

    Raises LabError where it can't be written, or the current user may only look.
    """
    require_write()
    save_class_table(root, text)
    forget_datasets()


def summarize_folder(config: DatasetConfig) -> FolderSummary:
    """Return what a quick look into the folder of a config finds, kept for a minute.

    Raises:
        LabError, OSError: it can't be read.
    """
    return _summarize_folder(config.model_dump_json())


def is_here(config: DatasetConfig) -> bool:
    """Return whether the folder of a data set is on this machine; what it holds isn't looked at."""
    return SOURCES[config.name].is_here(config.root)


def open_again(config: DatasetConfig, with_test: bool = False) -> Dataset:
    """Return the data set of a config, its list of frames kept for a minute; of a folder of one's own also those of its
    test split, where they are asked for.

    Raises LabError where it isn't there.
    """
    if not is_here(config) and SOURCES[config.name].is_generated:
        raise LabError("The street scenes are gone from the data folder. Draw them again on the page Data.")
    return _open(config.model_dump_json(), with_test and SOURCES[config.name].group == "folder")


@st.cache_data(ttl=60, max_entries=8, show_spinner="Reading the folder")
def _open(config: str, with_test: bool) -> Dataset:
    with painting(limit=PAINTED_AT_ONCE):
        return open_dataset(DatasetConfig.model_validate_json(config), with_test)


@st.cache_data(ttl=60, max_entries=8, show_spinner="Reading the folder")
def _fitting_size(config: str) -> tuple[int, int]:
    return fitting_size(open_again(DatasetConfig.model_validate_json(config)))


@st.cache_data(ttl=60, max_entries=4, show_spinner="Reading the folder")
def _find(config_json: str) -> SplitDataset:
    with painting(limit=PAINTED_AT_ONCE):
        return SplitDataset(*find_splits(DatasetConfig.model_validate_json(config_json)))


@st.cache_data(ttl=60, max_entries=4, show_spinner="Looking into the folder")
def _summarize_folder(config_json: str) -> FolderSummary:
    config = DatasetConfig.model_validate_json(config_json)
    source = SOURCES[config.name]
    root = source.root(config.root)
    with painting(limit=PAINTED_AT_ONCE):
        splits = source.find_splits(root, config)
    labelled = [frame for frames in splits.values() for frame in frames if frame.labels]
    frames = spread(labelled, SHOWN)
    try:
        space: LabelSpace | None = label_space_of(config, root)
    except LabError:
        space = None  # one may be proposed
    report = examine(
        root, config.classes, config.val_fraction, config.group_by, max_frames=A_FEW if space else MAX_LOOKED_AT
    )
    if space is None and report.proposal:
        space = space_of(parse_json(report.proposal))
    pixels = measured_pixels(config.pixels, [frame.image for frame in frames])
    size = config.height, config.width
    dataset = Dataset(config.name, root, space, size, (), (), pixels) if space else None
    return FolderSummary(report, frames, len(splits.get(UNLABELLED, ())), dataset)


@st.cache_data(ttl=60, max_entries=8, show_spinner=False)
def _has_more_bands(root: str) -> bool:
    """Return whether the first TIFF of a folder has other bands than colours."""
    try:
        folder = SOURCES["folder"].root(root)
        near = itertools.islice(folder.rglob("*"), MAX_LISTED)  # a large folder isn't walked to its end
        first = next((path for path in near if path.suffix.lower() in TIFF_ENDINGS), None)
        layout = tiff_layout(first.read_bytes()) if first else None
    except (LabError, OSError):
        return False
    return bool(layout and layout.num_bands)


def _remembered(key: str, name: str, default: str) -> dict[str, Any]:
    """Return arguments that make a widget show what the session keeps under a plain name, and keep there what it is
    changed to.
    """
    st.session_state[key] = st.session_state.setdefault(name, default)

    def keep() -> None:
        st.session_state[name] = st.session_state[key]

    return {"key": key, "on_change": keep}


def begin_with(named: Mapping[str, str]) -> None:
    """Choose a data set before the widgets for it are drawn: fields of a dataset config by name, as a page's address or
    a run has them.
    """
    name = named.get("name", "")
    if name not in SOURCES:
        return
    st.session_state["dataset-name"] = name
    if "root" in named:
        st.session_state[f"{name}-root"] = named["root"]
    if "bands" in named:
        st.session_state["folder-bands"] = named["bands"]
    if "classes" in named:
        is_offered = named["classes"] in SOURCES[name].classes
        st.session_state[f"{name}-classes"] = named["classes"] if is_offered else OWN_TABLE
        st.session_state[f"{name}-table"] = "" if is_offered else named["classes"]


def _known_root(name: str) -> str:
    """Return the folder of the newest run on such data; else what the environment says."""
    for run in list_runs(runs_folder()):
        if run.config and run.config.dataset.name == name:
            return run.config.dataset.root
    return os.environ.get(SOURCES[name].root_variable, "")
