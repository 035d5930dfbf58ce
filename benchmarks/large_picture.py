"""Memory, seconds and agreement of `predict` on a picture of 20,000 x 20,000 pixels, in tiles, against whole pictures.

    python benchmarks/large_picture.py [--side 20000] [--pixel-scale 1] [--whole 1500]

A mosaic of drawn streets is written as a tiled TIFF and labelled by `python -m core predict` in a process of its own,
whose largest resident memory the system counts. The network is a plain U-Net of width 8, fitted to a few streets.

Before that a smaller mosaic, of --whole pixels a side, in tiles, each pixel as it is, and by the network whole at the
same scale. The share of pixels with the same label is that of all of them. The last line is the largest memory of the
large picture.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from benchmarks.predict import fitted
from core.config import read_config
from core.data.decoding import read_image, read_values
from core.inference.predictor import Predictor
from core.inference.raster_files import open_tiff
from core.labels import CITYSCAPES_19
from core.paths import PROJECT
from core.runs.store import create_run
from core.synthetic.scene import draw_scene
from core.training.checkpoint import TrainingState, save_checkpoint

MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Runs a command and prints its memory. Stands between this process and it: Linux counts a parent's to its child."""
SCENE = (256, 512)
"""Height and width of the streets of a mosaic, and of the frames that the network is fitted to."""


def write_mosaic(path: Path, height: int, width: int) -> None:
    """Write streets side by side, in each row of them shifted by a little more."""
    scenes = np.concatenate([draw_scene(1, index, SCENE).image for index in range(4)], axis=1)
    row = np.tile(scenes, (1, -(-width // scenes.shape[1]), 1))[:, :width]
    with open_tiff(path, (height, width), 3) as write:
        for index, top in enumerate(range(0, height, SCENE[0])):
            write(top, np.roll(row, 40 * index, axis=1)[: height - top])


def predict(run: Path, picture: Path, out: Path, *options: str) -> tuple[float, float]:
    """Label a picture in a process of its own; return its seconds and its largest resident memory in GB."""
    command = [sys.executable, "-m", "core", "predict", run.name, str(picture), "--out", str(out), *options]
    environment = os.environ | {"SEGLAB_CHECKPOINTS": str(run.parent)}
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *command],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return time.perf_counter() - began, int(done.stdout) * (1 if sys.platform == "darwin" else 1024) / 1e9


def main() -> None:
    """Print a line for each prediction, the share of equal labels and, last, the memory of the large one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, nargs="+", default=[20000], help="height and width, or both, of the large")
    parser.add_argument(
        "--pixel-scale", type=float, default=1.0, help="pixels that the network sees of each of its own"
    )
    parser.add_argument("--whole", type=int, default=1500, help="side of the picture that is labelled untiled as well")
    parser.add_argument("--steps", type=int, default=60, help="optimizer steps to fit the network")
    options = parser.parse_args()
    config = read_config(
        {
            "dataset": {"height": SCENE[0], "width": SCENE[1]},
            "model": {"family": "unet", "encoder": "plain", "weights": "none", "width": 8},
        }
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = create_run(config, folder / "runs")
        state = TrainingState(fitted(config, options.steps), step=options.steps, best_miou=0.0)
        save_checkpoint(run, "best", state, config, CITYSCAPES_19)
        whole, large = folder / "whole.tif", folder / "large.tif"
        size = (options.whole, options.whole)
        write_mosaic(whole, *size)
        seconds, memory = predict(run, whole, folder / "in tiles", "--pixel-scale", "1")
        print(f"{size[1]} x {size[0]} in tiles: {seconds:.0f} s, {memory:.2f} GB", flush=True)
        (path,) = (folder / "in tiles").glob("*_labels.*")
        untiled = Predictor(run).probabilities(read_image(whole), size, input_size=size)[0].argmax(0)
        print(f"same labels as untiled: {(read_values(path)[0] == untiled.numpy()).mean():.2%}", flush=True)
        height, width = options.side[0], options.side[-1]
        write_mosaic(large, height, width)
        seconds, memory = predict(run, large, folder / "large", "--pixel-scale", str(options.pixel_scale))
        print(f"{width} x {height} in tiles at a pixel scale of {options.pixel_scale:g}: {seconds:.0f} s")
        print(f"largest resident memory: {memory:.2f} GB")


if __name__ == "__main__":
    main()
