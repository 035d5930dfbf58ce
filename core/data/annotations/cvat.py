"""CVAT's XML, version 1.1, a file for many images, or for the frames of a video.

CVAT calls frame 12 of a video frame_000012, and writes each frame of a track, those between key frames too.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
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


def read(content: Any, _path: Path, _class_names: list[str]) -> Iterator[Annotation]:
    """Yield the images that a file lists, or the frames that its tracks name."""
    for image in content.iterfind("image"):
        shapes = read_shapes(enumerate(image), lambda item: item.get("label"), _shape)
        yield Annotation((image.attrib["name"],), read_size(image.get("height"), image.get("width")), shapes)
    yield from _read_tracks(content)


def _read_tracks(content: Any) -> Iterator[Annotation]:
    """Yield the frames that tracks name, those that an object left too."""
    tracks = [
        (index, track.get("label"), {whole(item.attrib["frame"]): item for item in track})
        for index, track in enumerate(content.iterfind("track"))
    ]
    frames: dict[int, list[tuple[int, Any]]] = defaultdict(list)
    for index, label, items in tracks:
        for frame, item in items.items():
            frames[frame] += [(index, (label, item))] * (item.get("outside") != "1")
    for index, label, items in tracks:
        for start, end in pairwise(sorted(items)):
            skipped = [frame for frame in frames if start < frame < end] if items[start].get("outside") != "1" else []
            if skipped:
                raise ShapeError(f"has a track {index} ('{label}') that is in frame {start} and skips {min(skipped)}")
    size = content.find("./meta//original_size")
    size = None if size is None else read_size(size.findtext("height"), size.findtext("width"))
    for frame, present in sorted(frames.items()):
        shapes = read_shapes(present, lambda item: item[0], lambda item: _shape(item[1]))
        yield Annotation((f"frame_{frame:06d}",), size, shapes)


def _shape(item: Any) -> Shape:
    """Return a shape; one without any area (points, skeletons, tags of the whole image) has no ring."""
    attributes, order = item.attrib, whole(item.get("z_order", 0))
    if item.tag == "mask":
        left, top, width, height = (whole(attributes[key]) for key in ("left", "top", "width", "height"))
        mask = decode_runs(attributes["rle"].split(","), height, width)
        return Shape(mask=mask, corner=(left, top), order=order)
    if item.tag == "box":
        start, end = points([attributes[key] for key in ("xtl", "ytl", "xbr", "ybr")])
        return Shape(rings=(box(start, end - start, attributes.get("rotation")),), order=order)
    if item.tag == "ellipse":
        outline = ellipse(
            (attributes["cx"], attributes["cy"]), (attributes["rx"], attributes["ry"]), attributes.get("rotation")
        )
        return Shape(rings=(outline,), order=order)
    if item.tag in ("polygon", "polyline"):
        vertices = points([pair.split(",") for pair in attributes["points"].split(";")])
        return Shape(rings=(vertices,) if item.tag == "polygon" else line(vertices), order=order)
    return Shape(order=order)
