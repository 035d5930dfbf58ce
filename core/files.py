"""Files that a reader sees whole, the old content or the new and never half; and JSON that can't end a thread."""

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text holds.

    Raises:
        ValueError: it is no JSON, or nested so deeply that reading it would end the thread that does.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def write_atomically(path: Path, text: str, durable: bool = False) -> None:
    """Replace a text file so that a reader sees the old one or the new one. `durable` also survives a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)  # on a full disk half a file only makes it fuller
        raise


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a draft that becomes a folder, with all that is in it, once the block ends, if it was made.

    Where two processes write the same one, the first one's stays.
    """
    draft = folder.with_name(f".{folder.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        yield draft
        if draft.is_dir():
            try:
                draft.rename(folder)
            except OSError:
                if not folder.is_dir():  # not that of a process that was faster
                    raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
