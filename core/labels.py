"""Class tables: what the numbers in a label map mean, and the colours they are shown in.

Cityscapes stores *label ids* (0..33) in its files; networks are trained and scored on 19 *train ids* (0..18),
and everything else is `IGNORED`. Names, ids, categories and colours are those of the official scripts:
https://github.com/mcordts/cityscapesScripts/blob/master/cityscapesscripts/helpers/labels.py
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

Color = tuple[int, int, int]
"""Red green blue, 0..255."""

IGNORED = 255
"""Value of a pixel in a target that is neither trained on nor scored."""


@dataclass(frozen=True)
class Label:
    """One of the 34 ids a Cityscapes label map can hold. `train_id` is `IGNORED` for the 15 that are not evaluated."""

    name: str
    id: int
    train_id: int
    category: str
    has_instances: bool
    color: tuple[int, int, int]


CITYSCAPES_LABELS: tuple[Label, ...] = (
    Label("unlabeled", 0, IGNORED, "void", False, (0, 0, 0)),
    Label("ego vehicle", 1, IGNORED, "void", False, (0, 0, 0)),
    Label("rectification border", 2, IGNORED, "void", False, (0, 0, 0)),
    Label("out of roi", 3, IGNORED, "void", False, (0, 0, 0)),
    Label("static", 4, IGNORED, "void", False, (0, 0, 0)),
    Label("dynamic", 5, IGNORED, "void", False, (111, 74, 0)),
    Label("ground", 6, IGNORED, "void", False, (81, 0, 81)),
    Label("road", 7, 0, "flat", False, (128, 64, 128)),
    Label("sidewalk", 8, 1, "flat", False, (244, 35, 232)),
    Label("parking", 9, IGNORED, "flat", False, (250, 170, 160)),
    Label("rail track", 10, IGNORED, "flat", False, (230, 150, 140)),
    Label("building", 11, 2, "construction", False, (70, 70, 70)),
    Label("wall", 12, 3, "construction", False, (102, 102, 156)),
    Label("fence", 13, 4, "construction", False, (190, 153, 153)),
    Label("guard rail", 14, IGNORED, "construction", False, (180, 165, 180)),
    Label("bridge", 15, IGNORED, "construction", False, (150, 100, 100)),
    Label("tunnel", 16, IGNORED, "construction", False, (150, 120, 90)),
    Label("pole", 17, 5, "object", False, (153, 153, 153)),
    Label("polegroup", 18, IGNORED, "object", False, (153, 153, 153)),
    Label("traffic light", 19, 6, "object", False, (250, 170, 30)),
    Label("traffic sign", 20, 7, "object", False, (220, 220, 0)),
    Label("vegetation", 21, 8, "nature", False, (107, 142, 35)),
    Label("terrain", 22, 9, "nature", False, (152, 251, 152)),
    Label("sky", 23, 10, "sky", False, (70, 130, 180)),
    Label("person", 24, 11, "human", True, (220, 20, 60)),
    Label("rider", 25, 12, "human", True, (255, 0, 0)),
    Label("car", 26, 13, "vehicle", True, (0, 0, 142)),
    Label("truck", 27, 14, "vehicle", True, (0, 0, 70)),
    Label("bus", 28, 15, "vehicle", True, (0, 60, 100)),
    Label("caravan", 29, IGNORED, "vehicle", True, (0, 0, 90)),
    Label("trailer", 30, IGNORED, "vehicle", True, (0, 0, 110)),
    Label("train", 31, 16, "vehicle", True, (0, 80, 100)),
    Label("motorcycle", 32, 17, "vehicle", True, (0, 0, 230)),
    Label("bicycle", 33, 18, "vehicle", True, (119, 11, 32)),
)


@dataclass(frozen=True)
class LabelSpace:
    """A numbering of K classes, 0..K-1, as a network predicts them.

    Args:
        name: what a run folder calls this numbering.
        class_names: K class names, in order of their number.
        colors: K colours to show them in.
        from_ids: for each id 0..255 that a label file can hold, the class 0..K-1 or `IGNORED`.
        from_colors: for label files painted in colours instead, each colour with its class; other colours are ignored.
    """

    name: str
    class_names: tuple[str, ...]
    colors: tuple[Color, ...]
    from_ids: tuple[int, ...]
    from_colors: tuple[tuple[Color, int], ...] = ()

    @property
    def by_color(self) -> bool:
        """True where label files are painted in colours, false where they hold ids."""
        return bool(self.from_colors)

    @property
    def digest(self) -> str:
        """A text that is the same for equal numberings only, whatever they are called."""
        return hashlib.sha256(repr((self.class_names, self.from_ids, self.from_colors)).encode()).hexdigest()[:16]

    @property
    def lookup(self) -> np.ndarray:
        """uint8 (256,): `space.lookup[label_ids]` turns a map of file ids into a target."""
        return np.array(self.from_ids, dtype=np.uint8)

    @property
    def palette(self) -> np.ndarray:
        """uint8 (256, 3): `space.palette[labels]` is the picture of a label map; ignored pixels are black."""
        return palette_of(self.colors)

    def to_target(self, values: np.ndarray) -> np.ndarray:
        """Return what stands in a label file, ids uint8 (H, W) or colours uint8 (H, W, 3), as a target uint8 (H, W)."""
        if values.ndim == 2:
            return self.lookup[values]
        return _color_table(self.from_colors)[pack_colors(values)]

    def to_file(self, target: np.ndarray) -> np.ndarray:
        """Return a target uint8 (H, W) as a label file holds it, ids uint8 (H, W) or colours uint8 (H, W, 3).

        Raises ValueError where something is ignored and every id is of a class.
        """
        if self.by_color:
            taken = dict(self.from_colors)
            colors = {class_id: color for color, class_id in reversed(self.from_colors)}
            free = next(color for color in ((n // 256, n % 256, 1) for n in range(2**16)) if color not in taken)
            return np.array([colors.get(number, free) for number in range(256)], np.uint8)[target]
        ids = {class_id: number for number, class_id in reversed(list(enumerate(self.from_ids)))}
        if IGNORED not in ids and (target == IGNORED).any():
            raise ValueError(f"{self.name} names every id")
        return np.array([ids.get(number, ids.get(IGNORED, 0)) for number in range(256)], np.uint8)[target]


def pack_colors(colors: np.ndarray) -> np.ndarray:
    """Return colours uint8 (..., 3) as one number each, int32 (...), red in the highest byte."""
    parts = colors.astype(np.int32)
    return (parts[..., 0] << 16) | (parts[..., 1] << 8) | parts[..., 2]


@cache
def _color_table(from_colors: tuple[tuple[Color, int], ...]) -> np.ndarray:
    """uint8 (2**24,), class or `IGNORED` of every packed colour: 16 MB, and ten times as fast as comparing."""
    table = np.full(1 << 24, IGNORED, np.uint8)
    for color, class_id in from_colors:
        table[pack_colors(np.array(color, np.uint8))] = class_id
    return table


def palette_of(colors: tuple[Color, ...]) -> np.ndarray:
    """uint8 (256, 3), the colours of K classes and black for every other number."""
    table = np.zeros((256, 3), dtype=np.uint8)
    table[: len(colors)] = colors
    return table


def _numbering(name: str, table: Iterable[tuple[str, Color, Iterable[int]]]) -> LabelSpace:
    """Return a label space of classes, each with its name, its colour and the file ids that it gathers."""
    rows = [(title, color, tuple(ids)) for title, color, ids in table]
    from_ids = [IGNORED] * 256
    for index, (_, _, ids) in enumerate(rows):
        for label_id in ids:
            from_ids[label_id] = index
    return LabelSpace(name, tuple(row[0] for row in rows), tuple(row[1] for row in rows), tuple(from_ids))


_EVALUATED = [label for label in CITYSCAPES_LABELS if label.train_id != IGNORED]
_UNSEEN = ("unlabeled", "ego vehicle", "rectification border", "out of roi")

CITYSCAPES_19 = _numbering(
    "cityscapes-19",
    ((label.name, label.color, [label.id]) for label in sorted(_EVALUATED, key=lambda label: label.train_id)),
)
"""The 19 classes of the Cityscapes benchmark, numbered by train id."""

CITYSCAPES_34 = _numbering("cityscapes-34", ((label.name, label.color, [label.id]) for label in CITYSCAPES_LABELS))
"""Every id of the files as a class of its own, void ones too, as the study that inspired the lab trained."""

CITYSCAPES_30 = _numbering(
    "cityscapes-30",
    ((label.name, label.color, [label.id]) for label in CITYSCAPES_LABELS if label.name not in _UNSEEN),
)
"""The 30 classes that the annotators drew; the four ids that stand for no thing are ignored."""

_CATEGORIES: dict[str, str] = {
    "flat": "road",
    "construction": "building",
    "object": "pole",
    "nature": "vegetation",
    "sky": "sky",
    "human": "person",
    "vehicle": "car",
}
"""The seven categories in their official order, each with the class whose colour it is shown in: the scripts give them
none.
"""

CITYSCAPES_7 = _numbering(
    "cityscapes-7",
    (
        (
            category,
            next(label.color for label in _EVALUATED if label.name == shown_as),
            [label.id for label in _EVALUATED if label.category == category],
        )
        for category, shown_as in _CATEGORIES.items()
    ),
)
"""The seven categories over the 19 evaluated classes, as the official evaluation scores categories."""

LABEL_SPACES: dict[str, LabelSpace] = {
    space.name: space for space in (CITYSCAPES_19, CITYSCAPES_30, CITYSCAPES_34, CITYSCAPES_7)
}
LABEL_BY_NAME: dict[str, Label] = {label.name: label for label in CITYSCAPES_LABELS}
