"""Decoded frames on disk: a frame is decoded once in the life of a data set, and read from the page cache from then on.

    <cache folder>/frames/<key>/
        description.json      what it is, for the list of caches
        frames.bin, index     its frames, see `packed_frames`
        lock                  locked by the process that builds it

A cache is named by what is in it: files (path, size, time), order, size, classes, kind. It is never brought up to date:
whatever changed has another name. The folder's time is when the cache was last used.
"""

import errno
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from filelock import FileLock, Timeout

from core.auth import current_user, require_write
from core.data.dataset import Dataset, spread
from core.data.frame_threads import map_frames
from core.data.frames import Frame, fingerprint
from core.data.packed_frames import Kind, PackedFrames, Pair, append_frames, count_packed, encode_frame
from core.errors import LabError
from core.files import parse_json, write_atomically
from core.paths import cache_folder
from core.progress import CountCallback
from core.text import format_bytes

VERSION = 2
"""Of the layout on disk, and of whatever decides what a decoded frame looks like."""

ENCODED_FRAMES = 4
"""Frames that are encoded to estimate the size of a jpeg cache."""

SPARE_BYTES = 10**9
"""Free space that a build leaves on the disk."""

THREADS = 8
"""Frames decoded at the same time, at most: twice as many wait in memory for the disk."""


class CachedFrames:
    """Frames of a complete cache, by index; each process opens the files when it first reads one."""

    def __init__(self, dataset: Dataset, frames: Sequence[Frame], kind: Kind) -> None:
        self.frames = tuple(frames)
        self.kind = kind
        self.dataset = dataset
        named = (VERSION, fingerprint(frames), dataset.size, dataset.pixels, dataset.space.digest, kind, len(frames))
        self.folder = cache_folder() / "frames" / hashlib.sha256(repr(named).encode()).hexdigest()[:24]
        self._packed: PackedFrames | None = None

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Pair:
        """Image uint8 (H, W, C) and target uint8 (H, W) of a frame, read-only."""
        try:
            self._packed = self._packed or PackedFrames(self.folder, self.kind, self.dataset.size)
            pair = self._packed[index]
        except (OSError, ValueError, cv2.error):  # removed or damaged meanwhile
            pair = self.dataset.image(self.frames[index]), self.dataset.target(self.frames[index])
        for array in pair:
            array.flags.writeable = False
        return pair

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_packed": None}

    def share(self, processes: int) -> None:
        """Nothing to divide: all processes map the same pages of memory."""

    def encode(self, frame: Frame) -> Pair:
        """Decode a frame of the data set and return it as it is stored. Raises LabError."""
        return encode_frame(self.dataset.image(frame), self.dataset.target(frame), self.kind)


@dataclass(frozen=True)
class CacheEntry:
    """A cache as the list shows it.

    Attributes:
        key: the name of its folder.
        kind: raw, jpeg, or empty where its description can't be read.
        name: of the data set.
        root: the folder of the data set.
        splits: the parts of the data set that its frames are from.
        frames: how many.
        size: (height, width) of a frame.
        bytes: what it takes on the disk at present.
        complete: whether a run can use it; false for one that is being built, was broken off, is damaged or of an older
            layout.
        used: when a run last took it, or when it was begun, in seconds since 1970.
        in_use: whether a process that is alive is building it.
    """

    key: str
    kind: str
    name: str
    root: str
    splits: tuple[str, ...]
    frames: int
    size: tuple[int, int]
    bytes: int
    complete: bool
    used: float
    in_use: bool


def cache_size(dataset: Dataset, frames: Sequence[Frame], kind: Kind) -> int:
    """Return the bytes that a cache will take; of a jpeg cache an estimate, for which a few frames are encoded.

    Raises LabError.
    """
    if kind == "raw":
        return (dataset.pixels.num_bands + 1) * math.prod(dataset.size) * len(frames)
    cached = CachedFrames(dataset, frames, kind)
    chosen = spread(frames, ENCODED_FRAMES)
    taken = sum(part.nbytes for frame in chosen for part in cached.encode(frame))
    return round(taken / max(1, len(chosen)) * len(frames))


def find_cache(dataset: Dataset, frames: Sequence[Frame], kind: Kind) -> CachedFrames | None:
    """Return the complete cache of these frames, or None. Raises LabError where a frame's file has vanished."""
    cached = CachedFrames(dataset, frames, kind)
    return cached if _is_complete(cached) else None


