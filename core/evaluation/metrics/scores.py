"""Every score that follows from counted frames: per class, category, image, city, size of object and distance from a
boundary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from core.evaluation.metrics.boundaries import BANDS, boundary_f1_of_truth
from core.evaluation.metrics.calibration import Calibration, calibration_of
from core.evaluation.metrics.protocol import Protocol

NO_INSTANCES = "There are no instanceIds files beside the labels, so that pixels can't be told apart by instance."
NO_PROTOCOL = "iIoU is defined for the 19 classes of Cityscapes, and these are others."

SIZES: tuple[tuple[str, float, float], ...] = (
    ("small", 0, 32**2),
    ("medium", 32**2, 96**2),
    ("large", 96**2, np.inf),
)
"""Sizes of objects by their pixels in the frame, parted where COCO parts them."""


@dataclass(frozen=True)
class ImageStatistics:
    """What was counted in a frame. N is the number of classes of the protocol.

    Attributes:
        id: the frame's.
        group: the city, or whatever frames are gathered by.
        confusion: int64 (N, N + 1), rows the truth, columns the prediction, the last of which is no class.
        instances: int32 (M, 4): class, pixels, right ones, ones of the right category; None where instances weren't
            known.
        confidence: int64 (256, 2), wrong and right pixels by confidence, or None.
        boundaries: int64 (N, 4) as `boundary_matches` gives them, or None.
        bands: int32 (6, N, N + 1), the confusion by distance from a true boundary, or None.
    """

    id: str
    group: str
    confusion: np.ndarray
    instances: np.ndarray | None = None
    confidence: np.ndarray | None = None
    boundaries: np.ndarray | None = None
    bands: np.ndarray | None = None


@dataclass(frozen=True)
class Scores:
    """Scores of a set of frames, 0..1 each and NaN where there is nothing to score.

    Arrays per class list the evaluated ones.
    """

    protocol: Protocol
    frames: tuple[ImageStatistics, ...]
    pixel_scale: float = 1.0

    @cached_property
    def confusion(self) -> np.ndarray:
        """int64 (N, N + 1), all frames together."""
        return self._stacked.sum(axis=0)

    def normalized_confusion(self, by: Literal["row", "column", "all"] = "row") -> np.ndarray:
        """float64 (C, C + 1) of the C evaluated classes, each row, each column or all of it adding up to 1.

        NaN where it is empty.

        The last column is predictions of what isn't evaluated.
        """
        counts = self.evaluated_confusion
        axis = {"row": 1, "column": 0, "all": None}[by]
        return _share(counts, counts.sum(axis=axis, keepdims=True))

    @property
    def evaluated_confusion(self) -> np.ndarray:
        """int64 (C, C + 1), the confusion of the evaluated classes.

        The last column is predictions of what isn't evaluated.
        """
        return _evaluated(self.confusion, self.protocol.evaluated)

    def frames_behind(self, row: int, column: int) -> list[tuple[str, int, float]]:
        """Return the frames that a cell of `evaluated_confusion` was counted in, those with most of its pixels first.

        Returns:
            Id, pixels of the cell, and their share of the frame's pixels in that row, 0..1.
        """
        counts = _evaluated(self._stacked, self.protocol.evaluated)
        cells, wholes = counts[:, row, column], counts[:, row].sum(axis=1)
        order = sorted(np.flatnonzero(cells), key=lambda cell: -cells[cell])
        return [(self.frames[item].id, int(cells[item]), float(cells[item] / wholes[item])) for item in order]

    @cached_property
    def iou(self) -> np.ndarray:
        """Intersection over union, float64 (C,)."""
        return iou_of(self.confusion, self.protocol.evaluated)

    @property
    def miou(self) -> float:
        """Mean of the classes' IoU."""
        return float(mean_of(self.iou))

    @cached_property
    def iiou(self) -> np.ndarray | None:
        """IoU in which each instance counts as much as an average one, float64 (C,), NaN without instances.

        See `iiou_reason`.
        """
        if self.iiou_reason:
            return None
        hits, misses = self._weighted(2)
        return np.array(
            [
                (
                    _instance_iou(hits[index], misses[index], self._false_alarms((index,), (index,)))
                    if self.protocol.instance_sizes[index]
                    else np.nan
                )
                for index in self.protocol.evaluated
            ]
        )

    @property
    def miiou(self) -> float | None:
        """Mean of the classes' iIoU, or None."""
        return None if self.iiou is None else float(mean_of(self.iiou))

    @property
    def iiou_reason(self) -> str:
        """Why there is no iIoU; empty where there is."""
        if not self.protocol.has_instances:
            return NO_PROTOCOL
        return NO_INSTANCES if any(frame.instances is None for frame in self.frames) else ""

    @cached_property
    def category_iou(self) -> np.ndarray:
        """IoU of each category, float64 (G,)."""
        return np.array([self._category_iou(category.classes) for category in self.protocol.categories])

    @property
    def category_miou(self) -> float:
        """Mean of the categories' IoU."""
        return float(mean_of(self.category_iou))

    @cached_property
    def category_iiou(self) -> np.ndarray | None:
        """iIoU of each category, float64 (G,), NaN for one whose classes don't all have instances; None as `iiou`."""
        if self.iiou_reason:
            return None
        hits, misses = self._weighted(3, by_category=True)
        return np.array(
            [
                (
                    _instance_iou(
                        hits[index], misses[index], self._false_alarms(category.classes, category.instance_classes)
                    )
                    if category.instance_classes
                    else np.nan
                )
                for index, category in enumerate(self.protocol.categories)
            ]
        )

    @property
    def category_miiou(self) -> float | None:
        """Mean of the categories' iIoU, or None."""
        return None if self.category_iiou is None else float(mean_of(self.category_iiou))

    @property
    def precision(self) -> np.ndarray:
        """Share of a class's predictions that are right, float64 (C,)."""
        hits, _, predicted = parts_of(self.confusion, self.protocol.evaluated)
        return _share(hits, predicted)

    @property
    def recall(self) -> np.ndarray:
        """Share of a class's pixels that are found, float64 (C,)."""
        hits, true, _ = parts_of(self.confusion, self.protocol.evaluated)
        return _share(hits, true)

    @property
    def f1(self) -> np.ndarray:
        """Harmonic mean of precision and recall, float64 (C,)."""
        hits, true, predicted = parts_of(self.confusion, self.protocol.evaluated)
        return _share(2 * hits, true + predicted)

    @property
    def pixel_accuracy(self) -> float:
        """Share of the pixels that are right."""
        return float(pixel_accuracy_of(self.confusion, self.protocol.evaluated))

    @property
    def mean_accuracy(self) -> float:
        """Mean of the classes' recall."""
        return float(mean_of(self.recall))

    @property
    def boundary_f1(self) -> np.ndarray | None:
        """Per class the mean of boundary F1 over the images whose truth has a boundary of it, float64 (C,).

        None where boundaries weren't looked at.
        """
        counts = self._boundaries
        return None if counts is None else mean_of(boundary_f1_of_truth(counts), axis=0)

    @property
    def calibration(self) -> Calibration | None:
        """The reliability diagram; None where confidences weren't known."""
        counts = _stack([frame.confidence for frame in self.frames])
        return None if counts is None else calibration_of(counts.sum(axis=0))

    def by_group(self) -> dict[str, "Scores"]:
        """Return the scores of each group of frames, by its name."""
        names = sorted({frame.group for frame in self.frames})
        return {
            name: Scores(self.protocol, tuple(frame for frame in self.frames if frame.group == name), self.pixel_scale)
            for name in names
        }

    def by_size(self) -> list[dict[str, Any]] | None:
        """Return objects of each of `SIZES`: name, how many, and the mean share of their pixels that are found.

        None as `iiou`.
        """
        if self.iiou_reason:
            return None
        rows = self._instance_rows
        recall = rows[:, 2] / np.maximum(1, rows[:, 1])
        groups = [(name, recall[(rows[:, 1] >= start) & (rows[:, 1] < end)]) for name, start, end in SIZES]
        return [
            {"size": name, "objects": len(group), "found": float(group.mean()) if len(group) else None}
            for name, group in groups
        ]

    def by_distance(self) -> list[dict[str, Any]] | None:
        """Return bands of distance from a true boundary: bounds in pixels, pixel accuracy and mean IoU.

        None without boundaries.
        """
        counts = _stack([frame.bands for frame in self.frames])
        if counts is None:
            return None
        bands, evaluated = counts.sum(axis=0, dtype=np.int64), self.protocol.evaluated
        return [
            {
                "from": start,
                "to": end,
                "pixel_accuracy": or_none(pixel_accuracy_of(band, evaluated)),
                "miou": or_none(mean_of(iou_of(band, evaluated))),
            }
            for start, end, band in zip((0, *BANDS), (*BANDS, None), bands, strict=True)
        ]

    def per_image(self) -> list[dict[str, Any]]:
        """Return each frame's id, group, mean IoU and pixel accuracy, in order of the ids."""
        if not self.frames:
            return []
        mean = mean_of(iou_of(self._stacked, self.protocol.evaluated))
        accuracy = pixel_accuracy_of(self._stacked, self.protocol.evaluated)
        return [
            {"id": frame.id, "group": frame.group, "miou": or_none(one), "pixel_accuracy": or_none(other)}
            for frame, one, other in zip(self.frames, mean, accuracy, strict=True)
        ]

    def worst_first(self) -> list[str]:
        """Return ids of the frames, the lowest mean IoU first; those without a scored pixel last."""
        rows = self.per_image()
        return [row["id"] for row in sorted(rows, key=lambda row: (row["miou"] is None, row["miou"] or 0.0))]

    def to_json(self) -> dict[str, Any]:
        """Plain values for a file; None for what is no number."""
        calibration = self.calibration
        per_class = ("iou", "iiou", "precision", "recall", "f1")
        categories = [category.name for category in self.protocol.categories]
        return {
            "frames": len(self.frames),
            "miou": or_none(self.miou),
            "miiou": or_none(self.miiou),
            "iiou_reason": self.iiou_reason,
            "pixel_accuracy": or_none(self.pixel_accuracy),
            "mean_accuracy": or_none(self.mean_accuracy),
            **{name: _named(self.protocol.names, getattr(self, name)) for name in per_class},
            **boundary_scores(self.protocol.names, self._boundaries),
            "categories": (
                {
                    "miou": or_none(self.category_miou),
                    "miiou": or_none(self.category_miiou),
                    "iou": _named(categories, self.category_iou),
                    "iiou": _named(categories, self.category_iiou),
                }
                if categories
                else None
            ),
            "groups": {
                name: {
                    "frames": len(part.frames),
                    "miou": or_none(part.miou),
                    "pixel_accuracy": or_none(part.pixel_accuracy),
                }
                for name, part in self.by_group().items()
            },
            "sizes": self.by_size(),
            "distances": self.by_distance(),
            "calibration": None if calibration is None else calibration.to_json(),
            "confusion": self.confusion.tolist(),
            "images": self.per_image(),
        }

    @cached_property
    def _boundaries(self) -> np.ndarray | None:
        """int64 (F, C, 4), or None."""
        counts = _stack([frame.boundaries for frame in self.frames])
        return None if counts is None else counts[:, list(self.protocol.evaluated)]

    @cached_property
    def _stacked(self) -> np.ndarray:
        num_classes = len(self.protocol.classes)
        if not self.frames:
            return np.zeros((0, num_classes, num_classes + 1), np.int64)
        return np.stack([frame.confusion for frame in self.frames])

    @cached_property
    def _instance_rows(self) -> np.ndarray:
        return np.concatenate([np.zeros((0, 4), np.int32), *(frame.instances for frame in self.frames)])

    def _weighted(self, column: int, by_category: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Weighted hits and misses, float64, by class or by category, added in the official order: frame by frame, id
        by id.
        """
        rows = self._instance_rows
        class_ids, pixels, hits = rows[:, 0], rows[:, 1], rows[:, column]
        weights = np.array(self.protocol.instance_sizes)[class_ids] * self.pixel_scale / pixels
        groups = class_ids
        if by_category:
            table = np.full(len(self.protocol.classes), len(self.protocol.categories))
            for index, category in enumerate(self.protocol.categories):
                table[list(category.classes)] = index
            groups = table[class_ids]
        length = len(self.protocol.classes) + 1
        return (
            np.bincount(groups, weights=hits * weights, minlength=length),
            np.bincount(groups, weights=(pixels - hits) * weights, minlength=length),
        )

    def _false_alarms(self, own: Sequence[int], predicted: Sequence[int]) -> int:
        """Return pixels of other evaluated classes than the own ones that were predicted to be one of some."""
        others = [index for index in self.protocol.evaluated if index not in own]
        return int(self.confusion[np.ix_(others, list(predicted))].sum())

    def _category_iou(self, class_ids: tuple[int, ...]) -> float:
        members = list(class_ids)
        hits = int(self.confusion[np.ix_(members, members)].sum())
        union = int(self.confusion[members].sum()) + self._false_alarms(class_ids, class_ids)
        return hits / union if union else float("nan")


def boundary_scores(names: Sequence[str], counts: np.ndarray | None) -> dict[str, Any]:
    """Return plain values of boundary F1, of counts int64 (F, C, 4).

    Of each class, and its mean in Csurka's order: over the classes of an image, then over the images.
    """
    if counts is None:
        return {"boundary_f1": None, "mean_boundary_f1": None}
    f1 = boundary_f1_of_truth(counts)
    return {
        "boundary_f1": _named(names, mean_of(f1, axis=0)),
        "mean_boundary_f1": or_none(float(mean_of(mean_of(f1)))),
        "boundary_mean": "images",
    }


def _stack(counts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Return what was counted in each frame, in one array; None where it wasn't counted in all."""
    return np.stack(counts) if counts and all(count is not None for count in counts) else None


def _evaluated(confusion: np.ndarray, evaluated: Sequence[int]) -> np.ndarray:
    """int64 (..., C, C + 1) of confusions (..., N, N + 1)."""
    rows = confusion[..., list(evaluated), :]
    selected = rows[..., list(evaluated)]
    return np.concatenate([selected, rows.sum(axis=-1, keepdims=True) - selected.sum(axis=-1, keepdims=True)], axis=-1)


def parts_of(confusion: np.ndarray, evaluated: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right pixels, true pixels and predicted pixels per evaluated class, int64 (..., C) each, of confusions (..., N, N
    + 1).
    """
    indices = list(evaluated)
    rows = confusion[..., indices, :]
    square = rows[..., indices]
    return np.diagonal(square, axis1=-2, axis2=-1), rows.sum(axis=-1), square.sum(axis=-2)


def iou_of(confusion: np.ndarray, evaluated: Sequence[int]) -> np.ndarray:
    """IoU per evaluated class, float64 (..., C), of confusions (..., N, N + 1).

    NaN for a class neither there nor predicted.
    """
    hits, true, predicted = parts_of(confusion, evaluated)
    return _share(hits, true + predicted - hits)


def pixel_accuracy_of(confusion: np.ndarray, evaluated: Sequence[int]) -> np.ndarray:
    """Return share of the evaluated pixels that are right, float64 (...), of confusions (..., N, N + 1)."""
    hits, true, _ = parts_of(confusion, evaluated)
    return _share(hits.sum(axis=-1), true.sum(axis=-1))


def mean_of(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return mean without NaN along an axis, NaN where nothing is left.

    Added one after another, as the official evaluator does.

    numpy's own mean adds in pairs, which differs in the last digit.
    """
    values = np.moveaxis(np.asarray(values, np.float64), axis, -1)
    known = ~np.isnan(values)
    if not values.shape[-1]:
        return np.full(values.shape[:-1], np.nan)
    return _share(np.where(known, values, 0.0).cumsum(axis=-1)[..., -1], known.sum(axis=-1))


def _instance_iou(hits: float, misses: float, false_alarms: int) -> float:
    union = float(hits + false_alarms + misses)
    return float(hits) / union if union else float("nan")


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return part / np.where(whole, whole, np.nan)


def or_none(value: float | None) -> float | None:
    """Return a plain number; None for NaN."""
    return None if value is None or np.isnan(value) else float(value)


def _named(names: Sequence[str], values: np.ndarray | None) -> dict[str, float | None] | None:
    if values is None:
        return None
    return {name: or_none(value) for name, value in zip(names, values, strict=True)}
