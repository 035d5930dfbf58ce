"""Several pictures in one upload: a ZIP, or a short video.

Hostile until proven otherwise, and never written out as files named by it.

Runs in the decoding process. What an archive says of itself (sizes, names) is taken for a claim: bytes are counted as
they come.
"""

import io
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from core.config import RGB, PixelFormat
from core.data.unread_formats import HEIF, name_unread
from core.errors import LabError
from core.inference.uploads import (
    IMAGE_EXTENSIONS,
    MAX_BYTES,
    MAX_PIXELS,
    MAX_SIDE,
    MIN_SIDE,
    WORKING_SIDE,
    decode_upload,
    full_size,
)
from core.text import format_bytes

MAX_IMAGES = 24
"""Pictures that one upload may give."""
MAX_PIXEL_BYTES = 160 * 2**20
"""Pixels that the pictures of one visit take in memory: a ZIP of a few kilobytes unfolds to hundreds of megabytes."""
MAX_BATCH_BYTES = 100 * 10**6
MAX_ENTRIES = 5000
MAX_UNPACKED = 300 * 10**6
VIDEO_FRAMES = 8
MAX_VIDEO_FRAMES = 5400
"""Three minutes at 30 frames a second."""
VIDEO_ENDINGS = ("mp4", "mov", "webm", "mkv", "avi")
NO_VIDEO = "This video can't be read. Take an MP4, MOV, WebM or AVI that other programs play."
NAME_LENGTH = 60


@dataclass(frozen=True)
class Upload:
    """One picture of an upload.

    Attributes:
        name: how it is called on the page.
        image: uint8 (H, W, 3), or None where `problem` says why there is none.
        problem: a sentence.
        size: height and width of the file's own picture, which may be larger.
    """

    name: str
    image: np.ndarray | None = None
    problem: str = ""
    size: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class UploadBudget:
    """What a visit has left: how many pictures, and how many bytes of pixels."""

    images: int = MAX_IMAGES
    pixel_bytes: int = MAX_PIXEL_BYTES

    def after(self, images: Iterable[np.ndarray]) -> "UploadBudget":
        """Return what is left when these images have been taken in."""
        sizes = [image.nbytes for image in images]
        return UploadBudget(self.images - len(sizes), self.pixel_bytes - sum(sizes))


def shown_name(name: str) -> str:
    """Return what a file is called on a page: the last part of its path without what can't be seen.

    Never used as a path.
    """
    last = PurePosixPath(name.replace("\\", "/")).name
    printable = "".join(sign for sign in last if sign.isprintable()).strip()
    if len(printable) > NAME_LENGTH:
        stem, dot, ending = printable.rpartition(".")
        printable = f"{(stem or printable)[: NAME_LENGTH - 8]}…" + (f".{ending[:6]}" if dot else "")
    return printable or "picture"


def decode_batch(
    name: str, data: bytes, pixels: PixelFormat = RGB, budget: UploadBudget | None = None
) -> Iterator[Upload]:
    """Yield the images in an uploaded file: those of a ZIP, frames of a video, or the one picture that it is.

    The first that finds no room is a sentence, and nothing behind it is decoded.

    Args:
        name: what it was called; used for showing alone.
        data: the file.
        pixels: which bands of a picture, and what is white, as of `decode_image`.
        budget: what the visit has left; None for all of it.

    Raises:
        LabError: it is too large, broken, or of no kind that is taken.
    """
    budget = budget or UploadBudget()
    for upload in _decode(name, data, pixels):
        if upload.image is not None:
            budget = budget.after([upload.image])
            if budget.images < 0 or budget.pixel_bytes < 0:
                yield Upload(
                    upload.name,
                    problem=f"This and what follows in the file isn't shown: a page takes {MAX_IMAGES} pictures, and"
                    f" {format_bytes(MAX_PIXEL_BYTES)} of pixels. Drop fewer or smaller ones.",
                )
                return
        yield upload


