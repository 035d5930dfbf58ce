"""Masks of one class or one object each, several of a photograph, read as the shapes of one label map.

    masks/a/1.png       an object of a.jpg, as in the Data Science Bowl 2018; masks/a/road.png is of the class road
    masks/road/a.png    the class road in a.jpg
    masks/a_road.png    the same; a_1.png is an object, and a_road_1.png one of the class road
    task-1-annotation-2-by-1-tag-Road-0.png     Label Studio's export, of a photograph called 1.jpg or task-1.jpg

Where they overlap, the smaller lies on top: what is in front hides a part of what is behind it.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Protocol

import numpy as np

from core.data.annotations.shapes import Annotation, Shape, crop, paste
from core.data.decoding import read_values
from core.errors import LabError

TITLE = "binary masks"
MASK_ENDINGS = (
    "mask", "masks", "label", "labels", "labelids", "labeltrainids", "l", "gt", "seg", "segmentation", "annotation",
    "annot", "target", "p",
)  # fmt: skip
"""What may stand at the end of a mask's name without being a class."""
LABEL_STUDIO = re.compile(r"(?P<task>task-(?P<number>\d+))-annotation-\d+-by-[^-]*-[^-]+-(?P<label>.+)-\d+")
_NUMBER = re.compile(r"((^|[-_. ]+)\d+)+$")
_NAMELESS = re.compile(r"[0-9a-f-]{16,}|object|instance", re.IGNORECASE)
ALIKE = 0.5
"""Of two classes' masks that share more of the pixels of both, one is another version of the other."""


class FolderFile(Protocol):
    """A file of the folder, with the split and the other folders that its path states."""

    path: Path
    split: str
    folders: tuple[str, ...]
    stem: str


@dataclass(frozen=True)
class BinaryMask:
    """A mask of one class; `label` is "" where its name doesn't say which."""

    file: FolderFile
    label: str


Reading = Callable[[FolderFile, Mapping[str, list[FolderFile]]], Iterator[tuple[FolderFile, str]]]
"""Yields the photographs that a mask may be of, each with the class; takes photographs by their stem."""


def group_masks(
    images: Sequence[FolderFile], masks: Sequence[FolderFile]
) -> tuple[dict[Path, list[BinaryMask]], list[tuple[Path, Path, Path]]]:
    """Gather the masks of each photograph by the reading of their names that explains the most of them.

    Returns:
        The masks by photograph; and what could be read in two ways: a mask, and two photographs that it may be of.
    """
    by_stem: dict[str, list[FolderFile]] = defaultdict(list)
    for image in images:
        by_stem[image.stem].append(image)
    results = [_read_as(reading, by_stem, masks) for reading in (_in_own_folder, _in_folder_of_class, _by_ending)]
    max_count = max(len(matches) + len(unclear) for matches, unclear in results)
    first, *others = [result for result in results if len(result[0]) + len(result[1]) == max_count]
    ambiguous = list(first[1])
    for matches, _ in others:
        differing = next((path for path in first[0] if path in matches and matches[path] != first[0][path]), None)
        if differing:
            ambiguous.append((differing, first[0][differing][0].path, matches[differing][0].path))
    groups: dict[Path, list[BinaryMask]] = defaultdict(list)
    for mask in masks:
        if mask.path in first[0]:
            image, label = first[0][mask.path]
            groups[image.path].append(BinaryMask(mask, label))
    return groups, ambiguous


def _read_as(
    reading: Reading, by_stem: Mapping[str, list[FolderFile]], masks: Sequence[FolderFile]
) -> tuple[dict[Path, tuple[FolderFile, str]], list[tuple[Path, Path, Path]]]:
    """Return photograph and class by mask, and the masks that could be of two: those of two photographs' names are of
    the one that leaves a class which others have.
    """
    readings = {}
    for mask in masks:
        possible = [(image, label) for image, label in reading(mask, by_stem) if _splits_agree(image, mask)]
        readings[mask.path] = list(dict.fromkeys(possible))
    known = {possible[0][1] for possible in readings.values() if len(possible) == 1}
    matches, unclear = {}, []
    for path, possible in readings.items():
        likely = [each for each in possible if each[1] in known] or possible
        if len(likely) == 1:
            matches[path] = likely[0]
        elif likely:
            unclear.append((path, likely[0][0].path, likely[1][0].path))
    return matches, unclear


