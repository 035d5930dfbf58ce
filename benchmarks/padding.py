"""What is best added to pictures whose sides aren't multiples of a network's stride.

    python benchmarks/padding.py RUN_DIR... [--frames 106]

Shows each run its own validation frames at odd sizes, with each way of padding, and scores the whole picture, its last
24 rows and its last 24 columns, where what was added is seen.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cv2
import numpy as np
import torch
import torch.nn.functional as F

import core.models.base
from core.data.dataset import open_dataset, spread
from core.evaluation.metrics.confusion import ConfusionMatrix
from core.hardware import choose_hardware
from core.inference.predictor import Predictor
from core.models.base import pad_images

SIZES = ((360, 480), (188, 621), (314, 418))
"""CamVid's, KITTI's at half its size, and that at which an uploaded 4:3 photograph is shown."""
RIM = 24
MODES = ("replicate", "reflect", "zeros")


def pad(images: torch.Tensor, missing: tuple[int, int], mode: str) -> torch.Tensor:
    """Pad images (B, C, h, w) as the lab does, or by zeros of the normalised picture."""
    return F.pad(images, (0, missing[1], 0, missing[0])) if mode == "zeros" else pad_images(images, missing, mode)


@torch.no_grad()
def score(run: Path, frames: int) -> None:
    """Print a line for each size and mode."""
    predictor = Predictor(run, which="last")
    config = predictor.checkpoint.config
    choose_hardware(config.training)
    dataset = open_dataset(config.dataset)
    samples = [(dataset.image(frame), dataset.target(frame)) for frame in spread(dataset.val, frames)]
    for size in SIZES:
        resized = [
            (
                cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA),
                cv2.resize(target, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT),
            )
            for image, target in samples
        ]
        for mode in MODES:
            predictor._model.padding_mode = mode
            parts = [ConfusionMatrix(len(dataset.space.class_names)) for _ in range(3)]
            for image, target in resized:
                labels = predictor._forward(image)[0].argmax(0).to(torch.uint8).numpy()
                for part, view in zip(parts, (np.s_[:], np.s_[-RIM:], np.s_[:, -RIM:]), strict=True):
                    part.update(target[view], labels[view])
            whole, bottom, right = parts
            print(
                f"{config.model.title:32} {size[0]} x {size[1]}  {mode:9}  mIoU {whole.miou():.4f}"
                f"  accuracy {whole.pixel_accuracy():.4f}  bottom {bottom.pixel_accuracy():.4f}"
                f"  right {right.pixel_accuracy():.4f}",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--frames", type=int, default=106)
    options = parser.parse_args()
    core.models.base.pad_images = pad
    for run in options.runs:
        score(run, options.frames)
