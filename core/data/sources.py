"""The kinds of data a run can learn from, a line each; known without torch.

Form, checks, training, model card, leaderboard and report read this table. A folder of one's own is laid out in any of
the ways that `core.data.folder` understands; a data set with a layout of its own is one module with `find_frames` and
`find_splits`, and one line here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from core.paths import expanded, resolve_data_root, streets_folder


@dataclass(frozen=True)
class DataSource:
    """A kind of data.

    Attributes:
        title: its name for people, "Generated streets".
        phrase: its name within a sentence, "generated streets".
        module: where `find_frames(root, config)` and `find_splits(root, config)` are.
        classes: choices of `dataset.classes` with their titles; the first is the form's.
        root_title: what the form calls its folder; empty where the lab keeps the data itself.
        root_holds: what that folder holds, within a sentence.
        root_missing: title and sentence of a page on which no folder is named yet.
        root_variable: environment variable that may name the folder, or empty.
        group: what a frame's first folder stands for.
        is_generated: the lab draws it, with masks that need no examination.
        has_coarse: there may be coarse masks beside the fine ones.
        has_test_split: the benchmark server scores its test frames.
        sharing: whether its images may be published: `free`, `never`, or `ask` the one who owns them.
        origin: where it comes from, for the introduction of a report; {annotations} stands for the kind of masks.
        papers: keys in `core.papers`, cited behind `origin`.
        model_card: the same for a model card; {annotations} as above.
        note: what the scores are no evidence of, for a report's conclusions; may be empty.
    """

    title: str
    phrase: str
    module: str
    classes: Mapping[str, str]
    root_title: str = ""
    root_holds: str = ""
    root_missing: tuple[str, str] = ("", "")
    root_variable: str = ""
    group: str = "city"
    is_generated: bool = False
    has_coarse: bool = True
    has_test_split: bool = False
    sharing: Literal["free", "ask", "never"] = "free"
    origin: str = ""
    papers: tuple[str, ...] = ()
    model_card: str = ""
    note: str = ""

    def root(self, typed: str) -> Path:
        """Return the folder of such data, as it is typed. Raises LabError where it isn't there or may not be read."""
        return resolve_data_root(typed) if self.root_title else streets_folder()

    def is_here(self, typed: str) -> bool:
        """Return whether that folder is on this machine; what it holds isn't looked at."""
        if not self.root_title:
            return (streets_folder() / "streets.json").is_file()  # written last
        return expanded(typed).is_dir()

    @property
    def find_frames(self) -> Callable[..., tuple[list[Any], list[Any]]]:
        """The function of (root, config) that returns a folder's frames to learn from and to score on.

        It raises LabError.
        """
        return import_module(self.module).find_frames

    @property
    def find_splits(self) -> Callable[..., dict[str, tuple[Any, ...]]]:
        """The function of (root, config) that returns every frame of a folder by split, labelled or not.

        It raises LabError.
        """
        return import_module(self.module).find_splits


CITYSCAPES_CLASSES = {
    "cityscapes-19": "19 classes",
    "cityscapes-30": "30 classes",
    "cityscapes-34": "34 ids",
    "cityscapes-7": "7 categories",
}

SOURCES: dict[str, DataSource] = {
    "streets": DataSource(
        "Generated streets",
        "generated streets",
        "core.data.cityscapes",
        CITYSCAPES_CLASSES,
        is_generated=True,
        origin=(
            "The images are street scenes that the lab generates, with exact masks in the classes and the layout of"
            " Cityscapes; the masks that were learned from are {annotations}. They are drawn, not photographed: what is"
            " found on them says little about real streets."
        ),
        papers=("cordts2016cityscapes",),
        model_card=(
            "Street scenes that the lab draws itself, with exact masks: they teach what a network can do, not what a"
            " street is."
        ),
        note="All of this holds for generated scenes. Whether the order is the same on photographs was not tested.",
    ),
    "cityscapes": DataSource(
        "Cityscapes",
        "Cityscapes",
        "core.data.cityscapes",
        CITYSCAPES_CLASSES,
        root_title="Folder that holds leftImg8bit and gtFine",
        root_holds="leftImg8bit and gtFine",
        root_missing=(
            "Name the folder of your Cityscapes",
            (
                "Open Get Cityscapes on the page Data: it downloads and unpacks it with your own free account. If you"
                " have it already, type the folder that holds leftImg8bit and gtFine above."
            ),
        ),
        root_variable="CITYSCAPES_DATASET",
        has_test_split=True,
        sharing="never",
        origin=(
            "The images are frames of Cityscapes, taken from a driving car, with masks that people drew; the masks that"
            " were learned from are {annotations}."
        ),
        papers=("cordts2016cityscapes",),
        model_card="Cityscapes, {annotations} masks.",
    ),
    "folder": DataSource(
        "Your own folder",
        "a folder of one's own",
        "core.data.folder",
        {"auto": "Table in the folder"},
        root_title="Folder that holds your images and masks",
        root_holds="your images and masks",
        root_missing=(
            "Name the folder of your own data",
            (
                "Put images into images/, masks of the same names into masks/, and find the folder that holds both"
                " above, or drop a ZIP of it there. CamVid, Pascal VOC and the files of seven label tools are read as"
                " they are."
            ),
        ),
        group="folder",
        has_coarse=False,
        sharing="ask",
        origin="The images and masks are a data set of the author's own.",
        model_card="Images of the publisher's own, which aren't part of this repository.",
    ),
}
"""By `dataset.name` of a config."""
