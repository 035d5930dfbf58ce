"""How many pairs of 2048 x 1024 label maps one core scores in a second: the lab, torchmetrics and the official
evaluator in one run.

    python benchmarks/scoring.py [--root ../shared/data/cityscapes-fullres] [--rounds 5]

Predictions are the truth with ragged edges, in large areas as a network's are. Each comparison gives both sides the
same work:

- against torchmetrics, the 19 classes of maps in memory, as after every epoch;
- against the official evaluator, IoU and iIoU of label ids, once of maps in memory and once of the same PNG files. The
evaluator knows
  files only: in memory, the decoder that it calls hands out arrays that were decoded before. Its compiled part isn't in
  the package on PyPI, neither built nor as source. So that nobody wins by that, it is also timed with its pairs counted
  at no cost at all, which is faster than any compiler could make it.

All take turns; figures are medians of the rounds, in seconds of processor time, so that a busy machine doesn't count.
The last lines are the ratios, the peer's time over the lab's; the last one is to torchmetrics. `boundaries` is the time
of the 19 classes' IoU over what boundary F1 and bands take besides.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cv2
import numpy as np
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from core.evaluation.metrics.counting import count_pairs
from core.evaluation.metrics.protocol import OFFICIAL, label_ids_of, protocol_of
from core.evaluation.metrics.scorer import Scorer
from core.labels import CITYSCAPES_19, IGNORED
from core.paths import PROJECT

# cityscapesscripts 2.3 asks for a name that numpy 2.4 has dropped; it was another for isin.
if not hasattr(np, "in1d"):
    np.in1d = np.isin

official = import_module("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")

RAGGED = 8.0
"""Pixels by which edges are displaced, as a standard deviation, otherwise every `GRID` pixels.

Such maps change somewhat more often
along a row than real networks' answers, which is to the lab's disadvantage."""

GRID = 32
"""Pixels between displacements that are drawn; those between them are interpolated."""

FRAMES = 500
"""Of Cityscapes' validation set."""


