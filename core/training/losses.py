"""The losses: per pixel (cross-entropy and its relatives) and per region (Dice, Jaccard, Lovasz), and sums of two.

A run's loss is given as a sum and a weight whose quotient is the mean loss, so that batches and parts of batches add
up.

segmentation_models_pytorch is imported where it is needed: it brings timm, which takes as long as torch itself.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from core.config import TrainingConfig
from core.labels import IGNORED
from core.training.tables import LOSSES, RULES

FOCUS = 2.0
"""The focal loss's exponent, as in the paper."""

HARD_LOSS = -np.log(0.7)
HARD_SHARE = 1 / 16
"""OHEM learns from the pixels whose class has less than 0.7 of the probability, and from no fewer than this share of
all.
"""

LossFunction = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, TrainingConfig], torch.Tensor]
"""`loss(logits, targets, weights, training)` returns a scalar, the mean over what it looks at.

logits fp32 (B, K, H, W); targets int64 (B, H, W), 255 ignored, at least one pixel labelled; weights fp32 (K,) of the
classes.
"""


class SummedLoss(nn.Module):
    """The loss of a run: `loss(logits, targets) -> (sum, weight)`.

    The weight is the labelled pixels' summed class weight, whatever the loss, and the sum is that times the mean loss:
    a batch without a labelled pixel has no mean, and means of batches don't add up.

    Shape:
        logits (B, K, H, W) of any float type, targets integer (B, H, W) with 255 ignored -> two fp32 scalars.
    """

    weights: torch.Tensor

    def __init__(self, training: TrainingConfig, weights: torch.Tensor, rules: int = RULES) -> None:
        """`rules` are those that the run began by, see `core.training.plan.Plan`."""
        super().__init__()
        self.register_buffer("weights", weights)
        self.register_buffer("_weight_of_label", _pad(weights))
        self._training = training
        self.terms: list[tuple[float, LossFunction]] = [(1.0, _load(training.loss, rules))]
        if training.second_loss != "none":
            self.terms.append((training.second_loss_weight, _load(training.second_loss, rules)))

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        targets = targets.long()
        weight = self.weight_of(targets)
        logits = logits.to(torch.float32, memory_format=torch.contiguous_format)
        if weight == 0:
            return logits.sum() * 0, weight
        return (
            sum(factor * term(logits, targets, self.weights, self._training) for factor, term in self.terms) * weight,
            weight,
        )

    def weight_of(self, targets: torch.Tensor) -> torch.Tensor:
        """Return the weight of a batch's labelled pixels, known without any logits."""
        return self._weight_of_label[targets.long()].sum()


def cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, training: TrainingConfig
) -> torch.Tensor:
    """Return the weighted cross-entropy, with labels smoothed as the config says."""
    return F.cross_entropy(logits, targets, weights, ignore_index=IGNORED, label_smoothing=training.label_smoothing)


def focal(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, _training: TrainingConfig
) -> torch.Tensor:
    """Return the focal loss over the softmax: what is known already weighs little.

    Lin et al., https://arxiv.org/abs/1708.02002.
    """
    losses = F.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="none")
    pixel_weights = _pad(weights)[targets]
    return (pixel_weights * (1 - torch.exp(-losses)) ** FOCUS * losses).sum() / pixel_weights.sum()


def ohem(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, training: TrainingConfig) -> torch.Tensor:
    """Return the cross-entropy of the pixels that are still hard.

    Shrivastava et al., https://arxiv.org/abs/1604.03540.
    """
    smoothing = training.label_smoothing
    losses = F.cross_entropy(
        logits, targets, weights, ignore_index=IGNORED, label_smoothing=smoothing, reduction="none"
    )
    plain = F.cross_entropy(logits.detach(), targets, ignore_index=IGNORED, reduction="none")
    labelled = targets != IGNORED
    losses, plain = losses[labelled], plain[labelled]
    minimum = max(1, int(len(plain) * HARD_SHARE))
    bar = min(float(HARD_LOSS), plain.kthvalue(len(plain) - minimum + 1).values.item())
    hard = plain >= bar
    return losses[hard].sum() / weights[targets[labelled][hard]].sum()


def dice(
    logits: torch.Tensor, targets: torch.Tensor, _weights: torch.Tensor, _training: TrainingConfig
) -> torch.Tensor:
    """Return the Dice loss of the batch as one region, the mean over the classes that it shows.

    Milletari et al., https://arxiv.org/abs/1606.04797.
    """
    return _dice_of_all(logits, targets) * _all_over_present(logits, targets)


def jaccard(
    logits: torch.Tensor, targets: torch.Tensor, _weights: torch.Tensor, _training: TrainingConfig
) -> torch.Tensor:
    """Return one less the intersection over union of the probabilities, the mean over the classes that the batch
    shows.
    """
    return _jaccard_of_all(logits, targets) * _all_over_present(logits, targets)


def lovasz(
    logits: torch.Tensor, targets: torch.Tensor, _weights: torch.Tensor, _training: TrainingConfig
) -> torch.Tensor:
    """Return the Lovász-softmax loss (Berman et al., https://arxiv.org/abs/1705.08790)."""
    from segmentation_models_pytorch.losses import MULTICLASS_MODE, LovaszLoss

    return LovaszLoss(MULTICLASS_MODE, ignore_index=IGNORED)(logits, targets)


def _dice_of_all(logits: torch.Tensor, targets: torch.Tensor, *_unused: object) -> torch.Tensor:
    """Return the Dice loss as the mean over all classes, of which those that the batch doesn't show count 0."""
    from segmentation_models_pytorch.losses import MULTICLASS_MODE, DiceLoss

    return DiceLoss(MULTICLASS_MODE, ignore_index=IGNORED)(logits, targets)


def _jaccard_of_all(logits: torch.Tensor, targets: torch.Tensor, *_unused: object) -> torch.Tensor:
    """Return the Jaccard loss as the mean over all classes, of which those that the batch doesn't show count 0."""
    from segmentation_models_pytorch.losses import MULTICLASS_MODE, JaccardLoss

    return JaccardLoss(MULTICLASS_MODE, ignore_index=IGNORED)(logits, targets)


def _all_over_present(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return by how much a mean over the classes that targets show is larger than one over all."""
    return logits.shape[1] / (torch.bincount(targets.flatten(), minlength=IGNORED + 1)[:IGNORED] > 0).sum()


def _load(name: str, rules: int) -> LossFunction:
    """Return a loss; the first rules' Dice and Jaccard had the mean over all classes."""
    first = {"dice": _dice_of_all, "jaccard": _jaccard_of_all} if rules == 1 else {}
    return first.get(name) or LOSSES[name].load()


def _pad(weights: torch.Tensor) -> torch.Tensor:
    """Return weights per label value, (256,): 0 for what is ignored."""
    return torch.cat([weights, weights.new_zeros(IGNORED + 1 - len(weights))])
