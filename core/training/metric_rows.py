"""The rows that a training writes about itself, see `core.runs.metrics_log`."""

import numpy as np
import torch

from core.runs.metrics_log import EvalRow, TrainRow
from core.training.divergence import check_loss
from core.training.evaluate import Evaluation
from core.training.throughput import Throughput
from core.training.usage import Usage


def train_row(
    step: int, loss: torch.Tensor | None, rate: float, throughput: Throughput, usage: Usage, epoch: int
) -> TrainRow:
    """Return the row of a training step (from 1); `loss` is None for a batch without a labelled pixel.

    Raises:
        DivergedError: the loss is not a finite number.
    """
    return {
        "kind": "train",
        "step": step,
        "epoch": epoch,
        "loss": check_loss(step, loss),
        "learning_rate": rate,
        "images_per_second": round(throughput.images_per_second(), 3),
        "seconds_left": round(throughput.seconds_left(step), 1),
        **usage.row(),
    }


def eval_row(step: int, evaluation: Evaluation, epoch: int, minutes: float) -> EvalRow:
    """Return the row of an evaluation after a step."""
    confusion = evaluation.confusion
    return {
        "kind": "eval",
        "step": step,
        "epoch": epoch,
        "loss": evaluation.loss,
        "miou": confusion.miou(),
        "pixel_accuracy": confusion.pixel_accuracy(),
        "iou": [None if np.isnan(value) else float(value) for value in confusion.iou()],
        "predicted": _shares(confusion.matrix.sum(axis=0)),
        "truth": _shares(confusion.matrix.sum(axis=1)),
        "minutes": minutes,
    }


def _shares(pixels: np.ndarray) -> list[float]:
    """Return pixels per class as shares of all, 0..1."""
    return [round(share, 6) for share in (pixels / max(1, pixels.sum())).tolist()]
