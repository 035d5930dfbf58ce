"""What an hour of labelling is worth: ways to label the same photographs, by the minutes they take and what a network
learns from them.

    python benchmarks/labelling.py [--root ../shared/data/cityscapes] [--frames 30] [--steps 200] [--seeds 0 1 2]
        [--ways polygons objects ...]

Half an hour a seed and more. An annotator who knows the truth labels some photographs of a data set in each way, and a
network is trained from the same start for as many steps on what was labelled, and scored on all validation frames.
Without a folder the photographs are generated streets.

Effort is counted in seconds as published: 2.4 to find and click a first place, 0.9 for each further click, 10.9 for a
stroke (Bearman et al., https://arxiv.org/abs/1506.02106, section 5). A border of a polygon is drawn once for the two
regions that it parts. Nothing is counted for looking, for waiting, or for what a network fills in.

    polygons                     every piece of ten pixels and more, outlined to 1.5 pixels: 5, 10, 20, all photographs
    polygons, least sure first   after 5 at random those of which the network of these is least sure
    superpixels, one             a click a class and photograph, on a superpixel that is nearly all of it
    superpixels, five            so many clicks a class
    ..., the rest follows        where these, colours and the network of these are sure of it (`core.inference.strokes`)
    ..., corrected               five clicks more a photograph, each on the largest piece that would be labelled wrongly
    strokes                      one a class and photograph, along the largest piece of it
    objects, one                 a click on the largest piece of each class, as MobileSAM takes it; where that is wrong
                                 two clicks more at most, and else nothing
    objects, five                so many pieces of each class

The lines are a table: the way, photographs, minutes, and mean IoU by seed; then the share of the minutes in which
polygons at random teach as much, by a line between their points. The last line is the least of these, among ways that
teach at least as much as the first few polygons: `share of minutes: 0.31 (superpixels, five)`.
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
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cv2
import numpy as np
from PIL import Image

from benchmarks.learning import SHARED, call
from benchmarks.strokes import resized
from core.config import read_config
from core.data.class_table import FILE_NAME, write_rows
from core.data.dataset import Dataset, open_dataset
from core.inference.predictor import Predictor
from core.inference.strokes import MAX_OTHERS, Seen, grow_strokes, sample_strokes, working_size
from core.labelling.superpixels import find_superpixels
from core.labels import IGNORED
from core.models.mobile_sam_job import mobile_sam_weights
from core.models.prompts import Prompts
from core.runs.metrics_log import evaluations
from core.synthetic import write_streets

if TYPE_CHECKING:
    from core.models.mobile_sam import MobileSam

FIRST_CLICK, NEXT_CLICK, STROKE = 2.4, 0.9, 10.9
"""Seconds."""
TOLERANCE = 1.5
"""Pixels between an outline and its polygon."""
MIN_AREA = 10
DAB = 7
WIDTH = 5
"""Of a stroke, in pixels."""
NEARLY = 0.9
"""Share of a superpixel from which on it is taken for one of a class."""
FIRST = 5
"""Photographs labelled before a network can be asked."""
CORRECTIONS = 5
OBJECT_CLICKS = 3
"""Clicks on one object, at most."""
MIN_OBJECT = 32
"""Pixels of a piece that is clicked as an object."""
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


def click(image: np.ndarray, target: np.ndarray, count: int, rng: np.random.Generator) -> Labelled:
    """Label so many superpixels of each class, each of which is nearly all of it; a dab where there is none."""
    pieces = pieces_of(find_superpixels(image))
    mask, seconds = np.full_like(target, IGNORED), 0.0
    for class_id in np.unique(target[target != IGNORED]):
        mask, clicks = click_on(target == class_id, int(class_id), pieces, mask, count, rng)
        seconds += FIRST_CLICK + NEXT_CLICK * (clicks - 1)
    return Labelled(mask, seconds)


def click_on(
    region: np.ndarray, class_id: int, pieces: np.ndarray, mask: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, int]:
    """Return a mask with so many superpixels more that are nearly all in a region, and how many clicks that took."""
    inside = np.bincount(pieces[region], minlength=pieces.max() + 1) / np.bincount(pieces.ravel())
    able = np.flatnonzero(inside >= NEARLY)
    if len(able):
        chosen = rng.choice(able, min(count, len(able)), replace=False)
        return np.where(np.isin(pieces, chosen), np.uint8(class_id), mask), len(chosen)
    row, column = deepest(region)
    dab = cv2.circle(np.zeros_like(mask), (column, row), DAB // 2, 1, -1) > 0
    return np.where(dab & region, np.uint8(class_id), mask), 1


def pieces_of(numbers: np.ndarray) -> np.ndarray:
    """Return a number of its own, from 0, for each superpixel of a map uint8 (H, W)."""
    pieces, count = np.zeros(numbers.shape, np.int64), 0
    for value in np.unique(numbers):
        found, ids = cv2.connectedComponents((numbers == value).astype(np.uint8), connectivity=4)
        pieces[ids > 0] = ids[ids > 0] + count - 1
        count += found - 1
    return pieces


def click_objects(image: np.ndarray, target: np.ndarray, count: int, model: "MobileSam") -> Labelled:
    """Label so many pieces of each class, the largest, each by a click on it and where need be some beside it."""
    pieces = []
    for class_id in np.unique(target[target != IGNORED]):
        _, ids, stats, _ = cv2.connectedComponentsWithStats((target == class_id).astype(np.uint8), connectivity=4)
        largest = 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable")[:count]
        areas = [(int(stats[number, cv2.CC_STAT_AREA]), int(class_id), ids == number) for number in largest]
        pieces += [piece for piece in areas if piece[0] >= MIN_OBJECT]
    embedding = model.embed(image)
    mask, seconds = np.full_like(target, IGNORED), 0.0
    for _, class_id, piece in sorted(pieces, key=lambda each: -each[0]):
        if (mask[piece] == class_id).mean() >= NEARLY:
            continue  # an object that was clicked before has it
        points, is_in = [deepest(piece)], [True]
        seconds += FIRST_CLICK
        for number in range(OBJECT_CLICKS):
            places = tuple(((column + 0.5) / mask.shape[1], (row + 0.5) / mask.shape[0]) for row, column in points)
            covered = model.segment(embedding, Prompts(places, tuple(is_in)))
            wrong = covered & (target != class_id) & (target != IGNORED)
            if wrong.sum() <= (1 - NEARLY) * covered.sum():
                mask = np.where(covered, np.uint8(class_id), mask)
                break
            if number + 1 < OBJECT_CLICKS:
                points.append(deepest(wrong))
                is_in.append(False)
                seconds += NEXT_CLICK
    return Labelled(mask, seconds)


def deepest(region: np.ndarray) -> tuple[int, int]:
    """Return row and column of the pixel of a region that is farthest from its border."""
    depth = cv2.distanceTransform(np.pad(region, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    return int(row), int(column)


def stroke(target: np.ndarray) -> Labelled:
    """Label with a stroke of each class, from one end of its largest piece to the other, within it."""
    mask, seconds = np.full_like(target, IGNORED), 0.0
    for class_id in np.unique(target[target != IGNORED]):
        _, ids, stats, _ = cv2.connectedComponentsWithStats((target == class_id).astype(np.uint8), connectivity=4)
        piece = ids == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
        path = longest_path(piece)
        line = cv2.polylines(np.zeros_like(target), [path[:, ::-1].reshape(-1, 1, 2)], False, 1, WIDTH) > 0
        mask[line & piece] = class_id
        seconds += STROKE
    return Labelled(mask, seconds)


def longest_path(piece: np.ndarray) -> np.ndarray:
    """Return the rows and columns (N, 2) of a way through a connected piece, from a far end to the farthest from it."""
    end = deepest(piece)
    for _ in range(2):  # the farthest from anywhere is an end, and the farthest from that the other one
        steps = steps_from(piece, end)
        row, column = np.unravel_index(steps.argmax(), steps.shape)
        end = int(row), int(column)
    path = [end]
    steps = np.pad(steps, 1, constant_values=-1)
    while (left := steps[path[-1][0] + 1, path[-1][1] + 1]) > 0:
        row, column = path[-1]
        around = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
        path.append(next(each for each in around if steps[each[0] + 1, each[1] + 1] == left - 1))
    return np.array(path, np.int32)


def steps_from(piece: np.ndarray, start: tuple[int, int]) -> np.ndarray:
    """Return how many steps within a piece it is from a pixel to each other, int32 (H, W); -1 outside of it."""
    steps = np.full(piece.shape, -1, np.int32)
    front = np.zeros(piece.shape, np.uint8)
    front[start] = 1
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    for number in range(piece.size):
        if not front.any():
            break
        steps[front > 0] = number
        front = cv2.dilate(front, cross) * (piece & (steps < 0))
    return steps


def correct(
    image: np.ndarray, labelled: Labelled, answer: np.ndarray, target: np.ndarray, rng: np.random.Generator
) -> Labelled:
    """Click where an answer uint8 (H, W) is wrong: on the largest wrong pieces, each of one class."""
    wrong = np.where(answer != target, target, IGNORED)
    pieces: list[tuple[int, int, np.ndarray]] = []
    for class_id in np.unique(wrong[wrong != IGNORED]):
        _, ids, stats, _ = cv2.connectedComponentsWithStats((wrong == class_id).astype(np.uint8))
        pieces += [(int(area), int(class_id), ids == number) for number, area in enumerate(stats[1:, -1], start=1)]
    superpixels = pieces_of(find_superpixels(image))
    mask, seconds = labelled
    for _, class_id, piece in sorted(pieces, key=lambda each: -each[0])[:CORRECTIONS]:
        mask, _ = click_on(piece, class_id, superpixels, mask, 1, rng)
        seconds += FIRST_CLICK
    return Labelled(mask, seconds)


class Contest:
    """The photographs of one seed, and the networks that learn from what is labelled on them."""

    def __init__(
        self, dataset: Dataset, frames: int, steps: int, seed: int, folder: Path, ways: Sequence[str] = ()
    ) -> None:
        """Choose photographs at random; data and runs are written into a folder. Of the ways only some, where named."""
        self._ways = ways
        self._dataset, self._steps, self._seed, self._folder = dataset, steps, seed, folder
        self._rng = np.random.default_rng(seed)
        chosen = self._rng.choice(len(dataset.train), min(frames, len(dataset.train)), replace=False)
        frames_chosen = [dataset.train[number] for number in chosen]
        self._images = [dataset.image(frame) for frame in frames_chosen]
        self._targets = [dataset.target(frame) for frame in frames_chosen]

    def results(self) -> Iterator[Result]:
        """Label in every way, and train on each; yields as they come."""
        parts = {
            "polygons": self._polygons,
            "strokes": self._strokes,
            "superpixels": self._superpixels,
            "objects": self._objects,
        }
        for way, part in parts.items():
            if not self._ways or way in self._ways:
                yield from part()

    def _polygons(self) -> Iterator[Result]:
        everything = range(len(self._images))
        polygons = [draw_polygons(target) for target in self._targets]
        budgets = sorted({count for count in (FIRST, 10, 20, len(polygons)) if count <= len(polygons)})
        first = None
        for count in budgets:
            result, network = self._learn("polygons", polygons, everything[:count])
            first = first or network
            yield result
        sureness = [float(first.predict(image).confidence.mean()) for image in self._images]
        unsure = [*everything[:FIRST], *sorted(everything[FIRST:], key=sureness.__getitem__)]
        for count in budgets[1:-1]:
            yield self._learn("polygons, least sure first", polygons, unsure[:count])[0]

    def _strokes(self) -> Iterator[Result]:
        yield self._learn("strokes", [stroke(target) for target in self._targets], range(len(self._images)))[0]

    def _superpixels(self) -> Iterator[Result]:
        everything = range(len(self._images))
        yield self._learn("superpixels, one", self._clicks(1), everything)[0]
        clicks = self._clicks(5)
        result, network = self._learn("superpixels, five", clicks, everything)
        yield result
        follows = self._follows(clicks, network)
        yield self._learn("superpixels, five, the rest follows", self._sure(follows, clicks), everything)[0]
        corrected = [
            correct(image, each, labels, target, self._rng)
            for image, each, (labels, _), target in zip(self._images, clicks, follows, self._targets, strict=True)
        ]
        yield self._learn("superpixels, five, corrected", corrected, everything)[0]

    def _objects(self) -> Iterator[Result]:
        weights = mobile_sam_weights()
        if weights is None:
            return
        from core.models.mobile_sam import load_mobile_sam

        model, everything = load_mobile_sam(weights), range(len(self._images))
        for count, word in ((1, "one"), (5, "five")):
            clicks = [
                click_objects(image, target, count, model)
                for image, target in zip(self._images, self._targets, strict=True)
            ]
            result, network = self._learn(f"objects, {word}", clicks, everything)
            yield result
            follows = self._follows(clicks, network)
            yield self._learn(f"objects, {word}, the rest follows", self._sure(follows, clicks), everything)[0]

    def _sure(self, follows: Sequence[tuple[np.ndarray, np.ndarray]], labelled: Sequence[Labelled]) -> list[Labelled]:
        """Return what follows where that is sure, at no more effort."""
        return [
            Labelled(np.where(is_sure, labels, IGNORED).astype(np.uint8), each.seconds)
            for (labels, is_sure), each in zip(follows, labelled, strict=True)
        ]

    def _clicks(self, count: int) -> list[Labelled]:
        return [
            click(image, target, count, self._rng) for image, target in zip(self._images, self._targets, strict=True)
        ]

    def _follows(self, labelled: Sequence[Labelled], network: Predictor) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return what follows on each photograph from its labels and those on others, uint8 (H, W), and where that is
        sure.
        """
        shares = [network.probabilities(image, working_size(image.shape[:2]))[0].numpy() for image in self._images]
        samples = [
            sample_strokes(image, each.mask, Seen(seen))
            for image, each, seen in zip(self._images, labelled, shares, strict=True)
        ]
        follows = []
        for number, (image, each, seen) in enumerate(zip(self._images, labelled, shares, strict=True)):
            others = (samples[number + 1 :] + samples[:number])[:MAX_OTHERS]
            maps = grow_strokes(image, each.mask, Seen(seen), others)
            labels, confidence = (resized(values, each.mask.shape) for values in maps)
            is_labelled = each.mask != IGNORED
            follows.append((np.where(is_labelled, each.mask, labels), is_labelled | (confidence >= 255 * SURE)))
        return follows

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
    parser.add_argument("--ways", nargs="+", default=[], help="polygons, strokes, superpixels, objects; all without it")
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
            contest = Contest(dataset, options.frames, options.steps, seed, folder / str(seed), options.ways)
            for result in contest.results():
                found.setdefault((result.way, result.frames), []).append(result)
                effort = f"{result.frames} photographs, {result.minutes:.0f} minutes"
                print(f"seed {seed}: {result.way}, {effort}: {result.miou:.3f}", flush=True)
    rows = {key: (statistics.mean(each.minutes for each in results), results) for key, results in found.items()}
    for (way, frames), (minutes, results) in rows.items():
        print(f"| {way} | {frames} | {minutes:.0f} | {', '.join(f'{each.miou:.3f}' for each in results)} |")
    means = {key: (minutes, statistics.mean(each.miou for each in results)) for key, (minutes, results) in rows.items()}
    polygons = [point for (way, _), point in means.items() if way == "polygons"]
    if not polygons:
        return  # there is nothing to compare with
    shares = {
        (way, frames): minutes / minutes_to(score, polygons)
        for (way, frames), (minutes, score) in means.items()
        if way != "polygons"
    }
    for (way, frames), share in shares.items():
        print(f"{way}, {frames}: {share:.2f} of the minutes of polygons at random")
    enough = min(score for _, score in polygons)
    able = {key: share for key, share in shares.items() if means[key][1] >= enough}
    if able:
        best = min(able, key=able.__getitem__)
        print(f"share of minutes: {able[best]:.2f} ({best[0]})")


if __name__ == "__main__":
    main()
