"""A patch: the pixels that one stroke, fill or undo changed, as a browser sends them.

    {"id": "5f0c...", "box": [left, top, width, height], "runs": [count, value, count, value, ...]}

The runs go through the box row by row. A value is a class, 255 for unlabelled, or 256 for a pixel that stays.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import LabError
from core.labels import IGNORED

UNCHANGED = 256
MAX_RUNS = 1_000_000
"""More numbers than a stroke has, however ragged."""
_ID = re.compile(r"[0-9a-f]{8,32}")


class PatchError(LabError):
    """A message that is no patch of its mask, and never will be."""


@dataclass(frozen=True)
class Patch:
    """Values uint16 (h, w) at rows from `top` and columns from `left`; `id` tells it from every other patch."""

    id: str
    left: int
    top: int
    values: np.ndarray

    def before(self, labels: np.ndarray) -> np.ndarray:
        """Return what stands now, uint16 (h, w), where it would change labels uint8 (H, W); `UNCHANGED` elsewhere."""
        old = labels[self._window].astype(np.uint16)
        return np.where((self.values == UNCHANGED) | (self.values == old), UNCHANGED, old)

    def applied(self, labels: np.ndarray) -> np.ndarray:
        """Return labels uint8 (H, W) with it."""
        result = labels.copy()
        old = result[self._window]
        result[self._window] = np.where(self.values == UNCHANGED, old, self.values).astype(np.uint8)
        return result

    @property
    def _window(self) -> tuple[slice, slice]:
        height, width = self.values.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def parse_patch(message: Any, size: tuple[int, int], num_classes: int) -> Patch:
    """Return the patch of a message, checked.

    Args:
        message: as it came, of any kind.
        size: height and width of the mask.
        num_classes: K; values are 0..K-1, 255 or 256.

    Raises:
        PatchError: it is no patch, or lies outside of the mask.
    """
    try:
        patch_id, box, runs = message["id"], message["box"], message["runs"]
        if not (isinstance(patch_id, str) and _ID.fullmatch(patch_id)):
            raise ValueError("its id is none")
        if not isinstance(runs, list) or len(runs) % 2 or not 2 <= len(runs) <= MAX_RUNS:
            raise ValueError("its runs are none")
        if not isinstance(box, list) or len(box) != 4 or not all(type(each) is int for each in [*box, *runs]):
            raise ValueError("it holds what is no whole number")
    except (ValueError, TypeError, KeyError) as error:
        raise PatchError(f"This is no stroke ({error}). Reload the page.") from None
    left, top, width, height = box
    if min(left, top) < 0 or min(width, height) < 1 or left + width > size[1] or top + height > size[0]:
        raise PatchError(
            f"The stroke lies outside of the mask, which has {size[1]} x {size[0]} pixels. Reload the page."
        )
    if max(abs(each) for each in runs) > size[0] * size[1]:
        raise PatchError("The stroke has a number that is too large. Reload the page.")
    counts, values = np.array(runs[0::2]), np.array(runs[1::2])
    if (counts < 1).any() or counts.sum() != width * height:
        raise PatchError(f"The stroke has other pixels than its box of {width} x {height}. Reload the page.")
    known = (values >= 0) & ((values < num_classes) | (values == IGNORED) | (values == UNCHANGED))
    if not known.all():
        raise PatchError(
            f"The stroke has the class number {values[~known][0]}, and the label set has {num_classes} classes. It may"
            " have been changed meanwhile: reload the page."
        )
    return Patch(patch_id, left, top, np.repeat(values, counts).reshape(height, width).astype(np.uint16))


def runs_of(values: np.ndarray) -> list[int]:
    """Return values (h, w), row by row, as runs."""
    flat = values.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=-1 if flat.size else 0))
    counts = np.diff(starts, append=flat.size)
    return np.column_stack([counts, flat[starts]]).ravel().tolist()


def patch_of(patch_id: str, left: int, top: int, values: Sequence[Sequence[int]] | np.ndarray) -> Patch:
    """Return a patch of values (h, w)."""
    return Patch(patch_id, left, top, np.asarray(values, np.uint16))
