"""What a network answered, and the answers kept on disk: the same picture and the same weights are not looked at twice.

What it was unsure of is an answer of its own, given and kept when it is asked for.
"""

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from core.files import parse_json, replacing
from core.inference.tta import PredictOptions
from core.paths import cache_folder
from core.runs.checkpoint_digest import checkpoint_digest
from core.runs.store import Which

VERSION = 3
"""Raised when the same weights would answer otherwise, or what is written changes."""
BUDGET = 512 * 2**20


@dataclass(frozen=True)
class CachedPrediction:
    """Labels and confidence as in `Prediction`, the classes and colours they mean, and the milliseconds it took."""

    labels: np.ndarray
    confidence: np.ndarray
    class_names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    milliseconds: float


LIKELIEST = 5


@dataclass(frozen=True)
class UncertaintyMaps:
    """What a network was unsure of, in maps of a size (h, w) that may be smaller than the picture's.

    Both are 8-bit gray PNGs.

    Attributes:
        entropy: (h, w), the entropy of the probabilities as a share of its maximum: 0..255 for 0 (sure) to 1 (all
            classes alike).
        likeliest: (2 * LIKELIEST * h, w). Each row of pixels takes ten rows: the likeliest class, its probability
            (0..255 for 0..1), the second likeliest, and so on; 255 for a class that isn't there.
    """

    entropy: bytes
    likeliest: bytes


class PredictionCache:
    """Answers and doubts by key in the cache folder, up to `budget` bytes; those not asked for the longest go first."""

    def __init__(self, budget: int = BUDGET) -> None:
        self._budget = budget

    @property
    def folder(self) -> Path:
        """Where the answers lie. May be deleted at any time."""
        return cache_folder() / "answers"

    def get(self, key: str) -> CachedPrediction | None:
        """Return the answer under a key; None where there is none, or its file is broken."""
        held = self._read(key)
        try:
            metadata = parse_json(held["facts"].tobytes())
            maps = [cv2.imdecode(held[name], cv2.IMREAD_UNCHANGED) for name in ("labels", "confidence")]
            if any(values is None or values.ndim != 2 for values in maps):
                return None
            colors = tuple(tuple(color) for color in metadata["colors"])
            return CachedPrediction(maps[0], maps[1], tuple(metadata["classes"]), colors, metadata["milliseconds"])
        except Exception:  # a torn or foreign file is no answer, whatever it makes the reader raise
            return None

    def put(self, key: str, prediction: CachedPrediction) -> None:
        """Keep an answer; where the disk has no room, it isn't kept."""
        metadata = {
            "classes": prediction.class_names,
            "colors": prediction.colors,
            "milliseconds": prediction.milliseconds,
        }
        self._write(
            key,
            labels=cv2.imencode(".png", prediction.labels)[1],
            confidence=cv2.imencode(".png", prediction.confidence)[1],
            facts=np.frombuffer(json.dumps(metadata).encode(), np.uint8),
        )

    def get_uncertainty(self, key: str) -> UncertaintyMaps | None:
        """Return the doubts under an answer's key; None where there are none, or their file is broken."""
        held = self._read(f"{key}-doubts")
        if not held.keys() >= {"entropy", "likeliest"}:
            return None
        return UncertaintyMaps(held["entropy"].tobytes(), held["likeliest"].tobytes())

    def put_uncertainty(self, key: str, uncertainty: UncertaintyMaps) -> None:
        """Keep doubts beside the answer under its key; where the disk has no room, they aren't kept."""
        maps = {"entropy": uncertainty.entropy, "likeliest": uncertainty.likeliest}
        self._write(f"{key}-doubts", **{name: np.frombuffer(png, np.uint8) for name, png in maps.items()})

    def _read(self, name: str) -> dict[str, np.ndarray]:
        path = self.folder / f"{name}.npz"
        try:
            with np.load(path, allow_pickle=False) as held:
                results = dict(held)
            os.utime(path)
            return results
        except Exception:  # as above
            return {}

    def _write(self, name: str, **held: np.ndarray) -> None:
        target = self.folder / f"{name}.npz"
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(target) as draft:
                np.savez(draft, **held)
            self._evict()

    def _evict(self) -> None:
        with os.scandir(self.folder) as entries:
            files = sorted((entry.stat().st_mtime_ns, entry.stat().st_size, entry.path) for entry in entries)
        size = sum(length for _, length, _ in files)
        for _, length, path in files[:-1]:
            if size <= self._budget:
                return
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            size -= length


def prediction_key(run: Path, which: Which, image: np.ndarray, options: PredictOptions) -> str | None:
    """Return a text that is the same for the same pixels, the same weights and the same options.

    None without a checkpoint.
    """
    weights = checkpoint_digest(run, which)
    if not weights:
        return None
    digest = hashlib.sha256(f"{VERSION}|{weights}|{options}|{image.shape}".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()[:40]
