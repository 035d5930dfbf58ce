"""The rehearsal of a run: two steps and a validation batch at full size, to tell before the start what it will cost.

`rehearse` starts `python -m core.training.probe.measure_cost` and imports no torch; that process reads a config as JSON and prints one
JSON object. Running out of memory is an answer too, and comes with a proposal.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from core.config import RunConfig, read_config
from core.errors import LabError
from core.training.probe.probe_process import Line, OutOfMemoryError, ask

REHEARSAL_SECONDS = 180.0
"""How long a rehearsal may take, the start of its process included."""

MEMORY_SHARE = 0.85
"""Of the free memory, what a run may fill: other programs move too."""

DAY = 86_400.0
FEWEST_STEPS = 30
"""With fewer, a network on first weights of its own hardly begins to learn."""

GIGABYTE = 1e9

Remedy = dict[str, dict[str, Any]]
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
    remedy: Remedy


@dataclass(frozen=True)
class Rehearsal:
    """`cost` is None where the rehearsal died of it; the first problem then says so."""

    cost: Cost | None
    problems: tuple[Problem, ...]

    def as_dict(self) -> dict[str, Any]:
        """The costs, where they are known, and `problems`, as JSON has them."""
        return (asdict(self.cost) if self.cost else {}) | {"problems": [asdict(problem) for problem in self.problems]}


def rehearse(config: RunConfig, timeout: float = REHEARSAL_SECONDS) -> Rehearsal:
    """Rehearses a run in a process of its own.

    Args:
        config: of the run.
        timeout: seconds after which the process is ended.

    Raises:
        LabError: the run couldn't start at all, or the rehearsal took too long.
    """
    try:
        found = [_from_dict(line) for line in ask("core.training.probe.measure_cost", config, timeout)]
    except OutOfMemoryError:
        remedy = next(smaller(config), {})
        return Rehearsal(None, (Problem(f"It needs more memory than there is. {proposal(remedy)}", remedy),))
    if not found:
        raise LabError(
            "The rehearsal stopped unexpectedly. Try again; if it stays so, the terminal in which the lab runs says more."
        )
    return found[0]


def judge(cost: Cost, config: RunConfig) -> tuple[Problem, ...]:
    """What speaks against a run of such cost, the gravest first."""
    problems = []
    if cost.memory_bytes > MEMORY_SHARE * cost.memory_free_bytes:
        remedy = next((change for change in smaller(config) if fits(cost, config, changed(config, change))), {})
        problems.append(
            Problem(
                f"It needs about {gigabytes(cost.memory_bytes)} of memory, and of {gigabytes(cost.memory_free_bytes)} that are free no "
                f"more than {MEMORY_SHARE:.0%} should be filled. {proposal(remedy)}",
                remedy,
            )
        )
    # A new checkpoint is complete before the old one goes.
    if cost.disk_free_bytes < 2 * cost.checkpoint_bytes:
        problems.append(
            Problem(
                f"Its checkpoints need up to {gigabytes(2 * cost.checkpoint_bytes)}, but the disk has {gigabytes(cost.disk_free_bytes)} "
                "left. Delete old runs, or move the folder of the runs to another disk with SEGLAB_CHECKPOINTS.",
                {},
            )
        )
    if not config.training.minutes and cost.seconds_per_epoch > DAY:
        remedy = {"training": {"minutes": DAY / 60}}
        problems.append(
            Problem(
                f"One pass over the data takes {cost.seconds_per_epoch / 3600:.0f} hours here. Train for a day instead, or take a "
                "smaller network or crop.",
                remedy,
            )
        )
    if config.training.minutes and cost.steps < FEWEST_STEPS:
        rest = cost.seconds_total - cost.steps * cost.seconds_per_step
        minutes = math.ceil((rest + FEWEST_STEPS * cost.seconds_per_step) / 60) + 1
        remedy = {"training": {"minutes": float(minutes)}}
        problems.append(
            Problem(
                f"No more than {cost.steps} steps fit into the {config.training.minutes:g} min given, and with so few it hardly learns. "
                f"{proposal(remedy)}",
                remedy,
            )
        )
    return tuple(problems)


def fits(cost: Cost, config: RunConfig, other: RunConfig) -> bool:
    """Whether a config that differs in batch and crop only would fit into memory, by what the first was measured to cost."""
    old, new = config.training, other.training
    learning = (cost.memory_bytes - cost.memory_fixed_bytes) * _pixels_at_once(other) / _pixels_at_once(config)
    scoring = cost.memory_scoring_bytes * new.batch_size / old.batch_size
    return cost.memory_fixed_bytes + max(learning, scoring) <= MEMORY_SHARE * cost.memory_free_bytes


def smaller(config: RunConfig) -> Iterator[Remedy]:
    """Changes that a run of less memory can be had with, the mildest first; only what a config takes."""
    training = config.training
    batch, parts = training.batch_size, training.accumulation
    wishes: list[dict[str, Any]] = [{"batch_size": batch // 2, "accumulation": min(parts, batch // 2)}]
    wishes += [{"accumulation": count} for count in _doubled(parts) if count <= batch]
    half = {"crop_height": training.crop_height // 2, "crop_width": training.crop_width // 2}
    wishes += [half]
    wishes += [{"batch_size": batch // share, "accumulation": 1} for share in (4, 8, 16, 32)]
    wishes += [half | {"batch_size": batch // share, "accumulation": 1} for share in (2, 4, 8, 16, 32)]
    old = training.model_dump()
    for wish in wishes:
        remedy = {"training": {name: value for name, value in wish.items() if old[name] != value}}
        try:
            changed(config, remedy)
        except LabError:
            continue  # below what a config allows
        yield remedy


def changed(config: RunConfig, remedy: Remedy) -> RunConfig:
    """The config with a remedy applied. Raises LabError where a run can't be had like that."""
    values = config.model_dump()
    return read_config({part: fields | remedy.get(part, {}) for part, fields in values.items()})


def remedy_words(remedy: Remedy) -> str:
    """A remedy in a few words: "batch size 4, accumulation 2"."""
    fields = {name: value for part in remedy.values() for name, value in part.items()}
    return ", ".join(
        f"{value:g} minutes" if name == "minutes" else f"{name.replace('_', ' ')} {value:g}"
        for name, value in fields.items()
    )


def proposal(remedy: Remedy) -> str:
    """The sentence that proposes a remedy against too little memory."""
    if not remedy:
        return "No smaller batch or crop would do: take a smaller network, or a machine with more memory."
    return f"Take {remedy_words(remedy)}."


def gigabytes(size: int) -> str:
    """Bytes in words."""
    return f"{size / GIGABYTE:.1f} GB" if size >= 0.05 * GIGABYTE else f"{size / 1e6:.0f} MB"


def _from_dict(values: Line) -> Rehearsal:
    problems = tuple(Problem(**problem) for problem in values["problems"])
    return Rehearsal(Cost(**{name: value for name, value in values.items() if name != "problems"}), problems)


def _doubled(count: int) -> Iterator[int]:
    while count <= 256:
        count *= 2
        yield count


def _pixels_at_once(config: RunConfig) -> int:
    """Pixels of a batch's part that goes through the network at once."""
    training = config.training
    frames = math.ceil(math.ceil(training.batch_size / training.processes) / training.accumulation)
    return frames * training.crop_height * training.crop_width
