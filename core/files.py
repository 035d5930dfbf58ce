"""Files that a reader sees whole, the old content or the new and never half; and JSON that can't end a thread."""

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text holds.

    Raises:
        ValueError: it is no JSON, or nested so deeply that reading it would end the thread that does.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def draft_of(path: Path) -> Path:
    """Return a hidden name beside a file or folder for what is to become it.

    Nobody can guess it and put a link there first; the ending, which libraries go by, stays.
    """
    return path.with_name(f".{secrets.token_hex(8)}.{path.name}")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a draft that replaces a file or makes a folder once the block ends; nothing of it stays where it fails."""
    draft = draft_of(path)
    try:
        yield draft
        draft.replace(path)
    except BaseException:
        remove(draft)  # on a full disk half a file only makes it fuller
        raise


def remove(path: Path) -> None:
    """Remove a file or a folder as far as that can be done."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def write_atomically(path: Path, text: str, durable: bool = False) -> None:
    """Replace a text file so that a reader sees the old one or the new one. `durable` also survives a power cut."""
    with replacing(path) as draft, open(draft, "x", encoding="utf-8") as file:
        file.write(text)
        if durable:
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a draft that becomes a folder, with all that is in it, once the block ends, if it was made.

    Where two processes write the same one, the first one's stays.
    """
    draft = draft_of(folder)
    try:
        yield draft
        if draft.is_dir():
            try:
                draft.rename(folder)
            except OSError:
                if not folder.is_dir():  # not that of a process that was faster
                    raise
    finally:
        remove(draft)


def unless_changed(read: Callable[[Path], T]) -> Callable[[Path], T | None]:
    """Return what reads a file, from memory where its time and size are the same; None where there is no file."""

    @lru_cache(maxsize=8192)
    def cached(path: Path, _changed: int, _size: int) -> T:
        return read(path)

    def read_if_changed(path: Path) -> T | None:
        try:
            metadata = path.stat()
        except OSError:
            return None
        return cached(path, metadata.st_mtime_ns, metadata.st_size)

    return read_if_changed
