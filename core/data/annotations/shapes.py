"""What every label tool's file comes down to: shapes of an image, each with its class, and the one painter of them.

Coordinates are pixels, x to the right and y down; pixel (0, 0) reaches from 0 to 1. A pixel belongs to a polygon that
holds its centre, as pycocotools counts it. Tools that paint the outline as well (labelme, OpenCV) make each shape up to
a pixel fatter, so that two neighbours overlap along their common edge.
"""

import base64
import io
import math
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from core.text import one_line, shorten

MAX_PIXELS = 2**26
MAX_COORDINATE = 2**20
MAX_OUTLINE = 2**22
"""Pixels along all edges of one ring; painting takes memory in proportion."""
LINE_WIDTH = 10.0
POINT_RADIUS = 5.0
"""Lines and points have no width in any of these formats; these are what labelme paints them with."""

Points = np.ndarray
"""float64 (N, 2), x and y in pixels."""


class ShapeError(ValueError):
    """What is wrong with an object of an annotation file, as the rest of a sentence for a student."""


BROKEN = (
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError, OSError, SyntaxError, RecursionError,
    zlib.error,
    Image.DecompressionBombError,
)  # fmt: skip
"""What a hostile record can raise while it is read."""


@dataclass(frozen=True, eq=False)
class Shape:
    """One labelled object.

    Attributes:
        label: the name of its class.
        rings: polygons, float (N, 2) each, of which the union is painted.
        holes: polygons that are cut out of them.
        mask: bool (h, w), painted instead of rings.
        corner: x and y of the mask's upper left pixel.
        order: shapes of a higher one lie on top; those of the same in the order of the file.
        index: the object's index in its file.
    """

    label: str = ""
    rings: tuple[Points, ...] = ()
    holes: tuple[Points, ...] = ()
    mask: np.ndarray | None = None
    corner: tuple[int, int] = (0, 0)
    order: int = 0
    index: int = 0


@dataclass(frozen=True, eq=False)
class Annotation:
    """The shapes of one image.

    Attributes:
        names: what the image's file may be called, the likeliest first: a relative path or a name, with its ending or
            without.
        size: height and width in pixels; None where the file doesn't say.
        shapes: in the order of the file.
        relative: coordinates are shares of the width and the height.
    """

    names: tuple[str, ...]
    size: tuple[int, int] | None
    shapes: tuple[Shape, ...] = field(default=())
    relative: bool = False


def read_shapes(
    items: Iterable[tuple[int, Any]], label_of: Callable[[Any], Any], shape_of: Callable[[Any], Shape]
) -> tuple[Shape, ...]:
    """Read the objects of an image.

    Args:
        items: each object with its index in the file.
        label_of: returns the name of an object's class.
        shape_of: returns an object's shape, without label and index.

    Raises:
        ShapeError: an object is broken; its index and class are named.
    """
    shapes = []
    for index, item in items:
        label: Any = ""
        try:
            label = label_of(item)
            if not isinstance(label, str) or not label.strip():
                raise ShapeError("has no class")
            shapes.append(replace(shape_of(item), label=one_line(label)[:80], index=index))
        except BROKEN as error:
            raise ShapeError(f"{name_object(index, label)} {describe(error)}") from None
    return tuple(shapes)


def name_object(index: int, label: Any) -> str:
    """Return what an object is called in a sentence."""
    return f"object {index} ({shorten(repr(label), 40)})" if label else f"object {index}"


def describe(error: BaseException) -> str:
    """Return what a record is like that raised an error, as the rest of a sentence."""
    if isinstance(error, ShapeError):
        return str(error)
    return f"lacks {error}" if isinstance(error, KeyError) else "isn't written as this format is"


def paint(
    annotation: Annotation, size: tuple[int, int], value_of: Callable[[str], int], unlabelled: int
) -> tuple[np.ndarray, list[Shape]]:
    """Paint the shapes of an image.

    Args:
        annotation: the shapes.
        size: height and width in pixels.
        value_of: returns the id 0..255 of a class's name.
        unlabelled: the id where no shape lies.

    Returns:
        ids, uint8 (H, W); and the shapes that cover none of the image's pixels.

    Raises:
        ShapeError: the image is too large, or a shape can't be painted.
    """
    if not 0 < size[0] * size[1] <= MAX_PIXELS or min(size) < 1:
        raise ShapeError(f"states an image of {size[1]} x {size[0]} pixels; 1 to {MAX_PIXELS} are possible")
    values = np.full(size, unlabelled, np.uint8)
    scale = np.array(size[::-1] if annotation.relative else (1, 1), np.float64)
    hidden = []
    for shape in sorted(annotation.shapes, key=lambda shape: shape.order):
        value = value_of(shape.label)
        try:
            covered = paste(shape, size) if shape.mask is not None else _fill(shape.rings, scale, size)
            if shape.holes:
                covered &= ~_fill(shape.holes, scale, size)
        except BROKEN as error:
            raise ShapeError(f"{name_object(shape.index, shape.label)} {describe(error)}") from None
        values[covered] = value
        if not covered.any():
            hidden.append(shape)
    return values, hidden


