"""One run at a time on each device, and one decision at a time about the queue: locks on small files.

A device's lock is held for as long as a trainer lives. It belongs to the open file, not to a process. The supervisor takes it and hands the open file down to the trainer, so
that a killed supervisor never lets a second trainer onto the device, and no lock outlives the processes.
"""

import os
import platform
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from core.errors import LabError

if os.name == "nt":
    import msvcrt
else:
    import fcntl


SLOTS = ".slots"
"""The folder of the locks, in the folder of the runs."""
DECISION_SECONDS = 20.0
"""A decision about the queue takes milliseconds; whoever waits this long for another's gives up."""


def device_name(wish: str) -> str:
    """The device that a config's wish will most likely end on, found without torch: cpu, mps or cuda:N."""
    if wish == "auto":
        if Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi"):
            return "cuda:0"
        return "mps" if (platform.system(), platform.machine()) == ("Darwin", "arm64") else "cpu"
    return "cuda:0" if wish == "cuda" else wish


@contextmanager
def deciding(runs: Path) -> Iterator[None]:
    """Around whatever reads how the runs of a folder stand and then changes that: nobody else decides meanwhile.

    The status of a queued run is written under this lock alone, so that nobody overwrites what another has just written.

    Raises:
        LabError: another process has been deciding for twenty seconds, so it must be hanging.
    """
    with Slot(runs / SLOTS, "queue") as queue:
        deadline = time.monotonic() + DECISION_SECONDS
        while not queue.acquire():
            if time.monotonic() > deadline:
                raise LabError(
                    "The queue is held up by another process of the lab. Try again; if it stays so, start the lab again."
                )
            time.sleep(0.01)
        yield


class Slot:
    """The lock of one device, or of another thing that is had by one at a time. `with slot:` releases it at the end."""

    def __init__(self, folder: Path, device: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # Never deleted: a lock on a deleted file would exclude nobody.
        self._file = open(folder / f"{re.sub(r'[^a-z0-9]', '-', device)}.lock", "a+b")  # noqa: SIM115 - lives as long as the slot

    def acquire(self) -> bool:
        """Takes the lock when it is free; returns at once."""
        try:
            if os.name == "nt":
                self._file.seek(0)
                msvcrt.locking(self._file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def release(self) -> None:
        """Gives the lock back."""
        if os.name == "nt":
            self._file.seek(0)
            msvcrt.locking(self._file.fileno(), msvcrt.LK_UNLCK, 1)
        else:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    @property
    def inheritance(self) -> dict[str, tuple[int, ...]]:
        """Arguments for `subprocess.Popen` that hand the lock to a child. Windows can't; there the supervisor alone holds it."""
        return {} if os.name == "nt" else {"pass_fds": (self._file.fileno(),)}

    def __enter__(self) -> "Slot":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
