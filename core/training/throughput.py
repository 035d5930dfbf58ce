"""How fast a training goes, and how long it will take."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from core.training.plan import Plan


class Throughput:
    """Measure how fast steps are done, and when the run will end; pauses for scoring and saving are kept apart.

    Args:
        plan: of the run; `steps_total` may be set anew.
        samples_per_step: frames that one optimizer step learns from.
    """

    def __init__(self, plan: Plan, samples_per_step: int) -> None:
        self.steps_total = plan.steps_total
        self._samples_per_step = samples_per_step
        self._steps = 0
        self.seconds_per_step = plan.seconds_per_step
        self._last = time.monotonic()
        self._paused = 0.0

    def tick(self) -> None:
        """Count one step as done."""
        now = time.monotonic()
        self._steps += 1
        # The first steps are slower than the rest; afterwards a moving mean over about twenty follows the machine's
        # load.
        share = max(0.05, 1 / self._steps)
        self.seconds_per_step += share * (now - self._last - self.seconds_per_step)
        self._last = now

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
        return self._samples_per_step / max(1e-9, self.seconds_per_step)

    def seconds_left(self, step: int) -> float:
        """Return seconds until the last step is done, pauses to come included, as an estimate."""
        pause_per_step = self._paused / max(1, self._steps)
        return (self.steps_total - step) * (self.seconds_per_step + pause_per_step)
