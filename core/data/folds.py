"""Folds for cross-validation: all labelled frames in equal parts, each of which a run of its own is scored on.

Neighbours stay together, as where frames are held back, and classes are spread evenly: the rarest groups go first, each
to where the parts become most alike. Sechidis et al.: On the stratification of multi-label data (ECML PKDD 2011).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from core.config import MAX_FOLDS, DatasetConfig
from core.data.dataset import Dataset, open_dataset
from core.data.frames import PSEUDO_LABELS, Frame
from core.data.splits import group_frames
from core.data.statistics import count_frames
from core.errors import LabError
from core.text import join_items, plural

COUNTED_AT = (256, 512)
"""Height and width at which the pixels of classes are counted."""


def take_fold(dataset: Dataset, folds: int, fold: int) -> Dataset:
    """Return a data set that is scored on one of its parts and learned from in the others.

    Args:
        dataset: whose frames of training and validation are parted; those of test stay apart.
        folds: parts in all, 2 or more.
        fold: which one is scored on, 1..folds.

    Raises:
        LabError: there are too few frames, or a mask can't be read.
    """
    frames = _in_order(dataset, folds)
    parts = part_into_folds(frames, _pixels(dataset, frames), folds)
    parted = [
        replace(frame, split="val" if part == fold - 1 else "train") for frame, part in zip(frames, parts, strict=True)
    ]
    parted += [frame for frame in dataset.train if _is_made_by_a_network(frame)]
    train, val = (tuple(frame for frame in parted if frame.split == split) for split in ("train", "val"))
    return replace(dataset, train=train, val=val)


def part_into_folds(frames: Sequence[Frame], pixels: np.ndarray, folds: int) -> list[int]:
    """Return the part 0..K-1 of each frame, the same ones every time.

    Args:
        frames: with labels, at least as many as parts.
        pixels: int (F, C), of each class in each frame.
        folds: K.
    """
    index_of = {frame.id: index for index, frame in enumerate(frames)}
    groups = [[index_of[name] for name in group] for group in group_frames(frames, folds)]
    # Of each class, and of the frames, the share that a group has: parts are alike where their shares are.
    counts = np.column_stack([pixels, np.ones(len(frames))])
    shares = counts / np.maximum(counts.sum(axis=0), 1)
    sums = np.zeros((folds, shares.shape[1]))
    parts = [0] * len(frames)
    for group in sorted(groups, key=lambda group: (-shares[group].sum(axis=0).max(), group)):
        share = shares[group].sum(axis=0)
        part = int(np.argmin(sums @ share))
        sums[part] += share
        for index in group:
            parts[index] = part
    return parts


def check_folds(config: DatasetConfig, folds: int) -> list[str]:
    """Return a sentence for each class that some folds show nowhere, where others do.

    Args:
        config: of the data.
        folds: in how many they are to be parted.

    Raises:
        LabError: the data can't be opened, or there are too few frames.
    """
    dataset = open_dataset(config.model_copy(update={"folds": 0, "max_train_samples": 0, "max_val_samples": 0}))
    frames = _in_order(dataset, folds)
    pixels = _pixels(dataset, frames)
    parts = np.array(part_into_folds(frames, pixels, folds))
    shown = np.array([pixels[parts == part].any(axis=0) for part in range(folds)])
    sentences = []
    for index in np.flatnonzero(shown.any(axis=0) & ~shown.all(axis=0)):
        missing = join_items([str(part + 1) for part in np.flatnonzero(~shown[:, index])])
        sentences.append(
            f"{dataset.space.class_names[index]} is nowhere in fold {missing} of {folds}: there it has no score, and"
            " the mean is over fewer classes. Fewer folds may have it in each."
        )
    return sentences


def _pixels(dataset: Dataset, frames: Sequence[Frame]) -> np.ndarray:
    """Return pixels of each class in each frame, int64 (F, C), at one size: folds are the same at whichever size the
    frames are read.
    """
    return count_frames(replace(dataset, size=COUNTED_AT), frames).pixels


def _is_made_by_a_network(frame: Frame) -> bool:
    return (frame.image.parent.parent / PSEUDO_LABELS).is_file()


def _in_order(dataset: Dataset, folds: int) -> list[Frame]:
    """Return the frames that are parted, whichever fold is asked for in one order, in which their classes are
    remembered. Raises LabError where they are too few.
    """
    if not 2 <= folds <= MAX_FOLDS:
        raise LabError(f"Data are parted into 2 to {MAX_FOLDS} folds, and not into {folds}.")
    twice = {frame.id for frame in dataset.train} & {frame.id for frame in dataset.val}
    everything = (*dataset.train, *dataset.val)
    named = [replace(frame, id=f"{frame.split}/{frame.id}") if frame.id in twice else frame for frame in everything]
    frames = sorted((frame for frame in named if not _is_made_by_a_network(frame)), key=lambda frame: frame.id)
    if len(frames) < 2 * folds:
        raise LabError(f"{plural(len(frames), 'labelled frame')} can't be parted into {folds} folds. Take fewer folds.")
    return frames
