"""How fast a training goes, and the rows that it writes about itself."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch

from core.data.loaders import epoch_of_step
from core.errors import DivergedError
from core.training.evaluate import Evaluation
from core.training.plan import Plan


class Pace:
    """How fast steps are done, and when the run will end; pauses for scoring and saving are kept apart."""

    def __init__(self, plan: Plan, batch_size: int) -> None:
        self._plan = plan
        self._batch_size = batch_size
        self._steps = 0
        self._seconds_per_step = plan.seconds_per_step
        self._last = time.monotonic()
        self._paused = 0.0

    def tick(self) -> None:
        """Counts one step as done."""
        now = time.monotonic()
        self._steps += 1
        # The first steps are slower than the rest; afterwards a moving mean over about twenty follows the machine's mood.
        share = max(0.05, 1 / self._steps)
        self._seconds_per_step += share * (now - self._last - self._seconds_per_step)
        self._last = now

    @contextmanager
    def pause(self) -> Iterator[None]:
        """`with pace.pause():` around what is no training."""
        began = time.monotonic()
        yield
        self._last = time.monotonic()
        self._paused += self._last - began

    @property
    def paused(self) -> float:
        """Seconds spent in pauses so far."""
        return self._paused

    def images_per_second(self) -> float:
        """Training frames per second at present, without pauses."""
        return self._batch_size / max(1e-9, self._seconds_per_step)

    def seconds_left(self, step: int) -> float:
        """Seconds until the last step is done, pauses to come included, as far as can be told."""
        pause_per_step = self._paused / max(1, self._steps)
        return (self._plan.steps_total - step) * (self._seconds_per_step + pause_per_step)


def check_loss(step: int, loss: torch.Tensor | None) -> float | None:
    """The loss of a step as a number. Asked before anything is saved: a checkpoint of weights that ran away is worth nothing.

    Raises:
        DivergedError: the loss is not a finite number.
    """
    value = None if loss is None else loss.item()
    if value is not None and not np.isfinite(value):
        raise DivergedError(
            f"The loss became {value} at step {step}: the training diverged. Lower training.learning_rate (a third is a good try), "
            "or set training.grad_clip_norm to 1, and start again."
        )
    return value


def has_stalled(rows: list[dict[str, Any]], watched: Literal["never", "loss", "miou"], patience: int) -> bool:
    """True when the last `patience` evaluations brought nothing better than those before them.

    Args:
        rows: the eval rows of a run so far, oldest first: nothing else has to be remembered over a break.
        watched: the validation loss, which should fall, or the mean IoU, which should rise.
        patience: evaluations.
    """
    if watched == "never" or len(rows) <= patience:
        return False
    sign = 1.0 if watched == "miou" else -1.0
    values = [sign * row[watched] for row in rows if row[watched] is not None]
    return len(values) > patience and max(values[-patience:]) <= max(values[:-patience])


def train_row(
    step: int, loss: torch.Tensor | None, rate: float, pace: Pace, items: int, batch_size: int
) -> dict[str, Any]:
    """The row of a training step (from 1). `loss` is None for a batch without a labelled pixel.

    Raises:
        DivergedError: the loss is not a finite number.
    """
    value = check_loss(step, loss)
    return {
        "kind": "train",
        "step": step,
        "epoch": epoch_of_step(step, items, batch_size),
        "loss": value,
        "learning_rate": rate,
        "images_per_second": round(pace.images_per_second(), 3),
        "seconds_left": round(pace.seconds_left(step), 1),
    }


def eval_row(step: int, found: Evaluation, items: int, batch_size: int) -> dict[str, Any]:
    """The row of an evaluation after a step; IoU is None for a class that is neither there nor predicted."""
    iou = [None if np.isnan(value) else float(value) for value in found.confusion.iou()]
    return {
        "kind": "eval",
        "step": step,
        "epoch": epoch_of_step(step, items, batch_size),
        "loss": found.loss,
        "miou": found.confusion.miou(),
        "pixel_accuracy": found.confusion.pixel_accuracy(),
        "iou": iou,
        "predicted": _shares(found.confusion.matrix.sum(axis=0)),
        "truth": _shares(found.confusion.matrix.sum(axis=1)),
    }


def _shares(pixels: np.ndarray) -> list[float]:
    """Pixels per class as shares of all, 0..1."""
    return [round(share, 6) for share in (pixels / max(1, pixels.sum())).tolist()]