def _fill(rings: Iterable[Points], scale: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the pixels whose centre lies in one of the rings, bool (H, W)."""
    outlines = [ring * scale for ring in rings if len(ring) >= 3]
    for outline in outlines:
        length = np.abs(np.diff(outline, axis=0, append=outline[:1])).sum()
        if np.abs(outline).max() > MAX_COORDINATE or length > MAX_OUTLINE:
            raise ShapeError("has coordinates far outside of its image")
    if not outlines:
        return np.zeros(size, bool)
    encoded = coco_mask.frPyObjects([outline.ravel().tolist() for outline in outlines], *size)
    return coco_mask.decode(coco_mask.merge(encoded)).astype(bool)


def paste(shape: Shape, size: tuple[int, int]) -> np.ndarray:
    """Return a mask at its corner of the image, bool (H, W); what reaches over the edge is cut off."""
    covered = np.zeros(size, bool)
    x, y = shape.corner
    inside = shape.mask[max(0, -y) : max(0, size[0] - y), max(0, -x) : max(0, size[1] - x)]
    covered[max(0, y) :, max(0, x) :][: inside.shape[0], : inside.shape[1]] = inside
    return covered


def crop(mask: np.ndarray) -> Shape:
    """Return where a mask (H, W) is true as a shape without the empty margins: of many objects those take the room."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return Shape(mask=np.zeros((0, 0), bool))
    inside = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
    return Shape(mask=inside, corner=(int(columns[0]), int(rows[0])))


def points(values: Any) -> Points:
    """Return pairs of numbers, nested or in one list, as float (N, 2). Raises ShapeError."""
    try:
        result = np.asarray(values, np.float64).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise ShapeError("has coordinates that aren't pairs of numbers") from None
    if not np.isfinite(result).all():
        raise ShapeError("has coordinates that are NaN or infinite")
    return result


def length(value: Any) -> float:
    """Return a width, a height or a radius. Raises ShapeError for what isn't a number of 0 or more."""
    try:
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ShapeError(f"has the size {shorten(repr(value), 40)}, which is no number") from None
    if not 0 <= result < math.inf:
        raise ShapeError(f"has the size {result}, and a size is 0 or more")
    return result


def whole(value: Any) -> int:
    """Return a whole number, which may be written as text or as 7.0. Raises ShapeError."""
    try:
        if isinstance(value, bool) or int(value) != float(value):
            raise ValueError
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise ShapeError(f"has {shorten(repr(value), 40)} where a whole number is needed") from None


def read_size(height: Any, width: Any) -> tuple[int, int] | None:
    """Return height and width in pixels; None where either is missing. Raises ShapeError."""
    return None if height is None or width is None else (whole(height), whole(width))


def box(corner: Any, size: Any, angle: Any = 0.0, pivot: tuple[float, float] = (0.5, 0.5)) -> Points:
    """Return a rectangle as a ring.

    Args:
        corner: x and y of its upper left.
        size: its width and height.
        angle: by which it is turned clockwise, in degrees.
        pivot: the point about which it is turned, in shares of its width and height.

    Raises:
        ShapeError: a value is no number, or a size is negative.
    """
    sides = np.array([length(side) for side in size])
    outline = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) - pivot
    return _rotated(outline * sides, angle) + points([*corner])[0] + pivot * sides


def ellipse(centre: Any, radii: Any, angle: Any = 0.0) -> Points:
    """Return an ellipse of two radii as a ring; `angle` turns it clockwise, in degrees.

    Raises ShapeError as `box` does.
    """
    steps = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    outline = np.stack([np.cos(steps), np.sin(steps)], axis=1) * [length(radius) for radius in radii]
    return _rotated(outline, angle) + points([*centre])[0]


def line(values: Any) -> tuple[Points, ...]:
    """Return a line through points as a ring for each of its segments, `LINE_WIDTH` wide."""
    vertices = points(values)
    rings = []
    for start, end in zip(vertices, vertices[1:], strict=False):
        along = (end - start) / (math.hypot(*(end - start)) or 1.0)
        side = np.array([-along[1], along[0]]) * LINE_WIDTH / 2
        rings.append(np.stack([start + side, end + side, end - side, start - side]))
    return tuple(rings)


def _rotated(outline: Points, angle: Any) -> Points:
    radians = math.radians(float(angle or 0))
    cos, sin = math.cos(radians), math.sin(radians)
    return outline @ np.array([[cos, sin], [-sin, cos]])


def decode_png(data: bytes) -> np.ndarray:
    """Return where a PNG is opaque, or is not black where it has no transparency, bool (h, w). Raises ShapeError."""
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ShapeError(f"has a mask of {image.width} x {image.height} pixels, which is too large")
        if "A" in image.getbands():
            return np.array(image.getchannel("A")) > 0
        return (
            np.array(image.convert("RGBA").getchannel("A") if "transparency" in image.info else image.convert("L")) > 0
        )


def decode_base64(text: Any) -> bytes:
    """Return the bytes behind base64. Raises ShapeError."""
    if not isinstance(text, str):
        raise ShapeError("has no mask where one is needed")
    return base64.b64decode(text)


def decode_runs(counts: Any, height: int, width: int) -> np.ndarray:
    """Return the mask of run lengths, bool (height, width), row by row; the first run is of pixels that aren't covered.

    Raises:
        ShapeError: there are negative runs, or they don't add up to the mask.
    """
    try:
        runs = np.array(counts, np.int64).ravel()
    except (TypeError, ValueError, OverflowError):
        raise ShapeError("has run lengths that aren't whole numbers") from None
    if not 0 < height * width <= MAX_PIXELS or min(height, width) < 1:
        raise ShapeError(f"has a mask of {width} x {height} pixels; 1 to {MAX_PIXELS} are possible")
    if (runs < 0).any() or (runs > MAX_PIXELS).any() or runs.sum() != height * width:
        raise ShapeError(f"has run lengths that don't add up to its {width} x {height} pixels")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
