"""Which masks are likely wrong: how probable a network finds the label that each pixel has.

Lad and Mueller, Estimating label quality and errors in semantic segmentation data via any model
(https://arxiv.org/abs/2307.05080): a frame is as doubtful as the softmin of these probabilities.
"""

import numpy as np

TEMPERATURE = 0.1
"""Of the softmin, as in the paper's section 3: near 0 the worst pixel alone counts, at infinity their mean."""

_PROBABILITIES = np.arange(256) / 255
_WEIGHTS = np.exp((1 - _PROBABILITIES) / TEMPERATURE)


def label_quality(target: np.ndarray, labels: np.ndarray, confidence: np.ndarray, num_classes: int) -> float | None:
    """Return the label quality of a frame, 0 (surely wrong somewhere) to 1; None for a frame without labels.

    Of a pixel whose label isn't the likeliest class, 1 - confidence stands for the label's probability, which is no
    greater than that.

    Args:
        target: uint8 (H, W), the labels to be judged; K and above are ignored.
        labels: the network's, uint8 (H, W).
        confidence: probability of `labels`, uint8 (H, W), 0..255 for 0..1.
        num_classes: K.
    """
    probabilities = np.where(labels == target, confidence, 255 - confidence)[target < num_classes]
    if not probabilities.size:
        return None
    weights = np.bincount(probabilities, minlength=256) * _WEIGHTS
    return float((weights * _PROBABILITIES).sum() / weights.sum())
