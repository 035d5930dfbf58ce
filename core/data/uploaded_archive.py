"""A ZIP of one's own data, dropped on the page Data, to a folder that a run can be pointed at.

Hostile until proven otherwise.
"""

import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

from core.auth import read_owner, require_owner, require_write, write_owner
from core.data.frames import unusable_name
from core.disk_usage import check_disk_quota
from core.errors import LabError, writing
from core.files import draft_of, replacing
from core.paths import archives_folder
from core.text import format_bytes

MAX_FILES = 200_000
MAX_BYTES = 20 * 10**9
"""What an archive may hold unpacked; it is counted as it comes, whatever the archive says of itself."""
SPARE_BYTES = 10**9
ENDINGS = (
    ".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".gif", ".json", ".xml", ".txt",
    ".yaml", ".yml", ".csv", ".parquet",
)  # fmt: skip
"""Files that a data set is made of; all others stay in the archive."""
_CHUNK = 2**20


def unpack_archive(
    name: str, file: IO[bytes], progress: Callable[[int, int], object] = lambda done, count: None
) -> Path:
    """Unpack a ZIP of images and labels into a folder of its own, and return that folder.

    Args:
        name: what the archive is called; the folder gets a name like it.
        file: the archive, which can be read from any position.
        progress: called with (files unpacked, files in all).

    Raises:
        LabError: it is no ZIP, is broken or locked, holds no data or far too much, or the current user may only look.
    """
    require_write()
    allowed = check_disk_quota()
    parent = archives_folder()
    with writing(parent):
        parent.mkdir(parents=True, exist_ok=True)
        target = free_folder(parent, name)
        try:
            with replacing(target) as draft, zipfile.ZipFile(file) as archive:
                entries = [entry for entry in archive.infolist() if not entry.is_dir() and _is_needed(entry.filename)]
                if not entries:
                    raise LabError(
                        f"'{name}' holds no images, masks or label files. Pack the data set's folder itself."
                    )
                if len(entries) > MAX_FILES:
                    raise LabError(
                        f"'{name}' holds {len(entries)} files; the limit is {MAX_FILES}. Copy that folder to the"
                        " machine instead."
                    )
                left = min(MAX_BYTES, allowed, shutil.disk_usage(parent).free - SPARE_BYTES)
                for done, entry in enumerate(entries):
                    progress(done, len(entries))
                    left = _unpack(archive, entry, draft / PurePosixPath(entry.filename.replace("\\", "/")), left)
                write_owner(draft, of_data=True)
        except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, ValueError) as error:
            reason = "it is locked with a password" if "password" in str(error) else "it is no ZIP, or was cut short"
            raise LabError(
                f"'{name}' can't be unpacked: {reason}. Pack the folder again, as a ZIP without a password."
            ) from None
    return target


def unpacked_folder(root: Path) -> Path | None:
    """Return the folder that an archive with a data set in it was unpacked into, or a joint list; None for others."""
    root, parent = root.resolve(), archives_folder().resolve()
    return next((folder for folder in (root, *root.parents) if folder.parent == parent and folder.is_dir()), None)


def delete_archive(root: Path) -> None:
    """Remove the folder that an archive with this data set was unpacked into, or a joint list, for good.

    Raises:
        LabError: it is no such data set, is another's, or can't be removed.
    """
    folder = unpacked_folder(root)
    if folder is None:
        raise LabError(f"'{root}' isn't a folder that the lab unpacked. Delete it by other means.")
    require_owner(read_owner(folder, of_data=True), "This data set")
    with writing(folder.parent):
        hidden = draft_of(folder)
        folder.rename(hidden)  # gone at once, however long the removal takes
        shutil.rmtree(hidden)


def _is_needed(filename: str) -> bool:
    """Return True for a file of a data set whose path stays within the folder."""
    path = PurePosixPath(filename.replace("\\", "/"))
    is_hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    is_outside = path.is_absolute() or ".." in path.parts or re.match(r"^[A-Za-z]:", filename)
    return (
        not is_hidden and not is_outside and path.suffix.lower() in ENDINGS and not any(map(unusable_name, path.parts))
    )


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, left: int) -> int:
    """Write one file and return how many bytes may still come. A link in an archive becomes a file with its text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as source, path.open("wb") as target:
        while chunk := source.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise LabError(
                    f"The archive unfolds to more than fits: {format_bytes(MAX_BYTES)} at most, no more than one person"
                    f" may have on the disk, and {format_bytes(SPARE_BYTES)} stay free."
                )
            target.write(chunk)
    return left


def free_folder(parent: Path, name: str) -> Path:
    """Return a folder that isn't there yet, called after a name of any letters, without its ending."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", PurePosixPath(name).stem).strip("-")[:40] or "data"
    candidates = (parent / (stem if index == 1 else f"{stem}-{index}") for index in range(1, 10_000))
    return next(path for path in candidates if not path.exists())
