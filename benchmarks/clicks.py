"""How near clicks come to an object: MobileSAM beside superpixels, on pieces of masks that are known.

    python benchmarks/clicks.py [--root ../shared/data/cityscapes] [--frames 20] [--clicks 5]

Some minutes. Of every validation frame the five largest connected pieces of different classes are clicked: first in
their middle, then in the middle of the largest error that is left, on the piece or beside it, as in Sofiiuk et al.,
https://arxiv.org/abs/2102.06583. A click on superpixels adds the one under it, or takes it away. Without a folder the
frames are generated streets; MobileSAM's weights must be in the weights folder.

The lines are a table: clicks, and the mean IoU with the piece, by MobileSAM and by superpixels; then the seconds of a
look at a photograph and of a click, medians. The last line: `IoU of one click over that of a superpixel: 5.3`.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cv2
import numpy as np

from benchmarks.labelling import deepest, pieces_of
from benchmarks.learning import SHARED
from core.config import read_config
from core.data.dataset import open_dataset, spread
from core.labelling.superpixels import find_superpixels
from core.models.mobile_sam import load_mobile_sam
from core.models.mobile_sam_job import ready_mobile_sam
from core.models.prompts import Prompts
from core.synthetic import write_streets

PIECES = 5
MIN_SHARE = 0.002
"""Of a frame, of a piece that is clicked."""
Answer = Callable[[Prompts], np.ndarray]


def pieces_to_click(target: np.ndarray, num_classes: int) -> list[np.ndarray]:
    """Return the largest piece of each class, bool (H, W), the largest ones first."""
    largest = []
    for class_id in range(num_classes):
        if (target == class_id).any():
            pieces = pieces_of_region(target == class_id)
            largest.append(max(pieces, key=np.sum))
    able = [piece for piece in largest if piece.mean() >= MIN_SHARE]
    return sorted(able, key=np.sum, reverse=True)[:PIECES]


def pieces_of_region(region: np.ndarray) -> list[np.ndarray]:
    """Return the connected pieces of a region, bool (H, W) each."""
    numbers = pieces_of(region.astype(np.uint8))
    return [numbers == number for number in np.unique(numbers[region])]


def ious(piece: np.ndarray, answer: Answer, clicks: int) -> list[float]:
    """Return the IoU with a piece after each click."""
    points: list[tuple[float, float]] = []
    is_in: list[bool] = []
    mask, result = np.zeros_like(piece), []
    for _ in range(clicks):
        missing, surplus = piece & ~mask, mask & ~piece
        inside, outside = (
            cv2.distanceTransform(np.pad(each, 1).astype(np.uint8), cv2.DIST_L2, 3) for each in (missing, surplus)
        )
        row, column = deepest(missing if inside.max() >= outside.max() else surplus)
        points.append(((column + 0.5) / piece.shape[1], (row + 0.5) / piece.shape[0]))
        is_in.append(bool(inside.max() >= outside.max()))
        mask = answer(Prompts(tuple(points), tuple(is_in)))
        result.append(float((mask & piece).sum() / (mask | piece).sum()))
    return result


def by_superpixels(image: np.ndarray) -> Answer:
    """Return what clicks on superpixels cover."""
    numbers = pieces_of(find_superpixels(image))

    def answer(prompts: Prompts) -> np.ndarray:
        mask = np.zeros(numbers.shape, bool)
        for (u, v), is_in in zip(prompts.points, prompts.is_in, strict=True):
            number = numbers[int(v * numbers.shape[0]), int(u * numbers.shape[1])]
            mask = np.where(numbers == number, is_in, mask)
        return mask

    return answer


def main() -> None:
    """Print the table, the times, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, help="a folder of Cityscapes; generated streets without it")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--clicks", type=int, default=5)
    options = parser.parse_args()
    if (SHARED / "weights").is_dir():
        os.environ.setdefault("SEGLAB_WEIGHTS", str(SHARED / "weights"))
    model = load_mobile_sam(ready_mobile_sam())
    with tempfile.TemporaryDirectory() as temporary:
        root = options.root.resolve() if options.root else Path(temporary) / "streets"
        if not options.root:
            write_streets(root, train=1, val=options.frames, seed=0)
        os.environ["SEGLAB_DATA_ROOTS"] = str(root)
        dataset = open_dataset(read_config({"dataset": {"name": "cityscapes", "root": str(root)}}).dataset)
        rows: dict[str, list[list[float]]] = {"MobileSAM": [], "superpixels": []}
        looks, clicks = [], []
        for frame in spread(dataset.val, options.frames):
            image, target = dataset.image(frame), dataset.target(frame)
            began = time.monotonic()
            answer = partial(model.segment, model.embed(image))
            looks.append(time.monotonic() - began)
            superpixels = by_superpixels(image)
            for piece in pieces_to_click(target, len(dataset.space.class_names)):
                began = time.monotonic()
                rows["MobileSAM"].append(ious(piece, answer, options.clicks))
                clicks.append((time.monotonic() - began) / options.clicks)
                rows["superpixels"].append(ious(piece, superpixels, options.clicks))
    means = {name: np.mean(values, axis=0) for name, values in rows.items()}
    print("| clicks | " + " | ".join(means) + " |")
    for number in range(options.clicks):
        print(f"| {number + 1} | " + " | ".join(f"{values[number]:.3f}" for values in means.values()) + " |")
    print(f"{len(clicks)} pieces; a look {statistics.median(looks):.2f} s, a click {statistics.median(clicks):.2f} s")
    print(f"IoU of one click over that of a superpixel: {means['MobileSAM'][0] / means['superpixels'][0]:.1f}")


if __name__ == "__main__":
    main()
