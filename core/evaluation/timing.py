"""How long a prediction takes, as a measurement: of several, with their spread, and whether other work went on
meanwhile.
"""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from core.evaluation.results import MIN_TIMED
from core.hardware import Hardware
from core.paths import runs_folder
from core.runs.store import list_active

MAX_WAITED = 0.1
"""Threads that wait for a core for more than this share of their time are held up by other work."""
_THREADS = Path("/proc/self/task")


class Stopwatch:
    """Times predictions, one `with` each."""

    def __init__(self, hardware: Hardware) -> None:
        self.milliseconds: list[float] = []
        self._on_gpu = hardware.device.type == "cuda"
        self._ran = self._waited = 0
        self._is_beside_training = False

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Time what is done inside."""
        before = _thread_times()
        start = time.perf_counter()
        yield
        self.milliseconds.append(1000 * (time.perf_counter() - start))
        for thread, (ran, waited) in _thread_times().items():
            ran_before, waited_before = before.get(thread, (0, 0))
            self._ran += ran - ran_before
            self._waited += waited - waited_before
        if self._on_gpu and len(self.milliseconds) in (1, MIN_TIMED):  # what shares the card isn't seen in the threads
            self._is_beside_training |= any(run.state == "running" for run in list_active(runs_folder()))

    @property
    def disturbance(self) -> str:
        """What went on beside it, in words; empty where nothing did, as far as can be told."""
        if self._is_beside_training:
            return "a training went on"
        share = self._waited / max(1, self._ran + self._waited)
        return f"other work held it up for {share:.0%} of the time" if share > MAX_WAITED else ""

    def fields(self) -> dict[str, Any]:
        """Return the fields of `ResultMetadata` that say how long a prediction takes."""
        quarters = statistics.quantiles(self.milliseconds, n=4) if len(self.milliseconds) > 1 else [0.0, 0.0, 0.0]
        return {
            "milliseconds": statistics.median(self.milliseconds),
            "timed": len(self.milliseconds),
            "milliseconds_spread": quarters[2] - quarters[0],
            "disturbance": self.disturbance,
        }


def _thread_times() -> dict[str, tuple[int, int]]:
    """Nanoseconds that each thread of this process has run, and has waited for a core, where Linux says so."""
    times = {}
    with suppress(OSError):
        for thread in _THREADS.iterdir():
            with suppress(OSError, ValueError):
                ran, waited, _ = (thread / "schedstat").read_text().split()
                times[thread.name] = int(ran), int(waited)
    return times
