"""What a training uses of its machine: cores, memory, the graphics card, and the time it waits for its frames.

Read once for every logged row, in less than 0.1 ms.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import torch

from core.processes import available_cores
from core.runs.metrics_log import UsageRow
from core.training.throughput import Throughput

CGROUP = Path("/sys/fs/cgroup")
MINUTE = 60.0


class Usage:
    """Watches a training and says what it used since it last did.

    Args:
        throughput: of the training; its pauses are no part of a step.
        device: that it computes on.
        minutes: that it has trained before, without breaks.
    """

    def __init__(self, throughput: Throughput, device: torch.device, minutes: float = 0.0) -> None:
        self._throughput = throughput
        self._device = device
        self._process = psutil.Process()
        self._cores = available_cores()
        self._began = time.monotonic() - minutes * MINUTE
        self._waited = 0.0
        self._mark = self._clocks()

    def watch(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Yield the same batches, with the time that each was waited for.

        A graphics card works on by itself: a wait in which it still had the last step to do has cost nothing.
        """
        on_gpu = self._device.type == "cuda"
        source = iter(batches)
        while True:
            work = torch.cuda.Event() if on_gpu else None
            if work:
                work.record()
            request = time.monotonic()
            batch = next(source, None)
            if batch is None:
                return
            if work is None or work.query():
                self._waited += time.monotonic() - request
            yield batch

    def minutes(self) -> float:
        """Return minutes of training up to now, scoring and saving included and breaks not."""
        return round((time.monotonic() - self._began) / MINUTE, 4)

    def row(self) -> UsageRow:
        """Return what was used since the last row."""
        before, self._mark = self._mark, self._clocks()
        wall, cpu, waited, paused = (new - old for new, old in zip(self._mark, before, strict=True))
        row: UsageRow = {
            "minutes": self.minutes(),
            "cpu": _share(cpu, wall * self._cores),
            "memory": self._process.memory_info().rss,
            "machine_memory": round(psutil.virtual_memory().percent / 100, 3),
            "waiting": _share(waited, wall - paused),
        }
        if self._device.type == "cuda":
            free, total = torch.cuda.mem_get_info(self._device)
            row["gpu_memory"] = total - free
        return row

    def _clocks(self) -> tuple[float, float, float, float]:
        """Return seconds: of the wall, of the cores, waited, paused."""
        return time.monotonic(), time.process_time(), self._waited, self._throughput.paused


def peak_memory() -> int:
    """Return the most memory that this process has had at one time, in bytes."""
    with suppress(OSError, ValueError, StopIteration):
        # What getrusage says is never less than what the parent had when it made this process.
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource  # Windows has none

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def free_memory() -> int:
    """Return bytes that this process could have in all without anything being swapped out, within what a container
    allows.
    """
    own = psutil.Process().memory_info().rss
    free = psutil.virtual_memory().available
    with suppress(OSError, ValueError):
        # "max" where there is no limit
        limit, used = (int((CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        metadata = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        free = min(free, limit - used + int(metadata["inactive_file"]))
    return own + max(0, free)


def _share(part: float, whole: float) -> float:
    return round(min(1.0, max(0.0, part / whole)), 4) if whole > 0 else 0.0
