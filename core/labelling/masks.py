"""The mask of a frame that is painted here: read and changed stroke by stroke, each on the disk before it is
acknowledged.

A revision is the number of changes and a digest of the pixels. A stroke names the revision that it was painted on:
where the mask is another one by then, whoever painted is told, and nothing is lost.
"""

import hashlib
import json
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from core.auth import current_user, read_owner, require_owner
from core.errors import LabError, writing
from core.files import parse_json, replacing, unless_changed
from core.labelling.label_set import LabelSet, decide_split
from core.labelling.patches import UNCHANGED, Patch, parse_patch, patch_of, runs_of
from core.labels import IGNORED

_LOCK = threading.Lock()
_CHANGES, _LAST = "changes", "last"
"""What a mask's PNG says beside its pixels: how often it was changed, and the id of the last patch."""


class ChangedElsewhereError(LabError):
    """The mask isn't the one any more that a stroke was painted on."""


@dataclass(frozen=True)
class Mask:
    """Labels uint8 (H, W), 255 where there is none; `last` is the id of the patch that changed it last."""

    labels: np.ndarray
    changes: int
    last: str = ""

    @property
    def revision(self) -> str:
        """What tells it from every other mask of its frame."""
        return f"{self.changes}-{hashlib.sha256(np.ascontiguousarray(self.labels).data).hexdigest()[:12]}"


@dataclass(frozen=True)
class Change:
    """A line of a mask's history: which change it was, by whom, when (seconds since 1970), and of how many pixels."""

    number: int
    who: str
    when: float
    pixels: int


def read_mask(label_set: LabelSet, frame: str) -> Mask:
    """Return the mask of a frame; all of it unlabelled where there is none yet.

    Raises LabError where there is no such frame, or the mask doesn't fit it.
    """
    size = _size_of(label_set.image(frame))
    path = label_set.mask(frame)
    try:
        with Image.open(path) as file:
            text = getattr(file, "text", {})
            labels = np.array(file.convert("L")) if file.mode != "P" else np.array(file)
    except FileNotFoundError:
        return Mask(np.full(size, IGNORED, np.uint8), 0)
    except (OSError, SyntaxError, ValueError) as error:
        raise LabError(f"The mask '{path}' can't be read: {str(error)[:100]}. Bring it back, or delete it.") from None
    if labels.shape != size:
        raise LabError(
            f"The mask '{path}' has {labels.shape[1]} x {labels.shape[0]} pixels, its photograph {size[1]} x {size[0]}."
            " Bring it back, or delete it."
        )
    changes = text.get(_CHANGES, "0")
    return Mask(labels, int(changes) if changes.isdecimal() and len(changes) < 10 else 0, text.get(_LAST, "")[:32])


def class_pixels(label_set: LabelSet) -> np.ndarray:
    """Return how many pixels of a label set have which class, int64 (K,); a mask is counted anew once it changed."""
    total = np.zeros(256, np.int64)
    for frame in label_set.labelled:
        counts = _count(label_set.mask(frame))
        total += counts if counts is not None else 0
    return total[: len(label_set.space.class_names)]


