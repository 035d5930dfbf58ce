"""What every layout on disk comes down to: frames, each a photograph and its labels, and what had no partner."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Split = Literal["train", "val", "test", "train_extra"]


@dataclass(frozen=True)
class Frame:
    """One photograph and, where there are any, its labels.

    Attributes:
        id: names it within its data set; CITY_SEQUENCE_FRAME in Cityscapes, the path without its ending elsewhere.
        city: the city, or whatever folder gathers frames.
        split: the part of the data set that it belongs to.
        image: the photograph's file.
        labels: a picture of ids or colours, or the polygons they are painted from; None without labels.
        weight: how often it is shown in an epoch; a part of 1 shows a random part of such frames.
    """

    id: str
    city: str
    split: str
    image: Path
    labels: Path | None
    weight: float = 1.0


@dataclass(frozen=True)
class Pairing:
    """What was found in a folder: frames with labels, and files that stand alone.

    Attributes:
        frames: photographs with their labels, in order of their id.
        unlabelled: photographs without labels.
        orphans: label files without a photograph.
        skipped: folders that were not entered, each with the reason.
    """

    frames: tuple[Frame, ...]
    unlabelled: tuple[Frame, ...] = ()
    orphans: tuple[Path, ...] = ()
    skipped: tuple[tuple[Path, str], ...] = ()