def build_cache(
    dataset: Dataset,
    frames: Sequence[Frame],
    kind: Kind,
    progress: CountCallback | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> CachedFrames | None:
    """Find the cache of these frames, or build it, going on from where an earlier build was broken off.

    While another process builds it, this one waits; should that one die, this one takes over.

    Args:
        dataset: whose frames these are; its size and label space count.
        frames: in the order of their indices.
        kind: raw or jpeg.
        progress: called with (frames done, frames in all). What it raises ends the build and is handed on.
        should_stop: called between frames.

    Returns:
        The frames; None when the build was stopped.

    Raises:
        LabError: the disk is too full or can't be written to, or a frame can't be read.
    """
    progress = progress or (lambda done, count: None)
    should_stop = should_stop or (lambda: False)
    if kind == "jpeg" and dataset.pixels.num_bands != 3:
        raise LabError("A jpeg cache keeps colours alone, and not these bands. Keep it raw, or set it to off.")
    cached = CachedFrames(dataset, frames, kind)
    try:
        while not _is_complete(cached):
            if should_stop():
                return None
            cached.folder.mkdir(parents=True, exist_ok=True)
            try:
                with FileLock(cached.folder / "lock", blocking=False):
                    if not _build(cached, progress, should_stop):
                        return None
            except Timeout:
                progress(count_packed(cached.folder), len(frames))
                time.sleep(0.2)
        return cached
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise LabError(
                f"The disk filled up while decoded frames were written to '{cached.folder}'. Free some space and start"
                " again: what was written is kept."
            ) from None
        raise LabError(
            f"Decoded frames can't be kept in '{cached.folder}': {error.strerror or error}. Set the cache to off, or"
            " name another place in SEGLAB_CACHE."
        ) from None


def list_caches() -> list[CacheEntry]:
    """Return every cache, the last used first, unfinished and damaged ones and those of older layouts included."""
    return sorted(map(_entry, _cache_folders()), key=lambda entry: -entry.used)


def remove_caches(keys: Iterable[str] | None = None) -> int:
    """Delete caches by key, or all of them, but none that is being built.

    A run that has one open keeps it, or decodes again.

    Returns:
        How many bytes are free again.

    Raises:
        LabError: the current user may only read, or is no admin and removes all of them, other users' too.
    """
    require_write()
    if keys is None and not current_user().is_admin:
        raise LabError(
            "Only an admin can remove all decoded frames at once, for others' runs use them. Remove single ones."
        )
    requested = None if keys is None else set(keys)
    freed = 0
    for folder in _cache_folders():
        if (requested is None or folder.name in requested) and not _is_in_use(folder):
            taken = _bytes_on_disk(folder)
            # Without its index it isn't opened any more, should the rest fail.
            with suppress(OSError):
                (folder / "index").unlink()
            shutil.rmtree(folder, ignore_errors=True)
            freed += taken - _bytes_on_disk(folder)
    return freed


def _build(cached: CachedFrames, progress: CountCallback, should_stop: Callable[[], bool]) -> bool:
    """Append the frames that aren't there yet, under the lock. False when it was stopped."""
    dataset, frames, folder = cached.dataset, cached.frames, cached.folder
    done = count_packed(folder)
    if done == len(frames):
        return True  # by the process that held the lock before
    needed = cache_size(dataset, frames, cached.kind) * (len(frames) - done) // len(frames)
    free = shutil.disk_usage(folder).free
    if needed + SPARE_BYTES > free:
        other = "keep it as jpeg, " if cached.kind == "raw" else ""
        raise LabError(
            f"Keeping the decoded frames takes {format_bytes(needed)} more on the disk of '{folder.parent}', and"
            f" {format_bytes(free)} are free, of which {format_bytes(SPARE_BYTES)} are left alone. Free some space,"
            f" {other}read the frames at a smaller size, or set the cache to off."
        )
    description = {
        "version": VERSION,
        "kind": cached.kind,
        "name": dataset.name,
        "root": str(dataset.root),
        "splits": sorted({frame.split for frame in frames}),
        "frames": len(frames),
        "size": dataset.size,
    }
    write_atomically(folder / "description.json", json.dumps(description, indent=1))
    with append_frames(folder) as append:
        for encoded in map_frames(cached.encode, frames[done:], THREADS):
            append(encoded)
            done += 1
            progress(done, len(frames))
            if done < len(frames) and should_stop():
                return False
    return True


def _is_complete(cached: CachedFrames) -> bool:
    """Return whether all frames are there, and if so note in the folder's time that they are used now."""
    if count_packed(cached.folder) < len(cached):
        return False
    with suppress(OSError):  # a cache that may only be read serves as well
        os.utime(cached.folder)
    return True


def _cache_folders() -> list[Path]:
    return [path for path in (cache_folder() / "frames").glob("*") if path.is_dir() and not path.is_symlink()]


def _entry(folder: Path) -> CacheEntry:
    """Return what a folder says about itself; a description that can't be read leaves it nameless, but listed."""
    try:
        description = parse_json((folder / "description.json").read_bytes())
        metadata = {name: description[name] for name in ("kind", "name", "root", "frames")}
        metadata |= {name: tuple(description[name]) for name in ("splits", "size")}
        complete = description["version"] == VERSION and 0 < description["frames"] == count_packed(folder)
    except (OSError, ValueError, LookupError, TypeError):
        metadata = {"kind": "", "name": "", "root": "", "splits": (), "frames": 0, "size": (0, 0)}
        complete = False
    used = folder.stat().st_mtime if folder.exists() else 0.0
    return CacheEntry(
        folder.name, bytes=_bytes_on_disk(folder), complete=complete, used=used, in_use=_is_in_use(folder), **metadata
    )


def _bytes_on_disk(folder: Path) -> int:
    try:
        return sum(path.stat().st_size for path in folder.iterdir())
    except OSError:
        return 0  # being removed at this moment


def _is_in_use(folder: Path) -> bool:
    """Return whether a process that is alive builds a cache."""
    try:
        if (folder / "lock").exists():
            FileLock(folder / "lock", blocking=False).acquire().lock.release()
    except Timeout:
        return True
    except OSError:
        pass  # a folder that may only be read
    return False
