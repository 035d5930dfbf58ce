"""The bin: a deleted run is moved aside and can be brought back, until the bin is emptied."""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from core.auth import check_may_change, check_may_work, may_change
from core.errors import LabError
from core.runner.device_lock import deciding
from core.runs.store import Run, find_run, list_runs, read_run

BIN = ".bin"
"""The bin's folder, in the folder of the runs: the list of runs passes over it."""


@dataclass(frozen=True)
class Binned:
    """A deleted run: when that was (seconds since 1970), and the bytes that it takes."""

    run: Run
    deleted: float
    size: int


def delete(path: Path) -> None:
    """Moves a run into the bin.

    Raises:
        LabError: it is queued or running, can't be moved, or is another's.
    """
    with deciding(path.parent):
        run = read_run(path)
        check_may_change(run.owner, f"Run {run.id}")
        if run.is_active:
            raise LabError(f"Run {run.id} is {run.state}. Stop it first, then delete it.")
        try:
            (path.parent / BIN).mkdir(exist_ok=True)
            os.utime(path)  # a rename leaves the time as it is, and the bin tells by it how long a run has lain there
            path.rename(path.parent / BIN / path.name)
        except OSError as error:
            raise LabError(
                f"Run {run.id} can't be moved into the bin: {error.strerror}. Allow writing in '{path.parent}', and try again."
            ) from None


def restore(run_id: str, folder: Path) -> Path:
    """Brings a run back from the bin of a folder of runs; returns its path.

    Args:
        run_id: its id, or a part of it that no other run in the bin has.
        folder: of the runs.

    Raises:
        LabError: there is no such run in the bin, it can't be moved, or is another's.
    """
    run = find_run(run_id, folder / BIN)
    check_may_change(run.owner, f"Run {run.id}")
    path = folder / run.id
    with deciding(folder):
        if path.exists():
            raise LabError(f"There is a run {run.id} already: it was copied back. Delete that one first.")
        try:
            run.path.rename(path)
        except OSError as error:
            raise LabError(
                f"Run {run.id} can't be moved out of the bin: {error.strerror}. Allow writing in '{folder}', and try again."
            ) from None
    return path


def list_bin(folder: Path) -> list[Binned]:
    """What lies in the bin of a folder of runs, the newest run first."""
    found = []
    for run in list_runs(folder / BIN):
        try:
            found.append(Binned(run, run.path.stat().st_mtime, _size(run.path)))
        except OSError:
            continue  # brought back or removed meanwhile
    return found


def empty_bin(folder: Path, older_than_days: float = 0.0) -> list[Binned]:
    """Removes for good what has lain in the bin for at least so many days, as far as it is one's own; returns what that was.

    Raises:
        LabError: the one who is asking may only look.
    """
    check_may_work()
    limit = time.time() - older_than_days * 86_400
    gone = [binned for binned in list_bin(folder) if binned.deleted <= limit and may_change(binned.run.owner)]
    for binned in gone:
        shutil.rmtree(binned.run.path, ignore_errors=True)
    return [binned for binned in gone if not binned.run.path.exists()]


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*"))
