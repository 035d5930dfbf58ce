"""Descriptions of networks on disk: one takes seconds to make, and is the same until torch, timm or the lab changes."""

import hashlib
import platform
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from pydantic import TypeAdapter

from core.config import ModelConfig
from core.files import write_atomically
from core.models.summary_types import ModelSummary
from core.paths import cache_folder
from core.processes import available_cores

VERSION = 3
"""Goes up where a network, or what is said of it, changes."""
MAX_BYTES = 10**6
_SUMMARY = TypeAdapter(ModelSummary)


def recall_summary(model: ModelConfig, size: tuple[int, int]) -> ModelSummary | None:
    """Return the description of a network at a picture size (height, width), made on this machine; None if there is
    none.
    """
    with suppress(OSError, ValueError):
        path = _path(model, size)
        if path.stat().st_size <= MAX_BYTES:
            return _SUMMARY.validate_json(path.read_bytes())
    return None


def save_summary(model: ModelConfig, summary: ModelSummary) -> None:
    """Keep a description; where the disk has no room it is made again next time."""
    path = _path(model, summary.size)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, _SUMMARY.dump_json(summary).decode())


def _path(model: ModelConfig, size: tuple[int, int]) -> Path:
    machine = (platform.node(), platform.machine(), available_cores())
    text = f"{VERSION}|{version('torch')}|{version('timm')}|{machine}|{size}|{model.model_dump_json()}"
    return cache_folder() / "summaries" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"
