"""Where classes meet: boundary precision, recall and F1, and scores by distance from a true boundary.

Boundary F1 follows Csurka et al., What is a good evaluation measure for semantic segmentation? (BMVC 2013): a boundary
pixel is right where the other map has a boundary of that class within a tolerance of 0.75 % of the frame's diagonal.
As there, an image's score is the mean over the classes that its truth shows, and a set's the mean over its images.
Boundaries towards pixels that aren't scored, and towards the frame's edge, are none.
"""

import cv2
import numpy as np

TOLERANCE = 0.0075
"""Of the frame's diagonal, within which a boundary counts as found."""

BANDS = (2, 4, 8, 16, 32)
"""Distances from a true boundary, in pixels, that part a frame into six bands."""

_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def boundary_matches(target: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Boundary pixels per class that were found.

    Args:
        target: uint8 (H, W), 0..K-1; larger numbers aren't scored.
        labels: predicted, uint8 (H, W).
        num_classes: K.

    Returns:
        int64 (K, 4): predicted boundary pixels, those of them near a true one, true boundary pixels, those of them near
        a predicted one.
    """
    height, width = target.shape
    tolerance = max(1.0, TOLERANCE * float(np.hypot(height, width)))
    margin = int(np.ceil(tolerance)) + 1
    unscored = (target >= num_classes).astype(np.uint8)
    counts = np.zeros((num_classes, 4), np.int64)
    present = np.bincount(target.ravel(), minlength=256) + np.bincount(labels.ravel(), minlength=256)
    for class_id in np.flatnonzero(present[:num_classes]):
        truth = (target == class_id).astype(np.uint8)
        guess = ((labels == class_id) & (unscored == 0)).astype(np.uint8)
        # Small things are many: only the part of the frame that holds the class is looked at.
        left, top, box_width, box_height = cv2.boundingRect(truth | guess)
        part = np.s_[
            max(0, top - margin) : top + box_height + margin, max(0, left - margin) : left + box_width + margin
        ]
        true_edge, guessed_edge = (_boundary(mask[part], unscored[part]) for mask in (truth, guess))
        counts[class_id] = (
            np.count_nonzero(guessed_edge),
            _near(guessed_edge, true_edge, tolerance),
            np.count_nonzero(true_edge),
            _near(true_edge, guessed_edge, tolerance),
        )
    return counts


def boundary_f1(counts: np.ndarray) -> np.ndarray:
    """F1 of boundary precision and recall, float64 (..., K), 0..1, of counts (..., K, 4).

    NaN where neither map has a boundary.
    """
    predicted, right, true, result = np.moveaxis(counts.astype(np.float64), -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(predicted, right / predicted, 0.0)
        recall = np.where(true, result / true, 0.0)
        f1 = np.where(precision + recall, 2 * precision * recall / (precision + recall), 0.0)
    return np.where(predicted + true > 0, f1, np.nan)


def boundary_f1_of_truth(counts: np.ndarray) -> np.ndarray:
    """Return `boundary_f1` where the truth has a boundary of the class, NaN elsewhere.

    A class that is missed counts 0 there. A few stray pixels of one that an image doesn't show cost no whole class:
    they break the outlines of those that it does.
    """
    return np.where(counts[..., 2] > 0, boundary_f1(counts), np.nan)


def distance_bands(target: np.ndarray, num_classes: int) -> np.ndarray:
    """Return how far each pixel is from the nearest true boundary, uint8 (H, W): the number of the band, 0 for the
    nearest.
    """
    # A pixel is at a boundary where a neighbour to the right or below, or it itself of one, differs; unscored pixels
    # part nothing.
    edge = np.ones(target.shape, np.uint8)
    scored = target < num_classes
    for one, other in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        differs = (target[one] != target[other]) & scored[one] & scored[other]
        edge[one][differs] = 0
        edge[other][differs] = 0
    if edge.all():
        return np.full(target.shape, len(BANDS), np.uint8)
    distance = cv2.distanceTransform(edge, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.digitize(distance, BANDS).astype(np.uint8)


def _boundary(mask: np.ndarray, unscored: np.ndarray) -> np.ndarray:
    """Return pixels of a mask with a scored neighbour outside of it, uint8 0 or 1."""
    return mask & (1 - cv2.erode(mask | unscored, _CROSS))


def _near(edge: np.ndarray, other: np.ndarray, tolerance: float) -> int:
    """Return pixels of an edge that have one of the other within the tolerance."""
    if not edge.any() or not other.any():
        return 0
    distance = cv2.distanceTransform(1 - other, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return int(np.count_nonzero(distance[edge > 0] <= tolerance))
