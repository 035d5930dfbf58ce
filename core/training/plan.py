"""What is decided on this machine before the first step, and kept for the run's whole life.

A budget in minutes becomes a number of steps here, after the speed was measured: the schedule needs its end, and a
resumed run must find the same one. Class shares are counted here for the same reason. At each evaluation that number is
looked at again, by what steps and scoring really take; the schedule then goes on from where it stands to the new end,
and the plan says so, so that a resumed run learns the same.
"""

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from core.config import TrainingConfig
from core.errors import LabError
from core.labels import Color
from core.runs.store import read_plan, write_plan

MIN_STEPS, MAX_OVERRUN = 60, 2.0
"""With fewer steps a network hasn't begun to learn; a minute in which the machine was busy must not end with that."""
MAX_CHANGE = 4
"""A new plan has at most so many times the steps of the first one."""
EVALUATION_SHARE, MIN_EVAL_FRAMES = 0.1, 8
"""Of a budget in minutes what its evaluations take, without the last one, which sees all validation frames; and the
fewest frames that one looks at: a score of fewer says little."""
HALF_SIZE_COST = 0.25
"""Time of a step with crops at half their size as a share of another's, until it is measured: 0.26 of an FCN's, 0.21 of
a U-Net's and 0.22 of a ViT's on one core of an AMD EPYC, crops of 384 x 192.
"""
CURVE_POINTS = 1000
"""Train rows that a run writes at most, about: more than a plot can show slows the page and says nothing."""


