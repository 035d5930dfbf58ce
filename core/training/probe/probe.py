"""A run's data, network, loss and optimizer as the training loop would make them, for a few steps that leave nothing
behind.

Nothing is drawn, cached or downloaded for it, and the network starts from random weights: they cost what learned ones
cost.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from core.config import RunConfig
from core.data.cache import find_cache
from core.data.dataset import Dataset, open_dataset
from core.data.frames import Frame
from core.data.loaders import (
    Budget,
    FrameSource,
    FrameStore,
    KeyedBatches,
    TrainingCrops,
    WholeFrames,
    build_loader,
    items_per_epoch,
    part_of,
)
from core.data.transforms import Augmentation
from core.hardware import Hardware, choose_hardware
from core.models.base import SegmentationModel
from core.models.build import build_model
from core.training.distributed import Distributed
from core.training.losses import SummedLoss
from core.training.optimizer import build_optimizer
from core.training.step import step_seed, train_step

Batch = tuple[torch.Tensor, torch.Tensor]
"""Images uint8 (B, 3, H, W) and targets uint8 (B, H, W)."""


@dataclass
class Probe:
    """What a few steps need. Of several processes it stands for the first, with its part of every batch."""

    config: RunConfig
    dataset: Dataset
    hardware: Hardware
    model: SegmentationModel
    crops: TrainingCrops
    whole: WholeFrames
    loss: SummedLoss
    optimizer: torch.optim.Optimizer

    def __post_init__(self) -> None:
        self._scaler = self.hardware.scaler()
        self._steps = 0

    @property
    def items(self) -> int:
        """Crops in an epoch."""
        return items_per_epoch(self.crops.weights)

    def batches(self, steps: int) -> KeyedBatches:
        """Return the keys of the run's first so many batches."""
        training = self.config.training
        return KeyedBatches(self.crops.weights, training.samples_per_step, training.seed, 0, steps)

    def load(self, steps: int) -> Iterator[Batch]:
        """Return the run's first so many batches, loaded as it would."""
        loader = build_loader(
            self.crops, part_of(self.batches(steps), 0, self.config.training.num_processes), self.hardware.workers
        )
        return iter(loader)

    def step(self, batch: Batch) -> float | None:
        """Return one training step, done when this returns; its loss, None for a batch without a labelled pixel."""
        self._steps += 1
        torch.manual_seed(step_seed(self.config.training.seed, self._steps))
        self.model.train()
        mean = train_step(
            self.model,
            self.optimizer,
            *batch,
            self.loss,
            self.hardware,
            self.config.training,
            self._scaler,
            Distributed(),
        )
        return None if mean is None else mean.item()


def open_probe(config: RunConfig, pixels: np.ndarray | None = None, weights: torch.Tensor | None = None) -> Probe:
    """Set a trial up.

    Args:
        config: of the run.
        pixels: training pixels per class, for crops that seek rare classes; None treats all classes alike.
        weights: per class, in the loss; None weighs all alike.

    Raises:
        LabError: the data can't be opened, the streets aren't drawn, or there is no such network or device.
    """
    dataset = open_drawn(config)
    num_classes = len(dataset.space.class_names)
    training = config.training
    hardware = choose_hardware(training)
    budget = Budget()
    train, val = (_open_frames(dataset, frames, config, budget) for frames in (dataset.train, dataset.val))
    torch.manual_seed(training.seed)
    model = build_model(config.model, num_classes, dataset.pixels.num_bands)
    hardware.prepare(model)
    shares = np.full(num_classes, 1 / num_classes) if pixels is None else pixels / pixels.sum()
    return Probe(
        config=config,
        dataset=dataset,
        hardware=hardware,
        model=model,
        crops=TrainingCrops(train, Augmentation.from_config(training, shares), training.seed),
        whole=WholeFrames(val, config.shown_size),
        loss=SummedLoss(training, torch.ones(num_classes) if weights is None else weights).to(hardware.device),
        optimizer=build_optimizer(model, config, pretrained=False),
    )


def open_drawn(config: RunConfig) -> Dataset:
    """Return the data set of a config.

    Raises LabError where it can't be opened, or its streets would have to be drawn first.
    """
    return open_dataset(config.dataset, for_training=True)


def _open_frames(dataset: Dataset, frames: tuple[Frame, ...], config: RunConfig, budget: Budget) -> FrameSource:
    kind = config.dataset.cache
    result = None if kind == "off" else find_cache(dataset, frames, "raw" if kind == "auto" else kind)
    return result or FrameStore(dataset, frames, budget)
