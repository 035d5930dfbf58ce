"""A data set as a run sees it: two lists of frames, a label space, and the size at which everything is read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from core.config import RGB, DatasetConfig, PixelFormat
from core.data.class_table import FILE_NAME, find_class_table, read_class_table
from core.data.corrections import corrected
from core.data.decoding import read_image, read_labels, white_level
from core.data.folder import annotated_space
from core.data.frames import Frame
from core.data.sources import SOURCES
from core.errors import LabError
from core.labels import CITYSCAPES_19, IGNORED, LABEL_SPACES, LabelSpace
from core.paths import resolve_data_file, resolve_data_root

T = TypeVar("T")
STREETS_TRAIN = 200
STREETS_VAL = 40
WHITE_SAMPLE = 16
"""Photographs that are asked how bright a data set of more than 8 bits is."""


@dataclass(frozen=True)
class Dataset:
    """Frames to learn from and frames to score on. `size` is (height, width).

    `pixels` as of `core.data.decoding.decode_image`;
    `test` and `unlabelled`, which a teacher labels, are empty unless they were asked for."""

    name: str
    root: Path
    space: LabelSpace
    size: tuple[int, int]
    train: tuple[Frame, ...]
    val: tuple[Frame, ...]
    pixels: PixelFormat = RGB
    test: tuple[Frame, ...] = ()
    unlabelled: tuple[Frame, ...] = ()

    @property
    def shown(self) -> tuple[Frame, ...]:
        """The frames that a training shows its network: those to learn from, and those that a teacher labels."""
        return *self.train, *self.unlabelled

    def image(self, frame: Frame) -> np.ndarray:
        """Return the photograph, uint8 (H, W, C), at the data set's size."""
        return read_image(frame.image, self.size, self.pixels)

    def target(self, frame: Frame) -> np.ndarray:
        """Return classes 0..K-1 or 255, uint8 (H, W), at the data set's size; all 255 for a frame without labels."""
        if frame.labels is None:
            return np.full(self.size, IGNORED, np.uint8)
        return read_target(frame.labels, self.space, self.size)


def read_target(labels: Path, space: LabelSpace, size: tuple[int, int] | None = None) -> np.ndarray:
    """Return a label file as classes 0..K-1 or 255, uint8 (H, W), at a size (height, width) or at the file's own.

    Raises LabError.
    """
    return space.to_target(read_labels(labels, size, colors=space.by_color))


def open_dataset(config: DatasetConfig, with_test: bool = False, for_training: bool = False) -> Dataset:
    """Find the frames of a data set.

    Args:
        config: which data, from where, at which size.
        with_test: also find the frames of its test split.
        for_training: with what concerns a training alone, as the config asks for it: frames without labels, and labels
            that were mended.

    Raises:
        LabError: the folder isn't there, may not be read, or holds no pairs; the streets aren't drawn; or the class
            table doesn't make sense.
    """
    source = SOURCES[config.name]
    if source.is_generated and not source.is_here(config.root):
        raise LabError(
            "The street scenes aren't drawn yet. Draw them on the page Data, or with: python -m core streets"
        )
    root = source.root(config.root)
    space = label_space_of(config, root)
    test = tuple(source.find_splits(root, config).get("test", ())) if with_test else ()
    try:
        train, val = source.find_frames(root, config)
    except LabError:
        if not test:
            raise
        train, val = [], []  # a folder may be there to be scored on alone
    sample = spread(train or val or test, WHITE_SAMPLE)
    dataset = Dataset(
        name=config.name,
        root=root,
        space=space,
        size=(config.height, config.width),
        train=tuple(train),
        val=tuple(val),
        pixels=measured_pixels(config.pixels, [frame.image for frame in sample]),
        test=test,
    )
    if config.folds:
        from core.data.folds import take_fold  # it counts classes, which takes a data set

        dataset = take_fold(dataset, config.folds, config.fold)
    if for_training and config.corrections:
        mended = corrected(dataset.train, resolve_data_root(config.corrections), space)
        dataset = replace(dataset, train=mended)
    learned = tuple(_part(dataset.train, config.max_train_samples, config.train_sample_seed))
    takes_more = for_training and config.unlabelled > 0
    unlabelled = _unlabelled(source.find_splits(root, config), len(learned), config) if takes_more else ()
    return replace(
        dataset, train=learned, val=tuple(spread(dataset.val, config.max_val_samples)), unlabelled=unlabelled
    )


