"""Weights of classes in the loss, from how many pixels each has."""

import numpy as np
import torch

from core.config import WeightingName
from core.training.tables import CLASS_WEIGHTINGS

MAX_WEIGHT = 10.0
"""Times the mean: a class of a few pixels would drown the rest."""


def class_weights(pixels: np.ndarray, weighting: WeightingName = "sqrt") -> torch.Tensor:
    """Return weights per class, float32 (K,), of mean 1 over the classes that occur.

    Args:
        pixels: per class, int64 (K,). A class without any weighs 1.
        weighting: a name in `CLASS_WEIGHTINGS`.
    """
    shares = pixels / max(1, pixels.sum())
    present = shares > 0
    weights = np.ones(len(pixels))
    if present.any():
        weights[present] = CLASS_WEIGHTINGS[weighting].load()(shares[present])
        weights[present] /= weights[present].mean()
    return torch.tensor(np.minimum(weights, MAX_WEIGHT), dtype=torch.float32)


def inverse_square_root(shares: np.ndarray) -> np.ndarray:
    """Return 1/sqrt(share).

    Measured against none and against median frequency on real streets, it gives the best mean IoU in short runs without
    hurting pixel accuracy.
    """
    return shares**-0.5


def median_frequency(shares: np.ndarray) -> np.ndarray:
    """Return the median share over the share (Eigen, Fergus, https://arxiv.org/abs/1411.4734)."""
    return np.median(shares) / shares


def enet(shares: np.ndarray) -> np.ndarray:
    """Return 1/ln(1.02 + share) (Paszke et al., https://arxiv.org/abs/1606.02147)."""
    return 1 / np.log(1.02 + shares)


def uniform(shares: np.ndarray) -> np.ndarray:
    """Return ones."""
    return np.ones_like(shares)
