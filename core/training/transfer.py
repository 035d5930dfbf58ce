"""The network of one run as the start of another: what fits by name and shape, and the rows of classes by class name.

That features of one task serve another is Yosinski et al., How transferable are features in deep neural networks?
(https://arxiv.org/abs/1411.1792).
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from core.config import ModelConfig
from core.errors import LabError
from core.models.base import SegmentationModel
from core.models.build import class_axes
from core.models.class_sources import class_sources, sources_sentence
from core.models.load_weights import load_encoder
from core.runs.store import Run
from core.text import join_first
from core.training.checkpoint import read_checkpoint

NOT_TAKEN = re.compile(r"encoder\.|(mean|std)$|.*num_batches_tracked$")
"""Names of what `load_encoder` fills, of the numbers by which pictures are normalised, and of counters."""


@dataclass(frozen=True)
class TransferReport:
    """What a trained network gave to another one.

    Attributes:
        classes: a sentence on those that were carried over.
        encoder: a sentence on the encoder's tensors; empty where it didn't fit and starts from its own weights.
        fitted: tensors beside the encoder that were taken, those with rows of classes among them.
        fresh: names of those that start anew.
    """

    classes: str
    encoder: str
    fitted: int
    fresh: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """For a person: what was taken, what was carried over, and what starts anew."""
        encoder = self.encoder or "No encoder of the run fits."
        fresh = f" Layers that start anew: {join_first(self.fresh, 4)}." if self.fresh else ""
        return f"{self.classes} {encoder} Beside it {self.fitted} tensors are the run's.{fresh}"


def transfer(model: SegmentationModel, config: ModelConfig, class_names: Sequence[str], run: Run) -> TransferReport:
    """Fill a network from the best checkpoint of a run.

    The encoder is taken as a whole or not at all. Of the other tensors those are taken whose name and shape are the
    same, but for the number of classes: along such an axis each class has the mean of its sources' rows, see
    `core.models.class_sources`, and one without a source keeps its first weights.

    Args:
        model: as `build_model` returned it, on the CPU.
        config: of the model.
        class_names: K names.
        run: has a `best` checkpoint.

    Raises:
        LabError: the checkpoint can't be read, nothing of it fits, or the user's table names a class that isn't there.
    """
    checkpoint = read_checkpoint(run.path, "best")
    path = checkpoint.path / "model.safetensors"
    sources = class_sources(class_names, checkpoint.class_names, config.class_pairs)
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise LabError(f"The weights '{path}' can't be loaded: {str(error).splitlines()[0]}") from None
    encoder = ""
    if model.encoder is not None and config.encoder_name == checkpoint.config.model.encoder_name:
        with suppress(LabError):  # of other bands, or of other patches
            encoder = load_encoder(model.encoder, path).sentence
    mixing = _mixing(sources, len(checkpoint.class_names))
    axes = class_axes(model, config)
    fitted: list[str] = []
    fresh: list[str] = []
    with torch.no_grad():
        for name, target in model.state_dict().items():
            if not NOT_TAKEN.match(name):
                source = tensors.get(name)
                is_filled = source is not None and _fill(target, source, mixing, axes.get(name, ()))
                (fitted if is_filled else fresh).append(name)
    if not encoder and not fitted:
        raise LabError(
            f"Nothing of run {run.id} ({checkpoint.config.model.title}) fits {config.title}: no tensor has the same"
            " name and shape. Start from a run of the same family, best with the same encoder."
        )
    classes = sources_sentence(class_names, checkpoint.class_names, sources)
    if not axes.keys() & set(fitted):
        classes = "Its last layers are others than the run's, so all classes start anew."
    return TransferReport(classes, encoder, len(fitted), tuple(fresh))


def _mixing(sources: Sequence[tuple[int, ...]], count: int) -> torch.Tensor:
    """Return the share of each of `count` trained classes in each class, float (K, count); rows of 0 start anew."""
    mixing = torch.zeros(len(sources), count)
    for row, source in zip(mixing, sources, strict=True):
        if source:
            row[list(source)] = 1 / len(source)
    return mixing


def _fill(target: torch.Tensor, source: torch.Tensor, mixing: torch.Tensor, axes: tuple[int, ...]) -> bool:
    """Fill a tensor from a trained one, along `axes` by class; returns whether anything was."""
    if source.ndim != target.ndim:
        return False
    expected = [mixing.shape[1] if axis in axes else size for axis, size in enumerate(target.shape)]
    if list(source.shape) != expected:
        return False
    if not axes:
        target.copy_(source)
        return True
    mixing, source = mixing.to(target.device), source.to(target.device)
    is_carried = mixing.sum(dim=1) > 0
    mask = torch.ones((), dtype=torch.bool, device=target.device)
    for axis in axes:
        source = torch.tensordot(mixing, source.to(mixing.dtype), dims=([1], [axis])).movedim(0, axis)
        mask = mask & is_carried.view([-1 if each == axis else 1 for each in range(target.ndim)])
    target.copy_(torch.where(mask, source.to(target.dtype), target))
    return bool(is_carried.any())
