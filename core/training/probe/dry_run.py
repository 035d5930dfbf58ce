"""The dry run of a run: two steps and a validation batch at full size, to tell before the start what it will cost.

`dry_run` starts `python -m core.training.probe.measure_cost` and imports no torch; that process reads a config as JSON
and prints one JSON object. Running out of memory is an answer too, and comes with a proposal.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from core.config import RunConfig, read_config, setting_of
from core.errors import LabError
from core.text import format_bytes
from core.training.probe.probe_process import Line, OutOfMemoryError, run_probe

DRY_RUN_SECONDS = 180.0
"""How long a dry run may take, the start of its process included."""

MEMORY_SHARE = 0.85
"""Of the free memory, what a run may fill: other programs move too."""

DAY = 86_400.0
MIN_STEPS = 30
"""With fewer, a network on first weights of its own hardly begins to learn."""


SuggestedChange = dict[str, dict[str, Any]]
"""Changes of a config, part by part."""


@dataclass(frozen=True)
class Cost:
    """What a run will take, measured with random weights. Times are seconds.

    Attributes:
        seconds_per_step: with the frames of the batch decoded already, unless they would be decoded anew each time.
        seconds_per_evaluation: for all validation frames.
        seconds_per_epoch: of training alone.
        steps: of the whole run.
        seconds_total: until the end, decoding and scoring included.
        memory_bytes: most that is needed at one time, on the device that computes.
        memory_fixed_bytes: the part of it that depends on neither batch nor crop.
        memory_scoring_bytes: what scoring needs beside the fixed part.
        memory_free_bytes: what there is.
        checkpoint_bytes: the two checkpoints of a run on disk.
        disk_free_bytes: what is free where runs are kept.
        hardware: a sentence: where and how it was computed.
    """

    seconds_per_step: float
    seconds_per_evaluation: float
    seconds_per_epoch: float
    steps: int
    seconds_total: float
    memory_bytes: int
    memory_fixed_bytes: int
    memory_scoring_bytes: int
    memory_free_bytes: int
    checkpoint_bytes: int
    disk_free_bytes: int
    hardware: str


@dataclass(frozen=True)
class Problem:
    """What speaks against a run, and changes with which it would do; empty where no setting helps."""

    sentence: str
    suggested_change: SuggestedChange


@dataclass(frozen=True)
class DryRun:
    """`cost` is None where the dry run died of it; the first problem then says so."""

    cost: Cost | None
    problems: tuple[Problem, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the costs, where they are known, and `problems`, as JSON has them."""
        return (asdict(self.cost) if self.cost else {}) | {"problems": [asdict(problem) for problem in self.problems]}

    @classmethod
    def from_dict(cls, values: Line) -> "DryRun":
        """Build it from what `as_dict` returned."""
        costs = {name: value for name, value in values.items() if name != "problems"}
        return cls(Cost(**costs) if costs else None, tuple(Problem(**each) for each in values["problems"]))


def dry_run(config: RunConfig, timeout: float = DRY_RUN_SECONDS) -> DryRun:
    """Try a run in a process of its own.

    Args:
        config: of the run.
        timeout: seconds after which the process is ended.

    Raises:
        LabError: the run couldn't start at all, or the dry run took too long.
    """
    try:
        results = [DryRun.from_dict(line) for line in run_probe("core.training.probe.measure_cost", config, timeout)]
    except OutOfMemoryError:
        suggested_change = next(smaller(config), {})
        return DryRun(
            None, (Problem(f"It needs more memory than there is. {proposal(suggested_change)}", suggested_change),)
        )
    if not results:
        raise LabError(
            "The dry run stopped unexpectedly. Try again; if it stays so, the terminal in which the lab runs says more."
        )
    return results[0]