def _decode(name: str, data: bytes, pixels: PixelFormat) -> Iterator[Upload]:
    if len(data) > MAX_BATCH_BYTES:
        raise LabError(
            f"The file has {format_bytes(len(data))}; the limit is {format_bytes(MAX_BATCH_BYTES)}. Drop fewer or"
            " smaller pictures."
        )
    if data[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        yield from zip_images(data, pixels)
    elif unread := name_unread(data):
        raise LabError(f"This file can't be read as a picture: {unread}.")
    elif is_video(data):
        yield from video_frames(shown_name(name), data)
    else:
        yield Upload(shown_name(name), decode_upload(data, pixels), size=full_size(data))


def zip_images(data: bytes, pixels: PixelFormat = RGB) -> Iterator[Upload]:
    """Yield the images of a ZIP in the order of their names, at most `MAX_IMAGES`; what can't be read is a sentence.

    Raises:
        LabError: it is no ZIP, holds far too much, or no picture.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if len(entries) > MAX_ENTRIES:
                raise LabError(
                    f"The ZIP holds {len(entries)} files; the limit is {MAX_ENTRIES}. Pack only the pictures you want"
                    " to see."
                )
            images = sorted((entry for entry in entries if _is_image(entry)), key=lambda entry: entry.filename)
            if not images:
                raise LabError(
                    "The ZIP holds no PNG, JPEG, WebP, TIFF or BMP. Pack pictures into it, not another archive."
                )
            left = MAX_UNPACKED
            for entry in images[:MAX_IMAGES]:
                result, used = _unpacked(archive, entry, min(left, MAX_BYTES), pixels)
                left -= used
                yield result
                if left <= 0:
                    raise LabError(
                        f"The ZIP unfolds to more than {format_bytes(MAX_UNPACKED)}. Pack fewer or smaller pictures."
                    )
            if len(images) > MAX_IMAGES:
                yield Upload(
                    f"{len(images) - MAX_IMAGES} more",
                    problem=f"Only the first {MAX_IMAGES} pictures of a ZIP are shown. Pack the others into another.",
                )
    except LabError:
        raise
    except Exception:  # whatever a broken archive makes the reader raise
        raise LabError("This ZIP can't be read. Pack the pictures again and drop it once more.") from None


def _is_image(entry: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(entry.filename.replace("\\", "/"))
    hidden = path.name.startswith(".") or "__MACOSX" in path.parts
    return not entry.is_dir() and not hidden and path.suffix.lower().lstrip(".") in IMAGE_EXTENSIONS


def _unpacked(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, max_bytes: int, pixels: PixelFormat
) -> tuple[Upload, int]:
    """Return a picture of a ZIP and how many bytes were unpacked for it."""
    name = shown_name(entry.filename)
    if entry.flag_bits & 1:
        return Upload(name, problem="It is locked with a password. Pack it without one."), 0
    content = b""
    try:
        with archive.open(entry) as file:
            content = file.read(max_bytes + 1)  # however small it claims to be
        if len(content) > max_bytes:
            return Upload(name, problem=f"It unfolds to more than {format_bytes(max_bytes)}. Save it smaller."), len(
                content
            )
        return Upload(name, decode_upload(content, pixels), size=full_size(content)), len(content)
    except LabError as error:
        return Upload(name, problem=str(error)), len(content)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError, ValueError, RuntimeError):
        return Upload(name, problem="It is broken inside the ZIP. Pack it again."), len(content)


def is_video(data: bytes) -> bool:
    """Return whether a file is a video, by its first 12 bytes or more."""
    # A playlist, which ffmpeg would follow to other files, begins otherwise.
    is_mp4 = data[4:8] == b"ftyp" and not data.startswith(HEIF, 4)
    return is_mp4 or data[:4] == b"\x1a\x45\xdf\xa3" or (data[:4] == b"RIFF" and data[8:12] == b"AVI ")


@contextmanager
def open_video(path: str | Path) -> Iterator[cv2.VideoCapture]:
    """Open a video that may not name other files.

    Raises:
        LabError: it can't be read, or what is done with it fails in OpenCV.
    """
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "protocol_whitelist;file"
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not video.isOpened():
            raise LabError(NO_VIDEO)
        yield video
    except cv2.error:
        raise LabError(NO_VIDEO) from None
    finally:
        video.release()


def video_frames(name: str, data: bytes, count: int = VIDEO_FRAMES) -> Iterator[Upload]:
    """Yield `count` frames of a video at even distances, the longest side at most `WORKING_SIDE`.

    Raises:
        LabError: it can't be read, is too long, or its frames are too large.
    """
    with tempfile.NamedTemporaryFile(prefix="lab-", suffix=".video") as file:
        file.write(data)
        file.flush()
        with open_video(file.name) as video:
            yield from _spread_frames(video, name, count)


def _spread_frames(video: cv2.VideoCapture, name: str, count: int) -> Iterator[Upload]:
    width, height = (int(video.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if min(width, height) < MIN_SIDE:
        raise LabError(NO_VIDEO)
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise LabError(
            f"The video is {width} x {height} pixels, which is too large. Save it smaller and drop it again."
        )
    length = video.get(cv2.CAP_PROP_FRAME_COUNT)
    if length > MAX_VIDEO_FRAMES:
        raise LabError(
            f"The video has {length:.0f} frames; the limit is {MAX_VIDEO_FRAMES}, three minutes. Cut it shorter."
        )
    # Some containers don't tell their length: then every second or so.
    indices = (
        {int((index + 0.5) * length / count) for index in range(count)}
        if length >= 1
        else {index * 30 for index in range(count)}
    )
    taken = 0
    for index in range(max(indices) + 1):
        if not video.grab():
            break
        if index in indices:
            is_there, frame = video.retrieve()
            if not is_there:
                break
            size = frame.shape[:2]
            scale = min(1.0, WORKING_SIDE / max(frame.shape[:2]))
            if scale < 1:
                frame = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            taken += 1
            yield Upload(f"{name}, frame {index + 1}", cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), size=size)
    if not taken:
        raise LabError(NO_VIDEO)
