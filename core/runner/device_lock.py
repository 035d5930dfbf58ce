"""One run at a time on each device, and one decision at a time about the queue: locks on small files.

A device's lock is held for as long as a trainer lives. It belongs to the open file, not to a process. The supervisor
takes it and hands the open file down to the trainer, so that a killed supervisor never lets a second trainer onto the
device, and no lock outlives the processes.
"""

import platform
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from core.errors import LabError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


LOCKS = ".slots"
"""The folder of the locks, in the folder of the runs."""
TRAINER_LOCK = "trainer"
"""The lock in the folder of a cluster's run, which its trainer holds for as long as it lives, on whichever machine."""
DECISION_SECONDS = 20.0
"""A decision about the queue takes milliseconds; a process that waits this long for another's gives up."""


def devices_for(wish: str, processes: int) -> tuple[str, ...]:
    """Return the devices that so many processes of one training will take: a GPU each, or the CPU together."""
    first = device_name(wish)
    if processes == 1 or not first.startswith("cuda"):
        return (first,)
    return tuple(f"cuda:{index}" for index in range(processes))


def device_name(wish: str) -> str:
    """Return the device that a config's wish will most likely end on, found without torch: cpu, mps or cuda:N."""
    if wish == "auto":
        if Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi"):
            return "cuda:0"
        return "mps" if (platform.system(), platform.machine()) == ("Darwin", "arm64") else "cpu"
    return "cuda:0" if wish == "cuda" else wish


@contextmanager
def queue_lock(runs: Path) -> Iterator[None]:
    """Lock the queue of a folder: for reading how its runs stand and then changing that.

    The status of a queued run is written under this lock alone, so that no process overwrites what another has just
    written.

    Raises:
        LabError: another process has been deciding for twenty seconds, so it must be hanging.
    """
    with DeviceLock(runs / LOCKS, "queue") as queue:
        deadline = time.monotonic() + DECISION_SECONDS
        while not queue.acquire():
            if time.monotonic() > deadline:
                raise LabError(
                    "The queue is held up by another process of the lab. Try again; if it stays so, start the lab"
                    " again."
                )
            time.sleep(0.01)
        yield


class DeviceLock:
    """The locks of one or several devices, or of another thing that is had by one at a time.

    `with slot:` releases them at the end.
    """

    def __init__(self, folder: Path, *devices: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # Never deleted: a lock on a deleted file excludes no process.
        self._files = [open(folder / f"{re.sub(r'[^a-z0-9]', '-', device)}.lock", "a+b") for device in devices]  # noqa: SIM115 - live as long as the slot

    def acquire(self) -> bool:
        """Take the locks when all of them are free; returns at once."""
        for index, file in enumerate(self._files):
            try:
                if sys.platform == "win32":
                    file.seek(0)
                    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                else:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                for taken in self._files[:index]:
                    _unlock(taken)
                return False
        return True

    def release(self) -> None:
        """Give the locks back."""
        for file in self._files:
            _unlock(file)

    @property
    def inheritance(self) -> dict[str, tuple[int, ...]]:
        """Arguments for `subprocess.Popen` that hand the lock to a child. Windows can't.

        There the supervisor alone holds it.
        """
        return {} if sys.platform == "win32" else {"pass_fds": tuple(file.fileno() for file in self._files)}

    def __enter__(self) -> "DeviceLock":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()


def _unlock(file: BinaryIO) -> None:
    if sys.platform == "win32":
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_UN)
