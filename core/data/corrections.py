"""Labels that were mended, in place of a data set's own where they are learned from.

A label set that mends a data set (`core.labelling.label_set`) holds its frames under plain names, and masks with the
numbers of its classes. Here such a mask becomes, once, a label file as the data set has them: in its ids or colours, in
`cache_folder()/corrections/`. Whatever reads labels reads these like any other. Frames to score on keep their own, so
that scores can be compared.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from core.data.class_table import FILE_NAME, read_class_table
from core.data.decoding import read_labels
from core.data.frames import Frame
from core.errors import LabError, writing
from core.files import replacing
from core.labels import IGNORED, LabelSpace
from core.paths import cache_folder

VAL_LIST = "val.txt"
"""In a label set: the frames to score on."""
MAX_STEM = 100


def plain_name(name: str) -> str:
    """Return a name for files, of plain letters, that no other frame's name becomes."""
    stem = plain_letters(name)
    if stem == name:
        return stem
    return f"{stem[-90:]}-{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def plain_letters(name: str) -> str:
    """Return a name without ending, of plain letters; two names may become the same."""
    without_ending = re.sub(r"\.[A-Za-z0-9]{1,5}$", "", name)
    return re.sub(r"[^A-Za-z0-9_-]+", "-", without_ending).strip("-")[-MAX_STEM:] or "photo"


def corrected(frames: Sequence[Frame], label_set: Path, space: LabelSpace) -> tuple[Frame, ...]:
    """Return frames, of which those that a label set has a mask of have that in place of their labels.

    Args:
        frames: of a data set.
        label_set: the folder of a label set that mends it.
        space: the classes of the data set; those of the label set are joined by name.

    Raises:
        LabError: the label set can't be read, has no mask of any of the frames, or knows none of the classes.
    """
    listed = label_set / VAL_LIST
    held_back = listed.read_text(encoding="utf-8").split() if listed.is_file() else []
    masks = {path.stem: path for path in (label_set / "masks").glob("*.png") if path.stem not in held_back}
    mended = {frame.id: masks[name] for frame in frames if (name := plain_name(frame.id)) in masks}
    if not mended:
        raise LabError(
            f"'{label_set}' has no mask of a frame that is learned from here. Mend some on the page Label, or learn"
            " from the data set's own labels."
        )
    own = read_class_table(label_set / FILE_NAME)
    numbers = {name.casefold(): number for number, name in enumerate(space.class_names)}
    lookup = np.full(256, IGNORED, np.uint8)
    lookup[: len(own.class_names)] = [numbers.get(name.casefold(), IGNORED) for name in own.class_names]
    if (lookup == IGNORED).all():
        raise LabError(f"'{label_set}' tells none of the classes apart that this data set has by name.")
    return tuple(
        replace(frame, labels=_label_file(mended[frame.id], own, lookup, space)) if frame.id in mended else frame
        for frame in frames
    )


def _label_file(mask: Path, own: LabelSpace, lookup: np.ndarray, space: LabelSpace) -> Path:
    """Return the label file of a mask in the ids or colours of a label space, written where it isn't there yet."""
    metadata = mask.stat()
    parts = (mask, metadata.st_size, metadata.st_mtime_ns, own.digest, space.digest, lookup.tobytes())
    name = hashlib.sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    path = cache_folder() / "corrections" / f"{name}.png"
    if not path.is_file():
        classes = lookup[own.to_target(read_labels(mask))]
        with writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                values = space.to_file(classes)
            except ValueError:
                raise LabError(
                    f"'{mask}' has unlabelled pixels, and the class table of the data set names every number from 0 to"
                    " 255. Label them, or leave a number without a class there."
                ) from None
            with replacing(path) as draft:
                Image.fromarray(values).save(draft, compress_level=1, format="PNG")
    return path
