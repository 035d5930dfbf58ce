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

NO_EDGE = 255
MAX_LOOKS = 10_000_000
"""Pixels looked at at once, 80 MB; from there on maps of distances, one for each class, are the quicker way."""


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
    tolerance = max(1.0, TOLERANCE * float(np.hypot(*target.shape)))
    unscored = target >= num_classes
    true_edges, guessed_edges = (_edges(labelled, unscored, num_classes) for labelled in (target, labels))
    return np.column_stack(
        [
            np.bincount(guessed_edges[guessed_edges < num_classes], minlength=num_classes),
            _near(guessed_edges, true_edges, tolerance, num_classes),
            np.bincount(true_edges[true_edges < num_classes], minlength=num_classes),
            _near(true_edges, guessed_edges, tolerance, num_classes),
        ]
    ).astype(np.int64)


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
    # Bands begin at whole numbers, so what lies between them doesn't count, and a table is quicker than a search.
    band_of = np.digitize(np.arange(256), BANDS).astype(np.uint8)
    return cv2.LUT(np.minimum(distance, 255).astype(np.uint8), band_of)


def _edges(labels: np.ndarray, unscored: np.ndarray, num_classes: int) -> np.ndarray:
    """Return the class of each scored pixel with a scored neighbour of another class, 255 elsewhere, uint8 (H, W)."""
    is_edge = np.zeros(labels.shape, bool)
    for one, other in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        differs = labels[one] != labels[other]
        is_edge[one] |= differs & ~unscored[other]
        is_edge[other] |= differs & ~unscored[one]
    return np.where(is_edge & ~unscored & (labels < num_classes), labels, NO_EDGE).astype(np.uint8)


def _near(edges: np.ndarray, others: np.ndarray, tolerance: float, num_classes: int) -> np.ndarray:
    """Return pixels per class, int64 (K,), of edges uint8 (H, W) that have one of their class among others within a
    tolerance in pixels.

    Edges are few and mostly near each other: each looks around itself, in ever wider rings, until it finds what it
    looks for. Where many look in vain, a map of distances is the quicker way.
    """
    margin = int(tolerance)
    padded = cv2.copyMakeBorder(others, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=NO_EDGE)
    width = padded.shape[1]
    rows, columns = np.nonzero(edges < num_classes)
    positions, classes = (rows + margin) * width + columns + margin, edges[rows, columns]
    total = np.bincount(classes, minlength=num_classes)
    around = np.mgrid[-margin : margin + 1, -margin : margin + 1].reshape(2, -1)
    squares = (around**2).sum(axis=0)
    order = np.argsort(squares, kind="stable")[: np.count_nonzero(squares <= tolerance**2)]
    offsets = around[0, order] * width + around[1, order]
    # Classes that the other map doesn't have are sought in vain.
    missed = (np.bincount(others[others < num_classes], minlength=num_classes) == 0)[classes]
    lost = np.bincount(classes[missed], minlength=num_classes)
    positions, classes = positions[~missed], classes[~missed]
    flat, done = padded.reshape(-1), 0
    while done < len(offsets) and len(positions):
        ring = offsets[done : 2 * done + 1]
        if len(positions) * len(ring) > MAX_LOOKS:
            for class_id in np.unique(classes):
                distance = cv2.distanceTransform(
                    (padded != class_id).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
                )
                hits = distance.reshape(-1)[positions] <= tolerance
                keep = ~hits | (classes != class_id)
                positions, classes = positions[keep], classes[keep]
            break
        hits = (flat[positions[:, None] + ring] == classes[:, None]).any(axis=1)
        positions, classes, done = positions[~hits], classes[~hits], done + len(ring)
    return total - lost - np.bincount(classes, minlength=num_classes)
