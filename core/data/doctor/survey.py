"""Reads every file of a data set once, in parallel, and notes the facts about it.

What they mean is `diagnosis`' business.

A broken file is a fact like any other: nothing here raises for what is wrong with a file.
"""

import hashlib
import os
import stat
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from core.config import RGB, PixelFormat
from core.data.bands import tiff_layout
from core.data.decoding import decode_image, read_values
from core.data.frame_threads import MAX_THREADS
from core.data.frames import Frame
from core.data.polygons import paint_polygons
from core.errors import LabError
from core.labels import LabelSpace, pack_colors

MAX_PIXELS = 2**27
"""A picture whose header promises more is not decoded: its bytes would not fit beside a network."""
MAX_POLYGON_BYTES = 2**26
MAX_VALUES = 1000
"""Different values that are kept of one mask, the most frequent ones."""
THIN = 2.5
"""Pixels. A value whose runs along the rows are shorter than this on average makes no area, only rims or noise."""

Problem = Literal[
    "", "vanished", "forbidden", "empty", "not-a-picture", "too-large", "unreadable", "truncated", "odd", "polygons"
]
_ORIENTATION = 0x0112
TIFF_ENDINGS = (".tif", ".tiff")
_LAST_BYTES = {"JPEG": b"\xff\xd9"}


@dataclass(frozen=True)
class Header:
    """What a picture file says of itself: size as (width, height), Pillow's mode and format, EXIF orientation 1..8."""

    size: tuple[int, int]
    mode: str
    format: str
    orientation: int = 1
    animated: bool = False
    lossy: bool = False
    deep: bool = False


@dataclass(frozen=True)
class ImageInfo:
    """A photograph: what is wrong with it, or its header, its decoded (width, height), a digest of what it shows, and
    that in 16 x 16 gray values.

    `bands` is how many a TIFF has, where that are more than colours and transparency.
    """

    path: Path
    problem: Problem = ""
    detail: str = ""
    header: Header | None = None
    size: tuple[int, int] = (0, 0)
    digest: bytes = b""
    bands: int = 0
    thumbnail: bytes = b""


@dataclass(frozen=True)
class MaskInfo:
    """A label file: what is wrong with it, or which values it holds.

    Attributes:
        kind: ids of 8 bits, ids of 16 bits, or colours.
        values: the different ids, or colours packed by `core.labels.pack_colors`, most frequent first, at most
            `MAX_VALUES`.
        counts: pixels of each.
        different: how many values there are, the unkept ones too.
        thin: how many of them appear in runs shorter than `THIN` only.
        ramps: how often a single pixel lies between two different neighbours and its value between theirs, per change
            of value; interpolation does this, a pen doesn't.
        palette: for a palette picture, the colour (packed) of each of `values`.
    """

    path: Path
    problem: Problem = ""
    detail: str = ""
    header: Header | None = None
    size: tuple[int, int] = (0, 0)
    kind: Literal["ids", "deep", "colors"] = "ids"
    values: tuple[int, ...] = ()
    counts: tuple[int, ...] = ()
    different: int = 0
    thin: int = 0
    ramps: float = 0.0
    palette: tuple[int, ...] = ()


@dataclass(frozen=True)
class FrameInfo:
    """One frame of a part of the data set; `image` is None where that photograph was looked at in another part."""

    part: str
    frame: Frame
    image: ImageInfo | None
    mask: MaskInfo


class _BrokenError(Exception):
    def __init__(self, problem: Problem, detail: str = "") -> None:
        self.problem, self.detail = problem, detail


