"""Counts what scores are made of, frame by frame; counts of several processes add up.

All that is kept of a frame is a few kilobytes of whole numbers, so that scores per image, per city and per resampling
need no second look at a picture. Floats are made of the sums alone, in the order of the frames' names: the result is
the same to the last digit whichever process counted which frames.
"""

from dataclasses import dataclass, field
from functools import cache

import numpy as np

from core.evaluation.metrics.boundaries import BANDS, boundary_matches, distance_bands
from core.evaluation.metrics.calibration import count_confidence
from core.evaluation.metrics.counting import FIRST_INSTANCE, LABELS, count_frame, count_pairs
from core.evaluation.metrics.protocol import Protocol
from core.evaluation.metrics.scores import ImageStatistics, Scores


@dataclass
class Scorer:
    """Takes frames, gives `Scores`.

    Args:
        protocol: what the numbers in the maps mean.
        boundary: also look at boundaries: slower by far.
        pixel_scale: pixels of a frame over those of one at full size, by which average instances are smaller; 1 is the
            official count, whatever the size.
    """

    protocol: Protocol
    boundary: bool = False
    pixel_scale: float = 1.0
    tallies: dict[str, ImageStatistics] = field(default_factory=dict)

    def update(
        self,
        frame_id: str,
        target: np.ndarray,
        labels: np.ndarray,
        confidence: np.ndarray | None = None,
        instances: np.ndarray | None = None,
        group: str = "",
    ) -> None:
        """Count a frame.

        Args:
            frame_id: its name; each may come once.
            target: the truth, uint8 (H, W), in the protocol's numbers.
            labels: predicted, uint8 (H, W), in the same numbers.
            confidence: uint8 (H, W), 0..255 for 0..1.
            instances: uint16 (H, W), as in Cityscapes' instanceIds files; without them there is no iIoU.
            group: the city, or whatever frames are gathered by.

        Raises:
            ValueError: shapes or types differ from these, or the frame was counted already.
        """
        if frame_id in self.tallies:
            raise ValueError(f"frame '{frame_id}' was counted already")
        num_classes = len(self.protocol.classes)
        if not self.protocol.has_instances:
            instances = None
        pairs, ids, result = count_frame(target, labels, instances)
        confusion = _confusion(pairs, num_classes)
        self.tallies[frame_id] = ImageStatistics(
            id=frame_id,
            group=group,
            confusion=confusion,
            instances=None if instances is None else self._instances(ids, result),
            confidence=None if confidence is None else count_confidence(target, labels, confidence, num_classes),
            boundaries=boundary_matches(target, labels, num_classes) if self.boundary else None,
            bands=self._bands(target, labels, confusion) if self.boundary else None,
        )

    def __add__(self, other: "Scorer") -> "Scorer":
        """Return what two processes counted, together.

        Raises ValueError where they counted otherwise, or the same frame.
        """
        if (self.protocol, self.boundary, self.pixel_scale) != (other.protocol, other.boundary, other.pixel_scale):
            raise ValueError("the two scorers count by different rules")
        twice = self.tallies.keys() & other.tallies.keys()
        if twice:
            raise ValueError(f"frame '{min(twice)}' was counted by both")
        return Scorer(self.protocol, self.boundary, self.pixel_scale, self.tallies | other.tallies)

    def scores(self) -> Scores:
        """Return the scores of all frames counted so far."""
        frames = tuple(self.tallies[frame_id] for frame_id in sorted(self.tallies))
        return Scores(self.protocol, frames, self.pixel_scale)

    def _instances(self, ids: np.ndarray, hits: np.ndarray) -> np.ndarray:
        """int32 (M, 4): class, pixels, right ones, ones of the right category, of the instances that are scored."""
        class_ids = np.array(self.protocol.instance_classes)[ids // FIRST_INSTANCE]
        scored = class_ids >= 0
        class_ids, hits = class_ids[scored], hits[scored]
        rows = np.zeros((len(class_ids), 4), np.int32)
        rows[:, 0] = class_ids
        rows[:, 1] = hits.sum(axis=1)
        rows[:, 2] = hits[np.arange(len(class_ids)), class_ids]
        rows[:, 3] = (hits * _in_category(self.protocol)[class_ids]).sum(axis=1)
        return rows

    def _bands(self, target: np.ndarray, labels: np.ndarray, confusion: np.ndarray) -> np.ndarray:
        """int32 (6, N, N + 1), the frame's confusion parted by distance from a true boundary."""
        num_classes = len(self.protocol.classes)
        bands = distance_bands(target, num_classes)
        parts = np.zeros((len(BANDS) + 1, *confusion.shape), np.int32)
        for index in range(len(BANDS)):
            inside = bands == index
            parts[index] = _confusion(count_pairs(target[inside], labels[inside]), num_classes)
        parts[-1] = confusion - parts[:-1].sum(axis=0)
        return parts


@cache
def _in_category(protocol: Protocol) -> np.ndarray:
    """bool (N, 256): which predictions are right for the category of an instance of each class."""
    right = np.zeros((len(protocol.classes), LABELS), bool)
    for category in protocol.categories:
        right[np.ix_(category.classes, category.instance_classes)] = True
    return right


def _confusion(pairs: np.ndarray, num_classes: int) -> np.ndarray:
    """int64 (N, N + 1), rows the truth; the last column is whatever was predicted that is no class."""
    return np.column_stack([pairs[:num_classes, :num_classes], pairs[:num_classes, num_classes:].sum(axis=1)])
