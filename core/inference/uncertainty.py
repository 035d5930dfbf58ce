"""What a network was unsure of: the entropy of every pixel, and its likeliest classes. Computed when it is asked for.

Beside labels and confidence this costs as much time again, and ten times the bytes, which is why no ordinary answer
carries it.
"""

import math

import cv2
import numpy as np
import torch

from core.inference.prediction_cache import LIKELIEST, UncertaintyMaps
from core.inference.predictor import Predictor
from core.inference.tta import PredictOptions, Size, scaled
from core.labels import IGNORED

MAX_PIXELS = 2**21
"""Larger pictures are told about at this many pixels, as many as a Cityscapes frame has."""
_STRIP = 64
"""Rows that are sorted at a time: what a core's cache holds."""
_EPSILON = 1e-12
"""Stands for a probability of 0, whose logarithm there is none."""


@torch.no_grad()
def estimate_uncertainty(predictor: Predictor, image: np.ndarray, options: PredictOptions) -> UncertaintyMaps:
    """Return what a network is unsure of in an image, uint8 (H, W, 3), shown to it as the options say.

    Quick ones aren't possible.
    """
    size = capped_size(image.shape[:2])
    probabilities = predictor.probabilities(image, size, options)[0].cpu()
    height, width = size
    entropy = torch.empty(size, dtype=torch.uint8)
    ranks = np.zeros((height, LIKELIEST, 2, width), np.uint8)
    ranks[:, :, 0] = IGNORED
    count = min(LIKELIEST, len(probabilities))
    for top in range(0, height, _STRIP):
        rows = slice(top, top + _STRIP)
        strip = probabilities[:, rows]
        nats = -(strip * strip.clamp(min=_EPSILON).log()).sum(dim=0)
        entropy[rows] = (nats / math.log(max(2, len(strip))) * 255).round().clamp(0, 255).to(torch.uint8)
        shares, class_ids = strip.permute(1, 2, 0).contiguous().topk(count, dim=-1)
        ranks[rows, :count, 0] = class_ids.permute(0, 2, 1).numpy()
        ranks[rows, :count, 1] = (shares * 255).round().permute(0, 2, 1).numpy()
    return UncertaintyMaps(_png(entropy.numpy()), _png(ranks.reshape(-1, width)))


def capped_size(size: Size) -> Size:
    """Height and width at which doubts about a picture of a size are told."""
    excess = size[0] * size[1] / MAX_PIXELS
    return size if excess <= 1 else scaled(size, excess**-0.5)


def _png(values: np.ndarray) -> bytes:
    return cv2.imencode(".png", values, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
