"""Files to arrays: photographs, and label maps of ids, of colours or painted from polygons. Scaling included."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from core.data.polygons import paint_polygons
from core.errors import LabError


def read_image(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Decode a photograph.

    Args:
        path: an image file of the user's own data set.
        size: (height, width) to scale to; None keeps the file's size.

    Returns:
        uint8 (H, W, 3), red green blue, turned as its EXIF says.

    Raises:
        LabError: the file is missing or is not an image.
    """
    image = _decode(path, cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise LabError(f"'{path}' can't be read as an image. Download or copy that file again.")
    if size and image.shape[:2] != size:
        shrinks = size[0] < image.shape[0]
        image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return image


def read_labels(path: Path, size: tuple[int, int] | None = None, colors: bool = False) -> np.ndarray:
    """Decode a label map; scaled by nearest neighbour.

    Args:
        path: a picture, or a Cityscapes polygons.json, which is painted.
        size: (height, width) to scale to; None keeps the file's size.
        colors: the picture is painted in colours. A palette picture then gives its colours, and its numbers otherwise.

    Returns:
        ids uint8 (H, W), or with `colors` uint8 (H, W, 3), red green blue.

    Raises:
        LabError: the file is missing, is not a picture, or holds something else than asked for.
    """
    values = _label_values(path, colors)
    if size and values.shape[:2] != size:
        values = cv2.resize(values, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return values


def _label_values(path: Path, colors: bool) -> np.ndarray:
    if path.suffix.lower() == ".json":
        return paint_polygons(path)
    values = _palette_image(path, colors) if has_palette(path) else _decode(path, cv2.IMREAD_UNCHANGED)
    if values is None:
        raise LabError(f"'{path}' can't be read as a label map. Download or copy that file again.")
    if values.dtype != np.uint8:
        if values.dtype != np.uint16 or values.max(initial=0) > 255:
            raise LabError(
                f"'{path}' holds 16-bit numbers above 255, but a label map holds one number of 0 to 255 a pixel. Cityscapes' "
                "instanceIds look like this: use the labelIds files."
            )
        values = values.astype(np.uint8)
    if colors:
        if values.ndim == 2:
            return cv2.cvtColor(values, cv2.COLOR_GRAY2RGB)
        return values if has_palette(path) else cv2.cvtColor(values, _TO_RGB[values.shape[2]])
    if values.ndim == 3:
        # Some tools save numbers as gray in three equal channels.
        if not (cv2.absdiff(values[..., 0], values[..., 1]).any() or cv2.absdiff(values[..., 0], values[..., 2]).any()):
            return np.ascontiguousarray(values[..., 0])
        raise LabError(
            f"'{path}' is a picture in colours, but a label map holds one number a pixel. Use the labelIds files of Cityscapes, or "
            "name the colours in the class table of your own data."
        )
    return values


_TO_RGB = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}


def has_palette(path: Path) -> bool:
    """Return True for a PNG whose pixels are numbers into a palette. OpenCV would give their colours and lose the numbers."""
    if path.suffix.lower() != ".png":
        return False
    try:
        with path.open("rb") as file:
            return file.read(26)[25:26] == b"\x03"
    except OSError:
        return False


def _palette_image(path: Path, colors: bool) -> np.ndarray | None:
    try:
        with Image.open(path, formats=["PNG"]) as image:
            return np.array(image.convert("RGB") if colors else image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _decode(path: Path, flags: int) -> np.ndarray | None:
    try:
        return cv2.imread(str(path), flags)
    except cv2.error:  # a header that promises more pixels than OpenCV allows
        return None