def judge(cost: Cost, config: RunConfig) -> tuple[Problem, ...]:
    """Return what speaks against a run of such cost, the gravest first."""
    problems = []
    if cost.memory_bytes > MEMORY_SHARE * cost.memory_free_bytes:
        suggested_change = next(
            (change for change in smaller(config) if fits(cost, config, changed(config, change))), {}
        )
        problems.append(
            Problem(
                f"It needs about {format_bytes(cost.memory_bytes)} of memory, and of"
                f" {format_bytes(cost.memory_free_bytes)} that are free no more than {MEMORY_SHARE:.0%} should be"
                f" filled. {proposal(suggested_change)}",
                suggested_change,
            )
        )
    # A new checkpoint is complete before the old one goes.
    if cost.disk_free_bytes < 2 * cost.checkpoint_bytes:
        problems.append(
            Problem(
                f"Its checkpoints need up to {format_bytes(2 * cost.checkpoint_bytes)}, but the disk has"
                f" {format_bytes(cost.disk_free_bytes)} left. Delete old runs, or move the folder of the runs to"
                " another disk with SEGLAB_CHECKPOINTS.",
                {},
            )
        )
    if not config.training.minutes and cost.seconds_per_epoch > DAY:
        suggested_change = {"training": {"minutes": DAY / 60}}
        problems.append(
            Problem(
                f"One pass over the data takes {cost.seconds_per_epoch / 3600:.0f} hours here. Train for a day instead,"
                " or take a smaller network or crop.",
                suggested_change,
            )
        )
    if config.training.minutes and cost.steps < MIN_STEPS:
        rest = cost.seconds_total - cost.steps * cost.seconds_per_step
        minutes = math.ceil((rest + MIN_STEPS * cost.seconds_per_step) / 60) + 1
        suggested_change = {"training": {"minutes": float(minutes)}}
        problems.append(
            Problem(
                f"No more than {cost.steps} steps fit into the {config.training.minutes:g} min given, and with so few"
                f" it hardly learns. {proposal(suggested_change)}",
                suggested_change,
            )
        )
    return tuple(problems)


def fits(cost: Cost, config: RunConfig, other: RunConfig) -> bool:
    """Return whether a config that differs in batch and crop only would fit into memory, by what the first was measured
    to cost.
    """
    old, new = config.training, other.training
    learning = (cost.memory_bytes - cost.memory_fixed_bytes) * _pixels_at_once(other) / _pixels_at_once(config)
    scoring = cost.memory_scoring_bytes * new.batch_size / old.batch_size
    return cost.memory_fixed_bytes + max(learning, scoring) <= MEMORY_SHARE * cost.memory_free_bytes


def smaller(config: RunConfig) -> Iterator[SuggestedChange]:
    """Yield changes that a run of less memory can be had with, the mildest first; only what a config takes."""
    training = config.training
    half_crop = {"crop_height": training.crop_height // 2, "crop_width": training.crop_width // 2}
    # The same step in more and smaller batches learns the same, but for batch statistics.
    batches = [
        {
            "batch_size": training.batch_size // share,
            "accumulate_grad_batches": training.accumulate_grad_batches * share,
        }
        for share in (2, 4, 8, 16, 32)
        if training.batch_size % share == 0
    ]
    wishes: list[dict[str, Any]] = [*batches, half_crop, *(half_crop | batch for batch in batches)]
    smaller_steps = [{"batch_size": training.batch_size // share} for share in (2, 4, 8, 16, 32)]
    wishes += [*smaller_steps, *(half_crop | batch for batch in smaller_steps)]
    old = training.model_dump()
    for wish in wishes:
        suggested_change = {"training": {name: value for name, value in wish.items() if old[name] != value}}
        try:
            changed(config, suggested_change)
        except LabError:
            continue  # below what a config allows
        yield suggested_change


def changed(config: RunConfig, suggested_change: SuggestedChange) -> RunConfig:
    """Return the config with a remedy applied. Raises LabError where a run can't be had like that."""
    values = config.model_dump()
    return read_config({part: fields | suggested_change.get(part, {}) for part, fields in values.items()})


def change_text(suggested_change: SuggestedChange) -> str:
    """Return a remedy in a few words: "batch size 4, accumulate_grad_batches 2"."""
    return ", ".join(
        f"{value:g} minutes" if name == "minutes" else f"{setting_of(part, name).title.lower()} {value:g}"
        for part, fields in suggested_change.items()
        for name, value in fields.items()
    )


def proposal(suggested_change: SuggestedChange) -> str:
    """Return the sentence that proposes a remedy against too little memory."""
    if not suggested_change:
        return "No smaller batch or crop would do: take a smaller network, or a machine with more memory."
    return f"Take {change_text(suggested_change)}."


def _pixels_at_once(config: RunConfig) -> int:
    """Return the pixels of a batch's part that goes through the network at once."""
    training = config.training
    frames = math.ceil(training.batch_size / training.num_processes)
    return frames * training.crop_height * training.crop_width
