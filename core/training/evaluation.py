"""Scoring a network on whole frames during its training."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from core.hardware import Hardware
from core.scoring.confusion import ConfusionMatrix
from core.training.losses import SummedLoss


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found. `labels` holds the predicted label maps, uint8 (H, W), of the frames that were asked for."""

    confusion: ConfusionMatrix
    loss: float
    seconds_per_batch: float
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
    keep: tuple[int, ...] = (),
    batches: int | None = None,
) -> Evaluation:
    """Predicts every frame of a loader and counts.

    Args:
        model: on the hardware's device; its training mode is restored.
        loader: whole frames in order: images uint8 (B, 3, H, W), targets uint8 (B, H, W).
        loss: the run's, on the device.
        hardware: where to compute.
        keep: numbers of the frames whose predicted labels are wanted.
        batches: stop after so many; None takes all.
    """
    was_training = model.training
    model.eval()
    confusion = ConfusionMatrix(len(loss.weights))
    loss_sum = weight_sum = 0.0
    kept: dict[int, np.ndarray] = {}
    first, batch_seconds = 0, []
    for images, targets in _some(loader, batches):
        began = time.monotonic()
        with hardware.autocast():
            logits = model(to_device(images, hardware))
        part, weight = loss(logits, targets.to(hardware.device))
        loss_sum, weight_sum = loss_sum + part.item(), weight_sum + weight.item()
        labels = logits.argmax(dim=1).to(torch.uint8).cpu().numpy()
        confusion.update(targets.numpy(), labels)
        kept |= {frame: labels[frame - first].copy() for frame in keep if first <= frame < first + len(labels)}
        first += len(labels)
        batch_seconds.append(time.monotonic() - began)
    model.train(was_training)
    mean = loss_sum / weight_sum if weight_sum else float("nan")
    return Evaluation(confusion, mean, float(np.median(batch_seconds)), kept)


def _some(loader: DataLoader, batches: int | None) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for number, batch in enumerate(loader):
        if number == batches:
            return
        yield batch
