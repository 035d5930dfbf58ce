"""Frames packed into one file: read by index through memory, appended in order.

    frames.bin      image and target of each frame, one after another: as they are (raw), or as JPEG and PNG (jpeg)
    index           where each image and each target ends in frames.bin, int64, little-endian

Both files only grow, and a frame is on the disk before the index says so: a writer that was killed, or a machine that
lost its power, loses the last few frames and nothing else.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

import cv2
import numpy as np

Kind = Literal["raw", "jpeg"]
Pair = tuple[np.ndarray, np.ndarray]

JPEG_QUALITY = 95

GROUP_FRAMES = 16
"""Frames go to the disk for good in groups of so many: all that a kill can cost."""


class PackedFrames:
    """The frames of a folder, by index: image uint8 (H, W, C) and target uint8 (H, W).

    Args:
        folder: where both files are.
        kind: raw or jpeg.
        size: (height, width) of a frame.

    Raises:
        OSError, ValueError: there are none. An index beyond the last frame and one that was damaged raise ValueError,
            cv2.error.
    """

    def __init__(self, folder: Path, kind: Kind, size: tuple[int, int]) -> None:
        self._ends = [0, *_read_index(folder).tolist()]
        # A plain array: a slice of a memmap is a memmap again, which takes longer to make than a frame to read.
        self._data = np.asarray(np.memmap(folder / "frames.bin", np.uint8, mode="r"))
        self._kind = kind
        self._size = size

    def __getitem__(self, index: int) -> Pair:
        start, middle, end = self._ends[2 * index : 2 * index + 3]
        image, target = self._data[start:middle], self._data[middle:end]
        if self._kind == "raw":
            return image.reshape(*self._size, -1), target.reshape(self._size)
        image, target = cv2.imdecode(image, cv2.IMREAD_COLOR_RGB), cv2.imdecode(target, cv2.IMREAD_GRAYSCALE)
        if image is None or target is None or image.shape[:2] != self._size or target.shape != self._size:
            raise ValueError(f"frame {index} is damaged")
        return image, target


def encode_frame(image: np.ndarray, target: np.ndarray, kind: Kind) -> Pair:
    """Return image (H, W, C) and target (H, W) as they are stored, uint8: unchanged, or as JPEG (lossy) and PNG
    (exact).
    """
    if kind == "raw":
        return np.ascontiguousarray(image), np.ascontiguousarray(target)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    _, png = cv2.imencode(".png", target, [cv2.IMWRITE_PNG_COMPRESSION, 6])
    return jpeg, png


@contextmanager
def append_frames(folder: Path) -> Iterator[Callable[[Pair], None]]:
    """Yield a function that appends an encoded frame, behind those that the index vouches for. One process at a time.

    Raises OSError.
    """
    ends = _read_index(folder)
    end = int(ends.max(initial=0))
    group: list[int] = []
    with open(folder / "frames.bin", "ab") as data, open(folder / "index", "ab") as index:
        # What stands behind is of a writer that was killed.
        index.truncate(ends.nbytes)
        data.truncate(end)

        def commit() -> None:
            _flush(data)
            index.write(np.array(group, "<i8").tobytes())
            _flush(index)
            group.clear()

        def append(encoded: Pair) -> None:
            nonlocal end
            for part in encoded:
                data.write(part)
                end += part.nbytes
                group.append(end)
            if len(group) >= 2 * GROUP_FRAMES:
                commit()

        try:
            yield append
        finally:
            commit()


def count_packed(folder: Path) -> int:
    """Return how many frames of a folder are safely there; 0 where there is no such folder."""
    return len(_read_index(folder)) // 2


def _read_index(folder: Path) -> np.ndarray:
    """Return where image and target of each frame end in frames.bin, int64 (2N,), for the N frames that are safely
    there.
    """
    try:
        size = (folder / "frames.bin").stat().st_size
        content = (folder / "index").read_bytes()
    except OSError:
        return np.empty(0, np.int64)
    ends = np.frombuffer(content[: len(content) // 8 * 8], "<i8")
    # A file that is too short kills the process that reads past its end.
    is_whole = (np.diff(ends, prepend=0) > 0) & (ends <= size)
    count = len(ends) if is_whole.all() else int(is_whole.argmin())
    return ends[: count // 2 * 2]


def _flush(file: IO[bytes]) -> None:
    """Make what was written to a file survive a power cut."""
    file.flush()
    os.fsync(file.fileno())
