"""Label Studio's JSON export, a file for many images: of each task, the first annotation that wasn't cancelled."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import numpy as np

from core.data.annotations.shapes import (
    MAX_PIXELS,
    Annotation,
    Shape,
    ShapeError,
    box,
    ellipse,
    points,
    read_shapes,
    read_size,
    whole,
)

_UPLOAD = re.compile(r"[0-9a-f]{8}-")
"""What it puts before the name of a file that was uploaded to it."""


def recognise(content: Any, _path: Path) -> list[str] | None:
    """Return the classes that a file states, of which an export states none; None for a file of another kind."""
    is_export = isinstance(content, list) and content and isinstance(content[0], dict)
    return [] if is_export and {"data", "annotations"} <= content[0].keys() else None


def read(content: Any, _path: Path, _class_names: list[str]) -> Iterator[Annotation]:
    """Yield the image of each task that was annotated."""
    for index, task in enumerate(content):
        done = [annotation for annotation in task["annotations"] if not annotation.get("was_cancelled")]
        if not done:
            continue
        regions = [(i, item) for i, item in enumerate(done[0]["result"]) if _label_key(item)]
        sizes = {(item.get("original_height"), item.get("original_width")) for _, item in regions}
        if len(sizes) > 1:
            raise ShapeError(f"has a task {index} whose objects are of images of different sizes")
        size = read_size(*sizes.pop()) if sizes else None
        shapes = read_shapes(regions, lambda item: item["value"][_label_key(item)][0], _shape)
        yield Annotation(_names(task), size, shapes)


def _label_key(item: Any) -> str:
    """Return the key of an object's labels, "polygonlabels" for one; "" for what is no object, such as a choice."""
    kind = str(item.get("type", ""))
    return kind if kind.endswith("labels") and kind in item.get("value", {}) else ""


def _names(task: Any) -> tuple[str, ...]:
    """Return the name that Label Studio gave an image, and the one that it had before it was uploaded."""
    url = next((value for key, value in task["data"].items() if isinstance(value, str) and key != "id"), "")
    url = str(task["data"].get("image", url))
    path = unquote(url.split("?d=")[-1].split("?")[0])
    name = PurePosixPath(path).name
    return (path, name, _UPLOAD.sub("", name, count=1))


def _shape(item: Any) -> Shape:
    """Return a shape; one without any area (points) has no ring."""
    kind, value = item["type"], item["value"]
    height, width = whole(item["original_height"]), whole(item["original_width"])
    if kind == "brushlabels":
        return Shape(mask=_decode_brush(value["rle"], height, width))
    percent = np.array([width, height]) / 100
    if kind == "polygonlabels":
        return Shape(rings=(points(value["points"]) * percent,))
    if kind in ("rectanglelabels", "ellipselabels"):
        is_box = kind == "rectanglelabels"
        keys = ("width", "height") if is_box else ("radiusX", "radiusY")
        start, size = points([value["x"], value["y"], *(value[key] for key in keys)]) * percent
        angle = value.get("rotation")
        return Shape(rings=(box(start, size, angle, pivot=(0, 0)) if is_box else ellipse(start, size, angle),))
    return Shape()


def _decode_brush(data: Any, height: int, width: int) -> np.ndarray:
    """Return where a brush was, bool (height, width): the alpha of an image in runs,
    https://github.com/thi-ng/umbrella, rle-pack.

    Raises:
        ShapeError: the runs don't fill the image.
    """
    try:
        bits = "".join(f"{byte:08b}" for byte in bytes(data))
    except (TypeError, ValueError):
        raise ShapeError("has a brush mask that isn't a list of bytes") from None
    position = 0

    def read_bits(count: int) -> int:
        nonlocal position
        position += count
        if position > len(bits):
            raise ShapeError(f"has a brush mask that ends before its {width} x {height} pixels are full")
        return int(bits[position - count : position], 2)

    total, depth = read_bits(32), read_bits(5) + 1
    run_bits = [read_bits(4) + 1 for _ in range(4)]
    if total != 4 * height * width or not 0 < total <= 4 * MAX_PIXELS or depth > 8:
        raise ShapeError(f"has a brush mask of {total // 4} pixels, but its image has {width} x {height}")
    values = np.empty(total, np.uint8)
    start = 0
    while start < total:
        is_run = read_bits(1)
        end = start + 1 + read_bits(run_bits[read_bits(2)])
        values[start:end] = read_bits(depth) if is_run else [read_bits(depth) for _ in range(min(end, total) - start)]
        start = end
    return values.reshape(height, width, 4)[..., 3] > 0
