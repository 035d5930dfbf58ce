"""The trash: a deleted run is moved aside and can be brought back, until the trash is emptied."""

import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.auth import may_change, require_owner, require_write
from core.errors import LabError
from core.paths import TRASH
from core.runner.device_lock import queue_lock
from core.runs.store import Run, find_run, list_runs, read_run

OLD_TRASH = ".bin"
"""The trash's name until version 0.1."""


@dataclass(frozen=True)
class TrashedRun:
    """A deleted run: when that was (seconds since 1970), and the bytes that it takes."""

    run: Run
    deleted: float
    size: int


def delete(path: Path) -> None:
    """Move a run into the trash. Raises LabError where it is active, can't be moved, or is another's."""
    with queue_lock(path.parent):
        run = read_run(path)
        require_owner(run.owner, f"Run {run.id}")
        if run.is_active:
            raise LabError(f"Run {run.id} is {run.state}. Stop it first, then delete it.")
        try:
            trash = _trash_folder(path.parent)
            trash.mkdir(exist_ok=True)
            os.utime(path)  # a rename leaves the time as it is, and the trash tells by it how long a run has lain there
            path.rename(trash / path.name)
        except OSError as error:
            raise LabError(
                f"Run {run.id} can't be moved into the trash: {error.strerror}. Allow writing in '{path.parent}', and"
                " try again."
            ) from None


def restore(run_id: str, folder: Path) -> Path:
    """Bring a run back from the trash of a folder of runs; returns its path.

    Args:
        run_id: its id, or a part of it that no other run in the trash has.
        folder: of the runs.

    Raises:
        LabError: there is no such run in the trash, it can't be moved, or is another's.
    """
    run = find_run(run_id, _trash_folder(folder))
    require_owner(run.owner, f"Run {run.id}")
    path = folder / run.id
    with queue_lock(folder):
        if path.exists():
            raise LabError(f"There is a run {run.id} already: it was copied back. Delete that one first.")
        try:
            run.path.rename(path)
        except OSError as error:
            raise LabError(
                f"Run {run.id} can't be moved out of the trash: {error.strerror}. Allow writing in '{folder}', and try"
                " again."
            ) from None
    return path


def list_trash(folder: Path) -> list[TrashedRun]:
    """Return what lies in the trash of a folder of runs, the newest run first."""
    results = []
    for run in list_runs(_trash_folder(folder)):
        try:
            results.append(TrashedRun(run, run.path.stat().st_mtime, _size(run.path)))
        except OSError:
            continue  # brought back or removed meanwhile
    return results


def empty_trash(folder: Path, older_than_days: float = 0.0) -> list[TrashedRun]:
    """Remove for good what has lain in the trash for at least so many days, as far as it is one's own.

    Returns what that was.

    Raises:
        LabError: the user may only look.
    """
    require_write()
    limit = time.time() - older_than_days * 86_400
    gone = [trashed for trashed in list_trash(folder) if trashed.deleted <= limit and may_change(trashed.run.owner)]
    for trashed in gone:
        shutil.rmtree(trashed.run.path, ignore_errors=True)
    return [trashed for trashed in gone if not trashed.run.path.exists()]


def _trash_folder(folder: Path) -> Path:
    """Return the folder of the trash, after what lies in the one of version 0.1 was moved there."""
    trash, old = folder / TRASH, folder / OLD_TRASH
    if old.is_dir():
        with suppress(OSError):  # who may only look sees what is in the new one
            trash.mkdir(exist_ok=True)
            for path in old.iterdir():
                path.rename(trash / path.name)
            old.rmdir()
    return trash


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*"))
