"""What is scored: which numbers a label map holds, which of them count, and how they form categories and instances.

`OFFICIAL` is the protocol of the Cityscapes benchmark over label ids, as the files hold them; `protocol_of` gives that
of a network's own numbering. The rules are those of cityscapesscripts/evaluation/evalPixelLevelSemanticLabeling.py.
"""

from dataclasses import dataclass

import numpy as np

from core.errors import LabError
from core.labels import CITYSCAPES_19, CITYSCAPES_LABELS, IGNORED, LabelSpace

FULL_SIZE = (1024, 2048)
"""Height and width of a frame of Cityscapes, at which the benchmark scores."""

AVERAGE_SIZES: dict[str, float] = {
    "bicycle": 4672.3249222261,
    "caravan": 36771.8241758242,
    "motorcycle": 6298.7200839748,
    "rider": 3930.4788056518,
    "bus": 35732.1511111111,
    "train": 67583.7075812274,
    "car": 12794.0202738185,
    "person": 3462.4756337644,
    "truck": 27855.1264367816,
    "trailer": 16926.9763313609,
}
"""Average pixels of an instance in the full-size training frames, as the official evaluator has them."""


@dataclass(frozen=True)
class Category:
    """Several classes that count as one.

    Attributes:
        name: what it is called.
        classes: numbers of its classes that are evaluated.
        instance_classes: numbers that are right anywhere on its instances, classes that are not evaluated included, as
            the official evaluator has it; empty where not all of its classes have instances.
    """

    name: str
    classes: tuple[int, ...]
    instance_classes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Protocol:
    """Rules for numbers 0..N-1 of a label map; a larger number is no class.

    Attributes:
        name: of the numbering.
        classes: N names.
        evaluated: numbers that count, in the order in which they are listed. A pixel whose truth is another number
            counts nowhere; a prediction of another number is a miss of its truth and a false alarm of none.
        categories: in the order in which they are listed; empty where there are none.
        instance_classes: for each label id that an instance can have, 0..65, its number here, or -1 for one that isn't
            scored.
        instance_sizes: average pixels of an instance of each class at full size, N numbers, 0 for a class without
            instances.
    """

    name: str
    classes: tuple[str, ...]
    evaluated: tuple[int, ...]
    categories: tuple[Category, ...] = ()
    instance_classes: tuple[int, ...] = (-1,) * 66
    instance_sizes: tuple[float, ...] = ()

    @property
    def has_instances(self) -> bool:
        """True where iIoU is defined."""
        return any(self.instance_sizes)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the evaluated classes."""
        return tuple(self.classes[index] for index in self.evaluated)


def protocol_of(space: LabelSpace) -> Protocol:
    """Return the rules for a network that predicts the classes of a label space: all are evaluated.

    Categories and instances are the benchmark's own, so that they exist for its 19 classes alone.
    """
    evaluated = tuple(range(len(space.class_names)))
    if space.digest != CITYSCAPES_19.digest:
        return Protocol(space.name, space.class_names, evaluated)
    return _cityscapes(space.name, space.class_names, evaluated, space.from_ids)


def label_ids_of(space: LabelSpace) -> np.ndarray:
    """uint8 (256,): `label_ids_of(space)[labels]` turns classes into Cityscapes' label ids.

    0, unlabeled, for what is no class.

    Raises:
        LabError: the numbering is not Cityscapes', or gathers several ids in one class, so that the id can't be told.
    """
    lookup = np.zeros(256, np.uint8)
    for index, name in enumerate(space.class_names):
        ids = [label.id for label in CITYSCAPES_LABELS if space.from_ids[label.id] == index]
        if len(ids) != 1 or CITYSCAPES_LABELS[ids[0]].name != name:
            raise LabError(
                f"The classes '{space.name}' can't be turned back into the label ids of Cityscapes. Take a run that was"
                f" trained on {CITYSCAPES_19.name}."
            )
        lookup[index] = ids[0]
    return lookup


def _cityscapes(
    name: str, class_names: tuple[str, ...], evaluated: tuple[int, ...], from_ids: tuple[int, ...]
) -> Protocol:
    """Return the official rules in a numbering that holds each evaluated label once.

    `from_ids` says where, `IGNORED` for nowhere.
    """
    titles = dict.fromkeys(label.category for label in CITYSCAPES_LABELS)
    categories = []
    for title in titles:
        members = [label for label in CITYSCAPES_LABELS if label.category == title]
        scored = tuple(from_ids[label.id] for label in members if from_ids[label.id] in evaluated)
        whole = all(label.has_instances for label in members)
        known = tuple(from_ids[label.id] for label in members if from_ids[label.id] != IGNORED)
        if scored:
            categories.append(Category(title, scored, known if whole else ()))
    sizes = [0.0] * len(class_names)
    instance_classes = [-1] * 66
    for label in CITYSCAPES_LABELS:
        if label.has_instances and from_ids[label.id] in evaluated:
            instance_classes[label.id] = from_ids[label.id]
            sizes[from_ids[label.id]] = AVERAGE_SIZES[label.name]
    return Protocol(name, class_names, evaluated, tuple(categories), tuple(instance_classes), tuple(sizes))


OFFICIAL = _cityscapes(
    "label ids",
    tuple(label.name for label in CITYSCAPES_LABELS),
    tuple(label.id for label in CITYSCAPES_LABELS if label.train_id != IGNORED),
    tuple(label.id for label in CITYSCAPES_LABELS),
)
"""The benchmark itself, on label ids: equal to the official evaluator to the last digit."""
