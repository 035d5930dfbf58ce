"""The size at which frames of one's own are read: the photographs' in shape, the default's in pixels."""

from pathlib import Path
from statistics import median

from PIL import ExifTags, Image

from core.config import DatasetConfig, bounds_of, fields_of
from core.data.dataset import Dataset, spread

SAMPLE = 16
"""Photographs that are asked for their size."""
STRIDE, MIN_SIDE = 32, 64
"""Sides are multiples of what the deepest level of most networks halves a picture to."""
DEFAULT = DatasetConfig().height, DatasetConfig().width


def fitting_size(dataset: Dataset) -> tuple[int, int]:
    """Return height and width in which a data set's photographs keep their shape, as far as sides of whole strides can:
    about as many pixels as the default has, and no more than the photographs. The default where no header can be read.
    """
    headers = [image_size(frame.image) for frame in spread(dataset.train or dataset.val, SAMPLE)]
    sizes = [size for size in headers if size]
    if not sizes:
        return DEFAULT
    shape = median(height / width for height, width in sizes)
    pixels = min(DEFAULT[0] * DEFAULT[1], median(height * width for height, width in sizes))
    height = (pixels * shape) ** 0.5
    return _side("height", height), _side("width", height / shape)


def image_size(path: Path) -> tuple[int, int] | None:
    """Return height and width of a photograph as it is shown; None where its header can't be read."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            is_turned = image.format == "JPEG" and image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
    except Exception:  # Pillow's readers raise whatever a foreign header makes them
        return None
    return (width, height) if is_turned else (height, width)


def _side(name: str, pixels: float) -> int:
    """Return a side as a multiple of the stride, within what the config allows."""
    return min(max(MIN_SIDE, STRIDE * round(pixels / STRIDE)), bounds_of(fields_of("dataset")[name])["le"])
