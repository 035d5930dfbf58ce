"""Decoding of an uploaded image. It is hostile until proven otherwise.

Pillow opens only the listed formats, and size is checked on the header, before a single pixel is decoded: a PNG of 20
kB can unfold to a gigabyte. Torch isn't needed here.
"""

import io
import warnings

import numpy as np
from PIL import Image

from core.config import RGB, PixelFormat
from core.data.bands import resize, tiff_layout
from core.data.decoding import TIFF, decode_image
from core.data.unread_formats import name_unread
from core.errors import LabError
from core.text import format_bytes

IMAGE_EXTENSIONS = ("png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp")
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")
MAX_BYTES = 20 * 10**6
MAX_PIXELS = 40_000_000
MAX_SIDE = 12_000
MIN_SIDE = 16
ORIENTATION = 0x0112
WORKING_SIDE = 2048
"""Longest side, in pixels, that an uploaded picture is reduced to: the size of a Cityscapes frame."""


def decode_upload(data: bytes, pixels: PixelFormat = RGB) -> np.ndarray:
    """Decode an uploaded picture: first frame, turned upright by its EXIF, decoded as training decodes it.

    Args:
        data: the file.
        pixels: which bands of it, and what is white, as of `decode_image`.

    Returns:
        uint8 (H, W, 3), red green blue, or uint8 (H, W, C) of the bands asked for; the longest side at most
        `WORKING_SIDE`.

    Raises:
        LabError: it is too large, too small, or not a picture of a listed format.
    """
    if len(data) > MAX_BYTES:
        raise LabError(
            f"The file has {format_bytes(len(data))}; the limit is {format_bytes(MAX_BYTES)}. Save it smaller and drop"
            " it again."
        )
    if not data:
        raise LabError("The file is empty and can't be read as a picture. Drop it again once it is complete.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the limits below are stricter than Pillow's, its notes on metadata idle
            layout = tiff_layout(data) if data[:4] in TIFF else None
            if layout:
                _check_size(*layout.size[::-1])
            else:
                with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
                    _check_size(*opened.size)
            image = decode_image(data, pixels)
    except LabError:
        raise
    except ValueError as error:
        if str(error):
            raise LabError(f"This file can't be read as a picture: {error}.") from None
        raise LabError(
            "This file can't be read as a picture. Drop a PNG, JPEG, WebP, TIFF or BMP that other programs open."
        ) from None
    except Image.DecompressionBombError:  # Pillow's own limit, met before the size is known here
        raise LabError(
            f"The picture has far more pixels than the {MAX_PIXELS // 10**6} million that are the limit. Save it"
            " smaller and drop it again."
        ) from None
    except MemoryError:
        raise LabError("There is not enough memory left to read this picture. Save it smaller and drop it.") from None
    except Exception:
        # Whatever a broken file makes the decoder raise, the user's answer is the same.
        unread = name_unread(data)
        if unread:
            raise LabError(f"This file can't be read as a picture: {unread}.") from None
        raise LabError(
            "This file can't be read as a picture. Drop a PNG, JPEG, WebP, TIFF or BMP that other programs open."
        ) from None
    scale = WORKING_SIDE / max(image.shape[:2])
    if scale >= 1:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return resize(image, (height, width))


def full_size(data: bytes) -> tuple[int, int]:
    """Return height and width of an upload before it was reduced, the right way round.

    (0, 0) for what `decode_upload` refuses.
    """
    layout = tiff_layout(data) if data[:4] in TIFF else None
    if layout:
        return layout.size[::-1] if layout.orientation >= 5 else layout.size
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            is_turned = opened.getexif().get(ORIENTATION, 1) >= 5
            return opened.size if is_turned else opened.size[::-1]
    except Exception:  # whatever a broken file makes the reader raise was told when it was decoded
        return 0, 0


def _check_size(width: int, height: int) -> None:
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise LabError(
            f"The picture is {width} x {height} pixels; the limit is {MAX_PIXELS // 10**6} million pixels and"
            f" {MAX_SIDE} a side. Save it smaller and drop it again."
        )
    if min(width, height) < MIN_SIDE:
        raise LabError(
            f"The picture is {width} x {height} pixels; at least {MIN_SIDE} a side are needed to see anything in it."
        )
