"""The learning-rate range test: the rate climbs with every step, and the loss shows where it begins to fall and where
it bursts.

Smith: Cyclical Learning Rates for Training Neural Networks, https://arxiv.org/abs/1506.01186, section 3.3.

`find_lr` starts `python -m core.training.probe.lr_range_test` and imports no torch; that process reads a config as JSON
and prints one JSON object a step.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from core.config import RunConfig
from core.training.probe.probe_process import run_probe

LR_FINDER_SECONDS = 600.0
"""How long a test may take, the start of its process included."""

LOWEST, HIGHEST, STEPS = 1e-6, 1.0, 60
"""The rate climbs from the first to the second, by the same factor with each of so many steps."""

SLOPE_POINTS = 7
"""Points to which a line is fitted to tell how steeply the loss falls: 0.6 decades of the rate."""

MIN_FALL = 0.03
"""Share of the first loss by which it must fall for a rate to be suggested at all."""

DIVISOR = 3.0
"""The steepest fall is already near the burst, and the moving mean lags behind."""


@dataclass(frozen=True)
class LrPoint:
    """One step of the test: its rate, its loss, and the moving mean of the losses up to it."""

    rate: float
    loss: float
    smoothed: float


@dataclass(frozen=True)
class Suggestion:
    """The learning rate to take, or None where the losses don't tell, and a sentence that says why."""

    rate: float | None
    sentence: str


def find_lr(config: RunConfig, timeout: float = LR_FINDER_SECONDS) -> Iterator[LrPoint]:
    """Run the test of a config in a process of its own and yield its points as they come; ends where the loss bursts.

    Args:
        config: of the run; its own learning rate and schedule aren't read.
        timeout: seconds after which the process is ended.

    Raises:
        LabError: the run couldn't start, there is too little memory, or the test took too long.
    """
    for line in run_probe("core.training.probe.lr_range_test", config, timeout):
        yield LrPoint(**line)


def suggest_lr(points: Sequence[LrPoint]) -> Suggestion:
    """Return a third of the rate at which the smoothed loss falls most steeply, over the logarithm of the rate."""
    smoothed = np.array([point.smoothed for point in points])
    if len(points) < 2 * SLOPE_POINTS:
        return Suggestion(None, "The loss burst at once, so there is no rate to suggest. Look at the data first.")
    lowest = int(np.argmin(smoothed))
    half = SLOPE_POINTS // 2
    middles = range(half, max(half, min(lowest, len(points) - 1 - half)) + 1)
    if smoothed[lowest] > (1 - MIN_FALL) * smoothed[0]:
        return Suggestion(
            None, "The loss fell at no rate, so there is none to suggest. Look at the data and their masks."
        )
    logarithms = np.log10([point.rate for point in points])
    slopes = [
        float(np.polyfit(logarithms[at - half : at + half + 1], smoothed[at - half : at + half + 1], 1)[0])
        for at in middles
    ]
    steepest = points[middles[int(np.argmin(slopes))]].rate
    rate = float(f"{min(HIGHEST, max(LOWEST, steepest / DIVISOR)):.1g}")
    return Suggestion(
        rate,
        f"The loss falls most steeply at a rate of {steepest:.2g}. About a third of that, {rate:g}, keeps a distance"
        " from where it bursts.",
    )
