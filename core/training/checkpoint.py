"""Checkpoints: everything that rebuilds a network, and everything that lets its training go on.

    last/  model.safetensors  optimizer.safetensors  [ema.safetensors]  state.json
    best/  model.safetensors  state.json

Where there is a mean of the weights, it is what is scored and shown: `best` holds nothing else, and `last` has it in
`ema.safetensors`, beside the weights that training goes on from.

`state.json` holds the run's config, the names and colours of the classes, and how far training was: a checkpoint that
is copied elsewhere still knows what it is. Random states aren't stored, since every random choice is keyed by seed and
step.

A checkpoint is written into `.last.new`, made durable, and renamed; a crash at any moment leaves the old or the new
one.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from pydantic import BaseModel, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from core.config import RunConfig, read_stored_config
from core.errors import LabError
from core.files import parse_json
from core.labels import IGNORED, LabelSpace
from core.models.base import SegmentationModel
from core.runs.fitted_temperature import FittedTemperature
from core.runs.store import EMA_FILES, Which, checkpoint_path, checkpoint_state, ema_path
from core.text import shorten
from core.training.ema import ModelEma


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as it was read; `class_names` and `colors` are the label space it predicts in."""

    path: Path
    config: RunConfig
    step: int
    best_miou: float
    class_names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    scaler: dict[str, int | float]
    fitted: FittedTemperature | None = None

    @property
    def temperature(self) -> float:
        """What the network's logits are divided by; 1 where it was never fitted."""
        return self.fitted.temperature if self.fitted else 1.0


_Byte = Annotated[int, Field(ge=0, le=255)]


class _State(BaseModel):
    """What state.json says beside the config, as far as it can be true."""

    step: int = Field(ge=0, lt=2**53)
    best_miou: float = Field(ge=-1, le=1)
    classes: tuple[str, ...] = Field(min_length=1, max_length=IGNORED)
    colors: tuple[tuple[_Byte, _Byte, _Byte], ...] = Field(min_length=1, max_length=IGNORED)
    scaler: dict[str, int | float] = {}
    calibration: FittedTemperature | None = None


@dataclass
class TrainingState:
    """What training changes from step to step.

    Attributes:
        model: the network itself, without what wraps it.
        optimizer: of its parameters; None where it is only to predict.
        scaler: of the gradients, likewise.
        ema: moving average of the weights, where one is kept.
        step: optimizer steps done.
        best_miou: the highest validation mIoU so far, 0..1, or -1.
        fitted: the temperature of the last evaluation.
    """

    model: SegmentationModel
    optimizer: torch.optim.Optimizer | None = None
    scaler: torch.amp.GradScaler | None = None
    ema: ModelEma | None = None
    step: int = 0
    best_miou: float = -1.0
    fitted: FittedTemperature | None = None


def save_checkpoint(run: Path, which: Which, state: TrainingState, config: RunConfig, space: LabelSpace) -> None:
    """Write a checkpoint in place of the older one.

    Args:
        run: its folder.
        which: `best`, to predict with, holds the weights alone; `last`, to go on from, the rest of the state too.
        state: what is saved.
        config: of the run.
        space: the classes it tells apart.
    """
    fresh, old, final = run / f".{which}.new", run / f".{which}.old", run / which
    _settle(run, which)
    shutil.rmtree(fresh, ignore_errors=True)  # what a full disk or a crash left
    fresh.mkdir()
    weights = {name: tensor.contiguous() for name, tensor in state.model.state_dict().items()}
    save_file(weights, fresh / "model.safetensors")
    if which == "last":
        save_file(_optimizer_tensors(state.model, state.optimizer), fresh / "optimizer.safetensors")
    if which == "last" and state.ema:
        averages = {name: tensor.contiguous() for name, tensor in state.ema.tensors.items()}
        save_file(averages, fresh / "ema.safetensors")
    values = checkpoint_state(config, space, state.step, state.best_miou) | {
        "scaler": state.scaler.state_dict() if which == "last" else {},
        "calibration": state.fitted.model_dump() if state.fitted else None,
        "torch": torch.__version__,
    }
    # The state comes last: a folder that has it is complete.
    for path in fresh.iterdir():
        _make_durable(path)
    (fresh / "state.json.part").write_text(json.dumps(values, indent=1))
    _make_durable(fresh / "state.json.part")
    os.rename(fresh / "state.json.part", fresh / "state.json")
    _make_durable(fresh)
    if final.exists():
        os.rename(final, old)
    os.rename(fresh, final)
    _make_durable(run)
    shutil.rmtree(old, ignore_errors=True)


