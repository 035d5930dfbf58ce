"""The rehearsal of a run: two steps and a validation batch at full size, to tell before the start what it will cost.

`rehearse` starts `python -m core.training.rehearsal` and imports no torch; that process reads a config as JSON and prints one
JSON object. Running out of memory is an answer too, and comes with a proposal.
"""

import math
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from core.config import RunConfig, read_config
from core.errors import LabError
from core.places import runs_folder
from core.training.child import Line, OutOfMemoryError, answer, ask

REHEARSAL_SECONDS = 180.0
"""How long a rehearsal may take, the start of its process included."""

STEPS, MOST_STEPS, MEASURED_SECONDS = 2, 8, 2.0
"""Short steps are repeated up to so often or so long: the first also compiles kernels, and two short ones say little."""

MEMORY_SHARE = 0.85
"""Of the free memory, what a run may fill: other programs move too."""

DAY = 86_400.0
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
        found = [_from_dict(line) for line in ask("core.training.rehearsal", config, timeout)]
    except OutOfMemoryError:
        remedy = next(smaller(config), {})
        return Rehearsal(None, (Problem(f"It needs more memory than there is. {proposal(remedy)}", remedy),))
    if not found:
        raise LabError("The rehearsal ended without a word. The lab's terminal may say more.")
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
    return ", ".join(
        f"{name.replace('_', ' ')} {value:g}" for fields in remedy.values() for name, value in fields.items()
    )


def proposal(remedy: Remedy) -> str:
    """The sentence that proposes a remedy against too little memory."""
    if not remedy:
        return "No smaller batch or crop would do: take a smaller network, or a machine with more memory."
    return f"Take {remedy_words(remedy)}."


def gigabytes(size: int) -> str:
    """Bytes in words."""
    return f"{size / GIGABYTE:.1f} GB" if size >= 0.05 * GIGABYTE else f"{size / 1e6:.0f} MB"


def measure(config: RunConfig) -> Cost:
    """Does the two steps and the validation batch in this process, which should have been made for it. Raises LabError."""
    began = time.monotonic()
    import psutil  # and torch, of which whoever imports this module should have nothing
    import torch

    from core.data.loaders import MEMORY_BUDGET, FrameStore, WholeFrames, batches_in_order, build_loader
    from core.training.evaluation import evaluate
    from core.training.plan import count_steps
    from core.training.team import Team
    from core.training.trial import open_trial
    from core.training.usage import free_memory, peak_memory

    process = psutil.Process()
    trial = open_trial(config)
    training, device = config.training, trial.hardware.device
    cuda = device.type == "cuda"
    free = torch.cuda.mem_get_info(device)[0] if cuda else free_memory()

    # Decoding apart: most frames are decoded once and then kept.
    indices = sorted({index for keys in trial.batches(STEPS) for _, index, _ in keys})
    before = time.monotonic()
    for index in indices:
        trial.crops.store[index]
    seconds_to_decode = (time.monotonic() - before) / len(indices)
    frames = len(trial.crops.store) + len(trial.whole)
    keeps = isinstance(trial.crops.store, FrameStore)
    frame_bytes = 4 * config.dataset.height * config.dataset.width
    kept = min(MEMORY_BUDGET, frames * frame_bytes) if keeps else 0

    def taken() -> int:
        return torch.cuda.memory_allocated(device) if cuda else process.memory_info().rss

    def most_taken() -> int:
        return torch.cuda.max_memory_allocated(device) if cuda else peak_memory()

    def score() -> float:
        batches = batches_in_order(len(trial.whole), training.batch_size)[:1]
        loader = build_loader(WholeFrames(trial.whole.store), batches, workers=0)
        return evaluate(trial.model, loader, trial.loss, trial.hardware, Team()).seconds_per_batch

    # Scoring first: a process on a CPU keeps what it once had, and a step takes more, so afterwards it could not be told.
    at_rest = taken()
    score()
    scoring = max(0, most_taken() - at_rest)
    seconds: list[float] = []
    batches = trial.load(MOST_STEPS)
    while len(seconds) < STEPS or (len(seconds) < MOST_STEPS and sum(seconds) < MEASURED_SECONDS):
        before = time.monotonic()
        trial.step(next(batches))
        seconds.append(time.monotonic() - before)
    seconds_per_batch = score()
    if trial.hardware.workers:
        del batches  # ends the processes that load

    weights = _size(trial.model.state_dict().values())
    gradients = _size(p.grad for p in trial.model.parameters() if p.grad is not None)
    moments = _size(
        value for state in trial.optimizer.state.values() for value in state.values() if isinstance(value, torch.Tensor)
    )
    kept_here = 0 if cuda else kept
    seconds_per_step = median(seconds[1:])
    if keeps and frames * frame_bytes > MEMORY_BUDGET:
        anew = 1 - MEMORY_BUDGET / (frames * frame_bytes)
        seconds_per_step += anew * seconds_to_decode * training.batch_size / max(1, trial.hardware.workers)
    seconds_per_evaluation = seconds_per_batch * math.ceil(len(trial.whole) / training.batch_size)
    decoding = seconds_to_decode * frames if keeps else 0.0
    steps = count_steps(training, trial.items, decoding, seconds_per_step, seconds_per_evaluation)
    folder = runs_folder()
    while not folder.exists():
        folder = folder.parent
    return Cost(
        seconds_per_step=seconds_per_step,
        seconds_per_evaluation=seconds_per_evaluation,
        seconds_per_epoch=seconds_per_step * trial.items / training.batch_size,
        steps=steps,
        seconds_total=time.monotonic()
        - began
        + decoding
        + steps * seconds_per_step
        + training.evaluations * seconds_per_evaluation,
        memory_bytes=most_taken() + kept_here,
        memory_fixed_bytes=at_rest + gradients + moments + kept_here,
        memory_scoring_bytes=scoring,
        memory_free_bytes=free,
        checkpoint_bytes=2 * weights + moments + (weights if training.ema else 0),
        disk_free_bytes=shutil.disk_usage(folder).free,
        hardware=trial.hardware.sentence,
    )


def _work(config: RunConfig) -> Iterator[Line]:
    cost = measure(config)
    yield Rehearsal(cost, judge(cost, config)).as_dict()


def _from_dict(values: Line) -> Rehearsal:
    problems = tuple(Problem(**problem) for problem in values["problems"])
    return Rehearsal(Cost(**{name: value for name, value in values.items() if name != "problems"}), problems)


def _size(tensors: Any) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def _doubled(count: int) -> Iterator[int]:
    while count <= 256:
        count *= 2
        yield count


def _pixels_at_once(config: RunConfig) -> int:
    """Pixels of a batch's part that goes through the network at once."""
    training = config.training
    frames = math.ceil(math.ceil(training.batch_size / training.processes) / training.accumulation)
    return frames * training.crop_height * training.crop_width


def main() -> int:
    """The process: a config in, one object out."""
    return answer(_work)


if __name__ == "__main__":
    sys.exit(main())
