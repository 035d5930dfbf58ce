"""The loss: cross-entropy over labelled pixels, rare classes weighing more."""

import numpy as np
import torch
import torch.nn.functional as F

from core.labels import IGNORED


def class_weights(pixels: np.ndarray) -> torch.Tensor:
    """1/sqrt(share) per class, float32 (K,), mean 1 over the classes that occur; a class that doesn't occur weighs 1.

    Measured against none and against median frequency on real streets, this square root gives the best mean IoU in short
    runs without hurting pixel accuracy. No weight exceeds ten times the mean: a class of a few pixels would drown the rest.
    """
    shares = pixels / max(1, pixels.sum())
    present = shares > 0
    weights = np.ones(len(pixels))
    weights[present] = shares[present] ** -0.5
    weights[present] /= weights[present].mean()
    return torch.tensor(np.minimum(weights, 10.0), dtype=torch.float32)


def summed_loss(logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted cross-entropy summed over the labelled pixels, and the sum of their weights; their quotient is the mean loss.

    Two sums rather than a mean, because a batch without a labelled pixel has no mean, and means of batches don't add up.

    Shape:
        logits (B, K, H, W), target integer (B, H, W) with 255 ignored, weights (K,) -> two scalars.
    """
    target = target.long()
    logits = logits.to(torch.float32, memory_format=torch.contiguous_format)
    loss = F.cross_entropy(logits, target, weights, ignore_index=IGNORED, reduction="sum")
    table = torch.cat([weights, weights.new_zeros(IGNORED + 1 - len(weights))])
    return loss, table[target].sum()