def main() -> None:
    """Read the options and runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=PROJECT.parent / "shared/data/cityscapes-fullres")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    files = sorted(options.root.glob("gtFine/*/*/*_labelIds.png"))
    if not files:
        sys.exit(f"There are no label maps under '{options.root / 'gtFine'}'.")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    official.args.quiet, official.args.JSONOutput = True, False
    with tempfile.TemporaryDirectory() as folder:
        run([str(path) for path in files], Path(folder), options.rounds)


def predict(target: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return classes uint8 (H, W) like a network's: those of the target uint8 (H, W) with displaced edges, and a class
    everywhere.
    """
    height, width = target.shape
    rows, columns = np.indices(target.shape, np.float32)
    small = rng.normal(0, RAGGED, (2, height // GRID, width // GRID)).astype(np.float32)
    down, aside = (cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC) for part in small)
    moved = cv2.remap(target, columns + aside, rows + down, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return np.where(moved == IGNORED, 0, moved).astype(np.uint8)


class Decoded:
    """Stands in for a picture of Pillow that is decoded already."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self.size = values.shape[::-1]

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return self.values


def run(files: list[str], folder: Path, rounds: int) -> None:
    """Let all take turns, and prints what they took."""
    rng = np.random.default_rng(0)
    things = [path.replace("labelIds", "instanceIds") for path in files]
    predicted = [str(folder / Path(path).name) for path in files]
    targets = [CITYSCAPES_19.lookup[read(path)] for path in files]
    labels = [predict(target, rng) for target in targets]
    for path, label in zip(predicted, labels, strict=True):
        cv2.imwrite(path, label_ids_of(CITYSCAPES_19)[label])
    decoded = {path: read(path) for path in (*files, *things, *predicted)}
    pairs = [count_pairs(decoded[path], decoded[guess]) for path, guess in zip(files, predicted, strict=True)]
    tensors = [
        (torch.from_numpy(label), torch.from_numpy(target)) for label, target in zip(labels, targets, strict=True)
    ]

    def lab_classes() -> float:
        scorer = Scorer(protocol_of(CITYSCAPES_19))
        for path, target, label in zip(files, targets, labels, strict=True):
            scorer.update(path, target, label)
        return scorer.scores().miou

    def lab_boundaries() -> float:
        scorer = Scorer(protocol_of(CITYSCAPES_19), boundary=True)
        for path, target, label in zip(files, targets, labels, strict=True):
            scorer.update(path, target, label)
        return scorer.scores().miou

    def torchmetrics_classes() -> float:
        metric = MulticlassJaccardIndex(19, ignore_index=IGNORED, average="macro", validate_args=False)
        for label, target in tensors:
            metric.update(label, target)
        return float(metric.compute())

    def lab(source: Callable[[str], np.ndarray]) -> float:
        scorer = Scorer(OFFICIAL)
        for path, thing, guess in zip(files, things, predicted, strict=True):
            scorer.update(path, source(path), source(guess), instances=source(thing))
        scores = scorer.scores()
        return scores.miou + scores.miiou

    def evaluator() -> float:
        result = official.evaluateImgLists(predicted, files, official.args)
        return result["averageScoreClasses"] + result["averageScoreInstClasses"]

    def evaluator_in_memory() -> float:
        pillow = official.Image
        official.Image = SimpleNamespace(open=lambda path: Decoded(decoded[path]))
        try:
            return evaluator()
        finally:
            official.Image = pillow

    def evaluator_at_no_cost() -> float:
        known = iter(pairs)

        def count(_guess: np.ndarray, _truth: np.ndarray, matrix: np.ndarray, _labels: list[int]) -> np.ndarray:
            matrix += next(known)[: len(matrix), : len(matrix)].astype(matrix.dtype)
            return matrix

        official.CSUPPORT, official.addToConfusionMatrix = True, SimpleNamespace(cEvaluatePair=count)
        try:
            return evaluator_in_memory()
        finally:
            official.CSUPPORT = False

    def decoding() -> float:
        return float(sum(read(path)[0, 0] for path in decoded))

    assert not official.CSUPPORT
    groups: dict[str, dict[str, Callable[[], float]]] = {
        "in memory, 19 classes": {"lab": lab_classes, "torchmetrics": torchmetrics_classes},
        "in memory, 19 classes with boundaries": {"lab": lab_boundaries},
        "in memory, label ids with iIoU": {
            "lab": lambda: lab(decoded.__getitem__),
            "official": evaluator_in_memory,
            "official, pairs at no cost": evaluator_at_no_cost,
        },
        "from files, label ids with iIoU": {
            "lab": lambda: lab(read),
            "official": evaluator,
            "decoding alone, as the lab does": decoding,
        },
    }
    classes, _, memory, stored = groups.values()
    mine, theirs = (contestant() for contestant in classes.values())
    assert abs(mine - theirs) < 1e-5  # torchmetrics sums in float32
    assert len({contestant() for contestant in (*memory.values(), stored["lab"], stored["official"])}) == 1
    seconds = {group: {name: [] for name in contestants} for group, contestants in groups.items()}
    for _ in range(rounds):
        for group, contestants in groups.items():
            for name, contestant in contestants.items():
                began = time.process_time()
                contestant()
                seconds[group][name].append(time.process_time() - began)
    right = np.mean(
        [(label == target)[target != IGNORED].mean() for label, target in zip(labels, targets, strict=True)]
    )
    height, width = targets[0].shape
    print(f"{len(files)} pairs of {width} x {height} on one core, {rounds} rounds, {right:.1%} of the pixels right")
    taken = {}
    for group, contestants in seconds.items():
        print(group)
        taken[group] = {name: statistics.median(times) / len(files) for name, times in contestants.items()}
        for name, each in taken[group].items():
            print(f"  {name:32} {1 / each:7.1f} pairs/s")
    classes, boundaries, memory, stored = taken.values()
    print(f"{FRAMES} frames in memory: {FRAMES * classes['lab']:.1f} s, with iIoU {FRAMES * memory['lab']:.1f} s")
    bound = stored["official"] / stored["decoding alone, as the lab does"]
    print(f"official, from files: {stored['official'] / stored['lab']:.1f}, of {bound:.1f} were all but decoding free")
    print(f"boundaries: {classes['lab'] / (boundaries['lab'] - classes['lab']):.3f}")
    print(f"official, pairs at no cost: {memory['official, pairs at no cost'] / memory['lab']:.1f}")
    print(f"official: {memory['official'] / memory['lab']:.1f}")
    print(f"ratio: {classes['torchmetrics'] / classes['lab']:.1f}")


def read(path: str) -> np.ndarray:
    """Return a map of numbers as the file has it, uint8 or uint16 (H, W)."""
    return cv2.imread(path, cv2.IMREAD_UNCHANGED)


if __name__ == "__main__":
    main()
