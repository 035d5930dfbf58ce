"""A data set as a run sees it: two lists of frames, a label space, and the size at which everything is read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.config import DatasetConfig
from core.data.cityscapes import Frame, list_frames, read_image, read_label_ids
from core.labels import CITYSCAPES_19, IGNORED, LabelSpace
from core.places import resolve_data_root, streets_folder

STREETS_TRAIN = 200
STREETS_VAL = 40


@dataclass(frozen=True)
class Dataset:
    """Frames to learn from and frames to score on. `size` is (height, width)."""

    name: str
    root: Path
    space: LabelSpace
    size: tuple[int, int]
    train: tuple[Frame, ...]
    val: tuple[Frame, ...]

    def image(self, frame: Frame) -> np.ndarray:
        """The photograph, uint8 (H, W, 3), at the data set's size."""
        return read_image(frame.image, self.size)

    def target(self, frame: Frame) -> np.ndarray:
        """Classes 0..K-1 or 255, uint8 (H, W), at the data set's size; all 255 for a frame without labels."""
        if frame.labels is None:
            return np.full(self.size, IGNORED, np.uint8)
        return self.space.lookup[read_label_ids(frame.labels, self.size)]


def open_dataset(config: DatasetConfig, progress: Callable[[int, int], None] | None = None) -> Dataset:
    """Finds the frames of a data set; generated streets are drawn first where they aren't there yet (about 20 s).

    Args:
        config: which data, from where, at which size.
        progress: called with (frames drawn, frames in all) while streets are generated.

    Raises:
        LabError: the folder isn't there, may not be read, or holds no pairs.
    """
    if config.name == "streets":
        root = streets_folder()
        if not streets_are_there():
            from core.data.streets import write_streets  # the drawing room is opened only when something is to be drawn

            write_streets(root, STREETS_TRAIN, STREETS_VAL, progress=progress)
    else:
        root = resolve_data_root(config.root)
    train = list_frames(root, "train", config.annotations)
    val = list_frames(root, "val", "fine")
    return Dataset(
        name=config.name,
        root=root,
        space=CITYSCAPES_19,
        size=(config.height, config.width),
        train=tuple(train[: config.train_limit or None]),
        val=tuple(spread(val, config.val_limit)),
    )


def streets_are_there() -> bool:
    """True once the default street scenes have been generated."""
    return (streets_folder() / "streets.json").is_file()


def spread(frames: Sequence[Frame], count: int) -> list[Frame]:
    """`count` frames at even distances, or all of them when count is 0 or too large."""
    if not 0 < count < len(frames):
        return list(frames)
    return [frames[i * len(frames) // count] for i in range(count)]
