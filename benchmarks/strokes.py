"""What a few strokes on a photograph are worth: the mask that follows from five of each class, with and without
networks.

    python benchmarks/strokes.py --root ../shared/data/cityscapes [--run RUN] [--frames 10] [--strokes 5] [--seeds 3]

Strokes are drawn as a person would who knows the truth: straight lines of at most 40 x 5 pixels that lie within one
region of their class. Of each of some validation frames all pixels are scored, those under the strokes too. The lines
are the mean IoU of all frames together, one number a seed, and the median time of a mask: `colours and place`; where
its weights are `and MobileSAM`; with a run also `and the network`, both, and `the network alone`, which has one seed.
Each is told with the strokes of the frame itself, with those of eight other frames as well, and with these alone. The
looks at the frames are no part of the times; MobileSAM's is told beside them.
"""

import argparse
import statistics
import sys
import time
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cv2
import numpy as np

from core.config import read_config
from core.data.dataset import open_dataset, spread
from core.evaluation.metrics.confusion import ConfusionMatrix
from core.inference.predictor import Predictor
from core.inference.strokes import MAX_OTHERS, UNSEEN, Seen, grow_strokes, sample_strokes, working_size
from core.models.mobile_sam_job import mobile_sam_weights
from core.paths import PROJECT, runs_folder
from core.runs.store import find_run

LENGTH, WIDTH = 40, 5
SOURCES = ((True, False), (True, True), (False, True))
"""Whether strokes of the frame itself are taken, and those of others."""
TRIES = 200


def main() -> None:
    """Read the options and print what each way came to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default=str(PROJECT.parent / "shared/data/cityscapes"))
    parser.add_argument("--run", help="a run of the same classes")
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--strokes", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    dataset = open_dataset(read_config({"dataset": {"name": "cityscapes", "root": options.root}}).dataset)
    frames = [(dataset.image(frame), dataset.target(frame)) for frame in spread(dataset.val, options.frames)]
    predictor = Predictor(find_run(options.run, runs_folder()).path) if options.run else None
    size = working_size(dataset.size)
    shares = [predictor.probabilities(image, size)[0].numpy() if predictor else None for image, _ in frames]
    embeddings: list[np.ndarray] = []
    looks = []
    if weights := mobile_sam_weights():
        from core.models.mobile_sam import load_mobile_sam

        model = load_mobile_sam(weights)
        for image, _ in frames:
            began = time.perf_counter()
            embeddings.append(model.embed(image).resized(size))
            looks.append(time.perf_counter() - began)
        print(f"a look of MobileSAM: {statistics.median(looks):.2f} s")
    ways = {"colours and place": [UNSEEN] * len(frames)}
    if embeddings:
        ways["and MobileSAM"] = [Seen(None, each) for each in embeddings]
    if predictor:
        ways["and the network"] = [Seen(each) for each in shares]
        if embeddings:
            ways["and both"] = [Seen(*each) for each in zip(shares, embeddings, strict=True)]
        alone = ConfusionMatrix(len(dataset.space.class_names))
        for (_, target), seen in zip(frames, shares, strict=True):
            alone.update(target, resized(seen.argmax(axis=0).astype(np.uint8), target.shape))
        print(f"the network alone: {alone.miou():.3f}")
    for (name, known), (of_itself, of_others) in product(ways.items(), SOURCES):
        scores, seconds = [], []
        for seed in range(options.seeds):
            confusion = ConfusionMatrix(len(dataset.space.class_names))
            drawn = [
                draw_strokes(target, options.strokes, np.random.default_rng((seed, number)))
                for number, (_, target) in enumerate(frames)
            ]
            samples = [
                sample_strokes(image, strokes, seen)
                for (image, _), strokes, seen in zip(frames, drawn, known, strict=True)
            ]
            for number, ((image, target), strokes, seen) in enumerate(zip(frames, drawn, known, strict=True)):
                others = (samples[number + 1 :] + samples[:number])[:MAX_OTHERS] if of_others else []
                own = strokes if of_itself else np.full_like(strokes, 255)
                began = time.perf_counter()
                labels, _ = grow_strokes(image, own, seen, others)
                seconds.append(time.perf_counter() - began)
                confusion.update(target, resized(labels, target.shape))
            scores.append(confusion.miou())
        whose = " and ".join(word for word, is_taken in (("its own", of_itself), ("others'", of_others)) if is_taken)
        text = ", ".join(f"{score:.3f}" for score in scores)
        print(f"{name}, {whose} strokes: {text}; {statistics.median(seconds):.2f} s a mask", flush=True)


def draw_strokes(target: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return so many strokes of each class of a target uint8 (H, W), 255 elsewhere."""
    strokes = np.full_like(target, 255)
    for class_id in np.unique(target[target != 255]):
        region = target == class_id
        places = np.argwhere(region)
        drawn = 0
        for _ in range(TRIES):
            if drawn == count:
                break
            row, column = places[rng.integers(len(places))]
            angle, length = rng.uniform(0, np.pi), rng.uniform(0.25, 1) * LENGTH
            across, down = round(length * np.cos(angle)), round(length * np.sin(angle))
            line = np.zeros(target.shape, np.uint8)
            cv2.line(line, (int(column), int(row)), (int(column + across), int(row + down)), 1, WIDTH)
            if region[line > 0].all():
                strokes[line > 0] = class_id
                drawn += 1
        if drawn == 0:  # a class of small things: a dab each
            for row, column in places[rng.permutation(len(places))[:count]]:
                strokes[row, column] = class_id
    return strokes


def resized(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return labels uint8 at a size (H, W)."""
    return cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST)


if __name__ == "__main__":
    main()
