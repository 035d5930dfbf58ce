"""What a diagnosis is made from: the files that were looked at, the class table they are to fit, and counts of both."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from core.data.doctor.findings import Finding, Layout, Severity, about_files
from core.data.doctor.survey import FrameInfo, ImageInfo, MaskInfo, as_colors, classes_in
from core.labels import LABEL_SPACES, Color, LabelSpace

MIXED_UP = 8
"""So many thin values that a mask is suspected of having been blurred; the 515 real frames at hand have 4 at most."""
RAMPS = 0.15
"""Share of changes that are ramps in a blurred mask of colours."""
RAMPS_OF_IDS = 0.1
"""The same of numbers. Of 88 real frames, merged to 2, 4, 7, 19 or all classes, it is 0.034 at most as drawn and 0.068
at a quarter of the size by nearest neighbour; resized bilinearly or saved as JPEG, the median is 0.197 at least and one
frame in a hundred is below 0.1.
"""
RAMPS_OF_STROKES = 0.05
"""Share of ramps below which nothing was blurred: strokes of a pen are thin as well, but lie between equals."""


@dataclass(frozen=True)
class Case:
    """What a diagnosis is made from. `space` is None for a folder without a class table that can be read."""

    root: Path
    layout: Layout
    space: LabelSpace | None
    frame_infos: tuple[FrameInfo, ...]
    is_list_of_names: bool = False  # of the class table: nobody wrote down which id a class has

    @cached_property
    def masks(self) -> dict[str, list[MaskInfo]]:
        """Label files that could be read, by part."""
        result: dict[str, list[MaskInfo]] = defaultdict(list)
        for info in self.frame_infos:
            if not info.mask.problem:
                result[info.part].append(info.mask)
        return result

    @property
    def all_masks(self) -> list[MaskInfo]:
        """Label files that could be read, of all parts."""
        return [mask for masks in self.masks.values() for mask in masks]

    @property
    def images(self) -> list[ImageInfo]:
        """Photographs that could be read, each once."""
        return [info.image for info in self.frame_infos if info.image and not info.image.problem]

    @property
    def is_official(self) -> bool:
        """True where masks are to hold Cityscapes label ids."""
        return self.space is not None and self.space.name in LABEL_SPACES

    def finding(
        self, severity: Severity, code: str, files: Iterable[ImageInfo | MaskInfo], sentence: str, fix: str = ""
    ) -> Finding:
        """Return a finding about files, as `about_files` does."""
        return about_files(self.root, code, severity, [file.path for file in files], sentence, fix)

    def take_the_table(self, instead_of: str = "") -> str:
        """Return what to do with a proposal in this layout, perhaps instead of something else, which is said first."""
        where = " in that folder." if self.layout == "folder" else " anywhere, and name that file as the classes."
        save = f"{instead_of} Or save" if instead_of else "Save"
        return f"{save} the proposed table as classes.json{where}"


@dataclass(frozen=True)
class Counts:
    """By part: pixels per class, frames that show each class, and the files without a pixel of any class."""

    pixels: dict[str, list[int]]
    images: dict[str, list[int]]
    blank: dict[str, list[MaskInfo]]
    read: dict[str, int]


def count(case: Case) -> Counts:
    """Count classes in all masks that the lab can read with the case's table."""
    counts = Counts({}, {}, defaultdict(list), Counter())
    if case.space is None:
        return counts
    num_classes = len(case.space.class_names)
    for part, masks in case.masks.items():
        pixels = counts.pixels.setdefault(part, [0] * num_classes)
        images = counts.images.setdefault(part, [0] * num_classes)
        for mask in masks:
            result = classes_in(mask, case.space)
            if result is None:
                continue
            counts.read[part] += 1
            for index, value in enumerate(result[0]):
                pixels[index] += value
                images[index] += value > 0
            if not any(result[0]):
                counts.blank[part].append(mask)
    return counts


def is_blurred(mask: MaskInfo) -> bool:
    """Return True for a mask that holds values which were never drawn, along the outlines of those that were."""
    if mask.kind != "colors" and mask.ramps > RAMPS_OF_IDS:
        return True
    is_mixed = mask.ramps > RAMPS or (mask.ramps > RAMPS_OF_STROKES and 2 * mask.thin > mask.different)
    return mask.thin >= MIXED_UP and is_mixed


def palettes_differ(masks: Sequence[MaskInfo]) -> bool:
    """Return True where a number that is used in several masks has several colours."""
    colors: dict[int, int] = {}
    pairs = (
        (value, color) for mask in masks if mask.palette for value, color in zip(mask.values, mask.palette, strict=True)
    )
    return any(colors.setdefault(value, color) != color for value, color in pairs)


def pixels_by_id(masks: Sequence[MaskInfo]) -> Counter[int]:
    """Return how many pixels hold each number, in masks of numbers."""
    pixels: Counter[int] = Counter()
    for mask in masks:
        if mask.kind != "colors":
            pixels.update(dict(zip(mask.values, mask.counts, strict=True)))
    return pixels


def pixels_by_color(masks: Sequence[MaskInfo]) -> dict[Color, int]:
    """Return how many pixels show each colour."""
    pixels: Counter[int] = Counter()
    for mask in masks:
        pixels.update(dict(zip(as_colors(mask), mask.counts, strict=True)))
    return {unpack(value): count for value, count in pixels.items()}


def is_explained(mask: MaskInfo, space: LabelSpace) -> bool:
    """Return True where a table of colours names nearly all that a mask shows; outlines may be what nobody drew."""
    result = classes_in(mask, space)
    return result is not None and result[1] <= 0.1 * sum(mask.counts)


def unpack(value: int) -> Color:
    """Return the colour of a number 0xrrggbb."""
    return value >> 16, value >> 8 & 255, value & 255
