"""Decoded frames on disk: a frame is decoded once in the life of a data set, and read from the page cache from then on.

    <cache folder>/frames/<key>/
        description.json    what it is, for the list of caches
        images.npy          raw: uint8 (N, H, W, 3), and
        targets.npy         uint8 (N, H, W); both are mapped into memory, and exact
        frames.bin          jpeg: a JPEG of quality 95 (lossy) and a PNG (exact) per frame, one after another, and
        index               where they lie
        done                a byte per frame: 1 once the frame is safely there
        finished            appears when all are; its time is when the cache was last used
        lock-PID-START-...  who builds it

A cache is named by what is in it: files (path, size, time), order, size, classes, kind. It is never brought up to date: whatever
changed has another name. Data goes to the disk before the byte that vouches for it, so a build that was killed, or a machine
that lost its power, loses the last few frames and nothing else.
"""

import errno
import hashlib
import io
import json
import math
import os
import random
import secrets
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import cv2
import numpy as np

from core.auth import current_user, require_write
from core.data.dataset import Dataset, spread
from core.data.frames import Frame, fingerprint
from core.errors import LabError
from core.files import write_atomically
from core.paths import cache_folder
from core.processes import ProcessId
from core.progress import CountCallback
from core.text import format_bytes

Kind = Literal["raw", "jpeg"]

VERSION = 1
"""Of the layout on disk, and of whatever decides what a decoded frame looks like."""

JPEG_QUALITY = 95
ENCODED_FRAMES = 4
"""Frames that are encoded to estimate the size of a jpeg cache."""

SPARE_BYTES = 10**9
"""Free space that a build leaves on the disk."""

GROUP_FRAMES = 16
GROUP_BYTES = 128 * 1024**2
"""Frames go to the disk for good in groups of so many, or so many bytes: all that a kill can cost."""

THREADS = 8
"""Frames decoded at the same time, at most."""


