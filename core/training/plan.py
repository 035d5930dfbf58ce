"""What is decided on this machine before the first step, and kept for the run's whole life.

A budget in minutes becomes a number of steps here, after the speed was measured: the schedule needs its end, and a
resumed run must find the same one. Class shares are counted here for the same reason.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from core.config import TrainingConfig
from core.errors import LabError
from core.labels import Color
from core.runs.store import read_plan, write_plan

MIN_STEPS, MAX_OVERRUN = 60, 2.0
"""With fewer steps a network hasn't begun to learn; a minute in which the machine was busy must not end with that."""
CURVE_POINTS = 1000
"""Train rows that a run writes at most, about: more than a plot can show slows the page and says nothing."""


@dataclass(frozen=True)
class Plan:
    """The fixed numbers of a run.

    `weights` and `hardware` are sentences for the page and the report; `space` is the digest of the label space, `data`
    that of the frames, "" in plans of version 0.1; `white` as of `core.config.PixelFormat`, as it was measured.
    `image_pixels` are the labelled pixels of the frames that show a class, and `rules` those by which it learns, see
    `core.training.tables.RULES`: 1 where the plan says nothing.
    """

    steps_total: int
    eval_every: int
    log_every: int
    threads: int
    precision: Literal["fp32", "bf16", "fp16"]
    class_pixels: tuple[int, ...]
    train_frames: int
    val_frames: int
    sample_frames: tuple[str, ...]
    pretrained: bool
    weights: str
    hardware: str
    parameters: int
    seconds_per_step: float
    classes: tuple[str, ...]
    colors: tuple[Color, ...]
    space: str
    data: str = ""
    white: tuple[float, ...] = ()
    image_pixels: tuple[int, ...] = ()
    rules: int = 1

    def save(self, run: Path) -> None:
        """Write plan.json, durably."""
        write_plan(run, asdict(self))

    def settle(self, training: TrainingConfig) -> TrainingConfig:
        """Return the training part with what this run has settled: other threads or another precision would add up
        differently.
        """
        return training.model_copy(update={"threads": self.threads, "precision": self.precision})

    def check_data(self, train: int, val: int, space: str, data: str) -> None:
        """Raise LabError when the data set is no longer the one that the run was planned on."""
        if space != self.space:
            raise LabError(
                f"This run began with the classes {', '.join(self.classes[:4])} and so on; its class table was changed"
                " since. Bring the table back as it was and resume, or start a new run."
            )
        if (train, val) != (self.train_frames, self.val_frames):
            raise LabError(
                f"This run began with {self.train_frames} training and {self.val_frames} validation frames; now there"
                f" are {train} and {val}. Bring the data back as it was and resume, or start a new run."
            )

        if self.data and data != self.data:
            raise LabError(
                "The data are no longer those that this run began with: a photograph, or a mask's pixels, were changed"
                " since. Bring them back as they were and resume, or start a new run."
            )

    @classmethod
    def load(cls, run: Path) -> "Plan | None":
        """Return the plan of a run that has one that can be read."""
        values: dict[str, Any] = read_plan(run)
        try:
            values["class_pixels"] = tuple(values["class_pixels"])
            values["sample_frames"] = tuple(values["sample_frames"])
            values["image_pixels"] = tuple(values.get("image_pixels", ()))
            values["white"] = tuple(values.get("white", ()))
            values["classes"] = tuple(values["classes"])
            values["colors"] = tuple(tuple(color) for color in values["colors"])
            return cls(**values)
        except (KeyError, TypeError):
            return None


def count_steps(
    training: TrainingConfig, frames: int, seconds_used: float, seconds_per_step: float, seconds_per_evaluation: float
) -> int:
    """Return the number of steps of a run: those that its epochs take, or those that fit into its minutes.

    A budget that the start has used up, or that a busy moment makes look small, still has `MIN_STEPS`, as far as they
    take no more than `MAX_OVERRUN` times its minutes. At least one.

    Args:
        training: its `minutes`, or when they are 0 its `epochs`, and its batch size.
        frames: how many training frames an epoch shows.
        seconds_used: of the budget, up to now: starting and measuring count.
        seconds_per_step: as measured, loading included.
        seconds_per_evaluation: as measured, for all validation frames.
    """
    if training.minutes == 0:
        return max(1, math.ceil(training.epochs * frames / training.samples_per_step))
    left = training.minutes * 60 - seconds_used - training.evaluations * seconds_per_evaluation
    min_steps = min(MIN_STEPS, int(training.minutes * 60 * MAX_OVERRUN / seconds_per_step))
    return max(1, training.evaluations, min_steps, int(left / seconds_per_step))


def interval(steps_total: int, times: int) -> int:
    """Return every how many steps something happens that shall happen `times` times in a run."""
    return max(1, math.ceil(steps_total / times))
