"""One optimizer step, and how long one takes."""

import time
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from core.config import RunConfig, TrainingConfig
from core.data.loaders import KeyedBatches, TrainingCrops, build_loader, part_of
from core.hardware import Hardware
from core.models.base import SegmentationModel
from core.training.distillation import Teacher
from core.training.distributed import Distributed
from core.training.evaluate import to_device
from core.training.losses import SummedLoss
from core.training.optimizer import build_optimizer

MEASURED_STEPS = 8
MEASURED_SECONDS = 2.0
"""Enough is measured after so many seconds, but not before the fourth step: the first ones also compile kernels. Where
a step takes longer, that is little of it, and the second is the last. The plan is made anew once more is known, so a
rough number does.
"""


def train_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: torch.Tensor,
    targets: torch.Tensor,
    loss: SummedLoss,
    hardware: Hardware,
    training: TrainingConfig,
    scaler: torch.amp.GradScaler,
    distributed: Distributed,
    teacher: Teacher | None = None,
) -> torch.Tensor | None:
    """Return one optimizer step, with the gradients of `training.accumulate_grad_batches` batches.

    Args:
        model: the network, wrapped by `distributed`.
        optimizer: of its parameters.
        images: this process's part of the step's frames, uint8 (B, 3, H, W).
        targets: uint8 (B, H, W), 255 ignored.
        loss: the run's, on the device.
        hardware: where to compute.
        training: how; `accumulate_grad_batches` and `grad_clip_norm` are read.
        scaler: of the gradients, `hardware.scaler()`.
        distributed: the processes that share the step.
        teacher: whose probabilities are learned too.

    Returns:
        The mean loss over all processes, or None for a batch without a labelled pixel, from which nothing is learned
        unless there is a teacher.
    """
    targets = targets.to(hardware.device, non_blocking=True)
    weight = distributed.all_reduce(loss.weight_of(targets))
    if weight == 0 and teacher is None:
        return None
    share = teacher.weight if teacher else 0.0
    divisor = weight if weight > 0 else torch.ones_like(weight)
    optimizer.zero_grad(set_to_none=True)
    mean = weight.new_zeros(())
    parts = list(
        zip(
            images.chunk(training.accumulate_grad_batches), targets.chunk(training.accumulate_grad_batches), strict=True
        )
    )
    for index, (part_images, part_targets) in enumerate(parts, start=1):
        with distributed.no_sync(model) if index < len(parts) else nullcontext():
            frames = to_device(part_images, hardware)
            with hardware.autocast():
                logits = model(frames)
            part = (1 - share) * loss(logits, part_targets)[0] / divisor
            if teacher:
                part = part + share * teacher.loss(frames, logits) / (len(parts) * distributed.world_size)
            # The team takes the mean of its processes' gradients, and their sum is wanted.
            scaler.scale(part * distributed.world_size).backward()
        mean += part.detach()
    distributed.all_reduce(mean)
    if training.grad_clip_norm:
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), training.grad_clip_norm)
    scaler.step(optimizer)
    scaler.update()
    return mean


def at_half_size(images: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a step's frames at half their height and width: uint8 (B, C, H, W) as means of 2 x 2 pixels, and the
    classes (B, H, W) of one of them.
    """
    small = nn.functional.avg_pool2d(images.float(), 2).round().to(images.dtype)
    return small, targets[:, 1::2, 1::2].contiguous()


@dataclass(frozen=True)
class Speed:
    """Seconds that a step takes once its frames are in memory, and seconds that one frame takes to get there."""

    seconds_per_step: float
    seconds_to_decode: float


def measure_speed(
    model: SegmentationModel,
    crops: TrainingCrops,
    loss: SummedLoss,
    hardware: Hardware,
    config: RunConfig,
    distributed: Distributed,
    teacher: Teacher | None = None,
) -> Speed:
    """Do a few steps, take their median, and put the network back.

    Each process of a team does so with its part of a batch.
    """
    training = config.training
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = build_optimizer(model, config, pretrained=False)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    batches = KeyedBatches(crops.weights, training.samples_per_step, training.seed, 0, MEASURED_STEPS)
    # The frames first, apart: they are decoded once and then kept, so their time is no part of a step's.
    indices = {index for keys in batches for _, index, _ in keys}
    began = time.monotonic()
    for index in indices:
        crops.store[index]
    seconds_to_decode = (time.monotonic() - began) / len(indices)
    model.train()
    scaler = hardware.scaler()
    torch.manual_seed(training.seed)
    ends: list[float] = []
    for images, targets in build_loader(
        crops, part_of(batches, distributed.rank, distributed.world_size), hardware.workers
    ):
        mean = train_step(model, optimizer, images, targets, loss, hardware, training, scaler, Distributed(), teacher)
        if mean is not None:
            mean.item()  # a GPU's work is done only when its result is asked for
        ends.append(time.monotonic())
        if len(ends) > 1 and ends[-1] - ends[0] > MEASURED_SECONDS and (len(ends) >= 4 or len(ends) == 2):
            break
    model.load_state_dict(before)
    optimizer.zero_grad(set_to_none=True)
    return Speed(float(np.median(np.diff(ends))), seconds_to_decode)


def step_seed(seed: int, step: int) -> int:
    """Return the seed of dropout and its like in one step: with it, no random state needs to be stored or restored."""
    return int(np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0] >> 1)