def survey(
    frames: Sequence[tuple[str, Frame]],
    progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> list[FrameInfo]:
    """Look at labelled frames, each with the part that it belongs to, in about as many threads as the machine has
    processors.

    Returns:
        Facts in the order of the frames; fewer than frames where it was stopped.
    """
    threads = min(MAX_THREADS, os.cpu_count() or 1)
    results: list[FrameInfo] = []
    waiting: deque[Future[FrameInfo]] = deque()
    seen: set[Path] = set()

    def collect() -> None:
        results.append(waiting.popleft().result())
        if progress:
            progress(len(results), len(frames))

    pool = ThreadPoolExecutor(threads, thread_name_prefix="doctor")
    try:
        for part, frame in frames:
            if should_stop and should_stop():
                return results
            # A few more than there are threads: none idles, and no more than these are in memory.
            if len(waiting) == 2 * threads:
                collect()
            waiting.append(pool.submit(_survey_frame, part, frame, frame.image not in seen))
            seen.add(frame.image)
        while waiting and not (should_stop and should_stop()):
            collect()
    finally:
        pool.shutdown(cancel_futures=True)
    return results


def _survey_frame(part: str, frame: Frame, with_image: bool) -> FrameInfo:
    return FrameInfo(part, frame, survey_image(frame.image) if with_image else None, survey_mask(frame.labels))


def survey_image(path: Path) -> ImageInfo:
    """Return the facts about a photograph."""
    header, layout = None, None
    try:
        _stat(path)
        layout = tiff_layout(path.read_bytes()) if path.suffix.lower() in TIFF_ENDINGS else None
        try:
            header = _read_header(path)
        except _BrokenError as error:
            # Pillow knows no picture of five bands, and OpenCV none of fractions.
            if layout is None or error.problem != "not-a-picture":
                raise
        bands = layout.num_bands if layout else 0
        pixels = PixelFormat(tuple(range(1, min(bands, 3) + 1))) if bands and not layout.names_colors else RGB
        try:
            image = decode_image(path.read_bytes(), pixels)
        except ValueError as error:
            if layout and str(error):
                raise _BrokenError("unreadable", str(error)) from None
            raise _BrokenError(_why_undecodable(path, header) if header else "not-a-picture") from None
    except _BrokenError as error:
        return ImageInfo(path, error.problem, error.detail, header)
    except OSError as error:
        return ImageInfo(path, _problem_of(error), error.strerror or "", header)
    if layout:
        header = replace(header or Header((image.shape[1], image.shape[0]), "", "TIFF"), deep=layout.is_deep)
    small = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)
    size = image.shape[1], image.shape[0]
    digest = hashlib.blake2b(small.tobytes() + repr(size).encode(), digest_size=16).digest()
    thumbnail = cv2.resize(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), (16, 16), interpolation=cv2.INTER_AREA).tobytes()
    return ImageInfo(path, header=header, size=size, digest=digest, bands=bands, thumbnail=thumbnail)


def survey_mask(path: Path) -> MaskInfo:
    """Return the facts about a label file, a picture or polygons."""
    header = None
    try:
        if path.suffix.lower() == ".json":
            if _stat(path).st_size > MAX_POLYGON_BYTES:
                raise _BrokenError("too-large", f"{MAX_POLYGON_BYTES >> 20} MB of polygons")
            values, colors = paint_polygons(path), None
        else:
            header = _read_header(path)
            values, colors = _read_values(path, header)
    except _BrokenError as error:
        return MaskInfo(path, error.problem, error.detail, header)
    except LabError as error:
        return MaskInfo(path, _why_unreadable(path, "polygons"), str(error).removeprefix(f"'{path}' "))
    size = values.shape[1], values.shape[0]
    if values.ndim == 3:
        kind: Literal["ids", "deep", "colors"] = "colors"
        values = pack_colors(values)
    else:
        kind = "ids" if values.dtype == np.uint8 else "deep"
    result, counts, different, thin, ramps = _measure(values.ravel().astype(np.int32), kind == "colors")
    palette = () if colors is None else tuple(int(color) for color in colors[result])
    return MaskInfo(
        path,
        "",
        "",
        header,
        size,
        kind,
        tuple(result.tolist()),
        tuple(counts.tolist()),
        different,
        thin,
        ramps,
        palette,
    )


def classes_in(mask: MaskInfo, space: LabelSpace) -> tuple[list[int], int] | None:
    """Return pixels per class (K,) of a mask, and pixels that its table says nothing of.

    None where the lab could not read it.
    """
    if mask.problem or any(value > 255 for value in mask.values if mask.kind == "deep"):
        return None
    counts = [0] * len(space.class_names)
    others = 0
    if space.by_color:
        table = {int(pack_colors(np.array(color, np.uint8))): class_id for color, class_id in space.from_colors}
    elif mask.kind == "colors":
        return None
    else:
        table = {value: index for value, index in enumerate(space.from_ids) if index < len(counts)}
    for value, count in zip(as_colors(mask) if space.by_color else mask.values, mask.counts, strict=True):
        if value in table:
            counts[table[value]] += count
        else:
            others += count
    return counts, others


def as_colors(mask: MaskInfo) -> tuple[int, ...]:
    """Return the values of a mask as the packed colours they are shown in: of its palette, or gray."""
    if mask.kind == "colors":
        return mask.values
    return mask.palette or tuple(value * 0x010101 for value in mask.values)


