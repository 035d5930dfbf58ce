"""How much of a data set each class takes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from core.data.frames import Frame
from core.data.dataset import Dataset, spread

SAMPLE = 400
"""Frames counted at most: shares of 400 evenly spread frames differ from those of all by far less than frames do among themselves."""


@dataclass(frozen=True)
class ClassCounts:
    """Pixels and frames per class, int64 (K,) each, over `frames` frames; `ignored` pixels belong to no class."""

    pixels: np.ndarray
    images: np.ndarray
    ignored: int
    frames: int

    @property
    def shares(self) -> np.ndarray:
        """Share of the labelled pixels per class, float64 (K,), 0..1."""
        return self.pixels / max(1, self.pixels.sum())


def count_classes(
    dataset: Dataset, frames: Sequence[Frame], progress: Callable[[int, int], None] | None = None
) -> ClassCounts:
    """Counts the classes of (at most `SAMPLE` evenly spread) frames, at the data set's size."""
    classes = len(dataset.space.classes)
    pixels = np.zeros(classes, np.int64)
    images = np.zeros(classes, np.int64)
    ignored = 0
    chosen = spread(frames, SAMPLE)
    for done, frame in enumerate(chosen, start=1):
        counts = np.bincount(dataset.target(frame).ravel(), minlength=256)
        pixels += counts[:classes]
        images += counts[:classes] > 0
        ignored += int(counts[classes:].sum())
        if progress:
            progress(done, len(chosen))
    return ClassCounts(pixels, images, ignored, len(chosen))
