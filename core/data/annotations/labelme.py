"""labelme's JSON, a file for each image."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from core.data.annotations.shapes import (
    POINT_RADIUS,
    Annotation,
    Shape,
    ShapeError,
    box,
    decode_base64,
    decode_png,
    ellipse,
    line,
    points,
    read_shapes,
    read_size,
)


def recognise(content: Any, _path: Path) -> list[str] | None:
    """Return the classes that a file states, of which labelme states none; None for a file of another kind."""
    is_labelme = isinstance(content, dict) and isinstance(content.get("shapes"), list) and "imagePath" in content
    return [] if is_labelme else None


def read(content: Any, path: Path, _class_names: list[str]) -> Iterator[Annotation]:
    """Yield the image of a file. What labelme was started with (`imagePath`) may be called otherwise since."""
    shapes = read_shapes(enumerate(content["shapes"]), lambda item: item["label"], _shape)
    size = read_size(content.get("imageHeight"), content.get("imageWidth"))
    yield Annotation((str(content["imagePath"]), path.stem), size, shapes)


def _shape(item: Any) -> Shape:
    kind, vertices = item.get("shape_type") or "polygon", points(item["points"])
    if kind == "mask":
        return Shape(mask=decode_png(decode_base64(item["mask"])), corner=(int(vertices[0, 0]), int(vertices[0, 1])))
    if kind == "circle":
        radius = float(np.hypot(*(vertices[1] - vertices[0])))
        return Shape(rings=(ellipse(vertices[0], (radius, radius)),))
    if kind in ("point", "points"):
        return Shape(rings=tuple(ellipse(vertex, (POINT_RADIUS, POINT_RADIUS)) for vertex in vertices))
    if kind in ("line", "linestrip"):
        return Shape(rings=line(vertices))
    if kind == "rectangle" and len(vertices) == 2:
        return Shape(rings=(box(vertices.min(axis=0), np.ptp(vertices, axis=0)),))
    if kind in ("polygon", "rectangle", "oriented_rectangle"):
        return Shape(rings=(vertices,))
    raise ShapeError(f"is of the unknown kind '{str(kind)[:40]}'")
