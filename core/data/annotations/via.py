"""VGG Image Annotator's JSON, version 2 (and 1): a project, or its exported annotations.

The class is the region attribute that is called so, else the one that has several values; regions without any attribute
are of the one class `object`.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from core.data.annotations.shapes import Annotation, Shape, ShapeError, box, ellipse, line, points, read_shapes

CLASS_ATTRIBUTES = ("class", "label", "name", "type")


def recognise(content: Any, _path: Path) -> list[str] | None:
    """Return the classes that a file states, of which VIA states none; None for a file of another kind."""
    images = list(_images(content).values()) if isinstance(content, dict) else []
    is_via = images and all(isinstance(image, dict) and {"filename", "regions"} <= image.keys() for image in images)
    return [] if is_via else None


def read(content: Any, _path: Path, _class_names: list[str]) -> Iterator[Annotation]:
    """Yield the images that a file lists; VIA doesn't write down their sizes."""
    images = _images(content).values()
    attribute = _class_attribute([region for image in images for region in _regions(image)])
    for image in images:
        shapes = read_shapes(enumerate(_regions(image)), lambda region: _label(region, attribute), _shape)
        yield Annotation((str(image["filename"]),), None, shapes)


def _images(content: Any) -> dict[str, Any]:
    images = content.get("_via_img_metadata", content)
    return images if isinstance(images, dict) else {}


def _regions(image: Any) -> list[Any]:
    regions = image["regions"]
    return list(regions.values()) if isinstance(regions, dict) else regions


def _class_attribute(regions: list[Any]) -> str:
    values: dict[str, set[str]] = defaultdict(set)
    for region in regions:
        for name in region.get("region_attributes") or {}:
            values[name].add(_label(region, name))
    for name in CLASS_ATTRIBUTES:
        for value in values:
            if value.strip().lower() == name:
                return value
    return max(values, key=lambda name: len(values[name]), default="")


def _label(region: Any, attribute: str) -> str:
    if not attribute:
        return "object"
    value = (region.get("region_attributes") or {}).get(attribute, "")
    # Of boxes to tick, the first that is ticked.
    return next((name for name, ticked in value.items() if ticked), "") if isinstance(value, dict) else value


def _shape(region: Any) -> Shape:
    """Return a shape; a point has no ring."""
    attributes = region["shape_attributes"]
    kind = attributes["name"]
    if kind == "rect":
        return Shape(rings=(box((attributes["x"], attributes["y"]), (attributes["width"], attributes["height"])),))
    if kind == "circle":
        return Shape(rings=(ellipse((attributes["cx"], attributes["cy"]), (attributes["r"], attributes["r"])),))
    if kind == "ellipse":
        angle = np.degrees(float(attributes.get("theta", 0)))
        return Shape(
            rings=(ellipse((attributes["cx"], attributes["cy"]), (attributes["rx"], attributes["ry"]), angle),)
        )
    if kind in ("polygon", "polyline"):
        vertices = points(list(zip(attributes["all_points_x"], attributes["all_points_y"], strict=True)))
        return Shape(rings=(vertices,) if kind == "polygon" else line(vertices))
    if kind == "point":
        return Shape()
    raise ShapeError(f"is of the unknown kind '{str(kind)[:40]}'")
