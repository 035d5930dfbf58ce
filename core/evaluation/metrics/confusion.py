"""The confusion matrix and the scores that follow from it, as the official Cityscapes evaluation counts them.

https://github.com/mcordts/cityscapesScripts/blob/master/cityscapesscripts/evaluation/evalPixelLevelSemanticLabeling.py
Torch isn't needed: the server scores single images too.
"""

import numpy as np

from core.evaluation.metrics.counting import count_pairs
from core.evaluation.metrics.scores import iou_of, pixel_accuracy_of


class ConfusionMatrix:
    """Counts pixels by (true class, predicted class); pixels whose truth is 255 count nowhere.

    `matrix` is int64 (K, K), rows the truth, columns the prediction.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.matrix = np.zeros((num_classes, num_classes), np.int64)

    def update(self, target: np.ndarray, labels: np.ndarray) -> None:
        """Add target and predicted labels, uint8 of one shape.

        Targets in 0..K-1 or ignored (K and above), labels in 0..K-1.

        Raises:
            ValueError: the shapes differ, or a label on a pixel that counts is not a class.
        """
        pairs = count_pairs(target, labels)[: self.num_classes]
        wrong = np.flatnonzero(pairs[:, self.num_classes :].any(axis=0))
        if wrong.size:
            raise ValueError(f"a label is {self.num_classes + wrong[-1]}, but there are {self.num_classes} classes")
        self.matrix += pairs[:, : self.num_classes]

    def iou(self) -> np.ndarray:
        """Intersection over union per class, float64 (K,), 0..1.

        NaN for a class that is neither there nor predicted.
        """
        return iou_of(self.matrix, range(self.num_classes))

    def miou(self) -> float:
        """Return mean of the classes' IoU without those that are NaN, 0..1; NaN when nothing was counted."""
        iou = self.iou()
        return float(np.nanmean(iou)) if np.isfinite(iou).any() else float("nan")

    def pixel_accuracy(self) -> float:
        """Return share of the counted pixels that are right, 0..1; NaN when nothing was counted."""
        return float(pixel_accuracy_of(self.matrix, range(self.num_classes)))
