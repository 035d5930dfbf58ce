"""The data set a page works on: chosen once, remembered for the session, opened from memory."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from app.widgets import empty_state
from core.auth import require_write
from core.config import DatasetConfig, read_config
from core.data import cityscapes
from core.data.dataset import (
    STREETS_TRAIN,
    STREETS_VAL,
    Dataset,
    label_space_of,
    open_dataset,
    root_of,
    streets_are_there,
)
from core.data.folder import pair_folder
from core.data.frames import Frame
from core.errors import LabError
from core.paths import runs_folder, streets_folder
from core.runs.store import list_runs

TITLES = {"streets": "Generated streets", "cityscapes": "Cityscapes", "folder": "Your own folder"}
ROOTS = {"cityscapes": "Folder that holds leftImg8bit and gtFine", "folder": "Folder that holds your images and masks"}
OWN_TABLE = "own"
"""What the choice of classes calls a table whose path is typed; any other choice is the config's own value."""

CITYSCAPES_CLASSES = {
    "cityscapes-19": "19 classes",
    "cityscapes-30": "30 classes",
    "cityscapes-34": "34 ids",
    "cityscapes-7": "7 categories",
    OWN_TABLE: "Own grouping",
}
FOLDER_CLASSES = {"auto": "Table in the folder", OWN_TABLE: "Another table"}
UNLABELLED = "without masks"
"""The split of a folder's photographs that have no mask."""

SPLIT_WORDS = {
    "train": "Training",
    "val": "Validation",
    "test": "Test",
    "train_extra": "Training extra",
    UNLABELLED: "Without masks",
}
"""What pages call a split."""


@dataclass(frozen=True)
class Found:
    """What lies in a data set's folder, whether or not a run could use it.

    Attributes:
        dataset: its labelled frames for training and validation; either may be empty.
        splits: every photograph by split, labelled or not, in the order of its id.
    """

    dataset: Dataset
    splits: dict[str, tuple[Frame, ...]]


def choose_dataset(key: str) -> dict[str, Any]:
    """Widgets for the dataset part of a config: which data, where it lies, what is told apart. Returns the part's values.

    Every choice is kept in the session under a plain name, so that the next page begins with it.
    """
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.segmented_control(
            "Data",
            list(TITLES),
            format_func=TITLES.get,
            required=True,
            **_kept(f"{key}-data", "dataset-name", "streets"),
        )
        values: dict[str, Any] = {"name": name}
        titles = FOLDER_CLASSES if name == "folder" else CITYSCAPES_CLASSES
        kept = _kept(f"{key}-{name}-classes", f"{name}-classes", next(iter(titles)))
        classes = st.selectbox(
            "Classes", list(titles), format_func=titles.get, width=190, help=_help("classes"), **kept
        )
    if name in ROOTS:
        if f"{name}-root" not in st.session_state:
            st.session_state[f"{name}-root"] = _known_root(name)
        root_key = f"{key}-root" if name == "cityscapes" else f"{key}-folder-root"
        values["root"] = st.text_input(
            ROOTS[name], placeholder=f"/data/{name}", **_kept(root_key, f"{name}-root", "")
        ).strip()
    if classes == OWN_TABLE:
        classes = st.text_input(
            "Path of the class table",
            placeholder="/data/classes.json",
            help="A classes.json that names each class, its colour, and the ids of the masks that it gathers.",
            **_kept(f"{key}-{name}-table", f"{name}-table", ""),
        ).strip()
    return values | {"classes": classes}


def opened(values: dict[str, Any]) -> Dataset | None:
    """The data set of chosen values, or None when it can't be opened yet; the page then says why and offers the next step.

    Raises:
        LabError: the folder isn't there or holds no pairs, or the class table doesn't make sense.
    """
    if values["name"] == "cityscapes" and not values.get("root"):
        empty_state(
            "Name the folder of your Cityscapes",
            "Open Get Cityscapes on the page Data: it downloads and unpacks it with your own free account. If you have it already, type the "
            "folder that holds leftImg8bit and gtFine above.",
        )
        return None
    if values["name"] == "folder" and not values.get("root"):
        empty_state(
            "Name the folder of your own data",
            "Put photographs into images/, masks of the same names into masks/, and type the folder that holds both above. The "
            "folders of CamVid, Pascal VOC and most label tools are understood as they are.",
        )
        return None
    if not values.get("classes", "auto"):
        empty_state(
            "Name the class table",
            'A classes.json is a list like [{"name": "road", "color": [128, 64, 128], "ids": [7]}]. Ids that no class names are '
            "ignored.",
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


def found(config: DatasetConfig) -> Found:
    """What lies in the folder of a config, kept for a minute.

    Raises:
        LabError: there is no such folder, it may not be read, or nothing says what its masks mean.
    """
    return _find(config.model_dump_json())


def draw_streets() -> None:
    """Draws the street scenes with a progress bar, unless they are there. Raises LabError where the one who is asking may only look."""
    if streets_are_there():
        return
    require_write()
    from core.synthetic import write_streets

    bar = st.progress(0.0, "Drawing street scenes")
    write_streets(
        streets_folder(),
        STREETS_TRAIN,
        STREETS_VAL,
        progress=lambda done, count: bar.progress(done / count, f"Drawing street scenes: {done} of {count}"),
    )
    bar.empty()


def is_here(config: DatasetConfig) -> bool:
    """Whether the folder of a data set is on this machine; what it holds isn't looked at."""
    return streets_are_there() if config.name == "streets" else Path(config.root).expanduser().is_dir()


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


@st.cache_data(ttl=60, max_entries=4, show_spinner="Reading the folder")
def _find(config_json: str) -> Found:
    config = DatasetConfig.model_validate_json(config_json)
    root = root_of(config)
    space = label_space_of(config, root)
    splits: dict[str, tuple[Frame, ...]] = {}
    if config.name == "folder":
        pairs = pair_folder(root, config.val_fraction)
        for split in ("train", "val", "test"):
            splits[split] = tuple(frame for frame in pairs.frames if frame.split == split)
        splits[UNLABELLED] = pairs.unlabelled
    else:
        for split in cityscapes.splits_of(root):
            pairs = cityscapes.pair_frames(root, split, "coarse" if split == "train_extra" else "fine")
            splits[split] = tuple(sorted([*pairs.frames, *pairs.unlabelled], key=lambda frame: frame.id))
    train, val = (tuple(frame for frame in splits.get(split, ()) if frame.labels) for split in ("train", "val"))
    dataset = Dataset(config.name, root, space, (config.height, config.width), train, val)
    return Found(dataset, {split: frames for split, frames in splits.items() if frames})


def _kept(key: str, name: str, default: str) -> dict[str, Any]:
    """Arguments that make a widget show what the session keeps under a plain name, and keep there what it is changed to."""
    st.session_state[key] = st.session_state.setdefault(name, default)

    def keep() -> None:
        st.session_state[name] = st.session_state[key]

    return {"key": key, "on_change": keep}


def _known_root(name: str) -> str:
    """The folder of the newest run on such data; for Cityscapes else what the official scripts' environment variable says."""
    for run in list_runs(runs_folder()):
        if run.config and run.config.dataset.name == name:
            return run.config.dataset.root
    return os.environ.get("CITYSCAPES_DATASET", "") if name == "cityscapes" else ""


def _help(field: str) -> str:
    return DatasetConfig.model_fields[field].description or ""
