"""A training step on the CPU with all convolutions in bf16, against ours with a few depthwise ones in fp32.

    python benchmarks/depthwise.py [--family unet] [--steps 9]

The two take turns in one process; the last line is the ratio of the medians, theirs over ours.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from core.config import read_config
from core.hardware import choose_hardware
from core.models.base import SegmentationModel
from core.models.build import build_model
from core.training.distributed import Distributed
from core.training.losses import SummedLoss
from core.training.optimizer import build_optimizer
from core.training.step import train_step

CLASSES = 19


def main() -> None:
    """Print seconds per step of both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=["fcn", "unet"], default="fcn")
    parser.add_argument("--steps", type=int, default=9, help="steps of each; the first two aren't counted")
    options = parser.parse_args()
    config = read_config({"model": {"family": options.family}, "training": {"precision": "bf16", "device": "cpu"}})
    hardware = choose_hardware(config.training)
    size = (config.training.crop_height, config.training.crop_width)
    images = torch.randint(0, 256, (config.training.batch_size, 3, *size), dtype=torch.uint8)
    targets = torch.randint(0, CLASSES, (config.training.batch_size, *size), dtype=torch.uint8)
    loss = SummedLoss(config.training, torch.ones(CLASSES))

    ours = hardware.prepare(build_model(config.model, CLASSES))
    theirs = build_model(config.model, CLASSES).to(memory_format=torch.channels_last)
    seconds: dict[SegmentationModel, list[float]] = {ours: [], theirs: []}
    optimizers = {model: build_optimizer(model.train(), config, pretrained=False) for model in seconds}
    for _ in range(options.steps):
        for model, spent in seconds.items():
            began = time.monotonic()
            scaler, distributed = hardware.scaler(), Distributed()
            train_step(model, optimizers[model], images, targets, loss, hardware, config.training, scaler, distributed)
            spent.append(time.monotonic() - began)
    medians = {model: statistics.median(spent[2:]) for model, spent in seconds.items()}
    print(f"all in bf16: {medians[theirs]:.3f} s a step; strided and large depthwise in fp32: {medians[ours]:.3f} s")
    print(f"ratio: {medians[theirs] / medians[ours]:.2f}")


if __name__ == "__main__":
    main()
