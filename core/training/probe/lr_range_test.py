"""The steps of a learning-rate range test, on the run's own crops, network, first weights and optimizer."""

import math
import sys
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np

from core.config import RunConfig
from core.data.statistics import count_classes
from core.training.class_weights import class_weights
from core.training.optimizer import build_optimizer
from core.training.probe.lr_finder import HIGHEST, LOWEST, STEPS, LrPoint
from core.training.probe.probe import open_drawn, open_probe
from core.training.probe.probe_process import Line, serve_probe
from core.training.setup import load_start

SMOOTHING = 0.8
"""What each step leaves of the moving mean of the losses."""

DIVERGED = 4.0
"""The test ends where the smoothed loss is so many times its best."""


def lr_range_test(config: RunConfig, steps: int = STEPS) -> Iterator[LrPoint]:
    """Train for some steps with a rate that grows by the same factor with each, until the loss bursts.

    Args:
        config: of the run; its own learning rate and schedule aren't read.
        steps: from the lowest rate to the highest, at least two.

    Raises:
        LabError: the run couldn't start at all.
    """
    dataset = open_drawn(config)
    counts = count_classes(dataset, dataset.train)
    weights = class_weights(counts.pixels, config.training.class_weights, counts.image_pixels)
    probe = open_probe(config, np.maximum(counts.pixels, 1), weights)
    source = load_start(probe.model, config, dataset.space.class_names, lambda _phase: None)
    probe.optimizer = build_optimizer(probe.model, config, source.pretrained)
    total, mass, best = 0.0, 0.0, math.inf
    for index, batch in enumerate(probe.load(steps)):
        rate = LOWEST * (HIGHEST / LOWEST) ** (index / (steps - 1))
        for group in probe.optimizer.param_groups:
            group["lr"] = group["base_lr"] * rate / config.training.learning_rate
        loss = probe.step(batch)
        if loss is None:
            continue
        if not math.isfinite(loss):
            return
        total = SMOOTHING * total + (1 - SMOOTHING) * loss
        mass = SMOOTHING * mass + 1 - SMOOTHING
        smoothed = total / mass
        yield LrPoint(rate, loss, smoothed)
        best = min(best, smoothed)
        if smoothed > DIVERGED * best:
            return


def _work(config: RunConfig) -> Iterator[Line]:
    return (asdict(point) for point in lr_range_test(config))


def main() -> int:
    """Run the process: a config in, JSON lines out. Return the exit code."""
    return serve_probe(_work)


if __name__ == "__main__":
    sys.exit(main())
