"""Photographs of other bands than red, green and blue: near infrared, depth, what a satellite sees.

Which bands a network learns from, and in which order, stands in its config. The first three are shown as red, green and
blue: a false-colour composite, as remote sensing calls it.
"""

import io
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np
import tifffile

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # a broken file is said in our own words
MAX_PAGES = 256
MAX_VALUES = 2 * 10**9
"""Values of all bands of one file: a header may promise more than any memory holds."""


def composite(image: np.ndarray) -> np.ndarray:
    """Return an image uint8 (H, W, C) as it is shown, uint8 (H, W, 3): its first three bands, or the last one again
    where it has fewer.
    """
    last = image.shape[2] - 1
    return image if last == 2 else np.ascontiguousarray(image[..., [0, min(1, last), min(2, last)]])


def in_fours(function: Callable[[np.ndarray], np.ndarray], image: np.ndarray) -> np.ndarray:
    """Return what a function of OpenCV makes of an image (H, W, C): many take no more than four channels at a time."""
    count = image.shape[2]
    if count == 3:
        return function(image)
    parts = [function(np.ascontiguousarray(image[..., start : start + 4])) for start in range(0, count, 4)]
    return np.concatenate([part[..., None] if part.ndim == 2 else part for part in parts], axis=2)


@dataclass(frozen=True)
class TiffLayout:
    """What a TIFF says of its first picture.

    Attributes:
        size: (height, width).
        samples: how many values a pixel has.
        colors: how many of them are gray, or red, green and blue.
        has_alpha: whether the next one is transparency.
        is_deep: a value has more than 8 bits.
        photometric: TIFF's number of what the colours are: 0 and 1 gray, 2 red, green and blue.
        orientation: EXIF's, 1..8.
    """

    size: tuple[int, int]
    samples: int
    colors: int
    has_alpha: bool
    is_deep: bool
    photometric: int
    orientation: int

    @property
    def names_colors(self) -> bool:
        """Whether the file says which bands are red, green and blue."""
        return self.photometric == 2

    @property
    def num_bands(self) -> int:
        """How many bands there are, where they are more than colours and transparency; else 0."""
        return self.samples if self.samples > self.colors + self.has_alpha else 0


def tiff_layout(data: bytes) -> TiffLayout | None:
    """Return how a TIFF's pixels are laid out; None for one that can't be read, which is said where it is decoded."""
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages.first
            kind, samples = int(page.photometric), page.samplesperpixel
            # GDAL calls the first of three colours of 16 bits gray, and the others nothing.
            colors = 3 if kind == 1 and samples == 3 else {2: 3, 5: 4, 6: 3, 8: 3}.get(kind, 1)
            return TiffLayout(
                size=(page.imagelength, page.imagewidth),
                samples=samples,
                colors=colors,
                has_alpha=any(int(extra) in (1, 2) for extra in page.extrasamples),
                is_deep=page.bitspersample > 8,
                photometric=kind,
                orientation=int(page.tags.valueof("Orientation", 1)),
            )
    except Exception:  # whatever a broken file makes the reader raise
        return None


def read_tiff(data: bytes, only_first: bool = False) -> np.ndarray:
    """Decode every band of a TIFF, whether they are interleaved, in planes or each a page.

    Args:
        data: a file.
        only_first: pages are other pictures, and not bands.

    Returns:
        (H, W, C), of any type.

    Raises:
        ValueError: it is broken, too large, or compressed in a way that can't be read here; its text says which.
    """
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            first = file.pages.first
            # What a file tells of its series beside its pages may name other files: it isn't looked at.
            rest = () if only_first or first.samplesperpixel > 1 else islice(file.pages, 1, MAX_PAGES)
            pages = [first, *(page for page in rest if page.shape == first.shape)]
            if len(pages) * math.prod(first.shape) > MAX_VALUES:
                raise ValueError(f"it has {' x '.join(map(str, first.shape))} values, more than fit into memory")
            axes = first.axes
            values = first.asarray() if len(pages) == 1 else np.stack([page.asarray() for page in pages], axis=-1)
    except ValueError as error:
        if "imagecodecs" in str(error):
            raise ValueError(
                "it is compressed in a way for which the package imagecodecs is needed; install that, or save the file"
                " without compression"
            ) from None
        raise
    except Exception:  # whatever a broken file makes the reader raise
        raise ValueError("it is damaged; download or copy that file again") from None
    if not values.size or values.dtype.kind not in "buif":
        raise ValueError("it is damaged; download or copy that file again")
    if values.dtype.kind == "b":
        values = values.astype(np.uint8) * 255
    if values.ndim == 2:
        return values[..., None]
    if len(pages) > 1:
        return values
    if axes not in ("YX", "YXS", "SYX"):
        raise ValueError(f"its values are ordered as {axes}, and a photograph has rows, columns and bands")
    return np.moveaxis(values, 0, -1) if axes == "SYX" else values


def upright(values: np.ndarray, orientation: int) -> np.ndarray:
    """Return values (H, W, C) turned as an EXIF orientation, 1..8, says."""
    values = values.swapaxes(0, 1) if orientation >= 5 else values
    values = values[::-1] if orientation in (3, 4, 7, 8) else values
    return values[:, ::-1] if orientation in (2, 3, 6, 7) else values


def to_bytes(values: np.ndarray, white: np.ndarray) -> np.ndarray:
    """Return values (H, W, C) of any type as uint8, `white` (1,) or (C,) as 255.

    Raises:
        ValueError: nothing could be seen, for all values of a band are below 0.
    """
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    if (white < 0).any():
        raise ValueError("its values are below 0, where all would be black; add a constant to them")
    scaled = np.nan_to_num(values.astype(np.float32)) * (255 / np.maximum(white, 1e-9)).astype(np.float32)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return an image uint8 (H, W, C) at a size (h, w): by area where it shrinks, bilinearly where it grows; the image
    itself where it has that size.
    """
    if size == image.shape[:2]:
        return image
    kind = cv2.INTER_AREA if size[0] < image.shape[0] else cv2.INTER_LINEAR
    return in_fours(lambda part: cv2.resize(part, size[::-1], interpolation=kind), image)


def sensible_size(size: tuple[int, int], shown: tuple[int, int]) -> tuple[int, int]:
    """Height and width of an image scaled to the area at which a network sees whole frames; unchanged when it has that
    size.
    """
    if size == shown:
        return size
    scale = (shown[0] * shown[1] / (size[0] * size[1])) ** 0.5
    return max(32, round(size[0] * scale)), max(32, round(size[1] * scale))
