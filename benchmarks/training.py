"""The lab's whole loop against a plain one in fp32, on the same network and frames: steps a second, and what is no
step.

    python benchmarks/training.py [--root ../shared/data/cityscapes] [--families fcn unet vit] [--steps 40] [--rounds 2]

Ours is `core.training.loop.train` in this process, with its curves, checkpoints every 30 seconds, frames read as a
user's are; theirs is `tutorial.py`'s: PIL, torchvision's transforms and two loading processes, cross-entropy, Adam,
nothing written. Both train the lab's network from random weights. They take turns; an evaluation is no part of either's
time. The last lines are shares of a training's time without evaluations (waiting for frames: goal under 2 %; rows,
status and checkpoints: goal under 1.5 %, a checkpoint counted once in 30 seconds) and the geometric mean of ours over
theirs in frames a second.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the trainer sets it for itself

import torch
from torch.utils.data import DataLoader

from benchmarks.tutorial import LOADERS, TutorialFrames, plain_optimizer, plain_step
from core.config import RunConfig, read_config
from core.data.dataset import Dataset, open_dataset
from core.models.build import build_model
from core.paths import PROJECT
from core.processes import available_cores
from core.runs.metrics_log import read_metrics
from core.runs.status import update_status
from core.runs.store import create_run
from core.training import loop
from core.training.malloc import keep_freed_memory
from core.training.recorder import Recorder

SHARED = PROJECT.parent / "shared"
WARM_UP = 5
CHECKPOINT_SECONDS = 30.0


def our_rate(config: RunConfig, folder: Path) -> tuple[float, float, float]:
    """Train a run; returns frames a second, and the shares of that time that went to waiting for frames and to
    writing.
    """
    spent: Counter[str] = Counter()
    counts: Counter[str] = Counter()

    def timed(what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                spent[what] += time.perf_counter() - began
                counts[what] += 1

        return call

    ends: list[float] = []
    train_step = loop.train_step

    def counted_step(*arguments: Any) -> Any:
        result = train_step(*arguments)
        ends.append(time.perf_counter())
        return result

    run = create_run(config, folder)
    replaced = {
        (loop, "train_step"): counted_step,
        (loop, "evaluate"): timed("evaluation", loop.evaluate),
        (Recorder, "checkpoint"): timed("checkpoints", Recorder.checkpoint),
        (Recorder, "row"): timed("rows", Recorder.row),
    }
    originals = {(owner, name): getattr(owner, name) for owner, name in replaced}
    for (owner, name), function in replaced.items():
        setattr(owner, name, function)
    try:
        loop.train(run, config, timed("status", lambda **changes: update_status(run, **changes)), lambda: False)
    finally:
        for (owner, name), function in originals.items():
            setattr(owner, name, function)
    waiting = [
        row["waiting"] for row in read_metrics(run)[0] if row["kind"] == "train" and row.get("waiting") is not None
    ]
    # From the end of one step to the end of the next lies everything but the evaluations and checkpoints at the very
    # end.
    step_seconds = statistics.median(b - a for a, b in zip(ends[WARM_UP:], ends[WARM_UP + 1 :], strict=False))
    rows = (spent["rows"] + spent["status"]) / max(1, len(ends)) / step_seconds
    checkpoints = spent["checkpoints"] / counts["checkpoints"] / CHECKPOINT_SECONDS
    return config.training.samples_per_step / step_seconds, statistics.mean(waiting[WARM_UP:]), rows + checkpoints


def their_rate(config: RunConfig, dataset: Dataset, steps: int) -> float:
    """Take so many steps as a tutorial does; returns frames a second."""
    torch.manual_seed(0)
    torch.set_num_threads(available_cores())
    model = build_model(config.model, len(dataset.space.class_names)).train()
    optimizer = plain_optimizer(model)
    training = config.training
    frames = TutorialFrames(dataset, (training.crop_height, training.crop_width))
    loader = DataLoader(frames, batch_size=training.batch_size, shuffle=True, num_workers=LOADERS, drop_last=True)
    ends: list[float] = []
    while len(ends) < steps:
        for images, targets in loader:
            plain_step(model, optimizer, images, targets)
            ends.append(time.perf_counter())
            if len(ends) == steps:
                break
    return training.batch_size / statistics.median(
        b - a for a, b in zip(ends[WARM_UP:], ends[WARM_UP + 1 :], strict=False)
    )


def main() -> None:
    """Print a line per family and the shares; the ratio last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=SHARED / "data/cityscapes", help="holds leftImg8bit and gtFine")
    parser.add_argument("--families", nargs="+", choices=["fcn", "unet", "vit"], default=["fcn", "unet", "vit"])
    parser.add_argument("--steps", type=int, default=40, help="of each training")
    parser.add_argument("--rounds", type=int, default=2, help="trainings of each, taking turns")
    options = parser.parse_args()
    keep_freed_memory()
    root = options.root.resolve()
    os.environ.setdefault("SEGLAB_DATA_ROOTS", str(root))
    ratios, waits, writes = [], [], []
    for family in options.families:
        frames = 64
        config = read_config(
            {
                "dataset": {"name": "cityscapes", "root": str(root), "max_train_samples": frames, "max_val_samples": 4},
                "model": {"family": family, "weights": "none"},
                "training": {"minutes": 0, "epochs": options.steps * 8 / frames, "evaluations": 1},
            }
        )
        dataset = open_dataset(config.dataset)
        ours, theirs = [], []
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory() as folder:
                rate, waiting, writing = our_rate(config, Path(folder))
            ours.append(rate)
            waits.append(waiting)
            writes.append(writing)
            theirs.append(their_rate(config, dataset, options.steps))
        mine, plain = statistics.median(ours), statistics.median(theirs)
        ratios.append(mine / plain)
        print(f"{config.model.title}: {mine:.1f} frames/s, plain {plain:.1f}, ratio {mine / plain:.2f}", flush=True)
    print(f"waiting for frames: {statistics.median(waits):.2%} of a step")
    print(f"rows, status and checkpoints: {statistics.median(writes):.2%} of the time")
    print(f"ratio: {statistics.geometric_mean(ratios):.2f}")


if __name__ == "__main__":
    main()
