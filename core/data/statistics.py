"""How much of each frame every class takes, counted once and remembered on disk: shares, absences, and what is seen
together.
"""

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.data.dataset import Dataset, spread
from core.data.frame_threads import map_frames
from core.data.frames import Frame, fingerprint
from core.files import replacing
from core.paths import cache_folder
from core.progress import CountCallback

SAMPLE = 400
"""Frames counted at most: shares of 400 evenly spread frames differ from those of all by far less than frames do among
themselves.
"""

AT_ONCE = 600
"""Up to so many frames are all counted at once where single frames are wanted; of more, a sample is."""


@dataclass(frozen=True)
class ClassCounts:
    """Pixels and frames per class, int64 (K,) each, over `frames` frames; `ignored` pixels belong to no class.

    `image_pixels` are the labelled pixels of the frames that show a class.
    """

    pixels: np.ndarray
    images: np.ndarray
    image_pixels: np.ndarray
    ignored: int
    frames: int

    @property
    def shares(self) -> np.ndarray:
        """Return the share of the labelled pixels per class, float64 (K,), 0..1."""
        return _shares(self.pixels)


@dataclass(frozen=True)
class FrameCounts:
    """Pixels per frame and class, frame by frame, so that frames can be found by what they show.

    Attributes:
        ids: of the N frames.
        pixels: int64 (N, K).
        ignored: pixels that belong to no class, int64 (N,).
    """

    ids: tuple[str, ...]
    pixels: np.ndarray
    ignored: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """Return the share of the labelled pixels per class, float64 (K,), 0..1."""
        return _shares(self.pixels.sum(axis=0))

    @property
    def images(self) -> np.ndarray:
        """Return how many frames show each class, int64 (K,)."""
        return (self.pixels > 0).sum(axis=0)

    @property
    def image_pixels(self) -> np.ndarray:
        """Return the labelled pixels of the frames that show each class, int64 (K,)."""
        return self.pixels.sum(axis=1) @ (self.pixels > 0)

    @property
    def cooccurrence(self) -> np.ndarray:
        """float64 (K, K), 0..1: of the frames that show class a, the share that also shows class b.

        0 where none shows a.
        """
        shown = (self.pixels > 0).astype(np.float64)
        return (shown.T @ shown) / np.maximum(1, self.images)[:, None]

    def shows(self, index: int) -> tuple[str, ...]:
        """Return the ids of the frames with at least one pixel of a class."""
        return tuple(frame_id for frame_id, count in zip(self.ids, self.pixels[:, index], strict=True) if count)


def count_classes(dataset: Dataset, frames: Sequence[Frame], progress: CountCallback | None = None) -> ClassCounts:
    """Count the classes of (at most `SAMPLE` evenly spread) frames, at the data set's size.

    Raises as `count_frames` does.
    """
    counts = count_frames(dataset, spread(frames, SAMPLE), progress)
    return ClassCounts(
        counts.pixels.sum(axis=0), counts.images, counts.image_pixels, int(counts.ignored.sum()), len(counts.ids)
    )


def count_frames(
    dataset: Dataset,
    frames: Sequence[Frame],
    progress: CountCallback | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> FrameCounts:
    """Count the classes of every frame, at the data set's size, in several threads.

    From disk where nothing has changed since.

    Args:
        dataset: says size and label space.
        frames: to count.
        progress: called in the caller's thread; not at all where the counts are remembered.
        should_stop: asked between two frames; once it says so, the frames counted so far are returned.

    Raises:
        LabError: a label file can't be read.
    """
    path = _path_of(dataset, frames)  # before the counting: a file that changes meanwhile must not be believed later
    cached = _read(path, dataset, frames)
    if cached:
        return cached
    rows = []
    for row in map_frames(lambda frame: _count(dataset, frame), frames):
        rows.append(row)
        if progress:
            progress(len(rows), len(frames))
        if should_stop and should_stop():
            break
    table = np.array(rows, np.int64).reshape(len(rows), len(dataset.space.class_names) + 1)
    counts = FrameCounts(tuple(frame.id for frame in frames[: len(rows)]), table[:, :-1], table[:, -1])
    if len(rows) == len(frames):
        _write(path, counts)
    return counts


def recall_counts(dataset: Dataset, frames: Sequence[Frame]) -> FrameCounts | None:
    """Return the counts of these very frames where they are remembered whole.

    Raises LabError where a frame's file has vanished.
    """
    return _read(_path_of(dataset, frames), dataset, frames)


def _read(path: Path, dataset: Dataset, frames: Sequence[Frame]) -> FrameCounts | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            pixels, ignored = file["pixels"].astype(np.int64), file["ignored"].astype(np.int64)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    if pixels.shape != (len(frames), len(dataset.space.class_names)) or ignored.shape != (len(frames),):
        return None
    if (pixels.sum(axis=1) + ignored != dataset.size[0] * dataset.size[1]).any():
        return None
    return FrameCounts(tuple(frame.id for frame in frames), pixels, ignored)


def _shares(pixels: np.ndarray) -> np.ndarray:
    return pixels / max(1, pixels.sum())


def _count(dataset: Dataset, frame: Frame) -> np.ndarray:
    """Return the pixels of each class and last those of none, int64 (K + 1,)."""
    counts = np.bincount(dataset.target(frame).ravel(), minlength=256)
    num_classes = len(dataset.space.class_names)
    return np.append(counts[:num_classes], counts[num_classes:].sum())


def _path_of(dataset: Dataset, frames: Sequence[Frame]) -> Path:
    text = f"1|{fingerprint(frames)}|{dataset.size}|{dataset.space.digest}"
    return cache_folder() / "counts" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.npz"


def _write(path: Path, counts: FrameCounts) -> None:
    """Write under another name first, so that no half file is read.

    A full or locked disk costs the memory, not the counts.
    """
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as draft:
            np.savez_compressed(draft, pixels=counts.pixels, ignored=counts.ignored)