def _stat(path: Path) -> os.stat_result:
    try:
        result = path.stat()
    except OSError as error:
        raise _BrokenError(_problem_of(error), error.strerror or "") from None
    if not stat.S_ISREG(result.st_mode):
        raise _BrokenError("unreadable", "it is no file")  # opening a pipe would wait for ever
    if result.st_size == 0:
        raise _BrokenError("empty")
    return result


def _problem_of(error: OSError) -> Problem:
    if isinstance(error, FileNotFoundError):
        return "vanished"
    return "forbidden" if isinstance(error, PermissionError) else "unreadable"


def _why_unreadable(path: Path, otherwise: Problem) -> Problem:
    """Return why a decoder that only says no did so: the file may have vanished since its header was read."""
    try:
        _stat(path)
    except _BrokenError as error:
        return error.problem
    return otherwise


def _read_header(path: Path) -> Header:
    _stat(path)
    try:
        with Image.open(path) as image:
            header = Header(image.size, image.mode, "JPEG" if image.format == "MPO" else image.format or "")
            if header.size[0] * header.size[1] > MAX_PIXELS:
                raise _BrokenError("too-large", f"{header.size[0]} x {header.size[1]} pixels")
            # For a PNG without any, Pillow would decode all of the file in search of EXIF.
            has_exif = image.format != "PNG" or "exif" in image.info
            orientation = image.getexif().get(_ORIENTATION, 1) if has_exif else 1
            animated = image.format != "MPO" and bool(getattr(image, "is_animated", False))
            return Header(
                header.size,
                header.mode,
                header.format,
                orientation if orientation in range(1, 9) else 1,
                animated,
                deep=header.mode.startswith("I") or header.mode == "F" or _first_bytes(path)[:25:24] == b"\x89\x10",
                lossy=header.format == "JPEG" or (header.format == "WEBP" and b"VP8L" not in _first_bytes(path)),
            )
    except _BrokenError:
        raise
    except UnidentifiedImageError:
        raise _BrokenError("not-a-picture") from None
    except Image.DecompressionBombError:
        raise _BrokenError("too-large", "more pixels than fit into memory") from None
    except OSError as error:
        raise _BrokenError(_problem_of(error), error.strerror or "") from None
    except Exception as error:  # Pillow's readers raise whatever a foreign header makes them
        raise _BrokenError("unreadable", type(error).__name__) from None


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64)


def _read_values(path: Path, header: Header) -> tuple[np.ndarray, np.ndarray | None]:
    """Return what stands in a mask's file: ids (H, W), or colours (H, W, 3) as red green blue.

    And a palette, packed (256,).
    """
    try:
        values, palette = read_values(path)
    except LabError:
        raise _BrokenError(_why_undecodable(path, header)) from None
    whole = values.dtype.kind != "f" or not (values % 1).any()
    if (
        not whole
        or values.min(initial=0) < 0
        or values.max(initial=0) > 65535
        or (values.ndim == 3 and values.dtype != np.uint8)
    ):
        raise _BrokenError("odd", str(values.dtype))
    if values.dtype not in (np.uint8, np.uint16):
        values = values.astype(np.uint16)
    return values, None if palette is None else pack_colors(palette)


def _why_undecodable(path: Path, header: Header) -> Problem:
    """Return whether a picture whose header is sound was cut short, or is broken in another way."""
    problem = _why_unreadable(path, "unreadable")
    if problem == "unreadable":
        try:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - 4096))
                if _LAST_BYTES.get(header.format, b"") not in file.read():
                    return "truncated"
        except OSError:
            pass
    return problem


def _measure(values: np.ndarray, colors: bool) -> tuple[np.ndarray, np.ndarray, int, int, float]:
    """Of int32 (N,) values in reading order: the different ones, the pixels of each, and what `MaskFacts` says of
    runs.
    """
    starts = np.concatenate(([0], np.flatnonzero(values[1:] != values[:-1]) + 1))
    lengths = np.diff(starts, append=values.size)
    run_values = values[starts]
    result, inverse = np.unique(run_values, return_inverse=True)
    counts = np.bincount(inverse, weights=lengths).astype(np.int64)
    thin = int(np.count_nonzero(counts < THIN * np.bincount(inverse)))
    heights = ((run_values >> 16) + (run_values >> 8 & 255) + (run_values & 255)) if colors else run_values
    steps = np.sign(np.diff(heights))
    between = (steps[1:] == steps[:-1]) & (steps[1:] != 0) & (lengths[1:-1] == 1)
    ramps = float(between.sum()) / max(1, len(run_values) - 1)
    order = np.argsort(-counts, kind="stable")[:MAX_VALUES]
    return result[order], counts[order], len(result), thin, ramps
