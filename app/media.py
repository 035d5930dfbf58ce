"""Pictures that pages show, encoded once and served by address.

They live in the server's memory, the least recently used go first, and nothing of an upload is written
to disk. A picture's address follows from what it is made of, so a browser may keep it for ever.
"""

import hashlib
import threading
from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np
from cachetools import LRUCache

from core.data.bands import composite

BUDGET = 192 * 1024**2
Suffix = Literal["png", "jpg"]


class MediaStore:
    """Encoded pictures by key, up to `budget` bytes. May be used from many threads."""

    def __init__(self, budget: int = BUDGET) -> None:
        self._cached: LRUCache[str, bytes] = LRUCache(budget, getsizeof=len)
        self._lock = threading.Lock()

    def address(self, parts: tuple[object, ...], suffix: Suffix, make: Callable[[], bytes]) -> str:
        """Return the address of a picture; `make` encodes it unless it is there already.

        Args:
            parts: what the picture follows from, completely; equal parts must mean equal bytes.
            suffix: png or jpg.
            make: returns the encoded bytes.
        """
        name = f"{hashlib.sha256(repr(parts).encode()).hexdigest()[:40]}.{suffix}"
        if self.get(name) is None:
            self._put(name, make())
        return f"/lab/picture/{name}"

    def get(self, name: str) -> bytes | None:
        """Return the bytes under a name, or None when they were never made or had to go."""
        with self._lock:
            return self._cached.get(name)

    def _put(self, name: str, data: bytes) -> None:
        with self._lock:
            self._cached[name] = data


def encode_image(image: np.ndarray) -> bytes:
    """JPEG of a uint8 (H, W, C) photograph."""
    return cv2.imencode(".jpg", cv2.cvtColor(composite(image), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])[
        1
    ].tobytes()


def encode_map(values: np.ndarray) -> bytes:
    """PNG of a uint8 (H, W) map, exact."""
    return cv2.imencode(".png", values, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes()


def encode_colors(labels: np.ndarray, palette: np.ndarray) -> bytes:
    """PNG of a uint8 (H, W) label map in the colours of a (256, 3) palette."""
    return cv2.imencode(".png", cv2.cvtColor(palette[labels], cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 3])[
        1
    ].tobytes()
