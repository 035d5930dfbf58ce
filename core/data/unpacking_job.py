"""Unpacking a dropped archive as a job: it is copied to the disk first, since an upload ends with its page."""

import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from core.auth import require_write
from core.data.uploaded_archive import unpack_archive
from core.errors import writing
from core.jobs import kinds
from core.jobs.engine import Job, Values
from core.paths import cache_folder
from core.progress import ProgressCallback

LEFT_S = 24 * 3600
"""What a killed job left is removed after so long."""


def start_unpacking(name: str, file: IO[bytes]) -> Job:
    """Start to unpack a ZIP of images and labels. The job's result names the new folder, `root`.

    Raises:
        LabError: another archive of this person is being unpacked, the disk is full, or the current user may only look.
    """
    require_write()
    kinds.check_idle("unpack")
    folder = cache_folder() / "dropped"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.iterdir():
            if time.time() - left.stat().st_mtime > LEFT_S:
                left.unlink()
        path = folder / f"{secrets.token_hex(8)}.zip"
        try:
            with path.open("wb") as copy:
                shutil.copyfileobj(file, copy)
            return kinds.start("unpack", {"name": name, "file": str(path)})
        except BaseException:
            with suppress(OSError):
                path.unlink()
            raise


def unpack(request: Values, progress: ProgressCallback) -> Values:
    """Unpack it, and remove the copy. Raises LabError as `unpack_archive`."""
    path = Path(request["file"])
    try:
        with path.open("rb") as file:
            root = unpack_archive(request["name"], file, lambda done, count: progress("Unpacking", done, count))
    finally:
        path.unlink(missing_ok=True)
    return {"root": str(root)}