def _splits_agree(image: FolderFile, mask: FolderFile) -> bool:
    return not image.split or not mask.split or image.split == mask.split


def _in_own_folder(mask: FolderFile, by_stem: Mapping[str, list[FolderFile]]) -> Iterator[tuple[FolderFile, str]]:
    for image in by_stem.get(mask.folders[-1], ()) if mask.folders else ():
        if image.folders in (mask.folders, mask.folders[:-1]):
            rest = mask.stem.removeprefix(image.stem).lstrip("-_. ")
            yield image, _class_of(rest) or ""


def _in_folder_of_class(mask: FolderFile, by_stem: Mapping[str, list[FolderFile]]) -> Iterator[tuple[FolderFile, str]]:
    for image in by_stem.get(mask.stem, ()):
        for index, folder in enumerate(mask.folders):
            if (*mask.folders[:index], *mask.folders[index + 1 :]) == image.folders:
                yield image, folder


def _by_ending(mask: FolderFile, by_stem: Mapping[str, list[FolderFile]]) -> Iterator[tuple[FolderFile, str]]:
    exported = LABEL_STUDIO.fullmatch(mask.stem)
    if exported:
        for stem in (exported["task"], exported["number"]):
            yield from ((image, exported["label"]) for image in by_stem.get(stem, ()))
        return
    for separator in re.finditer(r"[-_. ]+", mask.stem):
        rest = mask.stem[separator.end() :]
        label = _class_of(rest)
        if label is not None and rest:
            for image in by_stem.get(mask.stem[: separator.start()], ()):
                if image.folders == mask.folders:
                    yield image, label


def _class_of(text: str) -> str | None:
    """Return the class that a part of a name stands for.

    "" for a number or what tells objects apart, None for a word for masks.
    """
    label = _NUMBER.sub("", text)
    if label.lower() in MASK_ENDINGS:
        return "" if label != text else None
    return "" if _NAMELESS.fullmatch(label) else label


def read_masks(image: Path, masks: Sequence[BinaryMask], nameless: str) -> Annotation:
    """Read the masks of a photograph.

    Args:
        image: the photograph's file.
        masks: at least one.
        nameless: the class of those that don't say theirs.

    Raises:
        LabError: a mask isn't black and one other value, has another size than the first, or is much the same as one
            of another class.
    """
    shapes: list[Shape] = []
    size: tuple[int, int] | None = None
    for index, mask in enumerate(masks):
        covered = _covered(mask.file.path)
        size = size or covered.shape[:2]
        if covered.shape != size:
            raise LabError(
                f"'{mask.file.path}' has {covered.shape[1]} x {covered.shape[0]} pixels, and '{masks[0].file.path}' of"
                f" the same photograph has {size[1]} x {size[0]}. Export both at the photograph's size."
            )
        order = -int(np.count_nonzero(covered))  # the smaller lies on top
        shapes.append(replace(crop(covered), label=mask.label or nameless, index=index, order=order))
    for (one, first), (other, second) in combinations(zip(masks, shapes, strict=True), 2):
        if first.label != second.label and first.order > 2 * second.order and second.order > 2 * first.order:
            both = np.count_nonzero(paste(first, size) & paste(second, size))
            if both > ALIKE * (-first.order - second.order - both):
                raise LabError(
                    f"'{one.file.path}' and '{other.file.path}' cover much the same pixels, and would be the classes"
                    f" '{first.label}' and '{second.label}': which one is meant can't be told. Keep one of the two."
                )
    return Annotation((os.path.relpath(image, masks[0].file.path.parent),), size, tuple(shapes))


def _covered(path: Path) -> np.ndarray:
    """Return where a mask isn't black, bool (H, W).

    Raises LabError where it holds more than black and another value.
    """
    values, palette = read_values(path)
    colors = values if palette is None else palette[values]
    covered = np.asarray(colors.any(axis=2) if colors.ndim == 3 else colors != 0)
    shown = colors[covered]
    if len(shown) and (shown != shown[0]).any():
        raise LabError(
            f"'{path}' is one of several masks of a photograph, so that it should hold black (0) and one other value,"
            f" but it holds {len(np.unique(shown, axis=0))} others. Save each class or object in black and white as a"
            " PNG, or one label map of all classes for each photograph."
        )
    return covered
