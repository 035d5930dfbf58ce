"""One run at a time on each device: its name, and a lock on a small file, held for as long as a trainer lives.

The lock belongs to the open file, not to a process. The supervisor takes it and hands the open file down to the trainer, so
that a killed supervisor never lets a second trainer onto the device, and no lock outlives the processes.
"""

import os
import platform
import re
import shutil
from pathlib import Path
from types import TracebackType

if os.name == "nt":
    import msvcrt
else:
    import fcntl


def device_name(wish: str) -> str:
    """The device that a config's wish will most likely end on, found without torch: cpu, mps or cuda:N."""
    if wish == "auto":
        if Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi"):
            return "cuda:0"
        return "mps" if (platform.system(), platform.machine()) == ("Darwin", "arm64") else "cpu"
    return "cuda:0" if wish == "cuda" else wish


class Slot:
    """The lock of one device. `with slot:` releases it at the end."""

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