@dataclass(frozen=True)
class Plan:
    """The fixed numbers of a run.

    `weights` and `hardware` are sentences for the page and the report; `space` is the digest of the label space, `data`
    that of the frames, "" in plans of version 0.1; `white` as of `core.config.PixelFormat`, as it was measured.
    `image_pixels` are the labelled pixels of the frames that show a class, and `rules` those by which it learns, see
    `core.training.tables.RULES`: 1 where the plan says nothing. `eval_frames` are the validation frames that an
    evaluation before the last one looks at, 0 for all. `setup_seconds` of the budget passed before the first step.
    `replans` are the steps after which the plan was made anew, and how many in all it had until then; `eval_every`
    counts from the last of them. `teacher` is the digest of the weights of the run that teaches, "" without one.
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
    eval_frames: int = 0
    setup_seconds: float = 0.0
    replans: tuple[tuple[int, int], ...] = ()
    teacher: str = ""

    def progress(self, step: int) -> float:
        """Return where in its schedule a step (from 1) is done, 0..1: in the middle of its share of the whole."""
        done, first = 0.0, 0
        for last, steps_total in self.replans:
            if step <= last:
                break
            done, first = done + (1 - done) * (last - first) / (steps_total - first), last
        else:
            steps_total = self.steps_total
        return done + (1 - done) * (step - 0.5 - first) / (steps_total - first)

    def is_half_size(self, step: int, training: TrainingConfig) -> bool:
        """Return whether a step (from 1) learns from crops at half their size."""
        return self.progress(step) < training.half_size_share

    def evaluates(self, step: int) -> bool:
        """Return whether the run is scored after a step."""
        last = self.replans[-1][0] if self.replans else 0
        if step <= last:
            return any(step == replan for replan, _ in self.replans)
        return step == self.steps_total or (step - last) % self.eval_every == 0

    def is_adjustable(self, training: TrainingConfig) -> bool:
        """Return whether it is made anew at each evaluation: where minutes count, and it knows how many had passed."""
        return training.minutes > 0 and self.setup_seconds > 0

    def last_step(self, training: TrainingConfig) -> int:
        """Return the last step that this run can have, however often it is planned anew."""
        if not self.is_adjustable(training):
            return self.steps_total
        return MAX_CHANGE * (self.replans[0][1] if self.replans else self.steps_total)

    def replan(
        self,
        training: TrainingConfig,
        step: int,
        seconds_used: float,
        seconds_of_steps: float,
        seconds_per_step: float,
        seconds_per_eval_frame: float,
    ) -> "Plan":
        """Return the plan after an evaluation, from what steps and scoring really took; only the steps to come differ.

        Args:
            training: of the run.
            step: done so far, fewer than all.
            seconds_used: of the budget, from the start of the run, breaks left out.
            seconds_of_steps: of these, what the steps took.
            seconds_per_step: of those to come, as the training goes.
            seconds_per_eval_frame: as measured, with all that is written meanwhile.
        """
        evaluations = max(1, training.evaluations - len(self.replans) - 1)
        frames = (evaluations - 1) * (self.eval_frames or self.val_frames) + self.val_frames
        budget, seconds_used = training.minutes * 60, seconds_used + frames * seconds_per_eval_frame
        min_steps = min(MIN_STEPS, step + int((MAX_OVERRUN * budget - seconds_of_steps) / seconds_per_step))
        steps_total = max(step + 1, min_steps, step + int((budget - seconds_used) / seconds_per_step))
        steps_total = min(steps_total, self.last_step(training))
        return replace(
            self,
            steps_total=steps_total,
            eval_every=interval(steps_total - step, evaluations),
            replans=(*self.replans, (step, self.steps_total)),
        )

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
            values["replans"] = tuple(tuple(replan) for replan in values.get("replans", ()))
            values["colors"] = tuple(tuple(color) for color in values["colors"])
            return cls(**values)
        except (KeyError, TypeError):
            return None


def count_eval_frames(training: TrainingConfig, frames: int, seconds_per_frame: float) -> int:
    """Return how many of so many validation frames an evaluation before the last one looks at.

    All of them, where epochs are counted, or where that takes no more than `EVALUATION_SHARE` of the budget.
    """
    if training.minutes == 0 or training.evaluations == 1:
        return frames
    fit = EVALUATION_SHARE * training.minutes * 60 / (training.evaluations - 1) / max(seconds_per_frame, 1e-9)
    return min(frames, max(MIN_EVAL_FRAMES, int(fit)))


def frames_to_score(training: TrainingConfig, frames: int, seconds_per_frame: float) -> int:
    """Return how many frames all evaluations of a run look at together, of so many validation frames."""
    return (training.evaluations - 1) * count_eval_frames(training, frames, seconds_per_frame) + frames


def count_steps(
    training: TrainingConfig, frames: int, seconds_used: float, seconds_per_step: float, seconds_to_score: float
) -> int:
    """Return the number of steps of a run: those that its epochs take, or those that fit into its minutes.

    A budget that the start has used up, or that a busy moment makes look small, still has `MIN_STEPS`, as far as they
    take no more than `MAX_OVERRUN` times its minutes. At least one.

    Args:
        training: its `minutes`, or when they are 0 its `epochs`, and its batch size.
        frames: how many training frames an epoch shows.
        seconds_used: of the budget, up to now: starting and measuring count.
        seconds_per_step: as measured with crops at their own size, loading included.
        seconds_to_score: as measured, for all evaluations.
    """
    if training.minutes == 0:
        return max(1, math.ceil(training.epochs * frames / training.samples_per_step))
    seconds_per_step *= mean_cost(training)
    left = training.minutes * 60 - seconds_used - seconds_to_score
    min_steps = min(MIN_STEPS, int(training.minutes * 60 * MAX_OVERRUN / seconds_per_step))
    return max(1, training.evaluations, min_steps, int(left / seconds_per_step))


def mean_cost(training: TrainingConfig, progress: float = 0.0, half_size_cost: float = HALF_SIZE_COST) -> float:
    """Return what a step to come takes on average, as a share of one with crops at their own size.

    Args:
        training: of which its `half_size_share` is read.
        progress: where in its schedule the run is, 0..1.
        half_size_cost: of a step with crops at half their size.
    """
    share = max(0.0, training.half_size_share - progress) / max(1e-9, 1 - progress)
    return share * half_size_cost + (1 - share)


def interval(steps_total: int, times: int) -> int:
    """Return every how many steps something happens that shall happen `times` times in a run."""
    return max(1, math.ceil(steps_total / times))
