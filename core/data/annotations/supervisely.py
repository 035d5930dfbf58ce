"""Supervisely's JSON, a file for each image, and meta.json, which names the classes.

Its coordinates count pixels, not their edges: the corner (3, 2) is the pixel (3, 2), and the outline belongs to the
shape.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from core.data.annotations.shapes import (
    MAX_PIXELS,
    Annotation,
    Points,
    Shape,
    ShapeError,
    box,
    decode_base64,
    decode_png,
    line,
    points,
    read_shapes,
    read_size,
    whole,
)


def recognise(content: Any, _path: Path) -> list[str] | None:
    """Return the classes that meta.json states, none for the file of an image; None for a file of another kind."""
    if not isinstance(content, dict):
        return None
    if isinstance(content.get("objects"), list) and isinstance(content.get("size"), dict):
        return []
    class_rows = content.get("classes")
    is_meta = isinstance(class_rows, list) and "tags" in content
    is_meta = is_meta and all(isinstance(item, dict) and {"title", "shape"} <= item.keys() for item in class_rows)
    return [str(item["title"]) for item in class_rows] if is_meta else None


def read(content: Any, path: Path, _class_names: list[str]) -> Iterator[Annotation]:
    """Yield the image of a file, which is called as the image with .json behind it."""
    if "objects" in content:
        size = read_size(content["size"]["height"], content["size"]["width"])
        shapes = read_shapes(enumerate(content["objects"]), lambda item: item["classTitle"], _shape)
        yield Annotation((path.stem,), size, shapes)


def _shape(item: Any) -> Shape:
    """Return a shape; one without any area (points, graphs) has no ring."""
    kind = item["geometryType"]
    if kind == "bitmap":
        decompress = zlib.decompressobj()
        data = decompress.decompress(decode_base64(item["bitmap"]["data"]), MAX_PIXELS)
        if decompress.unconsumed_tail:
            raise ShapeError("has a mask that is too large")
        x, y = (whole(value) for value in item["bitmap"]["origin"])
        return Shape(mask=decode_png(data), corner=(x, y))
    if kind not in ("polygon", "rectangle", "line"):
        return Shape()
    exterior = _centres(item["points"]["exterior"])
    if kind == "line":
        return Shape(rings=line(exterior))
    if kind == "rectangle":
        return Shape(rings=(box(exterior.min(axis=0) - 0.5, np.ptp(exterior, axis=0) + 1),))
    return Shape(rings=(exterior,), holes=tuple(_centres(ring) for ring in item["points"].get("interior") or ()))


def _centres(vertices: Any) -> Points:
    return points(vertices) + 0.5
