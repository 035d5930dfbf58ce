"""Whether a network is as sure as it is right: the reliability diagram and the expected calibration error.

Guo et al., On Calibration of Modern Neural Networks (ICML 2017): 15 bins of equal width. Confidences are counted at 256
levels, as predictions carry them, and never kept.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

LEVELS = 256
BINS = 15


@dataclass(frozen=True)
class Calibration:
    """The reliability diagram: B bins of confidence, float64 (B,) each, NaN in a bin without pixels.

    Attributes:
        edges: of the bins, float64 (B + 1,), 0..1.
        pixels: int64 (B,).
        confidence: mean in each bin, 0..1.
        accuracy: share that is right, 0..1.
        error: the expected calibration error, 0..1: the mean distance of the two, weighed by pixels. NaN without
            pixels.
    """

    edges: np.ndarray
    pixels: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    error: float

    def to_json(self) -> dict[str, Any]:
        """Plain values; None for what is no number."""
        names = ("from", "to", "pixels", "confidence", "accuracy")
        columns = (self.edges[:-1], self.edges[1:], self.pixels, self.confidence, self.accuracy)
        bins = [
            {name: None if value != value else value for name, value in zip(names, row, strict=True)}
            for row in zip(*(column.tolist() for column in columns), strict=True)
        ]
        return {"ece": None if np.isnan(self.error) else self.error, "bins": bins}


def count_confidence(target: np.ndarray, labels: np.ndarray, confidence: np.ndarray, num_classes: int) -> np.ndarray:
    """int64 (256, 2): of the pixels that count, how many were predicted with each confidence, wrong ones and right
    ones.

    Args:
        target: uint8 (H, W), 0..K-1; larger numbers aren't counted.
        labels: predicted, uint8 (H, W).
        confidence: uint8 (H, W), 0..255 for 0..1.
        num_classes: K.
    """
    if confidence.shape != target.shape or confidence.dtype != np.uint8:
        raise ValueError(f"confidence is {confidence.dtype} {confidence.shape}, but must be uint8 {target.shape}")
    codes = confidence.astype(np.uint16) * 2 + (target == labels)
    return np.bincount(codes[target < num_classes], minlength=2 * LEVELS).reshape(LEVELS, 2).astype(np.int64)


def calibration_of(counts: np.ndarray, bins: int = BINS) -> Calibration:
    """Return the reliability diagram of counts (256, 2)."""
    sure = np.arange(LEVELS) / (LEVELS - 1)
    bin_index = np.minimum((sure * bins).astype(int), bins - 1)
    pixels = np.bincount(bin_index, weights=counts.sum(axis=1), minlength=bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(bin_index, weights=counts.sum(axis=1) * sure, minlength=bins) / pixels
        accuracy = np.bincount(bin_index, weights=counts[:, 1], minlength=bins) / pixels
    total = pixels.sum()
    error = float(np.nansum(np.abs(confidence - accuracy) * pixels) / total) if total else float("nan")
    return Calibration(np.linspace(0, 1, bins + 1), pixels.astype(np.int64), confidence, accuracy, error)
