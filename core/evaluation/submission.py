"""The archive for the Cityscapes benchmark server: made from predictions, and checked before anybody uploads it.

The server takes a ZIP of 8-bit gray PNGs of label ids at 2048 x 1024, one for each of the 1525 test frames; a name
begins with its frame's, CITY_123456_123456. Source for names and ids: the head of the official
evaluator, evalPixelLevelSemanticLabeling.py.
"""

import re
import struct
import zipfile
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from core.evaluation.metrics.protocol import FULL_SIZE, label_ids_of
from core.labels import CITYSCAPES_LABELS, LabelSpace

TEST_FRAMES = 1525
SUFFIX = "_pred_labelIds.png"
MAX_BYTES = 16 * 1024**2
"""Of one picture: eight times its pixels."""

_NAME = re.compile(r"([A-Za-z-]+_\d{6}_\d{6})[^/]*\.png")
_PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def write_submission(path: Path, predictions: Iterable[tuple[str, np.ndarray]], space: LabelSpace) -> int:
    """Write the archive; a half-written one is removed.

    Args:
        path: the ZIP to write.
        predictions: frame ids, CITY_SEQUENCE_FRAME, each with its labels uint8 (H, W), in the space's classes and at
            any size.
        space: what the labels mean.

    Returns:
        How many frames are in it.

    Raises:
        LabError: the classes can't be turned into label ids.
    """
    lookup = label_ids_of(space)
    count = 0
    try:
        # The PNGs are compressed already.
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for frame_id, labels in predictions:
                if labels.shape != FULL_SIZE:
                    labels = cv2.resize(labels, FULL_SIZE[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
                _, encoded = cv2.imencode(".png", lookup[labels])
                archive.writestr(frame_id + SUFFIX, encoded.tobytes())
                count += 1
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return count


def check_submission(path: Path, frame_ids: Collection[str] = ()) -> list[str]:
    """Return what the server would refuse, one sentence each; empty where the archive is in order.

    Args:
        path: the ZIP.
        frame_ids: of the test frames; without them only their number, 1525, is checked.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _problems(archive, set(frame_ids))
    except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        return [f"'{path.name}' can't be read as a ZIP archive ({str(error)[:80]}). Write it again."]


def _problems(archive: zipfile.ZipFile, frame_ids: set[str]) -> list[str]:
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    expected = len(frame_ids) or TEST_FRAMES
    problems = []
    if len(entries) != expected:
        problems.append(f"The archive holds {len(entries)} files, but there are {expected} test frames.")
    seen: set[str] = set()
    for entry in entries[: 2 * expected]:
        name = PurePosixPath(entry.filename).name
        match = _NAME.fullmatch(name)
        if match is None or (frame_ids and match[1] not in frame_ids):
            problems.append(f"'{name[:80]}' is not named after a test frame.")
            continue
        if match[1] in seen:
            problems.append(f"There are two pictures of the frame {match[1]}.")
        seen.add(match[1])
        problem = _image_problem(archive, entry)
        if problem:
            problems.append(f"'{name[:80]}' {problem}")
    if frame_ids - seen:
        problems.append(f"{len(frame_ids - seen)} test frames have no picture, {min(frame_ids - seen)} for example.")
    return problems


def _image_problem(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str:
    """Return what is wrong with a picture, as the end of a sentence; nothing is decoded before its size is known."""
    if entry.file_size > MAX_BYTES:
        return "is far too large for a label map."
    with archive.open(entry) as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) < 33 or not content.startswith(_PNG_START):
        return "is not a PNG."
    width, height, depth, kind = struct.unpack(">IIBB", content[16:26])
    if (height, width) != FULL_SIZE:
        return f"has {width} x {height} pixels instead of {FULL_SIZE[1]} x {FULL_SIZE[0]}."
    if (depth, kind) != (8, 0):
        return "is not an 8-bit gray picture."
    values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.shape != FULL_SIZE:
        return "can't be decoded."
    largest = int(values.max())
    return "" if largest < len(CITYSCAPES_LABELS) else f"holds {largest}, which is no label id."
