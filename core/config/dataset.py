"""The part `dataset` of a config."""

import re
from dataclasses import dataclass
from typing import Literal, TypeVar

from pydantic import model_validator

from core.config.settings import Condition, Part, field
from core.data.sources import SOURCES

DatasetName = Literal[*SOURCES]
MAX_BANDS = 8
MAX_FOLDS = 20
T = TypeVar("T", int, float)
OWN = tuple(name for name, source in SOURCES.items() if source.root_title and not source.has_coarse)
"""The sources that are folders of one's own."""
Annotations = Literal["fine", "coarse", "fine+coarse"]
CoarseSplit = Literal["train", "train_extra", "train+train_extra"]
GroupBy = Literal["stretch", "auto", "folder", "name", "frame"]
CacheKind = Literal["auto", "raw", "jpeg", "off"]


@dataclass(frozen=True)
class PixelFormat:
    """How the values of a photograph become those that a network sees.

    Attributes:
        bands: the bands to take, counted from 1, in this order; empty takes red, green and blue.
        white: the value that becomes 255 where a file holds more than 8 bits a channel: one for all, or one for each
            band; empty takes the file's own bright values.
    """

    bands: tuple[int, ...] = ()
    white: tuple[float, ...] = ()

    @property
    def num_bands(self) -> int:
        """How many channels an image has."""
        return len(self.bands) or 3

    @property
    def white_text(self) -> str:
        """What is white, as a config holds it: "4095 3000"."""
        return " ".join(f"{value:g}" if float(f"{value:g}") == value else repr(value) for value in self.white)


RGB = PixelFormat()


def _numbers(text: str, kind: type[T]) -> list[T]:
    """Return the numbers of a text, with spaces or commas between them; -1 stands for what is none."""
    numbers = []
    for part in re.findall(r"[^ ,]+", text):
        try:
            numbers.append(kind(part))
        except ValueError:
            numbers.append(kind(-1))
    return numbers


