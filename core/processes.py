"""Processes: which one it is, how to start one that outlives the server, and how many cores this one may use."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from core.paths import PROJECT

_children: list[subprocess.Popen[bytes]] = []
"""Processes that this one started: asked now and then how they are, else they would stay as zombies when they end."""


def start_detached(
    command: Sequence[str], log: Path, stdin: int | IO[bytes] = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start a command in the project's folder, which neither a closed terminal nor the end of this process reaches.

    Args:
        command: program and arguments.
        log: the file that its output is appended to.
        stdin: what it reads; nothing unless something else is named.
    """
    _children[:] = [child for child in _children if child.poll() is None]
    options: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    with open(log, "ab") as output:
        child = subprocess.Popen(command, cwd=PROJECT, stdin=stdin, stdout=output, stderr=subprocess.STDOUT, **options)
    _children.append(child)
    return child


@dataclass(frozen=True)
class ProcessId:
    """A process that can't be mistaken for a later one with the same number, by `started`, see `_start_time`."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> "ProcessId":
        """Return the identity of a living process. Raises psutil.NoSuchProcess."""
        return cls(pid, _start_time(psutil.Process(pid)))

    def process(self) -> psutil.Process | None:
        """Return the process itself; None when it is gone, a zombie, or when another process has its number now."""
        try:
            process = psutil.Process(self.pid)
            is_same = abs(_start_time(process) - self.started) < 0.1
            return process if is_same and process.status() != psutil.STATUS_ZOMBIE else None
        except (psutil.Error, ValueError):  # ValueError: a number that no process can have
            return None

    def is_alive(self) -> bool:
        """Return whether it lives; False when it is gone, a zombie, or when another process has its number now."""
        return self.process() is not None


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start_time(process: psutil.Process) -> float:
    """Return when a process began.

    On Linux in clock ticks since the machine started: psutil's own time moves when the clock is set.
    """
    stat = Path(f"/proc/{process.pid}/stat")
    if not stat.exists():
        return process.create_time()
    try:
        return float(stat.read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError):
        raise psutil.NoSuchProcess(process.pid) from None