def read_checkpoint(run: Path, which: Which) -> Checkpoint:
    """Return what a checkpoint says of itself.

    Raises:
        LabError: the run has none, or it can't be read.
    """
    path = checkpoint_path(run, which)
    if path is None:
        raise LabError(f"Run {run.name} has no '{which}' checkpoint yet. Wait for its first evaluation, or resume it.")
    try:
        values = parse_json((path / "state.json").read_text())
        state = _State.model_validate(values)
        if len(state.colors) != len(state.classes):
            raise ValueError(f"{len(state.classes)} classes, but {len(state.colors)} colours")
        config = read_stored_config(values["config"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error)
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise LabError(
            f"The checkpoint '{path}' can't be read ({shorten(reason)}). Take another run, or train it again."
        ) from None
    return Checkpoint(
        path, config, state.step, state.best_miou, state.classes, state.colors, state.scaler, state.calibration
    )


def restore_state(run: Path, state: TrainingState) -> None:
    """Fill a training's state from its `last` checkpoint, where it has one.

    Raises LabError where that can't be read.
    """
    if checkpoint_path(run, "last") is None:
        return
    checkpoint = read_checkpoint(run, "last")
    load_weights(state.model, checkpoint, with_ema=False)
    load_optimizer(state.model, state.optimizer, checkpoint)
    state.scaler.load_state_dict(checkpoint.scaler)
    state.step, state.best_miou = checkpoint.step, checkpoint.best_miou
    state.fitted = checkpoint.fitted
    if state.ema:
        state.ema = ModelEma(state.model, state.ema.decay)  # of those tensors that the checkpoint's network has
        load_ema(state.ema, checkpoint)


def load_weights(model: SegmentationModel, checkpoint: Checkpoint, with_ema: bool = True) -> None:
    """Fill a model from a checkpoint, every tensor by name.

    Args:
        model: of the checkpoint's config.
        checkpoint: whose weights are taken.
        with_ema: take their moving mean where there is one, as training does whenever it scores.

    Raises:
        LabError: the file can't be read, or doesn't belong to this model.
    """
    path = checkpoint.path / "model.safetensors"
    if model.num_classes != len(checkpoint.class_names):
        raise LabError(
            f"The checkpoint '{checkpoint.path}' tells {len(checkpoint.class_names)} classes apart"
            f" ({', '.join(checkpoint.class_names[:4])} ...), but {model.num_classes} are wanted. Take data with its"
            " classes, or name its model.safetensors as first weights: then its encoder alone is taken."
        )
    try:
        tensors = load_file(path)
        if with_ema and (path_of_ema := ema_path(checkpoint.path)):
            path = path_of_ema
            tensors |= load_file(path)
        model.load_state_dict(tensors)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise LabError(f"The weights '{path}' can't be loaded: {str(error).splitlines()[0]}") from None


def load_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, checkpoint: Checkpoint) -> None:
    """Give an optimizer its moments back. Raises LabError when the file can't be read or is another network's."""
    path = checkpoint.path / "optimizer.safetensors"
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise LabError(f"The optimizer's state '{path}' can't be loaded ({error}). Start the run anew.") from None
    parameters = dict(model.named_parameters())
    for key, tensor in tensors.items():
        name, _, entry = key.rpartition("|")
        parameter = parameters.get(name)
        if parameter is None:
            raise LabError(f"The optimizer's state '{path}' belongs to another network. Start the run anew.")
        if tensor.shape == parameter.shape:
            tensor = torch.empty_like(parameter).copy_(tensor)  # in the parameter's memory format, on its device
        elif optimizer.defaults.get("fused"):
            tensor = tensor.to(parameter.device)  # a fused step counts on the device
        optimizer.state[parameter][entry] = tensor


def load_ema(ema: ModelEma, checkpoint: Checkpoint) -> None:
    """Give the mean weights back. Raises LabError when the file can't be read or is another network's."""
    path = ema_path(checkpoint.path) or checkpoint.path / EMA_FILES[0]
    try:
        for name, tensor in load_file(path).items():
            ema.tensors[name].copy_(tensor)
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise LabError(f"The mean weights '{path}' can't be loaded ({error}). Start the run anew.") from None


def _optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{names[parameter]}|{entry}": value.contiguous()
        for parameter, entries in optimizer.state.items()
        for entry, value in entries.items()
        if value is not None  # SGD without momentum
    }


def _settle(run: Path, which: Which) -> None:
    """End a replacement that a crash interrupted between its two renames."""
    fresh, old, final = run / f".{which}.new", run / f".{which}.old", run / which
    if not final.exists() and (fresh / "state.json").is_file():
        os.rename(fresh, final)
    shutil.rmtree(old, ignore_errors=True)


def _make_durable(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows can't open a folder to flush it
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
