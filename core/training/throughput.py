"""How fast a training goes, and how long it will take."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from core.config import TrainingConfig
from core.training.plan import HALF_SIZE_COST, Plan, mean_cost


class Throughput:
    """Measure how fast steps are done, and when the run will end; pauses for scoring and saving are kept apart.

    Args:
        plan: of the run; another one may be set.
        training: of the run.
    """

    def __init__(self, plan: Plan, training: TrainingConfig) -> None:
        self.plan = plan
        self._training = training
        self._seconds = {False: plan.seconds_per_step, True: HALF_SIZE_COST * plan.seconds_per_step}
        self._steps = {False: 0, True: 0}
        self._is_half_size = False
        self._last = time.monotonic()
        self._paused = 0.0

    def tick(self, is_half_size: bool = False) -> None:
        """Count one step as done, with crops at their own size or at half of it."""
        now = time.monotonic()
        self._is_half_size = is_half_size
        self._steps[is_half_size] += 1
        # The first steps are slower than the rest; afterwards a moving mean over about twenty follows the machine's
        # load.
        share = max(0.05, 1 / self._steps[is_half_size])
        self._seconds[is_half_size] += share * (now - self._last - self._seconds[is_half_size])
        self._last = now

    def seconds_per_step_left(self, step: int) -> float:
        """Return what a step after this one takes on average.

        Of a size that wasn't seen yet it follows from the other's.
        """
        full, half = self._seconds[False], self._seconds[True]
        if not self._steps[False] and self._steps[True]:
            full = half / HALF_SIZE_COST
        elif not self._steps[True]:
            half = full * HALF_SIZE_COST
        progress = self.plan.progress(step) if step else 0.0
        return full * mean_cost(self._training, progress, half / max(1e-9, full))

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Keep the time of a block apart, as no training."""
        began = time.monotonic()
        yield
        self._last = time.monotonic()
        self._paused += self._last - began

    @property
    def paused(self) -> float:
        """Seconds spent in pauses so far."""
        return self._paused

    def images_per_second(self) -> float:
        """Return training frames per second at present, without pauses."""
        return self._training.samples_per_step / max(1e-9, self._seconds[self._is_half_size])

    def seconds_left(self, step: int) -> float:
        """Return seconds until the last step is done, pauses to come included, as an estimate."""
        pause_per_step = self._paused / max(1, sum(self._steps.values()))
        return (self.plan.steps_total - step) * (self.seconds_per_step_left(step) + pause_per_step)
