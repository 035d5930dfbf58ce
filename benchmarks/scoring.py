"""How many pairs of 2048 x 1024 label maps one core scores in a second: the lab, torchmetrics and the official evaluator in one run.

    python benchmarks/scoring.py [--root ../shared/data/cityscapes-fullres] [--rounds 5]

Against torchmetrics the lab counts the 19 classes of maps in memory, as after every epoch. Against the official evaluator, which reads
files and knows no other way, it reads the same files and forms iIoU too. The three take turns; figures are medians of the rounds. The
last lines are the ratios, the peer's time over the lab's; the last one is to torchmetrics.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cv2
import numpy as np
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from core.labels import CITYSCAPES_19, IGNORED
from core.places import PROJECT
from core.scoring.protocol import OFFICIAL, protocol_of
from core.scoring.scorer import Scorer

# cityscapesscripts 2.3 asks for a name that numpy 2.4 has dropped; it was another for isin.
if not hasattr(np, "in1d"):
    np.in1d = np.isin

official = import_module("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")


def main() -> None:
    """Reads the options and runs."""
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
        run(files, Path(folder), options.rounds)


def run(files: list[Path], folder: Path, rounds: int) -> None:
    """Lets the three take turns, and prints what they took."""
    truths = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in files]
    guesses = [np.roll(truth, (3, 7), axis=(0, 1)) for truth in truths]
    predicted = [str(folder / path.name) for path in files]
    for path, guess in zip(predicted, guesses, strict=True):
        cv2.imwrite(path, guess)
    targets = [CITYSCAPES_19.lookup[truth] for truth in truths]
    # A network always predicts a class.
    labels = [
        np.where(label == IGNORED, 0, label).astype(np.uint8) for label in (CITYSCAPES_19.lookup[g] for g in guesses)
    ]
    tensors = [
        (torch.from_numpy(label), torch.from_numpy(target)) for label, target in zip(labels, targets, strict=True)
    ]

    def lab_in_memory() -> float:
        scorer = Scorer(protocol_of(CITYSCAPES_19))
        for number, (target, label) in enumerate(zip(targets, labels, strict=True)):
            scorer.update(str(number), target, label)
        return scorer.scores().miou

    def torchmetrics_in_memory() -> float:
        metric = MulticlassJaccardIndex(19, ignore_index=IGNORED, average="macro", validate_args=False)
        for label, target in tensors:
            metric.update(label, target)
        return float(metric.compute())

    def lab_from_files() -> float:
        scorer = Scorer(OFFICIAL)
        for path, guess in zip(files, predicted, strict=True):
            instances = str(path).replace("labelIds", "instanceIds")
            truth, label, things = (cv2.imread(str(name), cv2.IMREAD_UNCHANGED) for name in (path, guess, instances))
            scorer.update(path.stem, truth, label, instances=things)
        scores = scorer.scores()
        return scores.miou + scores.miiou

    def official_from_files() -> float:
        found = official.evaluateImgLists(predicted, [str(path) for path in files], official.args)
        return found["averageScoreClasses"] + found["averageScoreInstClasses"]

    contestants: dict[str, Callable[[], float]] = {
        "lab, in memory": lab_in_memory,
        "torchmetrics, in memory": torchmetrics_in_memory,
        "lab, from files with iIoU": lab_from_files,
        "official, from files with iIoU": official_from_files,
    }
    found = {name: contestant() for name, contestant in contestants.items()}
    assert found["lab, from files with iIoU"] == found["official, from files with iIoU"]
    # torchmetrics sums in float32.
    assert abs(found["lab, in memory"] - found["torchmetrics, in memory"]) < 1e-5
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            began = time.perf_counter()
            contestant()
            seconds[name].append(time.perf_counter() - began)
    rates = {name: len(files) / statistics.median(taken) for name, taken in seconds.items()}
    height, width = truths[0].shape
    print(f"{len(files)} pairs of {width} x {height} on one core, {rounds} rounds")
    for name, rate in rates.items():
        print(f"  {name:31} {rate:8.1f} pairs/s")
    print(f"official: {rates['lab, from files with iIoU'] / rates['official, from files with iIoU']:.1f}")
    print(f"ratio: {rates['lab, in memory'] / rates['torchmetrics, in memory']:.1f}")


if __name__ == "__main__":
    main()
