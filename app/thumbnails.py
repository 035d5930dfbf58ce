"""Small pictures of frames under their labels, made when a browser fetches one.

A page names a list of frames and gets an address; what lies behind it is kept as long as others aren't looked at more
lately.
"""

import hashlib
import threading
from collections.abc import Sequence

import cv2
from cachetools import LRUCache

from app.media import MediaStore, encode_image
from core.data.bands import composite
from core.data.dataset import Dataset, read_target
from core.data.decoding import read_image
from core.data.frames import Frame
from core.errors import LabError
from core.inference.exports import overlay_of

HEIGHT = 112
"""Of a picture in pixels: twice that on the page, for screens of two pixels to the CSS pixel."""
MAX_LISTS = 64


class Thumbnails:
    """Lists of frames by name. May be used from many threads."""

    def __init__(self, store: MediaStore) -> None:
        """`store` keeps what was made."""
        self._store = store
        self._lists: LRUCache[str, tuple[Dataset, tuple[Frame, ...]]] = LRUCache(MAX_LISTS)
        self._lock = threading.Lock()

    def base(self, dataset: Dataset, frames: Sequence[Frame]) -> str:
        """Return the address to which the place of a frame among these and ".jpg" are added."""
        text = repr(
            (dataset.space.digest, dataset.space.colors, [(str(each.image), str(each.labels)) for each in frames])
        )
        name = hashlib.sha256(text.encode()).hexdigest()[:40]
        with self._lock:
            self._lists[name] = (dataset, tuple(frames))
        return f"/lab/thumbnail/{name}/"

    def get(self, name: str, number: int) -> bytes | None:
        """Return a JPEG, made now where it isn't there; None where no page shows such a list, or the file is gone."""
        with self._lock:
            dataset, frames = self._lists.get(name, (None, ()))
        if dataset is None or number >= len(frames):
            return None
        frame = frames[number]
        try:
            changed = [path.stat().st_mtime_ns for path in (frame.image, frame.labels) if path]
            address = self._store.address(("frame", name, number, changed), "jpg", lambda: _draw(dataset, frame))
        except (LabError, OSError):
            return None
        return self._store.get(address.rpartition("/")[2])


def _draw(dataset: Dataset, frame: Frame) -> bytes:
    image = composite(read_image(frame.image, pixels=dataset.pixels))
    size = max(1, round(image.shape[1] * HEIGHT / image.shape[0])), HEIGHT
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if not frame.labels:
        return encode_image(small)
    target = cv2.resize(read_target(frame.labels, dataset.space), size, interpolation=cv2.INTER_NEAREST)
    return encode_image(overlay_of(small, dataset.space.palette[target]))
