"""What an hour of labelling is worth: ways to label the same photographs, by the minutes they take and what a network
learns from them.

    python benchmarks/labelling.py [--root ../shared/data/cityscapes] [--frames 30] [--steps 200] [--seeds 3]

Half an hour a seed and more. An annotator who knows the truth labels some photographs of a data set in each way, and a
network is trained from the same start for as many steps on what was labelled, and scored on all validation frames.
Without a folder the photographs are generated streets.

Effort is counted in seconds as published: 2.4 to find and click a first place, 0.9 for each further click, 10.9 for a
stroke (Bearman et al., https://arxiv.org/abs/1506.02106, section 5). A border of a polygon is drawn once for the two
regions that it parts. Nothing is counted for looking, for waiting, or for what a network fills in.

    polygons               every piece of ten pixels and more, outlined to 1.5 pixels, on 5, 10, 20 and all photographs
    polygons, least sure   after 5 at random those of which the network of these is least sure
    clicks                 one a class and photograph, a dab of seven pixels
    strokes                one a class and photograph; the rest is unlabelled
    ..., the rest follows  where strokes, colours and the network of those strokes are sure of it
    ..., corrected         five strokes more a photograph, each on the largest piece that would be labelled wrongly

The lines are a table: the way, photographs, minutes, and mean IoU by seed. The last line is how many minutes each way
took to polygons' score, over the minutes of polygons at random: `share of minutes: 0.31 (strokes)`, the best of them.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cv2
import numpy as np
from PIL import Image

from benchmarks.learning import SHARED, call
from benchmarks.strokes import draw_strokes, resized
from core.config import read_config
from core.data.class_table import FILE_NAME, write_rows
from core.data.dataset import Dataset, open_dataset
from core.inference.predictor import Predictor
from core.inference.strokes import grow_strokes, working_size
from core.labels import IGNORED
from core.runs.metrics_log import evaluations
from core.synthetic import write_streets

FIRST_CLICK, NEXT_CLICK, STROKE = 2.4, 0.9, 10.9
"""Seconds."""
TOLERANCE = 1.5
"""Pixels between an outline and its polygon."""
MIN_AREA = 10
DAB = 7
FIRST = 5
"""Photographs labelled before a network can be asked."""
CORRECTIONS = 5
SURE = 0.8
"""Confidence, 0..1, from which what follows from strokes is learned."""


class Labelled(NamedTuple):
    """A mask uint8 (H, W), 255 where nothing is labelled, and the seconds that it took."""

    mask: np.ndarray
    seconds: float


@dataclass(frozen=True)
class Result:
    """What came of a way to label: photographs, minutes of effort, mean IoU 0..1."""

    way: str
    frames: int
    minutes: float
    miou: float


def draw_polygons(target: np.ndarray) -> Labelled:
    """Label as polygons do, from the largest piece to the smallest, as one draws from back to front."""
    pieces = []
    for class_id in np.unique(target):
        outlines, _ = cv2.findContours((target == class_id).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        pieces += [(cv2.contourArea(outline), int(class_id), outline) for outline in outlines]
    mask, seconds = np.full_like(target, IGNORED), 0.0
    for area, class_id, outline in sorted(pieces, key=lambda piece: -piece[0]):
        if area >= MIN_AREA:
            polygon = cv2.approxPolyDP(outline, TOLERANCE, True)
            cv2.fillPoly(mask, [polygon], class_id)
            if class_id != IGNORED:
                seconds += FIRST_CLICK + NEXT_CLICK * len(polygon) / 2
    return Labelled(mask, seconds)


def click(target: np.ndarray, rng: np.random.Generator) -> Labelled:
    """Label a dab of each class, well inside of it."""
    mask, seconds = np.full_like(target, IGNORED), 0.0
    for class_id in np.unique(target[target != IGNORED]):
        region = np.pad(target == class_id, 1).astype(np.uint8)
        depth = cv2.distanceTransform(region, cv2.DIST_L2, 3)[1:-1, 1:-1]
        inside = np.argwhere(depth >= min(DAB / 2, depth.max()))
        row, column = inside[rng.integers(len(inside))]
        dab = cv2.circle(np.zeros_like(target), (int(column), int(row)), DAB // 2, 1, -1) > 0
        mask[dab & (target == class_id)] = class_id
        seconds += FIRST_CLICK
    return Labelled(mask, seconds)


def stroke(target: np.ndarray, rng: np.random.Generator) -> Labelled:
    """Label with a stroke of each class."""
    classes = len(np.unique(target[target != IGNORED]))
    return Labelled(draw_strokes(target, 1, rng), STROKE * classes)


def correct(labelled: Labelled, answer: np.ndarray, target: np.ndarray, rng: np.random.Generator) -> Labelled:
    """Add strokes where an answer uint8 (H, W) is wrong: on the largest wrong pieces, each of one class."""
    wrong = np.where(answer != target, target, IGNORED)
    pieces: list[np.ndarray] = []
    for class_id in np.unique(wrong[wrong != IGNORED]):
        _, ids, stats, _ = cv2.connectedComponentsWithStats((wrong == class_id).astype(np.uint8))
        pieces += [ids == number for number in range(1, len(stats)) if stats[number, cv2.CC_STAT_AREA] >= MIN_AREA]
    mask = labelled.mask.copy()
    chosen = sorted(pieces, key=lambda piece: -piece.sum())[:CORRECTIONS]
    for piece in chosen:
        drawn = draw_strokes(np.where(piece, target, IGNORED), 1, rng)
        mask = np.where(drawn == IGNORED, mask, drawn)
    return Labelled(mask, labelled.seconds + STROKE * len(chosen))


def grown(image: np.ndarray, mask: np.ndarray, predictor: Predictor) -> tuple[np.ndarray, np.ndarray]:
    """Return what follows from strokes, uint8 (H, W), and the same where it is sure, 255 elsewhere."""
    shares = predictor.probabilities(image, working_size(mask.shape))[0].numpy()
    labels, confidence = (resized(each, mask.shape) for each in grow_strokes(image, mask, shares))
    return labels, np.where((confidence >= 255 * SURE) | (mask != IGNORED), labels, IGNORED).astype(np.uint8)


class Contest:
    """The photographs of one seed, and the networks that learn from what is labelled on them."""

    def __init__(self, dataset: Dataset, frames: int, steps: int, seed: int, folder: Path) -> None:
        """Choose photographs at random; data and runs are written into a folder."""
        self._dataset, self._steps, self._seed, self._folder = dataset, steps, seed, folder
        self._rng = np.random.default_rng(seed)
        chosen = self._rng.choice(len(dataset.train), min(frames, len(dataset.train)), replace=False)
        frames_chosen = [dataset.train[number] for number in chosen]
        self._images = [dataset.image(frame) for frame in frames_chosen]
        self._targets = [dataset.target(frame) for frame in frames_chosen]

    def results(self) -> Iterator[Result]:
        """Label in every way, and train on each; yields as they come."""
        everything = range(len(self._images))
        polygons = [draw_polygons(target) for target in self._targets]
        budgets = sorted({count for count in (FIRST, 10, 20, len(polygons)) if count <= len(polygons)})
        for count in budgets:
            yield (result := self._learn("polygons", polygons, everything[:count]))[0]
            if count == FIRST:
                first = result[1]
        sureness = [float(first.predict(image).confidence.mean()) for image in self._images]
        unsure = [*everything[:FIRST], *sorted(everything[FIRST:], key=sureness.__getitem__)]
        for count in budgets[1:-1]:
            yield self._learn("polygons, least sure", polygons, unsure[:count])[0]
        yield self._learn("clicks", [click(target, self._rng) for target in self._targets], everything)[0]

        strokes = [stroke(target, self._rng) for target in self._targets]
        result, network = self._learn("strokes", strokes, everything)
        yield result
        follows = [grown(*each, network) for each in zip(self._images, (each.mask for each in strokes), strict=True)]
        sure = [Labelled(sure, each.seconds) for (_, sure), each in zip(follows, strokes, strict=True)]
        yield self._learn("strokes, the rest follows", sure, everything)[0]
        corrected = [
            correct(each, labels, target, self._rng)
            for each, (labels, _), target in zip(strokes, follows, self._targets, strict=True)
        ]
        result, network = self._learn("strokes, corrected", corrected, everything)
        yield result
        filled = [
            Labelled(grown(image, each.mask, network)[1], each.seconds)
            for image, each in zip(self._images, corrected, strict=True)
        ]
        yield self._learn("strokes, corrected, the rest follows", filled, everything)[0]

    def _learn(self, way: str, labelled: Sequence[Labelled], order: Sequence[int]) -> tuple[Result, Predictor]:
        """Train on some photographs with their labels; returns what came of it and the network."""
        data = self._folder / "data"
        shutil.rmtree(data, ignore_errors=True)
        self._write(data, [(self._images[number], labelled[number].mask) for number in order])
        options = {
            "--dataset.name": "folder",
            "--dataset.root": data,
            "--dataset.height": self._dataset.size[0],
            "--dataset.width": self._dataset.size[1],
            "--training.minutes": 0,
            "--training.epochs": self._steps * 8 / len(order),
            "--training.batch-size": 8,
            "--training.evaluations": 1,
            "--training.seed": self._seed,
        }
        words = [str(each) for option in options.items() for each in option]
        runs = self._folder / "runs"
        printed = call(
            *("-m", "core", "train", "--preset", "quick", "--json", *words),
            SEGLAB_CHECKPOINTS=str(runs),
            SEGLAB_DATA_ROOTS=str(self._folder),
        )
        outcome = json.loads(printed.splitlines()[-1])
        if outcome["state"] != "finished":
            raise SystemExit(f"The run on {way} ended {outcome['state']}: {outcome['error']}")
        run = runs / outcome["run"]
        minutes = sum(labelled[number].seconds for number in order) / 60
        return Result(way, len(order), minutes, evaluations(run)[-1]["miou"]), Predictor(run, which="last")

    def _write(self, data: Path, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        """Write photographs and masks as a data set, with the validation frames and their true masks."""
        space = self._dataset.space
        for role in ("images", "masks"):
            (data / role).mkdir(parents=True)
        val = [(self._dataset.image(frame), self._dataset.target(frame)) for frame in self._dataset.val]
        for split, members in (("train", pairs), ("val", val)):
            names = [f"{split}{number:04d}" for number in range(len(members))]
            for name, (image, mask) in zip(names, members, strict=True):
                Image.fromarray(image).save(data / "images" / f"{name}.png", compress_level=1)
                Image.fromarray(mask).save(data / "masks" / f"{name}.png", compress_level=1)
            (data / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
        ids = tuple(number if number < len(space.class_names) else IGNORED for number in range(256))
        own = replace(space, name="own", from_ids=ids, from_colors=())
        (data / FILE_NAME).write_text(write_rows(own), encoding="utf-8")


def minutes_to(score: float, curve: Sequence[tuple[float, float]]) -> float:
    """Return the minutes at which a curve of (minutes, mean IoU) reaches a score, between its points on a line;
    infinity where it never does.
    """
    before = (0.0, 0.0)
    for point in sorted(curve):
        if point[1] >= score:
            share = (score - before[1]) / (point[1] - before[1]) if point[1] > before[1] else 1.0
            return before[0] + share * (point[0] - before[0])
        before = point
    return float("inf")


def main() -> None:
    """Print a table of all ways, and what the best saves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, help="a folder of Cityscapes; generated streets without it")
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    if (SHARED / "weights").is_dir():
        os.environ.setdefault("SEGLAB_WEIGHTS", str(SHARED / "weights"))
    found: dict[tuple[str, int], list[Result]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        root = options.root.resolve() if options.root else folder / "streets"
        if not options.root:
            write_streets(root, train=max(60, options.frames), val=30, seed=0)
        os.environ["SEGLAB_DATA_ROOTS"] = str(root)
        dataset = open_dataset(read_config({"dataset": {"name": "cityscapes", "root": str(root)}}).dataset)
        for seed in options.seeds:
            contest = Contest(dataset, options.frames, options.steps, seed, folder / str(seed))
            for result in contest.results():
                found.setdefault((result.way, result.frames), []).append(result)
                effort = f"{result.frames} photographs, {result.minutes:.0f} minutes"
                print(f"seed {seed}: {result.way}, {effort}: {result.miou:.3f}", flush=True)
    rows = {key: (statistics.mean(each.minutes for each in results), results) for key, results in found.items()}
    for (way, frames), (minutes, results) in rows.items():
        print(f"| {way} | {frames} | {minutes:.0f} | {', '.join(f'{each.miou:.3f}' for each in results)} |")
    means = {key: (minutes, statistics.mean(each.miou for each in results)) for key, (minutes, results) in rows.items()}
    polygons = [point for (way, _), point in means.items() if way == "polygons"]
    shares = {
        way: minutes / minutes_to(score, polygons) for (way, _), (minutes, score) in means.items() if way != "polygons"
    }
    for way, share in shares.items():
        print(f"{way}: {share:.2f} of the minutes in which polygons at random teach as much")
    best = min(shares, key=shares.__getitem__)
    print(f"share of minutes: {shares[best]:.2f} ({best})")


if __name__ == "__main__":
    main()