def _unlabelled(splits: Mapping[str, Sequence[Frame]], labelled: int, config: DatasetConfig) -> tuple[Frame, ...]:
    """Return the frames without labels, as often as is asked for beside so many labelled ones.

    Raises LabError where there are none.
    """
    frames = [
        frame
        for split, members in splits.items()
        for frame in members
        if frame.labels is None and "test" not in (split, frame.split) and "val" not in (split, frame.split)
    ]
    if not frames:
        raise LabError(
            f"'{config.root}' has no photograph without a mask to show beside those with one. Put some there, or set"
            " Photographs without masks to 0."
        )
    return tuple(replace(frame, weight=config.unlabelled * labelled / len(frames)) for frame in frames)


def find_splits(config: DatasetConfig) -> tuple[Dataset, dict[str, Sequence[Frame]]]:
    """Return what lies in a folder, though it be no whole data set: those frames that could be learned from and scored
    on, and the frames of every split.

    Raises:
        LabError: there is no such folder, it may not be read, or nothing says what its masks mean.
    """
    source = SOURCES[config.name]
    root = source.root(config.root)
    space = label_space_of(config, root)
    splits = source.find_splits(root, config)
    train, val = (tuple(frame for frame in splits.get(split, ()) if frame.labels) for split in ("train", "val"))
    pixels = measured_pixels(config.pixels, [frame.image for frame in spread(train or val, WHITE_SAMPLE)])
    dataset = Dataset(config.name, root, space, (config.height, config.width), train, val, pixels)
    return dataset, {split: frames for split, frames in splits.items() if frames}


def generate_dataset(config: DatasetConfig, progress: Callable[[int, int], None] | None = None) -> None:
    """Draw the street scenes where a config asks for them and they aren't there, which takes about 20 s.

    Args:
        config: which data.
        progress: called with (frames drawn, frames in all).
    """
    source = SOURCES[config.name]
    if source.is_generated and not source.is_here(config.root):
        from core.synthetic import write_streets  # imported only when something is to be drawn

        write_streets(source.root(config.root), STREETS_TRAIN, STREETS_VAL, progress=progress)


def label_space_of(config: DatasetConfig, root: Path) -> LabelSpace:
    """Return the numbering of classes that a config asks for: one of `LABEL_SPACES`, a class table, or that of the
    annotation files.

    Raises:
        LabError: there is no such numbering, none is named for a folder of one's own that holds no class table, or an
            annotation file there is broken.
    """
    if config.classes in LABEL_SPACES:
        return LABEL_SPACES[config.classes]
    if config.classes != "auto":
        return read_class_table(resolve_data_file(config.classes, "class table"))
    if "auto" not in SOURCES[config.name].classes:
        return CITYSCAPES_19
    space = annotated_space(root)
    if space:
        return space
    path = find_class_table(root)
    if path is None:
        if _has_table(root.parent):
            raise LabError(
                f"'{root}' has no class table that says what its masks mean, but the folder above has one. Name"
                f" '{root.parent}' instead."
            )
        raise LabError(
            f"'{root}' has no class table that says what its masks mean. 'python -m core doctor {root}' looks at the"
            f" masks and proposes one, and so does the page Data: save it as {FILE_NAME} in that folder."
        )
    return read_class_table(path)


def _has_table(folder: Path) -> bool:
    """Return whether a folder holds a class table, as far as it may be looked into."""
    try:
        return find_class_table(resolve_data_root(str(folder))) is not None
    except (LabError, OSError):
        return False


def measured_pixels(pixels: PixelFormat, images: Sequence[Path]) -> PixelFormat:
    """Return how photographs are read, with the white of deep ones: of each band the brightest that some of them
    have.
    """
    if pixels.white:
        return pixels
    levels = [level for image in images if (level := white_level(image, pixels.bands))]
    return replace(pixels, white=tuple(max(values) for values in zip(*levels, strict=True)))


def _part(frames: Sequence[Frame], count: int, sample: int) -> list[Frame]:
    """Return the first `count` frames, or that many at random where `sample` isn't 0.

    A larger part holds every smaller one of its sample.
    """
    if not 0 < count < len(frames):
        return list(frames)
    order = np.random.default_rng(sample).permutation(len(frames)) if sample else range(len(frames))
    return [frames[index] for index in sorted(order[:count])]


def spread(frames: Sequence[T], count: int) -> list[T]:
    """`count` of them at even distances, or all of them when count is 0 or too large."""
    if not 0 < count < len(frames):
        return list(frames)
    return [frames[i * len(frames) // count] for i in range(count)]
