"""A yardstick: the score of the truth itself, made as coarse as a network's output and enlarged again.

It says what is lost by averages over cells of 16 x 16 pixels, in which a pole of 5 goes under. It is no limit: scores
enlarged smoothly can draw a pole that is thinner than a cell. Table 3 of the Cityscapes paper (Cordts et al., CVPR
2016) gives this for whole data sets: IoU of classes 97.2, 95.2, 90.7, 84.6 and 75.4 % at factors 2, 4, 8, 16 and 32,
each cell with the label of most of its pixels (Sec. 3.2). Networks enlarge scores smoothly and choose the class last,
which draws better edges: hence two ways.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import cv2
import numpy as np

from core.evaluation.metrics.protocol import Protocol
from core.evaluation.metrics.scorer import Scorer
from core.evaluation.metrics.scores import Scores

Enlarging = Literal["nearest", "bilinear"]
STRIDES = (2, 4, 8, 16, 32)
"""Pixels of the frame per cell that are usual, as in the paper's table."""


def coarsen(target: np.ndarray, stride: int, num_classes: int, enlarging: Enlarging = "nearest") -> np.ndarray:
    """Return a target as it comes back from a map with one cell for `stride` x `stride` pixels.

    Args:
        target: uint8 (H, W), 0..K-1; larger numbers are no class.
        stride: pixels per cell, 1 or more.
        num_classes: K.
        enlarging: nearest gives each cell the label of most of its pixels, as the paper does; bilinear enlarges each
            class's share of the cells smoothly and chooses the largest, as networks do with their scores. It knows no
            "no class".

    Returns:
        uint8 (H, W).
    """
    height, width = target.shape
    small = (max(1, round(width / stride)), max(1, round(height / stride)))
    smooth = enlarging == "bilinear"
    shape = target.shape if smooth else small[::-1]
    best, chosen = np.full(shape, -1, np.float32), np.zeros(shape, np.uint8)
    for class_id in np.flatnonzero(np.bincount(target.ravel(), minlength=256)[: num_classes if smooth else None]):
        share = cv2.resize((target == class_id).astype(np.float32), small, interpolation=cv2.INTER_AREA)
        if smooth:
            share = cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR)
        better = share > best
        best[better] = share[better]
        chosen[better] = class_id
    return chosen if smooth else cv2.resize(chosen, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)


def upper_bounds(
    targets: Iterable[np.ndarray],
    protocol: Protocol,
    strides: Sequence[int] = STRIDES,
    enlarging: Enlarging = "nearest",
) -> dict[int, Scores]:
    """Return the scores of coarsened truth over a data set, by stride.

    Targets uint8 (H, W) in the protocol's numbers.
    """
    scorers = {stride: Scorer(protocol) for stride in strides}
    for index, target in enumerate(targets):
        for stride, scorer in scorers.items():
            scorer.update(
                f"{index:06}", target, coarsen(target, stride, len(protocol.classes), enlarging), group="upper_bound"
            )
    return {stride: scorer.scores() for stride, scorer in scorers.items()}
