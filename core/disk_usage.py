"""How much of the disk the things of one person take, and whether they may take more.

It is counted where work begins that takes disk, by a walk through the folders that say they are that person's.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from core.auth import QuotaError, current_user, max_disk_gb, read_owner
from core.paths import SWEEPS, TRASH, archives_folder, collections_folder, reports_folder, runs_folder
from core.text import format_bytes


def disk_usage(user_id: str) -> int:
    """Return the bytes of a user's runs, sweeps, reports, collections and unpacked archives, the trash included."""
    return sum(map(_size, _folders_of(user_id)))


def check_disk_quota() -> int:
    """Return how many bytes more the one who is asking may take.

    Raises:
        QuotaError: their things take as much as they may.
    """
    limit = max_disk_gb() * 10**9
    if not limit:
        return sys.maxsize
    used = disk_usage(current_user().id)
    if used >= limit:
        raise QuotaError(
            f"Your runs, sweeps, reports, collections and unpacked archives take {format_bytes(used)} of the"
            f" {format_bytes(limit)} on disk that one person may have. Delete runs and empty the trash, or delete"
            " reports, collections or data sets that you dropped."
        )
    return limit - used


def _folders_of(user_id: str) -> Iterator[Path]:
    runs = runs_folder()
    for parent in (runs, runs / TRASH, runs / SWEEPS, reports_folder(), collections_folder()):
        yield from (folder for folder in _subfolders(parent) if read_owner(folder) == user_id)
    yield from (folder for folder in _subfolders(archives_folder()) if read_owner(folder, of_data=True) == user_id)


def _subfolders(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:  # not made yet
        return []


def _size(folder: Path) -> int:
    """Return the bytes of all files below a folder; what is removed meanwhile counts nothing."""
    total, pending = 0, [str(folder)]
    while pending:
        with suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
    return total
