"""Scoring a network on whole frames during its training."""

import time
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from core.evaluation.metrics.confusion import ConfusionMatrix
from core.hardware import Hardware
from core.models.class_maximum import max_over_classes
from core.runs.fitted_temperature import FittedTemperature
from core.training.distributed import Distributed
from core.training.losses import SummedLoss
from core.training.temperature import LogitSample, fit_to_samples, sample_logits


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found. `fitted` as of `core.training.temperature`; `labels` holds the predicted label
    maps, uint8 (H, W), of the frames that were asked for.
    """

    confusion: ConfusionMatrix
    loss: float
    seconds_per_frame: float
    fitted: FittedTemperature
    labels: dict[int, np.ndarray] = field(default_factory=dict)


def to_device(images: torch.Tensor, hardware: Hardware) -> torch.Tensor:
    """uint8 (B, 3, H, W) 0..255 to float (B, 3, H, W) 0..1 on the device, channels last."""
    images = images.to(hardware.device, non_blocking=True)
    return images.float().div_(255).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def evaluate(
    model: nn.Module,
    loader: DataLoader,
    loss: SummedLoss,
    hardware: Hardware,
    distributed: Distributed,
    keep: Collection[int] = (),
) -> Evaluation:
    """Predict frames and count; of several processes each takes its part, and all know the result.

    Args:
        model: on the hardware's device; its training mode is restored.
        loader: this process's batches of whole frames, listed as numbers in its `batch_sampler`: images uint8 (B, 3, h,
            w), targets uint8 (B, H, W), the size at which they are scored.
        loss: the run's, on the device.
        hardware: where to compute.
        distributed: the processes that share the work.
        keep: numbers of the frames whose predicted labels are wanted, as far as this process predicts them.
    """
    was_training = model.training
    model.eval()
    confusion = ConfusionMatrix(len(loss.weights))
    sums: list[tuple[int, float, float]] = []
    samples: list[LogitSample] = []
    cached: dict[int, np.ndarray] = {}
    seconds: list[float] = []
    for indices, (images, targets) in zip(loader.batch_sampler, loader, strict=True):
        began = time.monotonic()
        with hardware.autocast():
            logits = model(to_device(images, hardware))
        if logits.shape[-2:] != targets.shape[-2:]:
            logits = F.interpolate(logits, size=targets.shape[-2:], mode="bilinear", align_corners=False)
        part, weight = loss(logits, targets.to(hardware.device))
        sums.append((indices[0], part.item(), weight.item()))
        samples.append(sample_logits(logits, targets, indices))
        labels = max_over_classes(logits, dim=1)[1].cpu().numpy()
        confusion.update(targets.numpy(), labels)
        cached |= {frame: labels[index].copy() for index, frame in enumerate(indices) if frame in keep}
        seconds.append((time.monotonic() - began) / len(indices))
    model.train(was_training)
    gathered = distributed.all_gather((confusion.matrix, sums, samples))
    confusion.matrix = sum(matrix for matrix, *_ in gathered)
    # In the order of the frames, whichever process predicted them: a sum of floats depends on it in its last digit.
    ordered = sorted(row for _, rows, _ in gathered for row in rows)
    fitted = fit_to_samples([sample for *_, some in gathered for sample in some])
    weight_sum = sum(weight for *_, weight in ordered)
    mean = sum(part for _, part, _ in ordered) / weight_sum if weight_sum else float("nan")
    # The first batch also compiles kernels.
    seconds_per_frame = float(np.median(seconds[1:] or seconds)) if seconds else 0.0
    return Evaluation(confusion, mean, seconds_per_frame, fitted, cached)
