"""Which masks are likely wrong: how probable a network finds the label that each pixel has.

Lad and Mueller, Estimating label quality and errors in semantic segmentation data via any model
(https://arxiv.org/abs/2307.05080): a frame is as doubtful as the softmin of these probabilities. Theirs is over single
pixels; ours is over small patches, since at its borders every mask is doubtful somewhere. Of 409 masks of Cityscapes,
40 of them spoiled, and three networks out of fold, the 60 worst held 33 of those by pixels and 37 by patches.
"""

import cv2
import numpy as np

TEMPERATURE = 0.2
"""Of the softmin: near 0 the worst patch alone counts, at infinity their mean."""
PATCH = 0.01
"""Side of a patch, as a share of the frame's width."""
MIN_LABELLED = 0.5
"""Share of a patch that must carry labels for it to count."""


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
    is_labelled = target < num_classes
    if not is_labelled.any():
        return None
    side = max(1, round(PATCH * target.shape[1]))
    probabilities = np.where(labels == target, confidence, 255 - confidence).astype(np.float32) / 255
    share, mean = (
        cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT)
        for values in (is_labelled.astype(np.float32), np.where(is_labelled, probabilities, 0))
    )
    counts = share >= min(MIN_LABELLED, float(share.max()))
    quality = mean[counts] / share[counts]
    weights = np.exp((1 - quality) / TEMPERATURE)
    return float((weights * quality).sum() / weights.sum())