class DatasetConfig(Part):
    """Which frames are learned from, and at which size they are read."""

    name: DatasetName = field(
        "streets",
        "Data",
        "Generated street scenes, Cityscapes, or a folder of your own.",
        level="basic",
        in_report=False,
    )
    root: str = field(
        "",
        "Folder",
        "Folder of the data: for Cityscapes the one that holds leftImg8bit and gtFine, else your images and masks.",
        level="basic",
        only_if=(Condition("dataset.name", tuple(name for name, source in SOURCES.items() if source.root_title)),),
        in_report=False,
        max_length=1000,
    )
    annotations: Annotations = field(
        "fine",
        "Masks to learn from",
        "Fine masks follow every outline; coarse ones are quick polygons; a mixture shows both.",
        group="Masks",
        level="basic",
        only_if=(Condition("dataset.name", tuple(name for name, source in SOURCES.items() if source.has_coarse)),),
    )
    coarse_split: CoarseSplit = field(
        "train",
        "Images with coarse masks",
        "Which images with coarse masks: those of train, the 19,998 others of train_extra, or both.",
        group="Masks",
        level="basic",
        only_if=(Condition("dataset.annotations", ("coarse", "fine+coarse")),),
    )
    fine_weight: float = field(
        1.0,
        "Weight of fine frames",
        "In a mixture: how often each fine frame is shown in an epoch.",
        "x",
        group="Masks",
        level="basic",
        only_if=(Condition("dataset.annotations", ("fine+coarse",)),),
        gt=0,
        le=100,
    )
    coarse_weight: float = field(
        1.0,
        "Weight of coarse frames",
        "In a mixture: how often each coarse frame is shown in an epoch; 0.25 shows a random quarter.",
        "x",
        group="Masks",
        level="basic",
        only_if=(Condition("dataset.annotations", ("fine+coarse",)),),
        gt=0,
        le=100,
    )
    classes: str = field(
        "auto",
        "Classes",
        "What is told apart: cityscapes-19, -30, -34 or -7 (categories), or the path of a classes.json; auto takes the"
        " 19, and in your own folder its class table.",
        level="basic",
        min_length=1,
        max_length=1000,
    )
    corrections: str = field(
        "",
        "Mended labels",
        "Folder of a label set in which labels of this data set were mended: these are learned from in their place."
        " Frames to score on keep their own.",
        group="Masks",
        level="basic",
        max_length=1000,
    )
    val_fraction: float = field(
        0.2,
        "Held back for validation",
        "Share of your own frames that is held back for scoring, where no folder says which.",
        group="Masks",
        level="basic",
        only_if=(Condition("dataset.name", tuple(name for name, source in SOURCES.items() if not source.has_coarse)),),
        ge=0.01,
        le=0.9,
    )
    group_by: GroupBy = field(
        "stretch",
        "Hold back whole",
        "What stays together when frames are held back, so that neighbours in a video don't sit on both sides: folders,"
        " series (a name without the number at its end), or single frames; stretch takes folders or series where there"
        " are at least four, else stretches of names that count on; auto does so too, but takes single frames for the"
        " last, as runs of before did.",
        group="Masks",
        only_if=(Condition("dataset.name", tuple(name for name, source in SOURCES.items() if not source.has_coarse)),),
    )
    folds: int = field(
        0,
        "Folds",
        "For cross-validation: all labelled frames of training and validation in so many equal parts, of which one is"
        " scored on; neighbours stay together, classes are spread evenly. 0 leaves the split as it is.",
        group="Frames",
        only_if=(Condition("dataset.annotations", ("fine",)),),
        ge=0,
        le=MAX_FOLDS,
    )
    fold: int = field(
        1,
        "Fold to score on",
        "Which of the parts is scored on, counted from 1; the others are learned from.",
        group="Frames",
        only_if=(Condition("dataset.folds"),),
        ge=1,
        le=MAX_FOLDS,
    )
    cache: CacheKind = field(
        "auto",
        "Cache of decoded frames",
        "Decoded frames on disk: raw is exact and fastest, jpeg takes a tenth of the room, off decodes again in every"
        " run; auto takes a raw cache that is there already.",
        group="Frames",
        off=("auto", "raw", "off"),  # jpeg alone changes a pixel
    )
    height: int = field(
        256,
        "Height",
        "Frames are scaled to this height when they are read, and scored at it.",
        "px",
        group="Frames",
        ge=32,
        le=1024,
    )
    width: int = field(
        512,
        "Width",
        "Frames are scaled to this width when they are read, and scored at it.",
        "px",
        group="Frames",
        ge=32,
        le=2048,
    )
    bands: str = field(
        "",
        "Bands",
        "Bands to learn from, in this order, where photographs have others than red, green and blue: 4 3 2 takes those"
        " of the file, counted from 1. The first three are shown as red, green and blue; empty takes colours.",
        group="Frames",
        only_if=(Condition("dataset.name", OWN),),
        off=("",),
        max_length=100,
    )
    white_level: str = field(
        "",
        "White of deep photographs",
        "Value that becomes white where photographs have more than 8 bits a channel, one for all or one for each band:"
        " 4095. Empty measures it on the training frames.",
        group="Frames",
        only_if=(Condition("dataset.name", OWN),),
        off=("",),
        max_length=200,
    )
    max_train_samples: int = field(
        0,
        "Training frames at most",
        "Learn from the first N training frames only; 0 takes all.",
        group="Frames",
        off=(0,),
        ge=0,
        le=100_000,
    )
    train_sample_seed: int = field(
        0,
        "Seed of their choice",
        "Seed by which the training frames are drawn at random, where not all are taken; 0 takes the first ones.",
        group="Frames",
        only_if=(Condition("dataset.max_train_samples"),),
        off=(0,),
        ge=0,
        le=2**31 - 1,
    )
    unlabelled: float = field(
        0.0,
        "Photographs without masks",
        "So many of them are shown for each frame with a mask. They are for a teacher alone, who learned from others or"
        " is the network's own moving mean; no score is of them.",
        "per frame",
        group="Frames",
        only_if=(Condition("training.teacher"),),
        off=(0,),
        ge=0,
        le=10,
    )
    max_val_samples: int = field(
        0,
        "Validation frames at most",
        "Score on N validation frames only, evenly spread; 0 takes all.",
        group="Frames",
        off=(0,),
        ge=0,
        le=100_000,
    )

    @property
    def pixels(self) -> PixelFormat:
        """How photographs are read: their bands, and what is white."""
        return PixelFormat(tuple(_numbers(self.bands, int)), tuple(_numbers(self.white_level, float)))

    @model_validator(mode="after")
    def _the_fold_is_one_of_the_folds(self) -> "DatasetConfig":
        if self.folds and self.annotations != "fine":
            raise ValueError("Folds part frames with fine masks alone. Take Masks to learn from: fine, or no folds.")
        if self.folds == 1 or (self.folds and self.fold > self.folds):
            raise ValueError(
                f"Fold to score on is {self.fold} of Folds {self.folds}, but there are two folds at least, and one of"
                " them is scored on."
            )
        return self

    @model_validator(mode="after")
    def _bands_and_white_are_numbers(self) -> "DatasetConfig":
        pixels = self.pixels
        if len(pixels.bands) > MAX_BANDS or not all(1 <= band <= 1000 for band in pixels.bands):
            raise ValueError(
                f"Bands is '{self.bands}', but takes one to eight numbers of bands, counted from 1, such as 4 3 2."
            )
        if not all(0 <= white < float("inf") for white in pixels.white):
            raise ValueError(
                f"White of deep photographs is '{self.white_level}', but takes numbers from 0, such as 4095."
            )
        if len(pixels.white) > 1 and len(pixels.white) != len(pixels.bands):
            raise ValueError(
                f"White of deep photographs names {len(pixels.white)} values, and Bands {len(pixels.bands)} bands. Name"
                " one value for all, or one for each band."
            )
        return self
