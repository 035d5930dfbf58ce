"""A network teaches another one: its probabilities are learned beside the labels, on every pixel of a crop, labelled
or not. The teacher is a trained network, or the moving mean of the one that learns.

Hinton et al., Distilling the Knowledge in a Neural Network (https://arxiv.org/abs/1503.02531). The teacher sees the
very crops that are learned from: answers that were given once to whole pictures teach less, see Beyer et al., Knowledge
Distillation: A Good Teacher Is Patient and Consistent (https://arxiv.org/abs/2106.05237), section 3. The moving mean:
Tarvainen and Valpola, Mean Teachers Are Better Role Models (https://arxiv.org/abs/1703.01780).
"""

import copy
from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F

from core.config import ITSELF, TrainingConfig
from core.errors import LabError
from core.hardware import Hardware
from core.models.base import SegmentationModel
from core.models.build import build_model
from core.models.class_sources import class_sources
from core.runs.checkpoint_digest import checkpoint_digest
from core.runs.store import Run
from core.text import join_first
from core.training.checkpoint import load_weights, read_checkpoint
from core.training.ema import ModelEma

STEP = 2
"""Of a crop's pixels, one of so many in a row and in a column is compared: logits are mostly scaled up from coarser
ones.
"""
SURE = 0.9
"""Probability from which on a network is taught by its own mean: before that it would learn its own guesses."""


class Teacher(Protocol):
    """Who teaches.

    Attributes:
        digest: tells the teacher from every other.
        sentence: that names it.
        weight: its share of the loss, 0..1.
    """

    digest: str
    sentence: str
    weight: float

    def loss(self, images: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Return how far a network's logits float (B, K, H, W) are from what it teaches of images float (B, C, H, W) in
        0..1, which that network saw.
        """


class MeanTeacher:
    """The moving mean of the network that learns, which sees each crop mirrored and teaches where it is sure."""

    digest = ITSELF
    sentence = "Taught by its own moving mean."

    def __init__(self, model: SegmentationModel, training: TrainingConfig, hardware: Hardware) -> None:
        """Copy a network; `training.teacher_weight` and `teacher_temperature` are read."""
        self.weight, self._temperature = training.teacher_weight, training.teacher_temperature
        self._hardware = hardware
        self._model = copy.deepcopy(model).eval().requires_grad_(False)

    def follow(self, ema: ModelEma) -> None:
        """Have the mean's weights from now on, and with every change of them: both are the same tensors."""
        for name, value in self._model.state_dict().items():
            if name in ema.tensors:
                value.copy_(ema.tensors[name])
                ema.tensors[name] = value

    def loss(self, images: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Return the divergence from the mean's probabilities, both softened, over the pixels where that is sure; 0
        where it is nowhere.
        """
        with torch.no_grad():
            with self._hardware.autocast():
                own = self._model(images.flip(-1)).flip(-1)
            own = own[..., ::STEP, ::STEP].float()
            is_sure = own.softmax(dim=1).amax(dim=1, keepdim=True) >= SURE
            target = (own / self._temperature).softmax(dim=1)
        return _divergence(logits[..., ::STEP, ::STEP].float(), target, is_sure, self._temperature)


class RunTeacher:
    """The best network of a run, frozen, and what it teaches: its classes are joined by name, and a category's
    probability is the sum of its classes'.
    """

    def __init__(
        self, run: Run, class_names: Sequence[str], num_bands: int, training: TrainingConfig, hardware: Hardware
    ) -> None:
        """Load it onto the device.

        Args:
            run: has a best checkpoint.
            class_names: of the network that learns, in order of their numbers.
            num_bands: channels of the images that it learns from.
            training: its `teacher_weight` and `teacher_temperature` are read.
            hardware: where to compute.

        Raises:
            LabError: the checkpoint can't be read, it sees other bands, or knows fewer than two of the classes.
        """
        checkpoint = read_checkpoint(run.path, "best")
        bands = checkpoint.config.dataset.pixels.num_bands
        if bands != num_bands:
            raise LabError(
                f"The teacher {run.id} sees {bands} bands, and these images have {num_bands}. Choose a teacher of the"
                " same kind of images."
            )
        sources = class_sources(class_names, checkpoint.class_names, {})
        taught = [number for number, source in enumerate(sources) if source]
        if len(taught) < 2:
            raise LabError(
                f"The teacher {run.id} knows {len(taught)} of these {len(class_names)} classes, and two are needed. It"
                f" tells apart: {join_first(list(checkpoint.class_names), 20)}."
            )
        self.digest = checkpoint_digest(run.path, "best")
        self.sentence = f"Taught by run {run.id}, {run.title}."
        self.weight, self._temperature = training.teacher_weight, training.teacher_temperature
        self._hardware = hardware
        self._fitted = checkpoint.temperature
        self._model = build_model(checkpoint.config.model, len(checkpoint.class_names), bands)
        load_weights(self._model, checkpoint)
        hardware.prepare(self._model).eval().requires_grad_(False)
        self._taught = torch.tensor(taught, device=hardware.device)
        self._joins: torch.Tensor | None = None
        if sources != tuple((number,) for number in range(len(checkpoint.class_names))):
            joins = torch.zeros(len(checkpoint.class_names), len(taught))
            for column, number in enumerate(taught):
                joins[list(sources[number]), column] = 1
            self._joins = joins.to(hardware.device)

    def loss(self, images: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Return the mean divergence of a network's probabilities from the teacher's, both softened, times the square
        of the temperature: 0 where they agree.

        What the teacher takes for a class that isn't taught counts as little as the rest of its probability.

        Args:
            images: float (B, C, H, W) in 0..1, as the network saw them.
            logits: the network's, float (B, K, H, W).
        """
        with torch.no_grad():
            with self._hardware.autocast():
                own = self._model(images)
            own = own[..., ::STEP, ::STEP].float() / (self._fitted * self._temperature)
            target = own.softmax(dim=1)
            mass = target.new_ones(())
            if self._joins is not None:
                target = torch.einsum("bthw,tk->bkhw", target, self._joins)
                mass = target.sum(dim=1, keepdim=True).clamp(min=torch.finfo(target.dtype).tiny)
                target = target / mass
        logits = logits[..., ::STEP, ::STEP].float()
        if self._joins is not None:
            logits = logits.index_select(1, self._taught)
        return _divergence(logits, target, mass, self._temperature)


def _divergence(logits: torch.Tensor, target: torch.Tensor, mass: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the mean divergence of softened logits from probabilities, both (B, K, H, W), times the square of the
    temperature; a pixel counts as much as `mass` says, broadcastable to (B, 1, H, W).
    """
    divergence = F.kl_div((logits / temperature).log_softmax(dim=1), target, reduction="none")
    return (divergence * mass).sum(dim=1).mean() * temperature**2