class CachedFrames:
    """Frames of a complete cache, by their number; opened in each process at its first look."""

    def __init__(self, folder: Path, kind: Kind, dataset: Dataset, frames: Sequence[Frame]) -> None:
        self.frames = tuple(frames)
        self.kind = kind
        self._folder = folder
        self._dataset = dataset
        self._reader: _RawReader | _JpegReader | None = None

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image uint8 (H, W, 3) and target uint8 (H, W) of a frame, read-only."""
        if self._reader is None:
            self._reader = _READERS[self.kind](self._folder, len(self), self._dataset.size)
        pair = self._reader.read(index)
        if pair is None:
            frame = self.frames[index]
            pair = self._dataset.image(frame), self._dataset.target(frame)
        for array in pair:
            array.flags.writeable = False
        return pair

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_reader": None}

    def share(self, processes: int) -> None:
        """Nothing to divide: all processes look at the same pages of memory."""


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
        complete: whether a run can use it; false for one that is being built, was broken off, or is damaged.
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
    """Return the bytes that a cache will take; of a jpeg cache an estimate, for which a few frames are encoded. Raises LabError."""
    if kind == "raw":
        return sum(len(_npy_header(shape)) + math.prod(shape) for _, shape in _raw_shapes(len(frames), dataset.size))
    chosen = spread(frames, ENCODED_FRAMES)
    taken = sum(len(part) for frame in chosen for part in _encode(dataset.image(frame), dataset.target(frame)))
    return round(taken / max(1, len(chosen)) * len(frames))


def find_cache(dataset: Dataset, frames: Sequence[Frame], kind: Kind) -> CachedFrames | None:
    """Return the complete cache of these frames, or None. Raises LabError where a frame's file has vanished."""
    folder = _folder_of(dataset, frames, kind)
    if not _is_complete(folder, kind, len(frames), dataset.size):
        return None
    with suppress(OSError):  # a cache that may only be read serves as well
        os.utime(folder / "finished")
    return CachedFrames(folder, kind, dataset, frames)


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
        frames: in the order in which they will be asked for.
        kind: raw or jpeg.
        progress: called with (frames done, frames in all). What it raises ends the build and is handed on.
        should_stop: asked between frames.

    Returns:
        The frames; None when the build was asked to stop.

    Raises:
        LabError: the disk is too full or can't be written to, or a frame can't be read.
    """
    progress = progress or (lambda done, count: None)
    should_stop = should_stop or (lambda: False)
    folder = _folder_of(dataset, frames, kind)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while not (result := find_cache(dataset, frames, kind)):
            if should_stop():
                return None
            lock = _take_lock(folder)
            if lock is None:
                progress(int(_read_done(folder, len(frames)).sum()), len(frames))
                # Two that came at the same moment have both stepped back, and must not meet again.
                time.sleep(random.uniform(0.1, 0.3))
                continue
            try:
                # The process that held the lock before may have finished in between.
                if not (result := find_cache(dataset, frames, kind)):
                    complete = _build(folder, dataset, frames, kind, progress, should_stop)
                    result = CachedFrames(folder, kind, dataset, frames) if complete else None
                return result
            finally:
                lock.unlink(missing_ok=True)
        return result
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise LabError(
                f"The disk filled up while decoded frames were written to '{folder}'. Free some space and start again: what was "
                "written is kept."
            ) from None
        raise LabError(
            f"Decoded frames can't be kept in '{folder}': {error.strerror or error}. Set the cache to off, or name another place in "
            "SEGLAB_CACHE."
        ) from None


def list_caches() -> list[CacheEntry]:
    """Return every cache, the last used first, broken ones included."""
    results = [_entry(folder) for folder in _cache_folders()]
    return sorted(results, key=lambda entry: -entry.used)


def remove_caches(keys: Iterable[str] | None = None) -> int:
    """Delete caches by key, or all of them, but none that is being built. A run that has one open keeps it, or decodes again.

    Returns:
        How many bytes are free again.

    Raises:
        LabError: the one who is asking may only look, or is no admin and asks for all of them, other users' too.
    """
    require_write()
    if keys is None and not current_user().is_admin:
        raise LabError(
            "Only an admin can remove all decoded frames at once, for others' runs use them. Remove single ones."
        )
    wanted = None if keys is None else set(keys)
    freed = 0
    for folder in _cache_folders():
        if (wanted is None or folder.name in wanted) and not _is_in_use(folder):
            taken = _bytes_on_disk(folder)
            # Without its mark it isn't opened any more, should the rest fail.
            with suppress(OSError):
                (folder / "finished").unlink()
            shutil.rmtree(folder, ignore_errors=True)
            freed += taken - _bytes_on_disk(folder)
    return freed


def _build(
    folder: Path,
    dataset: Dataset,
    frames: Sequence[Frame],
    kind: Kind,
    progress: CountCallback,
    should_stop: Callable[[], bool],
) -> bool:
    """Build what isn't there yet, under the lock. False when asked to stop."""
    (folder / "finished").unlink(missing_ok=True)
    needed = cache_size(dataset, frames, kind)
    done = _read_done(folder, len(frames)) & _WRITERS[kind].standing(folder, len(frames), dataset.size)
    # What a sparse file seems to hold says nothing: only frames that are done have taken their room.
    _check_space(folder, needed * int((done == 0).sum()) // max(1, len(frames)), kind)
    description = {
        "version": VERSION,
        "kind": kind,
        "name": dataset.name,
        "root": str(dataset.root),
        "splits": sorted({frame.split for frame in frames}),
        "frames": len(frames),
        "size": list(dataset.size),
        "bytes": needed,
        "created": time.time(),
    }
    write_atomically(folder / "description.json", json.dumps(description, indent=1))
    with open(folder / "done", "r+b" if (folder / "done").is_file() else "w+b") as flags:
        # Before any file is made anew: a flag must never vouch for what is no longer there.
        flags.write(done.tobytes())
        flags.truncate()
        _flush(flags)
        with _WRITERS[kind](folder, len(frames), dataset.size, done) as writer:
            stopped = _write_frames(dataset, frames, writer, flags, done, progress, should_stop)
    if stopped:
        return False
    with open(folder / "finished", "wb") as file:
        _flush(file)
    return True


def _write_frames(
    dataset: Dataset,
    frames: Sequence[Frame],
    writer: "_RawWriter | _JpegWriter",
    flags: IO[bytes],
    done: np.ndarray,
    progress: CountCallback,
    should_stop: Callable[[], bool],
) -> bool:
    """Decode in threads and write in order what isn't `done`, and mark it there. True when it was stopped."""

    def prepare(index: int) -> tuple[int, tuple[bytes | np.ndarray, ...]]:
        return index, writer.prepare(dataset.image(frames[index]), dataset.target(frames[index]))

    group: list[int] = []

    def commit() -> None:
        writer.flush()
        for index in group:
            flags.seek(index)
            flags.write(b"\1")
        _flush(flags)
        done[group] = 1
        group.clear()

    missing = iter(np.flatnonzero(done == 0).tolist())
    threads = min(THREADS, os.cpu_count() or 1)
    group_frames = max(1, min(GROUP_FRAMES, GROUP_BYTES // (4 * dataset.size[0] * dataset.size[1])))
    finished = int(done.sum())
    waiting: deque[Future] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            while True:
                # No further ahead than this: decoded frames would fill the memory faster than a disk takes them.
                while len(waiting) < 2 * threads and (index := next(missing, None)) is not None:
                    waiting.append(pool.submit(prepare, index))
                if not waiting or should_stop():
                    break
                index, parts = waiting.popleft().result()
                writer.write(index, parts)
                group.append(index)
                finished += 1
                if len(group) >= group_frames:
                    commit()
                progress(finished, len(frames))
            commit()
        finally:
            for future in waiting:
                future.cancel()
    return finished < len(frames)


def _check_space(folder: Path, needed: int, kind: Kind) -> None:
    free = shutil.disk_usage(folder).free
    if needed and needed + SPARE_BYTES > free:
        other = "keep it as jpeg, " if kind == "raw" else ""
        raise LabError(
            f"Keeping the decoded frames takes {format_bytes(needed)} more on the disk of '{folder.parent}', and {format_bytes(free)} "
            f"are free, of which 1 GB is left alone. Free some space, {other}read the frames at a smaller size, or set the cache to off."
        )


class _RawWriter:
    """Writes frames to their places in two .npy files that have their full length from the start."""

    def __init__(self, folder: Path, frames: int, size: tuple[int, int], done: np.ndarray) -> None:
        self._files: list[IO[bytes]] = []
        self._starts: list[int] = []
        for name, shape in _raw_shapes(frames, size):
            header = _npy_header(shape)
            if not done.any():
                with open(folder / name, "wb") as fresh:
                    fresh.write(header)
                    fresh.truncate(len(header) + math.prod(shape))
            self._files.append(open(folder / name, "r+b"))  # noqa: SIM115 - closed by __exit__
            self._starts.append(len(header))

    @staticmethod
    def standing(folder: Path, frames: int, size: tuple[int, int]) -> np.ndarray:
        """uint8 (N,): 1 for frames for which there is room; all or none."""
        try:
            _map_raw(folder, frames, size)
        except (OSError, ValueError):
            return np.zeros(frames, np.uint8)
        return np.ones(frames, np.uint8)

    def __enter__(self) -> "_RawWriter":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()

    def prepare(self, image: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, ...]:
        return np.ascontiguousarray(image), np.ascontiguousarray(target)

    def write(self, index: int, parts: tuple[np.ndarray, ...]) -> None:
        # Not through a mapping: a full disk is an error here, and would end the process there.
        for file, start, part in zip(self._files, self._starts, parts, strict=True):
            file.seek(start + index * part.nbytes)
            file.write(part.data)

    def flush(self) -> None:
        for file in self._files:
            _flush(file)


class _RawReader:
    """Maps the two files; where that is no longer possible, it has no frames."""

    def __init__(self, folder: Path, frames: int, size: tuple[int, int]) -> None:
        try:
            self._arrays = _map_raw(folder, frames, size)
        except (OSError, ValueError):
            self._arrays = None

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray] | None:
        return (self._arrays[0][index], self._arrays[1][index]) if self._arrays else None


def _map_raw(folder: Path, frames: int, size: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Return both arrays, mapped read-only. Raises OSError, ValueError where a file isn't what it should be."""
    arrays = []
    for name, shape in _raw_shapes(frames, size):
        # A file that is too short kills the process that reads past its end.
        if (folder / name).stat().st_size != len(_npy_header(shape)) + math.prod(shape):
            raise ValueError(name)
        array = np.asarray(np.load(folder / name, mmap_mode="r", allow_pickle=False))
        if array.shape != shape or array.dtype != np.uint8:
            raise ValueError(name)
        arrays.append(array)
    return tuple(arrays)


def _raw_shapes(frames: int, size: tuple[int, int]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return ("images.npy", (frames, *size, 3)), ("targets.npy", (frames, *size))


def _npy_header(shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.getvalue()


class _JpegWriter:
    """Appends encoded frames to one file and notes where they lie in another."""

    def __init__(self, folder: Path, frames: int, size: tuple[int, int], done: np.ndarray) -> None:
        data, index = folder / "frames.bin", folder / "index"
        self._spans = _read_index(index, frames) if done.any() else np.zeros((frames, 3), np.int64)
        self._spans[done == 0] = 0
        self._end = int(_ends(self._spans).max(initial=0))
        for path in (data, index):
            path.touch()
        self._data = open(data, "r+b")  # noqa: SIM115 - closed by __exit__
        self._index = open(index, "r+b")  # noqa: SIM115 - closed by __exit__
        # Behind the last frame that counts may stand some that were never vouched for.
        self._data.truncate(self._end)
        self._index.truncate(self._spans.nbytes)

    @staticmethod
    def standing(folder: Path, frames: int, size: tuple[int, int]) -> np.ndarray:
        """uint8 (N,): 1 for frames whose place lies within the file."""
        try:
            spans = _read_index(folder / "index", frames)
            length = (folder / "frames.bin").stat().st_size
        except (OSError, ValueError):
            return np.zeros(frames, np.uint8)
        return ((spans[:, 1:] > 0).all(axis=1) & (_ends(spans) <= length)).astype(np.uint8)

    def __enter__(self) -> "_JpegWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._data.close()
        self._index.close()

    def prepare(self, image: np.ndarray, target: np.ndarray) -> tuple[bytes, ...]:
        return _encode(image, target)

    def write(self, index: int, parts: tuple[bytes, ...]) -> None:
        self._data.seek(self._end)
        self._data.write(b"".join(parts))
        self._spans[index] = (self._end, len(parts[0]), len(parts[1]))
        self._end += len(parts[0]) + len(parts[1])

    def flush(self) -> None:
        _flush(self._data)
        self._index.seek(0)
        self._index.write(self._spans.astype("<i8").tobytes())
        _flush(self._index)


class _JpegReader:
    """Reads and decodes single frames; has none where the files are no longer what they were."""

    def __init__(self, folder: Path, frames: int, size: tuple[int, int]) -> None:
        self._size = size
        try:
            self._spans = _read_index(folder / "index", frames)
            self._data = np.memmap(folder / "frames.bin", np.uint8, mode="r")
        except (OSError, ValueError):
            self._spans, self._data = np.zeros((frames, 3), np.int64), np.empty(0, np.uint8)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray] | None:
        start, image_bytes, target_bytes = (int(value) for value in self._spans[index])
        middle = start + image_bytes
        parts = self._data[start:middle], self._data[middle : middle + target_bytes]
        if (len(parts[0]), len(parts[1])) != (image_bytes, target_bytes) or not (image_bytes and target_bytes):
            return None
        try:
            image = cv2.imdecode(parts[0], cv2.IMREAD_COLOR_RGB)
            target = cv2.imdecode(parts[1], cv2.IMREAD_GRAYSCALE)
        except cv2.error:
            return None
        if image is None or target is None or image.shape[:2] != self._size or target.shape != self._size:
            return None
        return image, target


def _encode(image: np.ndarray, target: np.ndarray) -> tuple[bytes, bytes]:
    """Return a photograph as JPEG and a target as PNG."""
    _, encoded_image = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    _, labels = cv2.imencode(".png", target, [cv2.IMWRITE_PNG_COMPRESSION, 6])
    return encoded_image.tobytes(), labels.tobytes()


def _read_index(path: Path, frames: int) -> np.ndarray:
    """Return the offset, bytes of the image and bytes of the target, int64 (N, 3). Raises OSError, ValueError where it isn't whole."""
    return np.frombuffer(path.read_bytes(), "<i8").astype(np.int64).reshape(frames, 3)


def _ends(spans: np.ndarray) -> np.ndarray:
    """Return where each frame's bytes end; beyond any file for a place that can't be."""
    return np.where((spans < 0).any(axis=1), np.iinfo(np.int64).max, spans.sum(axis=1))


_READERS: dict[str, Any] = {"raw": _RawReader, "jpeg": _JpegReader}
_WRITERS: dict[str, Any] = {"raw": _RawWriter, "jpeg": _JpegWriter}


def _is_complete(folder: Path, kind: str, frames: int, size: tuple[int, int]) -> bool:
    """Return whether a cache is finished, and its files are what they must be."""
    try:
        marked = (folder / "finished").is_file() and (folder / "done").stat().st_size == frames
        return marked and bool(_WRITERS[kind].standing(folder, frames, size).all())
    except OSError:
        return False


def _folder_of(dataset: Dataset, frames: Sequence[Frame], kind: Kind) -> Path:
    named = (VERSION, fingerprint(frames), dataset.size, dataset.space.digest, kind, len(frames))
    return _frames_folder() / hashlib.sha256(repr(named).encode()).hexdigest()[:24]


def _frames_folder() -> Path:
    return cache_folder() / "frames"


def _cache_folders() -> list[Path]:
    try:
        return [path for path in _frames_folder().iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError:
        return []


def _entry(folder: Path) -> CacheEntry:
    """Return what a folder says about itself; a description that can't be read leaves it nameless, but listed."""
    try:
        description = json.loads((folder / "description.json").read_bytes())
        metadata = {
            "kind": str(description["kind"]),
            "name": str(description["name"]),
            "root": str(description["root"]),
            "splits": tuple(str(split) for split in description["splits"]),
            "frames": int(description["frames"]),
            "size": (int(description["size"][0]), int(description["size"][1])),
        }
        complete = metadata["kind"] in _WRITERS and _is_complete(
            folder, metadata["kind"], metadata["frames"], metadata["size"]
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError, OverflowError):
        metadata = {"kind": "", "name": "", "root": "", "splits": (), "frames": 0, "size": (0, 0)}
        complete = False
    return CacheEntry(
        key=folder.name,
        bytes=_bytes_on_disk(folder),
        complete=complete,
        used=_time_of(folder / "finished") or _time_of(folder / "description.json") or _time_of(folder) or 0.0,
        in_use=_is_in_use(folder),
        **metadata,
    )


def _time_of(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _bytes_on_disk(folder: Path) -> int:
    """Return what the files of a folder really take: a file that was lengthened but not yet written to takes nothing."""
    taken = 0
    try:
        for path in folder.iterdir():
            metadata = path.stat()
            blocks = getattr(metadata, "st_blocks", None)
            taken += metadata.st_size if blocks is None else 512 * blocks
    except OSError:
        pass  # being deleted at this moment
    return taken


def _read_done(folder: Path, frames: int) -> np.ndarray:
    """Return which frames are there, uint8 (N,), 0 or 1; none where the file isn't whole."""
    try:
        done = np.frombuffer((folder / "done").read_bytes(), np.uint8)
    except OSError:
        done = np.empty(0, np.uint8)
    return (done == 1).astype(np.uint8) if len(done) == frames else np.zeros(frames, np.uint8)


def _flush(file: IO[bytes]) -> None:
    """Make what was written to a file survive a power cut."""
    file.flush()
    os.fsync(file.fileno())


def _take_lock(folder: Path) -> Path | None:
    """Make this process the builder; None while another is alive.

    A lock is a file whose name says who made it, so none can be mistaken for another, and a dead one be deleted by anybody.
    Each makes its own and then looks: two that come at once may both step back, but never both go on.
    """
    me = ProcessId.of(os.getpid())
    mine = folder / f"lock-{me.pid}-{me.started!r}-{secrets.token_hex(4)}"
    os.close(os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    for other in folder.glob("lock-*"):
        if other == mine:
            continue
        if _owner(other).is_alive():
            mine.unlink(missing_ok=True)
            return None
        other.unlink(missing_ok=True)
    return mine


def _owner(lock: Path) -> ProcessId:
    """Return the process that made a lock; one that isn't alive where its name is no lock's."""
    try:
        _, pid, started, _ = lock.name.split("-")
        return ProcessId(int(pid), float(started))
    except ValueError:
        return ProcessId(-1, 0.0)


def _is_in_use(folder: Path) -> bool:
    return any(_owner(lock).is_alive() for lock in folder.glob("lock-*"))