@unless_changed
def _count(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as file:
            return np.bincount(np.asarray(file.convert("L")).ravel(), minlength=256)
    except (OSError, SyntaxError, ValueError):
        return np.zeros(256, np.int64)


def change_mask(label_set: LabelSet, frame: str, message: object, revision: str) -> Mask:
    """Apply a patch that a browser sent, and return the mask once it is on the disk.

    The same patch a second time changes nothing: its answer was lost on the way.

    Raises:
        ChangedElsewhereError: the mask isn't of that revision.
        LabError: it is no patch of this mask, the label set is another's, or the disk can't be written to.
    """
    require_owner(read_owner(label_set.root, of_data=True), "This label set")
    with _LOCK:
        mask = read_mask(label_set, frame)
        patch = parse_patch(message, mask.labels.shape, len(label_set.space.class_names))
        if patch.id == mask.last:
            return mask
        if revision != mask.revision:
            last = next(iter(read_history(label_set, frame)), None)
            who = f" by {last.who}" if last and last.who != current_user().id and last.who else ""
            raise ChangedElsewhereError(f"This mask was changed elsewhere{who} meanwhile. It is shown as it is now.")
        return _write(label_set, frame, mask, patch)


def restore_mask(label_set: LabelSet, frame: str, number: int) -> Mask:
    """Bring back a mask as it was after a change of its history, 0 for the beginning; that is a change as well.

    Raises LabError where the history doesn't reach so far, the label set is another's, or the disk can't be written
    to.
    """
    require_owner(read_owner(label_set.root, of_data=True), "This label set")
    with _LOCK:
        mask = read_mask(label_set, frame)
        labels, expected = mask.labels, mask.changes
        for row in _rows(label_set, frame):
            if row["number"] <= number:
                break
            if row["number"] != expected:
                raise LabError("The history of this mask has a gap there. Choose a later change.")
            left, top, width, height = row["box"]
            values = np.repeat(row["before"][1::2], row["before"][0::2]).reshape(height, width)
            labels, expected = patch_of("", left, top, values).applied(labels), expected - 1
        if expected != number:
            raise LabError("The history of this mask doesn't reach so far. Choose a later change.")
        patch = patch_of(
            os.urandom(8).hex(), 0, 0, np.where(labels == mask.labels, UNCHANGED, labels.astype(np.uint16))
        )
        return _write(label_set, frame, mask, patch)


def read_history(label_set: LabelSet, frame: str) -> list[Change]:
    """Return what was changed in a mask, the newest first."""
    return [
        Change(row["number"], str(row["who"]), float(row["when"]), sum(_changed(row["before"])))
        for row in _rows(label_set, frame)
    ]


def _size_of(path: Path) -> tuple[int, int]:
    """Return height and width of a photograph of a label set, read from its first bytes."""
    try:
        with Image.open(path) as file:
            return file.height, file.width
    except (OSError, SyntaxError, ValueError) as error:
        raise LabError(f"The photograph '{path}' can't be read: {str(error)[:100]}. Bring it back.") from None


def _write(label_set: LabelSet, frame: str, mask: Mask, patch: Patch) -> Mask:
    """Write a mask with a patch, durably, and then its line of the history."""
    result = Mask(patch.applied(mask.labels), mask.changes + 1, patch.id)
    path = label_set.mask(frame)
    about = PngImagePlugin.PngInfo()
    about.add_text(_CHANGES, str(result.changes))
    about.add_text(_LAST, patch.id)
    with writing(path.parent):
        if not path.is_file():
            decide_split(label_set, frame)
    with writing(path.parent), replacing(path) as draft, open(draft, "xb") as file:
        Image.fromarray(result.labels).save(file, "PNG", compress_level=1, pnginfo=about)
        file.flush()
        os.fsync(file.fileno())
    height, width = patch.values.shape
    row = {
        "number": result.changes,
        "who": current_user().id,
        "when": time.time(),
        "box": [patch.left, patch.top, width, height],
        "before": runs_of(patch.before(mask.labels)),
    }
    history = _history_file(label_set, frame)
    with writing(history.parent):
        history.parent.mkdir(exist_ok=True)
        with open(history, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    return result


def _rows(label_set: LabelSet, frame: str) -> list[dict]:
    """Return the lines of a mask's history, the newest first; a half-written one is left out."""
    rows = []
    try:
        lines = _history_file(label_set, frame).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            row = parse_json(line)
            if isinstance(row["number"], int) and sum(row["before"][0::2]) == row["box"][2] * row["box"][3]:
                rows.append(row)
        except (ValueError, KeyError, TypeError, IndexError):
            continue
    return rows[::-1]


def _changed(runs: list[int]) -> list[int]:
    return [count for count, value in zip(runs[0::2], runs[1::2], strict=True) if value != UNCHANGED]


def _history_file(label_set: LabelSet, frame: str) -> Path:
    label_set.image(frame)
    return label_set.root / "history" / f"{frame}.jsonl"
