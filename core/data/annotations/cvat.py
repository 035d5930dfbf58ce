"""CVAT's XML of images, version 1.1, a file for many images."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from core.data.annotations.shapes import (
    Annotation,
    Shape,
    ShapeError,
    box,
    decode_runs,
    ellipse,
    line,
    points,
    read_shapes,
    read_size,
    whole,
)


def recognise(content: Any, _path: Path) -> list[str] | None:
    """Return the names of the labels; None for a file of another kind."""
    if not isinstance(content, Element) or content.tag != "annotations" or content.find("version") is None:
        return None
    return [name.text.strip() for name in content.iterfind("./meta//labels/label/name") if name.text]


def read(content: Any, _path: Path, _classes: list[str]) -> Iterator[Annotation]:
    """Yield the images that a file lists. Raises ShapeError for an export of a video."""
    if content.find("track") is not None:
        raise ShapeError("is an export of a video; export it as 'CVAT for images'")
    for image in content.iterfind("image"):
        shapes = read_shapes(enumerate(image), lambda item: item.get("label"), _shape)
        yield Annotation((image.attrib["name"],), read_size(image.get("height"), image.get("width")), shapes)


def _shape(item: Any) -> Shape:
    """Return a shape; one without any area (points, skeletons, tags of the whole image) has no ring."""
    given, order = item.attrib, whole(item.get("z_order", 0))
    if item.tag == "mask":
        left, top, width, height = (whole(given[key]) for key in ("left", "top", "width", "height"))
        mask = decode_runs(given["rle"].split(","), height, width)
        return Shape(mask=mask, corner=(left, top), order=order)
    if item.tag == "box":
        start, end = points([given[key] for key in ("xtl", "ytl", "xbr", "ybr")])
        return Shape(rings=(box(start, end - start, given.get("rotation")),), order=order)
    if item.tag == "ellipse":
        outline = ellipse((given["cx"], given["cy"]), (given["rx"], given["ry"]), given.get("rotation"))
        return Shape(rings=(outline,), order=order)
    if item.tag in ("polygon", "polyline"):
        vertices = points([pair.split(",") for pair in given["points"].split(";")])
        return Shape(rings=(vertices,) if item.tag == "polygon" else line(vertices), order=order)
    return Shape(order=order)
