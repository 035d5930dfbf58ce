"""What tells the networks of two checkpoints apart: a digest of their files, remembered until a file changes."""

import hashlib
from functools import lru_cache
from pathlib import Path

from core.runs.store import Which, checkpoint_path, ema_path

_BLOCK = 2**20


def checkpoint_digest(run: Path, which: Which) -> str:
    """Return a text that is the same for equal checkpoints only, whatever run they lie in.

    Empty where there is none.
    """
    folder = checkpoint_path(run, which)
    if folder is None:
        return ""
    try:
        mean = ema_path(folder)  # of the weights: what `last` is shown by
        return "".join(_content(path) for path in (folder / "model.safetensors", mean, folder / "state.json") if path)
    except OSError:  # replaced at this moment
        return ""


def _content(path: Path) -> str:
    metadata = path.stat()
    return _digest(path, metadata.st_size, metadata.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest(path: Path, _size: int, _changed: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
